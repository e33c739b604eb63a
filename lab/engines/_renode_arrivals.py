"""Where the streams of a Renode process connect to.

The lab binds a port on the loopback interface before it starts Renode, and Renode's agent
(``renode/agent/LabAgent.cs``) connects out to it. So no port is guessed and nothing of Renode listens.
"""

from __future__ import annotations

import contextlib
import secrets
import socket

import anyio
from anyio import BrokenResourceError, EndOfStream
from anyio.abc import SocketStream

_HELLO_TIMEOUT = 2.0
_HELLO_SIZE = 256


class Arrivals:
    """Takes connections that know the token, and hands them out by the name they give."""

    def __init__(self) -> None:
        self.token = secrets.token_hex(16)
        """What a connection shows that it may come in."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self._arrived: dict[str, SocketStream] = {}

    @property
    def port(self) -> int:
        """The port, on the loopback interface."""
        port: int = self._listener.getsockname()[1]
        return port

    async def arrival(self, name: str) -> SocketStream:
        """Return the connection that introduces itself as `name`; strangers are dropped."""
        while name not in self._arrived:
            connection = await self._accepted()
            words = await self._introduction(connection)
            if len(words) == 2 and secrets.compare_digest(words[0], self.token):
                self._arrived[words[1]] = connection
            else:
                await connection.aclose()
        return self._arrived.pop(name)

    async def aclose(self) -> None:
        """Take no more, and hang up on those that nobody has asked for."""
        self._listener.close()
        for connection in self._arrived.values():
            await connection.aclose()

    async def _accepted(self) -> SocketStream:
        while True:
            with contextlib.suppress(BlockingIOError):
                plain, _ = self._listener.accept()
                plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return await SocketStream.from_socket(plain)
            await anyio.wait_readable(self._listener)

    async def _introduction(self, connection: SocketStream) -> list[str]:
        """Read one line byte by byte: what follows it belongs to whoever reads the stream."""
        line = b""
        with anyio.move_on_after(_HELLO_TIMEOUT), contextlib.suppress(EndOfStream, BrokenResourceError):
            while not line.endswith(b"\n") and len(line) < _HELLO_SIZE:
                line += await connection.receive(1)
            return line.decode("ascii", "replace").split()
        return []
