"""`lab console`: a device's console in this terminal."""

from __future__ import annotations

import os
import sys
import termios
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from lab.cli._output import DeviceId, talk
from lab.client import Client, path
from lab.home import Home

_ESCAPE = b"\x1d"  # Ctrl-], as in telnet


def console(
    device: DeviceId,
    history: Annotated[bool, typer.Option(help="Print what it said since its boot first.")] = True,
) -> None:
    """Connect this terminal to a device's console; Ctrl-] or end of input leaves."""
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import connect

    client = Client.connect(Home.find())
    client.get("devices", device)
    with connect(
        f"ws://127.0.0.1:{client.address.port}{path('devices', device, 'console')}?history={history}",
        additional_headers={"Authorization": f"Bearer {client.address.token}"},
        compression=None,
        proxy=None,
    ) as socket:
        if sys.stdin.isatty():
            talk.print(f"{device}: Ctrl-] leaves", style="dim", highlight=False)

        def type_in() -> None:
            while (typed := os.read(sys.stdin.fileno(), 1024)) and _ESCAPE not in typed:
                socket.send(typed)
            socket.close()

        with _raw_terminal():
            threading.Thread(target=type_in, daemon=True).start()
            try:
                for said in socket:
                    os.write(sys.stdout.fileno(), said if isinstance(said, bytes) else said.encode())
            except ConnectionClosed as closed:
                talk.print(f"\r\n{closed.reason or 'the lab has ended'}", highlight=False)


@contextmanager
def _raw_terminal() -> Iterator[None]:
    """Pass every key to the device, and give the terminal back as it was."""
    if not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setraw(sys.stdin, termios.TCSANOW)
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
