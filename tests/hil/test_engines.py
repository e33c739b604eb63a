"""The engines with the real firmware: every board boots, and no way of ending leaves anything behind."""

from __future__ import annotations

import os
import signal
import struct
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import anyio
import psutil
import pytest
from anyio.abc import SocketAttribute, SocketStream

from lab import boards, build
from lab.bridge import Bridge
from lab.console import Console
from lab.engines import Engine, Launch, Machine
from lab.engines._process import _GUARD
from lab.engines.native import NativeEngine
from lab.engines.qemu import QemuEngine
from lab.errors import LabError, MissingError
from lab.home import Home
from lab.link import Deframer, Type, frame
from lab.peripherals import Peripherals, Simbus
from lab.pki import Authority
from tests.listener import Listener

QEMU = [
    pytest.param(name, marks=pytest.mark.qemu)
    for name in ("mps2-an385", "mps2-an386", "mps2-an500", "netduinoplus2")
]
NATIVE = pytest.param("native", marks=pytest.mark.native)
ONE_EACH = [QEMU[0], NATIVE]
ENGINES: dict[str, Engine] = {"qemu": QemuEngine(), "native": NativeEngine()}

pytestmark = [pytest.mark.anyio, pytest.mark.hil]


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param}


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(Home(tmp_path / "home").create())


def image(name: str) -> Path:
    board = boards.load(name)
    assert board.firmware
    try:
        ENGINES[board.engine].check(board)
        return build.build(board.firmware).image
    except MissingError as missing:
        pytest.skip(str(missing))


def launch(name: str, authority: Authority, folder: Path, device: str = "dev-1") -> Launch:
    identity = authority.identity(device, seed=os.urandom(32), now=int(time.time()), development=True)
    return Launch(device, boards.load(name), image(name), identity, folder / device)


@dataclass
class Powered:
    """A board under power and what listens to its console."""

    machine: Machine
    console: Console

    async def says(self, text: str) -> None:
        """Wait until the present boot has said `text`."""
        async for _ in self.console.follow():
            if text in self.console.text:
                return
        raise AssertionError(f"{text!r} never came; the console said {self.console.text!r}")


@asynccontextmanager
async def power(job: Launch) -> AsyncIterator[Powered]:
    async with anyio.create_task_group() as tasks:
        machine = await ENGINES[job.board.engine].start(job)
        console = Console(machine.console, job.folder / "console.log")
        tasks.start_soon(console.run)
        if machine.simbus is not None:  # unanswered, the firmware waits for its time to be over
            parts = ((part.kind, part.name, part.settings) for part in job.board.parts)
            tasks.start_soon(Simbus(Peripherals(parts, folder=job.folder)).serve, machine.simbus)
        try:
            yield Powered(machine, console)
        finally:
            with anyio.CancelScope(shield=True):
                await machine.stop()
                for stream in (machine.link, machine.simbus):
                    if stream is not None:
                        await stream.aclose()


@pytest.mark.parametrize("name", [*QEMU, NATIVE])
async def test_a_board_boots_and_its_first_byte_is_kept(
    name: str, authority: Authority, tmp_path: Path
) -> None:
    async with power(launch(name, authority, tmp_path)) as board:
        await board.says("connecting as dev-1")
        await board.console.write(b"help\r")
        await board.says("this list")
        said = board.console.log.read_bytes().decode()
        assert said.startswith(f"lab-firmware {build.__version__} on {name}, boot 1, reason power-on")
        assert board.console.text == said


@pytest.mark.parametrize("name", [*QEMU, NATIVE])
async def test_a_reset_starts_it_again_on_the_same_streams(
    name: str, authority: Authority, tmp_path: Path
) -> None:
    async with power(launch(name, authority, tmp_path)) as board:
        await board.says("connecting as dev-1\r\n")
        board.console.mark_boot()
        await board.machine.reset()
        await board.says("boot 2, reason reset")
        assert board.console.text.startswith("lab-firmware")
        await board.console.write(b"status\r")
        await board.says("app memory")


@pytest.mark.parametrize("name", ONE_EACH)
async def test_a_reset_the_moment_it_has_power_ends_nothing(
    name: str, authority: Authority, tmp_path: Path
) -> None:
    async with power(launch(name, authority, tmp_path)) as board:
        for _ in range(5):
            await board.machine.reset()
        await board.says("connecting as")


