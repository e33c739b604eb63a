"""A device's line to the lab, as good or as bad as a test wants it.

`Line` wraps the stream of the link. While nobody disturbs it, bytes pass straight through. A `Disturbance`
sees every byte of one way and says what becomes of it and when it arrives. What users can have, by name:
`lab.faults`.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable, Iterator
from enum import StrEnum

import anyio
from anyio.abc import ByteStream

from lab.waiting import Signal

_GONE = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError)
_HELD = 65536  # bytes a way holds back before its sender has to wait
_BITS_A_BYTE = 10  # 8N1: start bit, eight data bits, stop bit
_PIECE_SECONDS = 0.01  # a slow line hands over what has arrived in this time


class Way(StrEnum):
    """Which way bytes go."""

    UP = "up"
    """From the device to the lab."""
    DOWN = "down"
    """From the lab to the device."""


class Disturbance:
    """What is wrong with one way of a line; by itself, nothing.

    :ivar hits: bytes it has changed or taken away.
    """

    def __init__(self) -> None:
        self.hits = 0

    def pass_on(self, data: bytes) -> bytes:
        """Return what becomes of `data`."""
        return data

    def arrival(self, sent: float, length: int) -> float:
        """Return when `length` bytes that were sent at `sent` arrive; both by the event loop's clock."""
        return sent

    def piece(self) -> int:
        """Return how many bytes, at most, arrive together."""
        return _HELD


class Hits:
    """Chooses the bytes that are hit. Seed and position alone decide, not how bytes are cut.

    :param rate: the probability of each byte, 0 to 1; of no account with `count`.
    :param count: hit the next `count` bytes, then none.
    :param source: where the randomness comes from.
    :param spent: called when `count` bytes are hit.
    """

    def __init__(
        self, rate: float, count: int | None, source: random.Random, spent: Callable[[], None]
    ) -> None:
        self._rate = rate
        self._left = count
        self._random = source
        self._spent = spent
        self._gap: float = self._draw()

    def among(self, length: int) -> Iterator[int]:
        """Yield which of the next `length` bytes are hit."""
        if self._left is not None:
            for index in range(min(self._left, length)):
                self._left -= 1
                yield index
                if self._left == 0:
                    self._spent()
            return
        at = self._gap
        while at < length:
            yield int(at)
            at += 1 + self._draw()
        self._gap = at - length

    def _draw(self) -> float:
        """Return how many bytes go by before the next hit: geometric, so the work is one draw a hit."""
        if self._rate >= 1:
            return 0
        if self._rate <= 0:
            return math.inf
        return math.floor(math.log(1 - self._random.random()) / math.log1p(-self._rate))


class Corrupt(Disturbance):
    """Flips one bit of each byte that is hit."""

    def __init__(self, hits: Hits, source: random.Random) -> None:
        super().__init__()
        self._which = hits
        self._random = source

    def pass_on(self, data: bytes) -> bytes:
        """Return `data` with flipped bits."""
        changed = bytearray(data)
        for index in self._which.among(len(data)):
            changed[index] ^= 1 << self._random.randrange(8)
            self.hits += 1
        return bytes(changed)


class Drop(Disturbance):
    """Takes away each byte that is hit."""

    def __init__(self, hits: Hits) -> None:
        super().__init__()
        self._which = hits

    def pass_on(self, data: bytes) -> bytes:
        """Return what is left of `data`."""
        lost = set(self._which.among(len(data)))
        self.hits += len(lost)
        return bytes(byte for index, byte in enumerate(data) if index not in lost) if lost else data


class Delay(Disturbance):
    """Lets everything arrive later, in order.

    :param seconds: by how much.
    :param jitter: and by up to so much more, at random.
    """

    def __init__(self, seconds: float, jitter: float, source: random.Random) -> None:
        super().__init__()
        self._seconds = seconds
        self._jitter = jitter
        self._random = source

    def arrival(self, sent: float, length: int) -> float:
        """Return when it arrives."""
        return sent + self._seconds + self._random.uniform(0, self._jitter)


class Slow(Disturbance):
    """Carries bytes one after the other, as a UART of `baud` does (8N1)."""

    def __init__(self, baud: int) -> None:
        super().__init__()
        self._seconds_a_byte = _BITS_A_BYTE / baud
        self._free_at = 0.0

    def arrival(self, sent: float, length: int) -> float:
        """Return when the last bit of it has arrived."""
        self._free_at = max(self._free_at, sent) + length * self._seconds_a_byte
        return self._free_at

    def piece(self) -> int:
        """Return what arrives within a moment, so that a long frame trickles in."""
        return max(1, int(_PIECE_SECONDS / self._seconds_a_byte))


