"""The link: frames and connections between a device and its host (docs/protocol.md, section 1).

Twin of ``firmware/core/link``. Nothing here does input or output or reads a clock: bytes and the time go in,
events and bytes come out, so the same code serves the bridge, tests and benchmarks.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct

from cobs import cobs

VERSION = 1
MAX_PAYLOAD = 1024
"""Most bytes after the header of one frame."""

SYNC_AFTER = 0.25
"""Seconds without credit, or after the last DATA, until a SYNC; and between two of them."""

SYNC_TRIES = 20
"""SYNCs without an answer after which a connection is over."""

ATTACH_AFTER = 0.25
"""Seconds a bridge waits for the OPEN of a device that has just started, before it ends what there may be."""

OPEN_EVERY = 1.0
"""Seconds between two OPENs of a device that waits for an answer."""

_HEADER = Struct("<BHH")
_U32 = Struct("<I")
_OPEN = Struct("<BI")
_MAX_BODY = _HEADER.size + MAX_PAYLOAD
_MAX_TEXT = 64
_MAX_COMPLAINTS = 4096


class Type(IntEnum):
    """What a link frame is."""

    OPEN = 1
    ACCEPT = 2
    DATA = 3
    CREDIT = 4
    CLOSE = 5
    SYNC = 6
    CONSOLE = 7


class Reason(IntEnum):
    """Why a connection is over."""

    DONE = 0
    FRAME_LOST = 1
    GATEWAY_UNREACHABLE = 2
    NO_SUCH_CONNECTION = 3
    BRIDGE_STARTED = 4
    WINDOW_OVERRUN = 5
    VERSION_NOT_SPOKEN = 6
    NO_ANSWER = 7


# -- frames


def frame(body: bytes) -> bytes:
    """Return `body` with its CRC-32 as one COBS frame, its closing 0x00 included."""
    return bytes(cobs.encode(body + _U32.pack(zlib.crc32(body)))) + b"\0"


class Deframer:
    """Finds frames in a stream of bytes, on the link and on the simbus alike.

    :param limit: bytes of the longest body; more than that without a 0x00 is noise.
    """

    def __init__(self, limit: int = _MAX_BODY) -> None:
        self.dropped = 0
        """Frames thrown away: not COBS, wrong CRC, too short or too long."""
        coded = limit + _U32.size
        self._body_limit = limit
        self._limit = coded + coded // 254 + 1
        self._part = b""
        self._overlong = False

    @property
    def rest(self) -> bytes:
        """The beginning of a frame whose end has not been fed yet."""
        return self._part

    def feed(self, data: bytes) -> list[bytes]:
        """Return the bodies of the frames that `data` completes."""
        *pieces, rest = data.split(b"\0")
        bodies = []
        for piece in pieces:
            coded = self._part + piece
            if self._overlong or len(coded) > self._limit:
                self.dropped += 1
            elif coded:
                body = _body(coded)
                if body is None or len(body) > self._body_limit:
                    self.dropped += 1
                else:
                    bodies.append(body)
            self._part = b""
            self._overlong = False
        if rest and not self._overlong:
            self._part += rest
            if len(self._part) > self._limit:
                self._part = b""
                self._overlong = True
        return bodies


def _body(coded: bytes) -> bytes | None:
    try:
        plain = bytes(cobs.decode(coded))
    except cobs.DecodeError:
        return None
    body = plain[: -_U32.size]
    if not body or _U32.unpack_from(plain, len(body))[0] != zlib.crc32(body):
        return None
    return body


def describe(body: bytes) -> dict[str, object]:
    """Return a link frame's body as what a trace shows: type, connection, sequence, payload in hex."""
    if len(body) < _HEADER.size:
        return {"type": "short", "payload": body.hex()}
    kind, connection, sequence = _HEADER.unpack_from(body)
    name = Type(kind).name if kind in Type.__members__.values() else str(kind)
    return {
        "type": name,
        "connection": connection,
        "sequence": sequence,
        "payload": body[_HEADER.size :].hex(),
    }


# -- events


@dataclass(frozen=True, slots=True)
class Opened:
    """The device wants a connection: answer with `HostLink.accept` or `HostLink.refuse`."""

    connection: int


@dataclass(frozen=True, slots=True)
class Accepted:
    """The host has opened the connection the device asked for."""

    connection: int


