"""A disturbed line: what becomes of its bytes, and when they arrive."""

from __future__ import annotations

import math
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.abc import ByteStream

from lab.line import Corrupt, Delay, Disturbance, Drop, Hits, Line, Slow, Way
from tests.device_end import line as cable

pytestmark = pytest.mark.anyio

SENT = bytes(range(256)) * 40


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param}


@asynccontextmanager
async def lines() -> AsyncIterator[tuple[Line, ByteStream]]:
    """Yield the lab's end of a line and the device's."""
    near, far = await cable()
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            line = Line(near)
            tasks.start_soon(line.run)
            yield line, far
            tasks.cancel_scope.cancel()


async def take(stream: ByteStream, count: int) -> bytes:
    got = b""
    while len(got) < count:
        got += await stream.receive(count - len(got))
    return got


def hits(rate: float = 0, count: int | None = None, seed: int = 0) -> Hits:
    return Hits(rate, count, random.Random(seed), lambda: None)


def corrupt(rate: float, seed: int) -> Corrupt:
    source = random.Random(seed)
    return Corrupt(Hits(rate, None, source, lambda: None), source)


# -- which bytes


@pytest.mark.parametrize("size", [1, 7, 64, 10_240])
def test_the_same_bytes_are_hit_however_they_are_cut(size: int) -> None:
    whole = corrupt(0.01, seed=7).pass_on(SENT)
    cut = corrupt(0.01, seed=7)
    pieces = [cut.pass_on(SENT[start : start + size]) for start in range(0, len(SENT), size)]
    assert b"".join(pieces) == whole != SENT
    assert corrupt(0.01, seed=8).pass_on(SENT) != whole


def test_as_many_bytes_are_hit_as_the_rate_says() -> None:
    bytes_, rate = 200_000, 0.01
    found = sum(1 for _ in hits(rate).among(bytes_))
    deviation = math.sqrt(bytes_ * rate * (1 - rate))
    assert abs(found - bytes_ * rate) < 5 * deviation


def test_a_corrupted_byte_differs_in_one_bit() -> None:
    disturbance = corrupt(0.05, seed=1)
    changed = disturbance.pass_on(SENT)
    differences = [(a ^ b).bit_count() for a, b in zip(SENT, changed, strict=True) if a != b]
    assert set(differences) == {1}
    assert disturbance.hits == len(differences)


def test_the_next_bytes_are_hit_and_no_more() -> None:
    spent = []
    drop = Drop(Hits(0, 5, random.Random(0), lambda: spent.append(True)))
    assert drop.pass_on(b"abc") == b""
    assert not spent
    assert drop.pass_on(b"defgh") == b"fgh"
    assert spent == [True]
    assert drop.pass_on(b"xyz") == b"xyz"
    assert (drop.hits, spent) == (5, [True])


# -- on a line


async def test_without_a_disturbance_bytes_pass_both_ways() -> None:
    async with lines() as (line, far):
        await line.send(SENT)
        assert await take(far, len(SENT)) == SENT
        await far.send(SENT)
        assert await take(line, len(SENT)) == SENT


async def test_each_way_is_disturbed_by_itself() -> None:
    async with lines() as (line, far):
        line.disturb(Way.UP, Drop(hits(count=3)))
        await line.send(b"down")
        assert await take(far, 4) == b"down"
        await far.send(b"abcdef")
        assert await take(line, 3) == b"def"


async def test_a_disturbance_sees_what_a_pending_receive_returns() -> None:
    async with lines() as (line, far), anyio.create_task_group() as tasks:
        got = []

        async def read() -> None:
            got.append(await take(line, 3))

        tasks.start_soon(read)
        await anyio.wait_all_tasks_blocked()
        line.disturb(Way.UP, Drop(hits(count=2)))
        await far.send(b"abcde")
    assert got == [b"cde"]


async def test_order_is_kept_and_nothing_lost_on_a_late_line() -> None:
    async with lines() as (line, far):
        for way in Way:
            line.disturb(way, Delay(0.01, 0.02, random.Random(0)))
        for start in range(0, len(SENT), 1000):
            await line.send(SENT[start : start + 1000])
        assert await take(far, len(SENT)) == SENT
        for start in range(0, len(SENT), 1000):
            await far.send(SENT[start : start + 1000])
        assert await take(line, len(SENT)) == SENT


class Never(Disturbance):
    """Holds back whatever is sent."""

    def arrival(self, sent: float, length: int) -> float:
        return math.inf


@pytest.mark.parametrize("way", list(Way))
async def test_what_is_held_back_arrives_when_the_disturbance_ends(way: Way) -> None:
    async with lines() as (line, far):
        sender, receiver = (far, line) if way is Way.UP else (line, far)
        never = Never()
        line.disturb(way, never)
        got = b""

        async def read() -> None:
            nonlocal got
            got = await take(receiver, 5)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            await sender.send(b"first")
            await anyio.wait_all_tasks_blocked()
            assert got == b""
            line.settle(way, never)
        assert got == b"first"
        await sender.send(b"2nd")
        assert await take(receiver, 3) == b"2nd"


async def test_a_line_that_takes_nothing_stops_its_sender() -> None:
    async with lines() as (line, _):
        line.disturb(Way.DOWN, Never())
        with anyio.move_on_after(0.2) as patience:
            for _ in range(100):
                await line.send(bytes(10_000))
        assert patience.cancelled_caught


async def test_the_last_bytes_arrive_before_the_end() -> None:
    async with lines() as (line, far):
        line.disturb(Way.UP, Delay(0.02, 0, random.Random(0)))
        await far.send(b"last words")
        await far.aclose()
        assert await take(line, 10) == b"last words"
        with pytest.raises(anyio.EndOfStream):
            await line.receive()


def test_a_slow_line_takes_ten_bits_a_byte() -> None:
    slow = Slow(9600)
    assert slow.arrival(100.0, 960) == pytest.approx(101.0)
    assert slow.arrival(100.5, 96) == pytest.approx(101.1), "it is still busy with what came before"
    assert slow.arrival(200.0, 96) == pytest.approx(200.1)
    assert slow.piece() == 9


def test_a_delay_lies_between_its_bounds() -> None:
    delay = Delay(0.5, 0.25, random.Random(3))
    arrivals = [delay.arrival(10.0, 1) for _ in range(1000)]
    assert 10.5 <= min(arrivals) < 10.51
    assert 10.74 < max(arrivals) <= 10.75
