"""Updates on whole devices: power is cut, by SIGKILL, at sampled moments, and the device starts again.

What a cut at *every* flash operation does: tests/unit/test_firmware_updates.py, on the core alone.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from lab.home import Home
from lab.lab import Lab
from lab.pki import Authority
from lab.wire import messages as m
from tests.hil.test_session import Bench, Session, running
from tests.unit.packages import Publisher
from tests.unit.test_firmware_updates import app

pytestmark = [pytest.mark.hil, pytest.mark.anyio]

QEMU = pytest.param("mps2-an385", marks=pytest.mark.qemu)
SIMBUS_FLASH = pytest.param("netduinoplus2", marks=pytest.mark.qemu)
NATIVE = pytest.param("native", marks=pytest.mark.native)

MODULES = {version: app(version, size=9000 + version) for version in (1, 2, 3)}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Lives:
    """One device's lives: its folder, and with it its flash, outlives each."""

    def __init__(self, folder: Path, board: str) -> None:
        self.folder = folder
        self.board = board
        self.publisher = Publisher()
        self._envelopes: dict[int, bytes] = {}

    @asynccontextmanager
    async def life(self) -> AsyncIterator[tuple[Bench, Session, m.Hello]]:
        """Give it power; SIGKILL ends this life."""
        identity = Authority(Home(self.folder / "lab")).identity(
            "dev-1", seed=secrets.token_bytes(32), now=int(time.time()), publishers=[self.publisher.public]
        )
        async with running(self.folder, identity=identity, board=self.board) as bench:
            session = await bench.session()
            yield bench, session, await session.welcome()

    def begin(self, version: int) -> m.DeployBegin:
        module = MODULES[version]
        envelope = self._envelopes.setdefault(version, self.publisher.envelope("app", module, version))
        return m.DeployBegin("app", len(module), hashlib.sha256(module).digest(), envelope)

    async def update(self, bench: Bench, session: Session, version: int) -> Session:
        """Deploy a version, wait until it is confirmed, and return the session that heard it.

        A board whose flash is far away may lose its session on a busy machine, and goes on in the next.
        """
        begin = self.begin(version)
        confirmed = (begin.digest, m.AppState.RUNNING)
        while True:
            try:
                ack = await session.deploy("app", MODULES[version], begin.envelope)
                assert ack.code is m.ResultCode.DONE, ack
                await session.expect(
                    m.AppStatusChanged,
                    lambda changed: (changed.status.digest, changed.status.state) == confirmed,
                )
                return session
            except EOFError:
                session = await bench.session()
                await session.welcome()

    def records(self) -> int:
        """Return how many records are in the first copy of the log in its flash (core/store/log.c)."""
        with (self.folder / "flash.bin").open("rb") as file:
            log = file.read(8192)
        count, at = 0, 16
        while at + 8 <= len(log) and log[at : at + 8] != b"\xff" * 8:
            at += (8 + int.from_bytes(log[at + 6 : at + 8], "little") + 3) // 4 * 4
            count += 1
        return count

    async def recorded(self, count: int) -> None:
        """Return when so many records are in the log."""
        with anyio.fail_after(60):
            while self.records() < count:
                await anyio.lowlevel.checkpoint()


async def version_of(session: Session) -> float:
    return (await session.call("app", "version")).values[0]


@pytest.mark.parametrize("board", [QEMU, NATIVE, SIMBUS_FLASH])
async def test_confirmed_apps_start_without_the_gateway(board: str, tmp_path: Path) -> None:
    lives = Lives(tmp_path, board)
    async with lives.life() as (bench, session, hello):
        assert hello.apps == ()
        await lives.update(bench, session, 1)
    async with lives.life() as (bench, session, hello):
        assert bench.console.index("app app running") < bench.console.index("connecting as")
        assert [(each.state, each.sequence) for each in hello.apps] == [(m.AppState.RUNNING, 1)]
        assert await version_of(session) == 1
        assert (await session.ask(m.Remove("app"), m.Ack)).code is m.ResultCode.DONE
    async with lives.life() as (_, session, hello):
        assert hello.apps == ()
        ack = await session.ask(lives.begin(1), m.Ack)
        assert (ack.code, ack.text) == (
            m.ResultCode.OLD_SEQUENCE,
            "sequence number 1 is old: this device has had 1",
        )