@dataclass(frozen=True, slots=True)
class Data:
    """Bytes of the connection, in order and without a gap. Call `consumed` once they are dealt with."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Closed:
    """The connection is over, whoever ended it."""

    reason: int
    text: str


@dataclass(frozen=True, slots=True)
class ConsoleText:
    """Console bytes of a board with one UART."""

    payload: bytes


Event = Opened | Accepted | Data | Closed | ConsoleText

Tap = Callable[[str, bytes], None]
"""Sees every frame's body: called with ``"sent"`` or ``"received"`` and the body."""


class _Connection:
    """Both directions of one connection. Counters of bytes grow without bound; only the wire wraps them."""

    def __init__(self, number: int, window: int) -> None:
        self.number = number
        self.established = False
        self.send_window = 0
        self.send_limit = 0
        self.sent = 0
        self.send_sequence = 0
        self.receive_limit = window
        self.received = 0
        self.consumed = 0
        self.receive_sequence = 0
        self.sync_at: float | None = None
        self.syncs_unanswered = 0


class _Link:
    """What host and device have in common: everything but who opens a connection."""

    def __init__(self, window: int, tap: Tap | None) -> None:
        self.window = window
        self.frames_received = 0
        self.frames_sent = 0
        self._tap = tap
        self._malformed = 0
        self._deframer = Deframer()
        self._connection: _Connection | None = None
        self._output = bytearray(b"\0")  # ends whatever the line carried before

    # -- state

    @property
    def connection(self) -> int | None:
        """The number of the connection that is open or being opened."""
        return self._connection.number if self._connection else None

    @property
    def established(self) -> bool:
        """Whether `send` may be called."""
        return self._connection is not None and self._connection.established

    @property
    def credit(self) -> int:
        """Bytes that may be sent now."""
        link = self._connection
        return link.send_limit - link.sent if link and link.established else 0

    @property
    def sendable(self) -> int:
        """Bytes that are worth sending now: whole frames as long as there may be more, never crumbs.

        A peer with little room left has something to read, and will then give credit for half its window;
        so to wait for that costs nothing (the sender's side of RFC 1122, section 4.2.3.4).
        """
        link = self._connection
        credit = self.credit
        if link is None or credit >= MAX_PAYLOAD:
            return credit - credit % MAX_PAYLOAD
        return credit if credit >= link.send_window // 2 else 0

    @property
    def dropped(self) -> int:
        """Frames received that could not be read."""
        return self._deframer.dropped + self._malformed

    @property
    def deadline(self) -> float | None:
        """When `tick` has something to do, if nothing arrives before."""
        return self._connection.sync_at if self._connection else None

    # -- what the owner does

    def take_output(self) -> bytes:
        """Return the bytes to send on the line, and forget them."""
        output = bytes(self._output)
        self._output.clear()
        return output

    def send(self, payload: bytes, now: float) -> None:
        """Send `payload`, at most `credit` bytes, on the open connection.

        :raises ValueError: it is more than `credit`, or there is no open connection.
        """
        link = self._connection
        if link is None or len(payload) > self.credit:
            raise ValueError(f"{len(payload)} bytes to send, credit is {self.credit}")
        for start in range(0, len(payload), MAX_PAYLOAD):
            part = payload[start : start + MAX_PAYLOAD]
            self._put(Type.DATA, link.number, link.send_sequence, part)
            link.send_sequence = (link.send_sequence + 1) & 0xFFFF
            link.sent += len(part)
        link.sync_at = now + SYNC_AFTER
        link.syncs_unanswered = 0

    def consumed(self, count: int) -> None:
        """Say that `count` bytes of `Data` are dealt with, so that the other side may send more."""
        link = self._connection
        if link is None:
            return
        link.consumed += count
        if link.consumed + self.window - link.receive_limit >= self.window // 2:
            self._grant(link)

    def close(self, reason: Reason, text: str = "") -> None:
        """End the connection, if there is one."""
        if self._connection is not None:
            self._put_close(self._connection.number, reason, text)
            self._connection = None

    def write_console(self, payload: bytes) -> None:
        """Send console bytes outside any connection."""
        for start in range(0, len(payload), MAX_PAYLOAD):
            self._put(Type.CONSOLE, 0, 0, payload[start : start + MAX_PAYLOAD])

    def receive(self, data: bytes, now: float) -> list[Event]:
        """Take bytes from the line; return what they mean, in order."""
        events: list[Event] = []
        for body in self._deframer.feed(data):
            self.frames_received += 1
            if self._tap:
                self._tap("received", body)
            if len(body) < _HEADER.size:
                self._malformed += 1
                continue
            kind, number, sequence = _HEADER.unpack_from(body)
            self._take(kind, number, sequence, body[_HEADER.size :], now, events)
        return events

    def tick(self, now: float) -> list[Event]:
        """Do what is due at `now`."""
        link = self._connection
        if link is None or link.sync_at is None or now < link.sync_at:
            return []
        if link.syncs_unanswered >= SYNC_TRIES:
            text = "no answer to SYNC"
            self.close(Reason.NO_ANSWER, text)
            return [Closed(Reason.NO_ANSWER, text)]
        self._put(Type.SYNC, link.number, link.send_sequence)
        link.syncs_unanswered += 1
        link.sync_at = now + SYNC_AFTER
        return []

    # -- frames

    def _take(
        self, kind: int, number: int, sequence: int, payload: bytes, now: float, events: list[Event]
    ) -> None:
        link = self._connection
        mine = link is not None and link.number == number
        match kind:
            case Type.DATA if link and mine and link.established:
                self._take_data(link, sequence, payload, events)
            case Type.SYNC if link and mine and link.established:
                if sequence == link.receive_sequence:
                    self._grant(link)
                else:
                    self._fail(Reason.FRAME_LOST, f"at frame {link.receive_sequence}", events)
            case Type.DATA | Type.SYNC:
                self._complain(number)
            case Type.CREDIT if len(payload) != _U32.size:
                self._malformed += 1
            case Type.CREDIT if link and mine and link.established:
                self._take_credit(link, _U32.unpack(payload)[0], now)
            case Type.CLOSE if not payload:
                self._malformed += 1
            case Type.CLOSE if link and (mine or number == 0):
                self._connection = None
                events.append(Closed(payload[0], payload[1:].decode("utf-8", "replace")))
            case Type.CONSOLE:
                events.append(ConsoleText(payload))

    def _take_data(self, link: _Connection, sequence: int, payload: bytes, events: list[Event]) -> None:
        if sequence != link.receive_sequence:
            self._fail(Reason.FRAME_LOST, f"at frame {link.receive_sequence}", events)
        elif link.received + len(payload) > link.receive_limit:
            self._fail(Reason.WINDOW_OVERRUN, f"at byte {link.receive_limit}", events)
        else:
            link.receive_sequence = (sequence + 1) & 0xFFFF
            link.received += len(payload)
            events.append(Data(payload))

    def _take_credit(self, link: _Connection, limit: int, now: float) -> None:
        # The limit wraps at 2^32; as a signed distance an old one is simply not ahead.
        ahead = (limit - link.send_limit) & 0xFFFF_FFFF
        if ahead < 0x8000_0000:
            link.send_limit += ahead
        if link.syncs_unanswered:
            link.syncs_unanswered = 0
            link.sync_at = None
        if link.send_limit == link.sent:
            link.sync_at = now + SYNC_AFTER

    def _grant(self, link: _Connection) -> None:
        link.receive_limit = link.consumed + self.window
        self._put(Type.CREDIT, link.number, 0, _U32.pack(link.receive_limit & 0xFFFF_FFFF))

    def _fail(self, reason: Reason, text: str, events: list[Event]) -> None:
        self.close(reason, text)
        events.append(Closed(reason, text))

    def _complain(self, number: int) -> None:
        # A peer that floods the line with frames of a connection long gone must not fill our memory.
        if len(self._output) < _MAX_COMPLAINTS:
            self._put_close(number, Reason.NO_SUCH_CONNECTION, "")

    def _put_close(self, number: int, reason: Reason, text: str) -> None:
        coded = text.encode()[:_MAX_TEXT].decode("utf-8", "ignore").encode()
        self._put(Type.CLOSE, number, 0, bytes([reason]) + coded)

    def _put(self, kind: Type, number: int, sequence: int, payload: bytes = b"") -> None:
        body = _HEADER.pack(kind, number, sequence) + payload
        self.frames_sent += 1
        if self._tap:
            self._tap("sent", body)
        self._output += frame(body)