@pytest.mark.parametrize("name", ONE_EACH)
async def test_a_paused_board_says_nothing_and_loses_nothing(
    name: str, authority: Authority, tmp_path: Path
) -> None:
    async with power(launch(name, authority, tmp_path)) as board:
        await board.says("connecting as")
        await board.machine.pause()
        end = board.console.end
        await board.console.write(b"help\r")
        await anyio.sleep(0.3)
        assert board.console.end == end
        await board.machine.resume()
        await board.says("this list")


@pytest.mark.parametrize("name", [QEMU[0], QEMU[-1], NATIVE])
async def test_what_qemu_takes_for_commands_reaches_the_board_by_its_link_as_it_is(
    name: str, authority: Authority, tmp_path: Path
) -> None:
    commands = b"".join(b"\x01" + bytes([letter]) for letter in b"\x01hstbcx")
    unknown = struct.pack("<BHH", Type.DATA, 4711, 0)
    async with power(launch(name, authority, tmp_path)) as board:
        await board.says("connecting as dev-1")
        # Answered only if its CRC is right.
        await board.machine.link.send(b"\0" + frame(unknown + commands + bytes(range(1, 256)) * 3))
        deframer = Deframer()
        answers: list[bytes] = []
        while not any(body[:3] == struct.pack("<BH", Type.CLOSE, 4711) for body in answers):
            answers += deframer.feed(await board.machine.link.receive())
        assert deframer.dropped == 0


@pytest.mark.parametrize("name", ONE_EACH)
async def test_a_killed_board_is_seen_with_its_reason(
    name: str, authority: Authority, tmp_path: Path
) -> None:
    async with power(launch(name, authority, tmp_path)) as board:
        await board.says("connecting as")
        assert board.machine.pid
        os.kill(board.machine.pid, signal.SIGKILL)
        ended = await board.machine.wait()
        assert (ended.code, ended.asked) == (-signal.SIGKILL, False)
        assert "was ended by SIGKILL" in ended.reason
        for command in (board.machine.reset, board.machine.pause, board.machine.resume):
            with pytest.raises(LabError):
                await command()
    assert board.console.closed


@pytest.mark.parametrize("name", ONE_EACH)
async def test_stop_is_idempotent_and_several_may_wait(
    name: str, authority: Authority, tmp_path: Path
) -> None:
    ends = []
    async with power(launch(name, authority, tmp_path)) as board:
        pid = board.machine.pid
        async with anyio.create_task_group() as waiting:

            async def wait() -> None:
                ends.append(await board.machine.wait())

            waiting.start_soon(wait)
            waiting.start_soon(wait)
            await board.console.first_byte.wait()
            ends.append(await board.machine.stop())
        ends.append(await board.machine.stop())
    assert [(end.asked, end.reason) for end in ends] == [(True, "stopped")] * 4
    assert pid and not psutil.pid_exists(pid)


@pytest.mark.qemu
async def test_what_qemu_complains_of_is_the_reason(authority: Authority, tmp_path: Path) -> None:
    job = launch("mps2-an385", authority, tmp_path)
    assert job.board.qemu
    broken = replace(job.board, qemu=replace(job.board.qemu, arguments=("-bogus",)))
    machine = await QemuEngine().start(replace(job, board=broken))
    ended = await machine.wait()
    assert ended.code == 1
    assert "-bogus: invalid option" in ended.reason


@pytest.mark.native
async def test_an_image_that_is_no_program_is_the_reason(authority: Authority, tmp_path: Path) -> None:
    job = launch("native", authority, tmp_path)
    machine = await NativeEngine().start(replace(job, image=tmp_path / "nothing"))
    ended = await machine.wait()
    assert ended.code == 127
    assert "not found" in ended.reason


@pytest.mark.parametrize(("name", "size"), [(QEMU[0].values[0], 16 << 20), ("native", 2 << 20)])
async def test_flash_survives_a_power_cut(name: str, size: int, authority: Authority, tmp_path: Path) -> None:
    job = launch(name, authority, tmp_path)
    flash = job.folder / "flash.bin"
    async with power(job) as board:
        await board.says("connecting as")
        assert flash.stat().st_size == size
    with flash.open("r+b") as file:
        file.seek(200_000)
        file.write(b"kept")
    async with power(job) as board:
        await board.says("connecting as")
    assert flash.read_bytes()[200_000:200_004] == b"kept"
    assert flash.stat().st_size == size