MOMENTS = [
    "begun",
    "record 1",  # a slot is open
    "record 2",  # its first sector is full
    "record 3",
    "record 4",  # the module is on trial, and starts
    "half",
    "sent",
    "end",
    "trial",
    "confirmed",
]


@pytest.mark.parametrize("board", [QEMU, NATIVE])
async def test_power_is_cut_in_an_update(
    board: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lives = Lives(tmp_path, board)
    async with lives.life() as (bench, session, _hello):
        await lives.update(bench, session, 1)
    flash = (tmp_path / "flash.bin").read_bytes()
    for moment in MOMENTS:
        (tmp_path / "flash.bin").write_bytes(flash)
        async with lives.life() as (bench, session, _hello):
            await _update_until(moment, lives, bench, session)
        async with lives.life() as (bench, session, hello):
            [status] = hello.apps
            assert status.state is m.AppState.RUNNING, (moment, status)
            version = await version_of(session)
            assert version in ((2,) if moment == "confirmed" else (1, 2)), moment
            if moment == "trial":
                assert (version, status.reason) == (1, "a reset during its trial: power-on")
            session = await lives.update(bench, session, 3)
            assert await version_of(session) == 3
    with capsys.disabled():
        print(f"\n{len(MOMENTS)} power cuts survived on {board}")


async def _update_until(moment: str, lives: Lives, bench: Bench, session: Session) -> None:
    """Do a part of an update; what is on its way when this returns is cut short."""
    module = MODULES[2]
    before = lives.records()
    if moment == "confirmed":
        await lives.update(bench, session, 2)
        return
    if moment.startswith("record"):
        session.send(lives.begin(2), 1000)
        for id, at in enumerate(range(0, len(module), m.CHUNK_LIMIT)):
            session.send(m.DeployChunk(at, module[at : at + m.CHUNK_LIMIT]), 1001 + id)
        session.send(m.DeployEnd(), 2000)
        await lives.recorded(before + int(moment.split()[1]))
        return
    await session.ask(lives.begin(2), m.Ack)
    if moment == "begun":
        return
    for at in range(0, len(module) // 2 if moment == "half" else len(module), m.CHUNK_LIMIT):
        await session.ask(m.DeployChunk(at, module[at : at + m.CHUNK_LIMIT]), m.Ack)
    if moment == "end":
        before = lives.records()
        session.send(m.DeployEnd(), 2000)
        await lives.recorded(before + 1)
    elif moment == "trial":
        assert (await session.ask(m.DeployEnd(), m.Ack)).code is m.ResultCode.DONE


@pytest.mark.parametrize("board", [QEMU, NATIVE])
async def test_a_transfer_goes_on_after_a_power_cut(board: str, tmp_path: Path) -> None:
    lives = Lives(tmp_path, board)
    module = MODULES[1]
    async with lives.life() as (_, session, _hello):
        assert (await session.ask(lives.begin(1), m.Ack)).offset == 0
        for at in range(0, 2 * m.CHUNK_LIMIT, m.CHUNK_LIMIT):
            await session.ask(m.DeployChunk(at, module[at : at + m.CHUNK_LIMIT]), m.Ack)
    async with lives.life() as (bench, session, hello):
        assert [each.state for each in hello.apps] == [m.AppState.RECEIVING]
        ack = await session.ask(lives.begin(1), m.Ack)
        assert (ack.code, ack.offset > 2048) == (m.ResultCode.DONE, True)
        await lives.update(bench, session, 1)


@pytest.mark.native
async def test_a_forgotten_device_is_as_new(tmp_path: Path) -> None:
    home = Home(tmp_path / "lab")
    flash = home.device("dev-1") / "flash.bin"
    async with Lab(home) as lab:
        await lab.up("native", name="dev-1")
        await lab.down(["dev-1"])
        assert flash.exists()
        await lab.up("native", name="dev-1")
        await lab.down(["dev-1"], forget=True)
        assert not flash.exists()