class HostLink(_Link):
    """The host's side of the link.

    :param window: bytes a device may send before it needs credit.
    :param tap: sees every frame.
    """

    def __init__(self, window: int = 32768, tap: Tap | None = None) -> None:
        super().__init__(window, tap)
        self._attach_at: float | None = None

    def attach(self, now: float, *, in_session: bool = False) -> None:
        """Say that the line is up: a connection the device may hold from before has to end.

        A device that has just started opens by itself; to end that would cost it its back-off, so it is given
        `ATTACH_AFTER` seconds.

        :param in_session: it has not just started.
        """
        self._attach_at = now if in_session else now + ATTACH_AFTER

    @property
    def deadline(self) -> float | None:
        """When `tick` has something to do, if nothing arrives before."""
        return super().deadline if self._attach_at is None else self._attach_at

    def tick(self, now: float) -> list[Event]:
        """Do what is due at `now`."""
        if self._attach_at is not None and now >= self._attach_at:
            self._attach_at = None
            self._put_close(0, Reason.BRIDGE_STARTED, "")
        return super().tick(now)

    def accept(self, now: float) -> None:
        """Answer `Opened`: the connection to the gateway is up."""
        link = self._connection
        if link is None:
            raise ValueError("no connection to accept")
        link.established = True
        self._put(Type.ACCEPT, link.number, 0, _U32.pack(self.window))
        if link.send_limit == 0:
            link.sync_at = now + SYNC_AFTER

    def refuse(self, text: str) -> None:
        """Answer `Opened`: the gateway cannot be reached."""
        self.close(Reason.GATEWAY_UNREACHABLE, text)

    def _take(
        self, kind: int, number: int, sequence: int, payload: bytes, now: float, events: list[Event]
    ) -> None:
        if kind == Type.OPEN:
            self._take_open(number, payload, events)
        else:
            super()._take(kind, number, sequence, payload, now, events)

    def _take_open(self, number: int, payload: bytes, events: list[Event]) -> None:
        if len(payload) < _OPEN.size or number == 0:
            self._malformed += 1
            return
        self._attach_at = None
        version, window = _OPEN.unpack_from(payload)
        link = self._connection
        if link and link.number == number and link.received == link.sent == 0:
            # The device repeats itself: it has not seen our answer, or there is none yet.
            if link.established:
                self._put(Type.ACCEPT, number, 0, _U32.pack(self.window))
            return
        if link:
            self._connection = None
            events.append(Closed(Reason.DONE, "the device opened another connection"))
        if version != VERSION:
            self._put_close(number, Reason.VERSION_NOT_SPOKEN, f"this bridge speaks {VERSION}")
            return
        self._connection = _Connection(number, self.window)
        self._connection.send_window = self._connection.send_limit = window
        events.append(Opened(number))