PARENT = """
import os, sys, anyio
from pathlib import Path
from lab import boards
from lab.engines import Launch
from lab.engines._process import _GUARD
from lab.engines.native import NativeEngine
from lab.engines.qemu import QemuEngine

async def main():
    machines = []
    for name, image in zip(sys.argv[2::2], sys.argv[3::2]):
        board = boards.load(name)
        engine = {"qemu": QemuEngine, "native": NativeEngine}[board.engine]()
        folder = Path(sys.argv[1], name)
        machines.append(await engine.start(Launch(name, board, Path(image), b"", folder)))
        await machines[-1].console.receive()
    print(*(machine.pid for machine in machines), flush=True)
    await anyio.sleep_forever()

anyio.run(main)
"""


@pytest.mark.qemu
@pytest.mark.native
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_whoever_kills_the_lab_leaves_no_board(number: signal.Signals, tmp_path: Path) -> None:
    names = ["mps2-an385", "native"]
    arguments = [str(each) for name in names for each in (name, image(name))]
    lab = await anyio.open_process([sys.executable, "-c", PARENT, str(tmp_path), *arguments], stderr=None)
    async with lab:
        assert lab.stdout
        children = [psutil.Process(int(pid)) for pid in (await lab.stdout.receive()).split()]
        assert all(child.is_running() for child in children)
        assert "qemu-system-arm" in children[0].name()
        lab.send_signal(number)
        await lab.wait()
    _, alive = await anyio.to_thread.run_sync(lambda: psutil.wait_procs(children, timeout=10))
    assert not alive


async def test_a_child_whose_lab_died_at_once_does_not_start() -> None:
    done = await anyio.run_process(
        ["/bin/sh", "-c", _GUARD, str(os.getpid() + 1), "echo", "started"], check=False
    )
    assert done.stdout == b""


class Gateway(Listener):
    """A TCP server that takes what the firmware first says, and holds the connection until it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.hellos: list[tuple[int, bytes]] = []
        self.changed = anyio.Event()

    async def count(self, number: int) -> None:
        while len(self.hellos) < number:
            await self.changed.wait()

    async def handle(self, stream: SocketStream) -> None:
        async with stream:
            said = await stream.receive()
            self.hellos.append((stream.extra(SocketAttribute.remote_port), said))
            self.changed.set()
            self.changed = anyio.Event()
            await anyio.sleep_forever()


# TLS handshake record, version 1.0 to 1.3 (RFC 8446, 5.1), with a ClientHello in it.
CLIENT_HELLO = (b"\x16\x03\x01", b"\x16\x03\x03")


@pytest.mark.parametrize("name", ONE_EACH)
async def test_the_firmware_finds_the_gateway_again_and_again(
    name: str, authority: Authority, tmp_path: Path
) -> None:
    gateway = Gateway()
    async with power(launch(name, authority, tmp_path)) as board, anyio.create_task_group() as tasks:
        await gateway.up(tasks)
        bridge = Bridge(board.machine.link, ("127.0.0.1", gateway.port))
        tasks.start_soon(bridge.run)
        await gateway.count(1)
        assert gateway.hellos[0][1].startswith(CLIENT_HELLO)
        assert gateway.hellos[0][0] == bridge.local_port

        await board.machine.reset()  # in the middle of the handshake
        await gateway.count(2)

        await gateway.down()
        await board.says("offline")
        await gateway.up(tasks)
        await gateway.count(3)

        dropped = bridge.counters.frames_dropped
        await board.machine.link.send(os.urandom(3000) + b"\0")  # noise in the wire
        await gateway.down()
        await gateway.up(tasks)
        await gateway.count(4)
        assert all(hello.startswith(CLIENT_HELLO) for _, hello in gateway.hellos)
        assert bridge.counters.frames_dropped == dropped
        assert bridge.counters.reconnects >= 3
        tasks.cancel_scope.cancel()
