"""Stands in for the program `renode` with the lab's agent in it."""

from __future__ import annotations

import re
import socket
import struct
import sys
from io import BufferedIOBase
from pathlib import Path

from recorded import FAILS, WHY, Recorded

STILL, KEYWORD = b"\1", b"\2"


def text(stream: BufferedIOBase) -> str:
    return stream.read(*struct.unpack("<i", stream.read(4))).decode()


def main() -> None:
    include = next(word for word in sys.argv if word.startswith("include @"))
    script = Path(include.removeprefix("include @").replace("\\ ", " ")).read_text()
    port, token = re.findall(r'^emulation ConnectLab (\d+) "(\w+)"$', script, re.MULTILINE)[0]
    if FAILS:
        sys.exit(WHY)
    renode = Recorded()
    with socket.create_connection(("127.0.0.1", int(port))) as connection:
        connection.sendall(f"{token} control\n".encode())
        stream = connection.makefile("rwb")
        while kind := stream.read(1):
            machine, command = text(stream), text(stream)
            renode.still = kind == STILL
            done, said = renode.keyword(command) if kind == KEYWORD else renode.execute(command, machine)
            answer = said.encode()
            stream.write(bytes([done]) + struct.pack("<i", len(answer)) + answer)
            stream.flush()


main()
