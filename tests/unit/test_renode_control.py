"""Both ways to control Renode, against answers that a real one has given.

`tests/hil/test_renode.py` asks a real one, and holds it to the same answers.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import anyio
import pytest
from anyio import to_thread
from anyio.streams.buffered import BufferedByteReceiveStream

from lab.engines import _renode_pyrenode3 as pyrenode3
from lab.engines import renode
from lab.engines._process import Process, Wire
from lab.engines._renode_pool import CONTROLS, Pool
from lab.engines.renode import chosen_control
from lab.engines.renode_control import Conversation, RenodeError
from lab.errors import LabError, LabTimeoutError, MissingError, UsageError

PEER = Path(__file__).parent / "renode_peer"
VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "renode.json").read_text("utf-8"))

BUILD = "output/bin/Release/build_type"

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=list(CONTROLS))
def control(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """How Renode is controlled, with somebody who stands in for it in either case."""
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", str(PEER))
    monkeypatch.setenv("PYRENODE_BUILD_DIR", str(tmp_path))
    monkeypatch.setenv("PYRENODE_RUNTIME", "mono")
    monkeypatch.delenv(pyrenode3.PYTHON, raising=False)
    pyrenode3.version.cache_clear()
    program = tmp_path / "renode"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{PEER / "monitor.py"}" "$@"\n')
    program.chmod(0o755)
    return str(request.param)


@pytest.fixture
async def pool(control: str, tmp_path: Path) -> AsyncIterator[Pool]:
    pool = await Pool.start(control, str(tmp_path / "renode"), tmp_path)
    yield pool
    await pool.close()
    assert pool.process.ended


async def test_what_renode_answered(pool: Pool) -> None:
    for row in VECTORS["answers"]:
        if "said" in row:
            assert await pool.control.execute(row["command"], row["machine"]) == row["said"]
            continue
        with pytest.raises(RenodeError) as caught:
            await pool.control.execute(row["command"], row["machine"])
        first = row["command"].splitlines()[0]
        assert caught.value.message == f"Renode refused {first!r}: {row['refused']}"
        assert str(pool.process.log) in caught.value.hint


async def test_the_time(pool: Pool) -> None:
    assert await pool.control.virtual_seconds("recorded") == VECTORS["time"]["seconds"]


async def test_clocks_stand_still_for_one_command(pool: Pool) -> None:
    assert await pool.control.execute("clocks", still=True) == "stand still"
    with pytest.raises(RenodeError):
        await pool.control.execute("nonsense", still=True)
    assert await pool.control.execute("clocks") == "go on"


async def test_what_is_not_there(pool: Pool) -> None:
    with pytest.raises(RenodeError, match="There is no machine none"):
        await pool.control.halt("none", True)
    with pytest.raises(RenodeError, match=r"StartLabMachine|run none"):
        await pool.control.run("none")
    await pool.control.remove("none", ["none"])


async def test_keywords(pool: Pool) -> None:
    assert await pool.control.keyword("<é/>") == "<answer><é/></answer>"
    with pytest.raises(RenodeError, match=r"Robot keyword.*no method call"):
        await pool.control.keyword("nonsense")


async def test_who_gives_up_waiting_leaves_nothing_behind(pool: Pool, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(pool.control.execute, f"wait {fifo}")
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(fifo.write_text, "an answer for nobody")
    assert await pool.control.execute("clocks") == "go on"


async def test_it_dies(pool: Pool) -> None:
    with pytest.raises(LabError, match="has ended and cannot do 'die'"):
        await pool.control.execute("die")
    with anyio.fail_after(30):
        assert await pool.process.wait() == 3
    assert "all is lost" in pool.process.reason()
    with pytest.raises(LabError, match="has ended and cannot"):
        await pool.control.halt("recorded", True)


async def test_it_does_not_start(control: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEER", "fail")
    with pytest.raises(LabError, match=r"Wrong\.cs\(3,11\)") as caught:
        await Pool.start(control, str(tmp_path / "renode"), tmp_path)
    assert str(tmp_path / "engine.log") in caught.value.hint
    assert not await anyio.Path(tmp_path, "renode.resc").exists()


@pytest.mark.parametrize("control", ["pyrenode3"], indirect=True)
@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"PYRENODE_BUILD_DIR": "/nowhere"}, "there is no Renode in /nowhere"),
        ({"PYRENODE_BUILD_DIR": ""}, "found none that is installed"),
        ({"PYRENODE_BIN": "renode"}, "more than one of"),
        ({"PYRENODE_BUILD_DIR": "", "PYRENODE_BIN": "renode"}, "mono does not go with PYRENODE_BIN"),
    ],
)
async def test_pyrenode3_finds_no_renode(
    control: str, given: Mapping[str, str], why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(LabError, match=f"pyrenode3 could not start Renode: .*{why}"):
        await Pool.start(control, str(tmp_path / "renode"), tmp_path)


async def test_it_does_not_answer(tmp_path: Path) -> None:
    wire = Wire()
    process = Process(["sleep", "600"], [], tmp_path / "log", stdin=wire.child_end)
    wire.release()
    conversation = Conversation(process, wire.stream())

    async def read(stream: BufferedByteReceiveStream) -> bytes:
        return await stream.receive_exactly(1)

    with pytest.raises(LabTimeoutError, match=r"did not answer 'hello' within 0\.1 s and was ended"):
        await conversation.ask(b"x", read, what="hello", timeout=0.1)
    with anyio.fail_after(30):
        assert await process.wait() < 0
    await conversation.aclose()


def test_pyrenode3_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(pyrenode3.PYTHON, str(tmp_path / "python"))
    with pytest.raises(MissingError, match="has no pyrenode3") as caught:
        pyrenode3.interpreter()
    assert pyrenode3.INSTALL in caught.value.hint


def test_the_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(renode.CONTROL, raising=False)
    assert chosen_control() == "monitor"
    monkeypatch.setenv(renode.CONTROL, "pyrenode3")
    assert chosen_control() == "pyrenode3"
    monkeypatch.setenv(renode.CONTROL, "telnet")
    with pytest.raises(UsageError, match=r"telnet.*\n.*monitor, pyrenode3"):
        chosen_control()


@pytest.mark.parametrize(
    ("beside", "given", "found"),
    [
        (
            {"output/bin/Release/build_type": "mono\n"},
            {},
            {"PYRENODE_RUNTIME": "mono", "PYRENODE_BUILD_DIR": "."},
        ),
        (
            {"output/bin/Release/build_type": "dotnet"},
            {},
            {"PYRENODE_RUNTIME": "coreclr", "PYRENODE_BUILD_DIR": "."},
        ),
        ({"libhostfxr.so": ""}, {}, {"PYRENODE_RUNTIME": "coreclr", "PYRENODE_BIN": "renode"}),
        ({"libhostfxr.so": ""}, {"PYRENODE_PKG": "x"}, {}),
        ({}, {}, {}),
    ],
)
def test_which_renode_pyrenode3_loads(
    beside: Mapping[str, str],
    given: Mapping[str, str],
    found: Mapping[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in [name for name in os.environ if name.startswith("PYRENODE_")]:
        monkeypatch.delenv(name)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    for name, content in beside.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    expected = {
        name: str(tmp_path / value) if name != "PYRENODE_RUNTIME" else value for name, value in found.items()
    }
    assert pyrenode3.places(str(tmp_path / "renode")) == expected
