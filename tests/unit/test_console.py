"""The console: what is kept, and that no reader misses a byte."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from lab.console import Console
from tests.device_end import line

pytestmark = pytest.mark.anyio


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param}


async def everything(console: Console, *, history: bool = True) -> bytes:
    return b"".join([data async for data in console.follow(history=history)])


async def test_bytes_from_before_the_reader_are_kept(tmp_path: Path) -> None:
    near, far = await line()
    console = Console(near, tmp_path / "new" / "console.log")
    await far.send(b"first words\r\n")
    await far.aclose()
    await console.run()
    assert console.first_byte.is_set()
    assert console.closed
    assert console.text == "first words\r\n"
    assert console.log.read_bytes() == await everything(console) == b"first words\r\n"
    assert await everything(console, history=False) == b""


async def test_many_readers_each_get_all_of_it(tmp_path: Path) -> None:
    near, far = await line()
    console = Console(near, tmp_path / "console.log")
    got: list[bytes] = []

    async def read() -> None:
        got.append(await everything(console))

    said = b"".join(b"line %d\r\n" % number for number in range(20_000))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(console.run)
        for _ in range(5):
            tasks.start_soon(read)
        await far.send(said)
        await far.aclose()
    assert got == [said] * 5


async def test_a_reader_that_falls_behind_reads_on_from_the_files(tmp_path: Path) -> None:
    log = tmp_path / "console.log"
    log.write_bytes(b"an earlier power-on\r\n")
    near, far = await line()
    console = Console(near, log, keep=100, limit=100_000)
    said = b"".join(b"line %06d\r\n" % number for number in range(10_000))  # 130 kB: the log is rotated once
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(console.run)
        await far.send(said[:50])
        await console.first_byte.wait()
        reader = console.follow()
        got = await anext(reader)
        await far.send(said[50:])
        await far.aclose()
        while not console.closed:
            await anyio.lowlevel.checkpoint()
        async for data in reader:
            got += data
    assert got == said
    assert (tmp_path / "console.log.1").exists()
    assert log.stat().st_size <= 100_000
    assert len(console.text) <= 65_536 + 200


async def test_a_reader_is_told_how_much_it_missed(tmp_path: Path) -> None:
    near, far = await line()
    console = Console(near, tmp_path / "console.log", keep=100, limit=100_000)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(console.run)
        await far.send(b"x" * 1_000_000)
        await far.aclose()
    got = await everything(console)
    notice, _, rest = got.removeprefix(b"\r\n[").partition(b" bytes of console are lost]\r\n")
    assert int(notice) + len(rest) == 1_000_000
    assert len(rest) > 100_000


async def test_the_text_begins_with_the_present_boot(tmp_path: Path) -> None:
    near, far = await line()
    console = Console(near, tmp_path / "console.log")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(console.run)
        await far.send(b"boot 1\r\n")
        await console.first_byte.wait()
        console.mark_boot()
        reader = console.follow()
        await far.send("boot 2: 21 °C\r\nready\r\n".encode())
        assert b"boot 2" in await anext(reader)
        await far.aclose()
    assert console.text == "boot 2: 21 °C\r\nready\r\n"
    assert console.tail(1) == "ready"


async def test_what_is_typed_reaches_the_board_and_a_board_that_is_gone_hurts_nobody(tmp_path: Path) -> None:
    near, far = await line()
    console = Console(near, tmp_path / "console.log")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(console.run)
        await console.write(b"help\r")
        assert await far.receive() == b"help\r"
        await far.aclose()
    await console.write(b"help\r")