class _Channel:
    """One way: who disturbs it, and the bytes on it, which keep their order whenever they are due."""

    def __init__(self) -> None:
        self.disturbances: list[Disturbance] = []
        self.held = 0
        self._pieces: deque[tuple[float, bytes]] = deque()

    @property
    def clear(self) -> bool:
        """Whether bytes may pass straight through: nobody disturbs, and none are before them."""
        return not self.disturbances and not self._pieces

    @property
    def due(self) -> float:
        """When the next bytes arrive."""
        return self._pieces[0][0] if self._pieces else math.inf

    def put(self, data: bytes, now: float) -> None:
        """Take bytes that are sent now."""
        for each in self.disturbances:
            data = each.pass_on(data)
        size = min((each.piece() for each in self.disturbances), default=_HELD)
        for start in range(0, len(data), size):
            piece = data[start : start + size]
            at = now
            for each in self.disturbances:
                at = each.arrival(at, len(piece))
            self._pieces.append((at, piece))
            self.held += len(piece)

    def first(self, limit: int) -> bytes:
        """Return the next bytes; they stay until `taken`."""
        return self._pieces[0][1][:limit]

    def taken(self, count: int) -> None:
        """Forget the first `count` bytes, all of the first piece at most."""
        at, piece = self._pieces.popleft()
        if count < len(piece):
            self._pieces.appendleft((at, piece[count:]))
        self.held -= count

    def release(self, now: float) -> None:
        """Let everything that is held arrive now."""
        self._pieces = deque((min(at, now), piece) for at, piece in self._pieces)


class Line(ByteStream):
    """A stream that can be disturbed.

    What is held back on the way down needs `run`; without a disturbance it has nothing to do.

    :param stream: the machine's link.
    """

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._up = _Channel()
        self._down = _Channel()
        self._changed = Signal()
        self._room = Signal()
        self._reading: anyio.CancelScope | None = None
        self._ended = False

    def disturb(self, way: Way, disturbance: Disturbance) -> None:
        """Have `disturbance` see every byte that goes this way from now on."""
        self._channel(way).disturbances.append(disturbance)

    def settle(self, way: Way, disturbance: Disturbance) -> None:
        """End a disturbance; what it held back arrives now."""
        channel = self._channel(way)
        channel.disturbances.remove(disturbance)
        channel.release(anyio.current_time())
        self._changed.set()
        if self._reading is not None:
            self._reading.cancel()

    async def run(self) -> None:
        """Bring what is held back down to the device, each piece when it is due."""
        down = self._down
        while True:
            if down.due > anyio.current_time():
                with anyio.move_on_after(down.due - anyio.current_time()):
                    await self._changed.wait()
                continue
            piece = down.first(_HELD)
            try:
                await self._stream.send(piece)
            except _GONE:
                return  # whoever receives sees the end too
            down.taken(len(piece))
            self._room.set()

    # -- ByteStream

    async def receive(self, max_bytes: int = 65536) -> bytes:
        """Return what has arrived, at most `max_bytes`; wait for it."""
        up = self._up
        while True:
            if up.clear:
                if self._ended:
                    raise anyio.EndOfStream
                data = await self._stream.receive(max_bytes)
                if up.clear:
                    return data
                up.put(data, anyio.current_time())
            now = anyio.current_time()
            if up.due <= now:
                data = up.first(max_bytes)
                up.taken(len(data))
                return data
            if self._ended and not up.held:
                raise anyio.EndOfStream
            with anyio.move_on_after(up.due - now) as self._reading:
                await self._hear(up)
            self._reading = None

    async def _hear(self, up: _Channel) -> None:
        """Take what the device says while earlier bytes are still on their way."""
        if self._ended or up.held >= _HELD:
            await anyio.sleep_forever()
        try:
            data = await self._stream.receive()
        except _GONE:
            self._ended = True
        else:
            up.put(data, anyio.current_time())

    async def send(self, item: bytes) -> None:
        """Send all of `item`; wait while the line does not take it."""
        if self._down.clear:
            await self._stream.send(item)
            return
        self._down.put(item, anyio.current_time())
        self._changed.set()
        while self._down.held >= _HELD:
            await self._room.wait()

    async def send_eof(self) -> None:
        """Say that nothing more will be sent."""
        await self._stream.send_eof()

    async def aclose(self) -> None:
        """Close it."""
        await self._stream.aclose()

    def _channel(self, way: Way) -> _Channel:
        return self._up if way is Way.UP else self._down
