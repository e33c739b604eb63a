"""A device's console: kept in a file, held in a bounded memory, followed by any number of readers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import anyio
from anyio.abc import ByteStream

_GONE = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError)
_READ_SIZE = 65536


class Console:
    """The console of one power-on, from its first byte.

    Positions count the bytes since power-on. A reader that falls behind what is in memory reads on from the
    log file, so it loses nothing until that has been rotated twice, and then it is told how much.

    :param stream: the machine's console; closed when `run` ends.
    :param log: the file to append to; at `limit` bytes it becomes ``….1`` and a new one is begun.
    :param keep: bytes held in memory.
    :param limit: bytes of one log file.
    """

    def __init__(
        self, stream: ByteStream, log: Path, *, keep: int = 256 * 1024, limit: int = 4 * 1024 * 1024
    ) -> None:
        self.first_byte = anyio.Event()
        """Set when the board has said something."""
        self.log = log
        self.closed = False
        """Whether the stream has ended: nothing will come any more."""
        self.boot = 0
        """Position at which the present boot began (`mark_boot`)."""
        self._stream = stream
        self._keep = keep
        self._limit = limit
        self._recent = bytearray()
        self._end = 0
        self._changed = anyio.Event()
        self._older = log.with_name(log.name + ".1")
        self._log_size = log.stat().st_size if log.exists() else 0
        self._log_start = -self._log_size  # position of the log's first byte; below 0 is an earlier power-on

    @property
    def end(self) -> int:
        """Position after the last byte."""
        return self._end

    @property
    def text(self) -> str:
        """What the present boot has said, as far as it is still in memory."""
        start = max(0, self.boot - (self._end - len(self._recent)))
        return self._recent[start:].decode("utf-8", "replace")

    def tail(self, lines: int) -> str:
        """Return the last `lines` lines of `text`."""
        return "\n".join(self.text.splitlines()[-lines:])

    def mark_boot(self) -> None:
        """Say that the board has just been reset: `text` begins here."""
        self.boot = self._end

    async def run(self) -> None:
        """Take what the board says until its stream ends."""
        try:
            async with self._stream:
                self.log.parent.mkdir(parents=True, exist_ok=True)
                while True:
                    self._take(await self._stream.receive())
        except _GONE:
            pass
        finally:
            self.closed = True
            self._changed.set()

    async def write(self, data: bytes) -> None:
        """Type `data` on the console. What a board that is gone is told is lost."""
        with suppress(*_GONE):
            await self._stream.send(data)

    async def follow(self, *, history: bool = True) -> AsyncIterator[bytes]:
        """Yield what the board says until its stream ends.

        :param history: begin with the first byte of the present boot, not with the next one.
        """
        position = self.boot if history else self._end
        while True:
            data, position = await self.read(position)
            if not data:
                return
            yield data

    async def read(self, position: int) -> tuple[bytes, int]:
        """Return what the board said from `position` on, and the position after it; nothing at its end."""
        while position >= self._end:
            if self.closed:
                return b"", position
            await self._changed.wait()
        return self._slice_from(position)

    def _take(self, data: bytes) -> None:
        if self._log_size and self._log_size + len(data) > self._limit:
            self.log.replace(self._older)
            self._log_start = self._end
            self._log_size = 0
        with self.log.open("ab") as file:
            file.write(data)
        self._log_size += len(data)
        self._end += len(data)
        self._recent += data
        if len(self._recent) > 2 * self._keep:
            del self._recent[: -self._keep]
        self.first_byte.set()
        self._changed.set()
        self._changed = anyio.Event()

    def _slice_from(self, position: int) -> tuple[bytes, int]:
        """Return bytes from `position` on, and the position after them."""
        held = self._end - len(self._recent)
        if position >= held:
            return bytes(self._recent[position - held :]), self._end
        if position >= self._log_start:
            data = _slice(self.log, position - self._log_start)
        else:
            # Counted from its end, for it may begin in an earlier power-on.
            size = self._older.stat().st_size if self._older.exists() else 0
            lost = self._log_start - size - position
            if lost > 0:
                return f"\r\n[{lost} bytes of console are lost]\r\n".encode(), position + lost
            data = _slice(self._older, position - (self._log_start - size))
        return data, position + len(data)


def _slice(file: Path, offset: int) -> bytes:
    with file.open("rb") as opened:
        opened.seek(offset)
        return opened.read(_READ_SIZE)
