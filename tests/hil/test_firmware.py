"""The firmware's ports on real emulators: what fits, what a fault says, what survives a reset."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio.abc import ByteStream

from lab import boards, build
from lab.engines import Launch, Machine
from lab.engines.qemu import QemuEngine
from lab.home import Home
from lab.pki import Authority

QEMU_BOARDS = [
    pytest.param(name, marks=pytest.mark.qemu)
    for name in ("mps2-an385", "mps2-an386", "mps2-an500", "netduinoplus2")
]
KIB = 1024

pytestmark = [pytest.mark.hil, pytest.mark.anyio]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Console:
    """Reads a board's console; what was seen is kept for the message of a failure."""

    def __init__(self, stream: ByteStream) -> None:
        self.stream = stream
        self.seen = ""
        self._from = 0

    async def until(self, words: str, *, seconds: float = 30) -> str:
        """Return the text up to the end of the line that holds `words`, from where the last call stopped."""
        with anyio.move_on_after(seconds):
            while True:
                at = self.seen.find(words, self._from)
                end = self.seen.find("\n", at)
                if at >= 0 and end >= 0:
                    text, self._from = self.seen[self._from : end], end
                    return text
                self.seen += (await self.stream.receive()).decode(errors="replace")
        pytest.fail(f"the console never said {words!r}; it said:\n{self.seen}")

    async def command(self, words: str) -> None:
        await self.stream.send(f"{words}\r".encode())


@asynccontextmanager
async def booted(
    name: str, folder: Path, identity: bytes = bytes(16)
) -> AsyncIterator[tuple[Machine, Console]]:
    """Boot a board; an identity of zeros keeps it off the link."""
    image = build.build(name).image
    launch = Launch(device="dut", board=boards.load(name), image=image, identity=identity, folder=folder)
    machine = await QemuEngine().start(launch)
    try:
        yield machine, Console(machine.console)
    finally:
        await machine.stop()


@pytest.mark.parametrize("name", QEMU_BOARDS)
def test_the_image_fits(name: str) -> None:
    result = build.build(name)
    assert result.flash <= 210 * KIB
    assert result.ram <= 64 * KIB
    assert result.pool == boards.load(name).app_pool


@pytest.mark.qemu
def test_the_whole_image_runs_in_128_kib_of_ram() -> None:
    result = build.build("netduinoplus2")
    assert result.ram + result.pool <= 128 * KIB
    assert result.flash <= 1024 * KIB


@pytest.mark.parametrize("name", QEMU_BOARDS)
async def test_a_board_boots(name: str, tmp_path: Path) -> None:
    async with booted(name, tmp_path) as (_, console):
        assert f"on {name}, boot 1, reason power-on" in await console.until("reason")


@pytest.mark.parametrize("name", QEMU_BOARDS)
async def test_a_hard_fault_says_where_and_is_the_next_boots_reason(name: str, tmp_path: Path) -> None:
    async with booted(name, tmp_path) as (_, console):
        await console.until("halted")
        await console.command("fault hard")
        report = await console.until(" hfsr ")
        assert "*** hard-fault: undefined instruction" in report
        for register in ("r0", "r1", "r2", "r3", "r12", "pc", "lr", "xpsr", "sp", "cfsr"):
            assert f" {register} " in report
        pc = report.partition(" pc ")[2][:8]
        after = await console.until("boot 2")
        assert "reason hard-fault: undefined instruction" in after
        assert f"pc {pc}" in after


@pytest.mark.parametrize("name", QEMU_BOARDS)
async def test_a_full_stack_is_told_from_other_faults(name: str, tmp_path: Path) -> None:
    async with booted(name, tmp_path) as (_, console):
        await console.until("halted")
        await console.command("fault stack")
        report = await console.until(" cfsr ")
        assert "*** stack-overflow" in report
        assert "called from" in report
        assert "reason stack-overflow" in await console.until("boot 2")


@pytest.mark.parametrize("name", [QEMU_BOARDS[0], QEMU_BOARDS[3]])
async def test_a_loop_that_hangs_is_ended_by_the_watchdog(name: str, tmp_path: Path) -> None:
    async with booted(name, tmp_path) as (_, console):
        await console.until("halted")
        await console.command("fault watchdog")
        assert " pc " in await console.until(" xpsr ", seconds=60)
        assert "reason watchdog" in await console.until("boot 2")


@pytest.mark.qemu
async def test_a_pressed_reset_is_told_from_a_power_cut(tmp_path: Path) -> None:
    async with booted("mps2-an385", tmp_path) as (machine, console):
        await console.until("halted")
        await machine.reset()
        assert "reason reset" in await console.until("boot 2")
    async with booted("mps2-an385", tmp_path) as (_, console):
        assert "reason power-on" in await console.until("boot 1")


@pytest.mark.qemu
async def test_a_board_with_an_identity_opens_its_link(tmp_path: Path) -> None:
    identity = Authority(Home(tmp_path / "home").create()).identity(
        "dut", seed=bytes(range(32)), now=int(time.time())
    )
    async with booted("mps2-an385", tmp_path, identity) as (machine, console):
        assert "halted" not in await console.until("reason")
        received = b""
        with anyio.fail_after(30):
            while received.count(b"\0") < 2:
                received += await machine.link.receive()
        assert received.startswith(b"\0")


@pytest.mark.parametrize("name", [QEMU_BOARDS[0], pytest.param("native", marks=pytest.mark.native)])
def test_a_device_says_which_build_it_runs(name: str, tmp_path: Path) -> None:
    lab = Path(sys.executable).with_name("lab")
    environment = {**os.environ, "LAB_HOME": str(tmp_path / ".lab")}
    try:
        said = subprocess.run(
            [lab, "up", "--board", name, "--json"],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
    finally:
        subprocess.run([lab, "down"], env=environment, check=True, capture_output=True)
    (device,) = json.loads(said.stdout)["devices"]
    assert device["build_id"] == build.build(name).build_id


@pytest.mark.qemu
async def test_a_board_without_work_sleeps(tmp_path: Path) -> None:
    """Counts the processor time of an emulator in which the board waits: a busy loop takes all of it."""
    async with booted("mps2-an385", tmp_path) as (machine, console):
        await console.until("halted")
        before = processor_seconds(machine.pid)
        await anyio.sleep(2)
        assert processor_seconds(machine.pid) - before < 0.5


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100