class DeviceLink(_Link):
    """The device's side, for programs that play a device.

    :param window: bytes the host may send before it needs credit.
    :param tap: sees every frame.
    """

    def __init__(self, window: int = 4096, tap: Tap | None = None) -> None:
        super().__init__(window, tap)
        self._open_at: float | None = None

    @property
    def deadline(self) -> float | None:
        """When `tick` has something to do, if nothing arrives before."""
        return super().deadline if self.established else self._open_at

    def open(self, number: int, now: float) -> None:
        """Ask for connection `number` (random, not 0), until it is answered."""
        self._connection = _Connection(number, self.window)
        self._put_open(number, now)

    def tick(self, now: float) -> list[Event]:
        """Do what is due at `now`."""
        if self._connection and not self.established:
            if self._open_at is not None and now >= self._open_at:
                self._put_open(self._connection.number, now)
            return []
        return super().tick(now)

    def _put_open(self, number: int, now: float) -> None:
        self._put(Type.OPEN, number, 0, _OPEN.pack(VERSION, self.window))
        self._open_at = now + OPEN_EVERY

    def _take(
        self, kind: int, number: int, sequence: int, payload: bytes, now: float, events: list[Event]
    ) -> None:
        link = self._connection
        if kind == Type.ACCEPT:
            if link and link.number == number and not link.established and len(payload) == _U32.size:
                link.established = True
                link.send_limit = _U32.unpack(payload)[0]
                self._open_at = None
                events.append(Accepted(number))
        else:
            super()._take(kind, number, sequence, payload, now, events)
        if self._connection is None:
            self._open_at = None
