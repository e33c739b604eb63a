"""The trace of a link as a capture file that Wireshark, tshark and scapy open.

pcapng (draft-ietf-opsawg-pcapng, sections 4.1 to 4.3): one interface of LINKTYPE_USER0 (147), one packet a
link frame. A packet is the frame's body (docs/protocol.md, section 1: type, connection, sequence, payload),
without CRC and COBS. What the device sent is marked inbound, what the host sent outbound.
"""

from __future__ import annotations

import json
from pathlib import Path
from struct import Struct
from typing import Any

from lab import link

_LINKTYPE_USER0 = 147
_SECTION, _INTERFACE, _PACKET = 0x0A0D0D0A, 1, 6
_FLAGS = 2  # option of a packet
_INBOUND, _OUTBOUND = 1, 2
_U32 = Struct("<I")
_HEADER = Struct("<BHH")


def convert(trace: Path, capture: Path) -> None:
    """Write the trace that `lab.bridge.Bridge` has written as a capture file."""
    with trace.open() as lines, capture.open("wb") as file:
        file.write(_block(_SECTION, Struct("<IHHq").pack(0x1A2B3C4D, 1, 0, -1)))
        file.write(_block(_INTERFACE, Struct("<HHI").pack(_LINKTYPE_USER0, 0, 0)))
        for line in lines:
            if line.endswith("\n"):  # else it is being written
                file.write(_packet(json.loads(line)))


def _packet(entry: dict[str, Any]) -> bytes:
    body = _body(entry)
    time = round(entry["t"] * 1_000_000)  # microseconds, an interface's resolution unless it says another
    direction = _INBOUND if entry["from"] == "device" else _OUTBOUND
    head = Struct("<5I").pack(0, time >> 32, time & 0xFFFFFFFF, len(body), len(body))
    options = Struct("<HHIHH").pack(_FLAGS, 4, direction, 0, 0)
    return _block(_PACKET, head + body + bytes(-len(body) % 4) + options)


def _body(entry: dict[str, Any]) -> bytes:
    payload = bytes.fromhex(entry["payload"])
    if entry["type"] == "short":
        return payload
    kind = link.Type[entry["type"]] if entry["type"] in link.Type.__members__ else int(entry["type"])
    return _HEADER.pack(kind, entry["connection"], entry["sequence"]) + payload


def _block(kind: int, body: bytes) -> bytes:
    size = _U32.pack(len(body) + 12)
    return _U32.pack(kind) + size + body + size
