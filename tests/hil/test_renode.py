"""Engine `renode` with a real Renode and a small firmware that shows what its UARTs carry.

Every test runs with each way to control Renode; where pyrenode3 is not installed, half of them are skipped.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import xmlrpc.client
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from anyio.abc import ByteReceiveStream

from lab import boards, paths
from lab.engines import Launch
from lab.engines._renode_pool import CONTROLS, Pool
from lab.engines._renode_pyrenode3 import interpreter
from lab.engines.renode import RenodeEngine, RenodeMachine, _version, program
from lab.engines.renode_control import RenodeError
from lab.errors import LabError, MissingError, UsageError

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.hil,
    pytest.mark.renode,
    pytest.mark.skipif(
        shutil.which(os.environ.get("RENODE", "renode")) is None, reason="renode is not installed"
    ),
    pytest.mark.skipif(
        shutil.which("arm-none-eabi-gcc") is None, reason="arm-none-eabi-gcc is not installed"
    ),
]

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "renode.json").read_text("utf-8"))
FIRMWARE = Path(__file__).parents[2] / "renode" / "tests" / "firmware"
COMPILER = ["arm-none-eabi-gcc", "-mcpu=cortex-m4", "-mthumb", "-O1", "-ffreestanding", "-nostartfiles"]
BOARD = boards.load("stm32f746g_disco")


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module", params=list(CONTROLS))
def control(request: pytest.FixtureRequest) -> str:
    """How Renode is controlled."""
    if request.param == "pyrenode3":
        try:
            interpreter()
        except MissingError as error:
            pytest.skip(str(error))
    return str(request.param)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    image = tmp_path_factory.mktemp("firmware") / "echo.elf"
    sources = [FIRMWARE / "echo.c", FIRMWARE / "start.c"]
    libraries = ["-specs=picolibc.specs", "-T", FIRMWARE / "parts.ld"]
    subprocess.run([*COMPILER, *libraries, *sources, "-o", image], check=True)
    return image


@pytest.fixture(scope="module")
async def machines(
    control: str, image: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[list[RenodeMachine]]:
    """Two machines of one process, their consoles unread, in folders that need quoting."""
    engine = RenodeEngine(control)
    engine.check(BOARD)
    folder = tmp_path_factory.mktemp("it's \N{GREEK SMALL LETTER MU}-lab")
    started = [
        await engine.start(Launch(name, BOARD, image, b"LABI", folder / name)) for name in ("one", "two.b")
    ]
    yield started
    for machine in started:
        ended = await machine.stop()
        assert ended.asked


async def test_the_answers_that_are_recorded(control: str, tmp_path: Path) -> None:
    """What tests without Renode rely on is what it says."""
    version, recorded = _version(program()), tuple(VECTORS["renode"])
    if version != recorded:
        pytest.skip(f"the answers are those of Renode {recorded}, and this is {version}")
    pool = await Pool.start(control, program(), tmp_path)
    try:
        for row in VECTORS["answers"]:
            if "said" in row:
                assert await pool.control.execute(row["command"], row["machine"]) == row["said"]
                if "RunFor" in row["command"]:
                    time = await pool.control.virtual_seconds("recorded")
                    assert time == VECTORS["time"]["seconds"]
                continue
            with pytest.raises(RenodeError) as caught:
                await pool.control.execute(row["command"], row["machine"])
            assert caught.value.message.endswith(f": {row['refused']}")
        asked = xmlrpc.client.dumps(("ExecuteCommand", ["version"]), "run_keyword")
        (answer,), _ = xmlrpc.client.loads(await pool.control.keyword(asked))
        assert answer["status"] == "PASS"
    finally:
        await pool.close()


async def line(stream: ByteReceiveStream) -> bytes:
    found = b""
    with anyio.fail_after(30):
        while not found.endswith(b"\n"):
            found += await stream.receive(1)
    return found


async def exactly(stream: ByteReceiveStream, size: int) -> bytes:
    found = b""
    with anyio.fail_after(30):
        while len(found) < size:
            found += await stream.receive(size - len(found))
    return found


async def test_streams_are_whole_from_the_first_byte(machines: list[RenodeMachine]) -> None:
    for machine in machines:
        assert await line(machine.console) == b"identity LABI boots 1\n"
    data = bytes(range(256)) * 8
    for machine in machines:
        await machine.link.send(data)
    for machine in machines:
        assert await exactly(machine.link, len(data)) == data


async def test_machines_share_a_process(machines: list[RenodeMachine]) -> None:
    one, two = machines
    assert one.pid == two.pid


async def test_reset_leaves_memory_and_neighbour(machines: list[RenodeMachine]) -> None:
    one, two = machines
    await one.reset()
    assert await line(one.console) == b"identity LABI boots 2\n"
    await two.link.send(b"still here")
    assert await exactly(two.link, 10) == b"still here"


async def test_a_paused_machine_does_nothing_and_loses_nothing(machines: list[RenodeMachine]) -> None:
    one, two = machines
    await one.pause()
    await one.link.send(b"later")
    await two.link.send(b"now")
    assert await exactly(two.link, 3) == b"now"
    with anyio.move_on_after(0.2) as waited:
        await one.link.receive()
    assert waited.cancelled_caught
    await one.resume()
    assert await exactly(one.link, 5) == b"later"


async def test_parts_are_reached_by_name(machines: list[RenodeMachine]) -> None:
    one, two = machines
    await one.part("bme680", "Temperature", "31.5")
    assert await one.part("bme680", "Temperature") == "31.5"
    assert await two.part("bme680", "Temperature") == "22"
    assert await one.part("ws2812", "GetPixel", "10") == "000000"
    with pytest.raises(RenodeError, match="outside the part's range"):
        await one.part("bme680", "Temperature", "86")
    with pytest.raises(UsageError, match="no part"):
        await one.part("bme280", "Temperature")


@pytest.mark.parametrize("value", ["1; quit", "1\nquit", '"1"', "@/etc/passwd", "$x", "1 2"])
async def test_a_value_is_no_command(machines: list[RenodeMachine], value: str) -> None:
    with pytest.raises(UsageError, match="no value"):
        await machines[0].part("bme680", "Temperature", value)
    with pytest.raises(UsageError, match="no name"):
        await machines[0].part("bme680", value, "1")


async def test_time_goes_on(machines: list[RenodeMachine]) -> None:
    before = await machines[0].virtual_seconds()
    # The clock shows whole quanta of 10 ms, and an echo may take less.
    with anyio.fail_after(30):
        while await machines[0].virtual_seconds() <= before:
            await machines[0].link.send(b"x")
            await exactly(machines[0].link, 1)


async def test_a_wrong_platform_says_what_is_wrong(
    machines: list[RenodeMachine], image: Path, tmp_path: Path
) -> None:
    engine = machines[0]._engine
    (tmp_path / "wrong.repl").write_text("cpu: CPU.NoSuchThing @ sysbus\n")
    assert BOARD.renode is not None
    board = replace(BOARD, renode=replace(BOARD.renode, platform=str(tmp_path / "wrong.repl")))
    with pytest.raises(RenodeError, match="NoSuchThing"):
        await engine.start(Launch("three", board, image, b"LABI", tmp_path / "three"))
    await machines[1].link.send(b"unharmed")
    assert await exactly(machines[1].link, 8) == b"unharmed"


async def test_an_image_that_is_none(machines: list[RenodeMachine], tmp_path: Path) -> None:
    engine = machines[0]._engine
    wrong = tmp_path / "image.elf"
    wrong.write_bytes(b"not an ELF")
    with pytest.raises(UsageError, match="no firmware image"):
        await engine.start(Launch("four", BOARD, wrong, b"LABI", tmp_path / "four"))


async def test_one_that_crashes_leaves_its_neighbour_alone(machines: list[RenodeMachine]) -> None:
    one, two = machines
    # A program counter outside of all memory: Renode aborts that processor.
    await one._execute("cpu PC 0x60000000")
    await two.link.send(b"unharmed")
    assert await exactly(two.link, 8) == b"unharmed"
    await one.reset()
    assert (await line(one.console)).startswith(b"identity LABI boots ")


async def test_models_that_do_not_compile(
    control: str, image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "data" / "renode"
    shutil.copytree(paths.data("renode"), folder)
    (folder / "peripherals" / "Wrong.cs").write_text("namespace Wrong\n{\n    class X : NoSuchThing {}\n}\n")
    real = paths.data
    monkeypatch.setattr(paths, "data", lambda name: folder if name == "renode" else real(name))
    with pytest.raises(LabError, match=r"Wrong\.cs\(3,\d+\).*NoSuchThing"):
        await RenodeEngine(control).start(Launch("five", BOARD, image, b"LABI", tmp_path / "five"))


async def test_machines_may_leave_together(control: str, image: Path, tmp_path: Path) -> None:
    engine = RenodeEngine(control)
    machines = [
        await engine.start(Launch(name, BOARD, image, b"LABI", tmp_path / name)) for name in ("a", "b", "c")
    ]
    for machine in machines:
        assert await machine.console.receive()
    async with anyio.create_task_group() as tasks:
        for machine in machines:
            tasks.start_soon(machine.stop)
    for machine in machines:
        assert (await machine.wait()).asked
    with pytest.raises(ProcessLookupError):
        os.kill(machines[0].pid, 0)


async def test_a_killed_process_ends_its_machines(control: str, image: Path, tmp_path: Path) -> None:
    engine = RenodeEngine(control)
    machine = await engine.start(Launch("mortal", BOARD, image, b"LABI", tmp_path))
    os.killpg(machine.pid, signal.SIGKILL)
    with anyio.fail_after(30):
        ended = await machine.wait()
    assert not ended.asked
    assert "SIGKILL" in ended.reason
    with pytest.raises(LabError, match="has ended"):
        await machine.part("bme680", "Temperature")
    await machine.stop()


async def test_a_machine_is_saved_alone_and_loaded_as_it_was(
    control: str, image: Path, tmp_path: Path
) -> None:
    engine, folder = RenodeEngine(control), tmp_path / "it's one"
    folder.mkdir()
    one, two = [
        await engine.start(Launch(name, BOARD, image, b"LABI", tmp_path / name)) for name in ("one.b", "two")
    ]
    running = [one, two]
    try:
        assert await line(one.console) == b"identity LABI boots 1\n"
        with pytest.raises(UsageError, match="its Renode process with two"):
            await one.freeze()
        await two.stop()
        await one.stop()
        one = await engine.start(Launch("one.b", BOARD, image, b"LABI", tmp_path / "one.b"))
        running = [one]
        assert await line(one.console) == b"identity LABI boots 1\n"
        await one.freeze()
        try:
            await one.save(folder)
            saved_at = await one.virtual_seconds()
        finally:
            await one.thaw()
        await one.reset()
        assert await line(one.console) == b"identity LABI boots 2\n"

        again = await engine.start(Launch("one.b", BOARD, image, b"LABI", tmp_path / "again", folder))
        running.append(again)
        assert again.pid != one.pid
        assert await again.virtual_seconds() == saved_at
        await again.resume()
        await again.link.send(b"as before")
        assert await exactly(again.link, 9) == b"as before"
        await again.reset()
        assert await line(again.console) == b"identity LABI boots 2\n"
        await one.link.send(b"still here")
        assert await exactly(one.link, 10) == b"still here"
        await again.stop()

        facts = folder / "machine.json"
        facts.write_text(facts.read_text().replace('"models": "lab-', '"models": "lab-0'))
        with pytest.raises(LabError, match="is of another Renode, or of other models"):
            await engine.start(Launch("one.b", BOARD, image, b"LABI", tmp_path / "again", folder))
        (folder / "machine.renode").write_bytes(b"no snapshot")
        facts.write_text(facts.read_text().replace('"models": "lab-0', '"models": "lab-'))
        with pytest.raises(RenodeError, match="LoadLab"):
            await engine.start(Launch("one.b", BOARD, image, b"LABI", tmp_path / "again", folder))
    finally:
        for each in running:
            await each.stop()
