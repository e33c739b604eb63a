"""A connected socket as a byte stream."""

from __future__ import annotations

import fcntl
import socket
import termios

import anyio
from anyio import lowlevel
from anyio.abc import ByteStream


class SocketByteStream(ByteStream):
    """One end of a pair of stream sockets.

    anyio's own `UNIXSocketStream` sets a future twice under uvloop, which calls a reader again before it is
    removed: the loop then logs an InvalidStateError. `anyio.wait_readable` bears that.
    """

    def __init__(self, raw: socket.socket) -> None:
        raw.setblocking(False)
        self._raw = raw

    @property
    def unread(self) -> bool:
        """Whether something has arrived that nobody has received."""
        return self._asks(termios.FIONREAD)

    @property
    def unsent(self) -> bool:
        """Whether the other end has yet to read something that was sent (ioctl SIOCOUTQ)."""
        return self._asks(termios.TIOCOUTQ)

    def _asks(self, request: int) -> bool:
        return fcntl.ioctl(self._raw, request, bytes(4)) != bytes(4)

    async def receive(self, max_bytes: int = 65536) -> bytes:
        """Return what has arrived, at most `max_bytes`; wait for it."""
        await lowlevel.checkpoint()
        while True:
            try:
                data = self._raw.recv(max_bytes)
            except BlockingIOError:
                await anyio.wait_readable(self._raw)
            except OSError as error:
                raise self._gone() from error
            else:
                if not data:
                    raise anyio.EndOfStream
                return data

    async def send(self, item: bytes) -> None:
        """Send all of `item`; wait while the other end does not take it."""
        await lowlevel.checkpoint()
        rest = memoryview(item)
        while rest:
            try:
                rest = rest[self._raw.send(rest) :]
            except BlockingIOError:
                await anyio.wait_writable(self._raw)
            except OSError as error:
                raise self._gone() from error

    async def send_eof(self) -> None:
        """Say that nothing more will be sent."""
        self._raw.shutdown(socket.SHUT_WR)

    async def aclose(self) -> None:
        """Close it; who waits on it is told."""
        if self._raw.fileno() >= 0:
            anyio.notify_closing(self._raw)
            self._raw.close()
        await lowlevel.checkpoint()

    def _gone(self) -> Exception:
        return anyio.ClosedResourceError() if self._raw.fileno() < 0 else anyio.BrokenResourceError()
