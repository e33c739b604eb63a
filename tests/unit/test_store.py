"""The database and the event stream: what was written is there, however the lab ended."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DatabaseError
from sqlmodel import SQLModel

from lab import store as stores
from lab.errors import LabError, MissingError, UsageError
from lab.events import Events
from lab.home import Home
from lab.packages import Package
from lab.store import Store, tables
from tests.unit.postgres import Cluster, cluster

pytestmark = pytest.mark.anyio

MODULE = b"\0asm\1\0\0\0"
PACKAGE = Package.unsigned("app", MODULE)


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    with cluster() as running:
        yield running


@pytest.fixture
def sqlite(tmp_path: Path) -> Home:
    return Home(tmp_path).create()


@pytest.fixture(params=["sqlite", "postgresql"])
def home(sqlite: Home, request: pytest.FixtureRequest) -> Home:
    """A lab's folder; its database is of each kind in turn."""
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").database()
        (sqlite.root / "database.url").write_text(url)
    return sqlite


def device(id: str = "dev") -> tables.Device:
    return tables.Device(id=id, board="native", engine="native", created=1.0, state="registered")


async def test_migrations_make_the_tables_the_models_describe(home: Home) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    async with Store(home):
        pass
    with create_engine(home.database_url).connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), SQLModel.metadata) == []


async def test_a_database_of_a_newer_lab_is_left_alone(home: Home) -> None:
    async with Store(home):
        pass
    with create_engine(home.database_url).begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(LabError, match="newer version"):
        async with Store(home):
            pass


async def test_a_damaged_database_is_said(sqlite: Home) -> None:
    sqlite.database.write_bytes(b"nonsense" * 1000)
    with pytest.raises(LabError, match="database failed"):
        async with Store(sqlite):
            pass


@pytest.mark.parametrize(
    ("url", "error"),
    [("nonsense", UsageError), ("nothing://x/y", UsageError), ("mysql+pymysql://x/y", MissingError)],
)
async def test_a_url_that_leads_to_no_database_is_said(sqlite: Home, url: str, error: type[LabError]) -> None:
    (sqlite.root / "database.url").write_text(url)
    with pytest.raises(error):
        async with Store(sqlite):
            pass


async def test_a_server_that_does_not_answer_is_said_without_its_password(sqlite: Home) -> None:
    url = f"postgresql+psycopg://lab:secret@/lab?host={sqlite.root}"
    (sqlite.root / "database.url").write_text(url)
    with pytest.raises(LabError, match="database failed") as failure:
        async with Store(sqlite):
            pass
    assert "secret" not in str(failure.value)


async def test_deleting_a_device_deletes_what_is_its_own(home: Home) -> None:
    async with Store(home) as store:
        for id in ("dev", "other"):
            await store.save_device(device(id))
            await store.save_package(PACKAGE)
            await store.save_deployment(id, "app", PACKAGE.id, None)
        app = {"device": "dev", "name": "app", "state": 1, "digest": "", "size": 8, "memory": 1, "reason": ""}
        app |= {"sequence": 0, "version": "", "rejected": ""}
        row = device().model_dump() | {"state": "connected"}
        await store.save_reports([row], [app])
        assert (await store.devices())[0].state == "connected"
        assert [found.name for found in await store.apps()] == ["app"]
        await store.delete_device("dev")
        assert [found.id for found in await store.devices()] == ["other"]
        assert await store.apps() == []
        assert [found.device for found in await store.deployments()] == ["other"]
        await store.save_reports([row], [app])
        assert [found.id for found in await store.devices()] == ["other"]


async def test_modules_are_kept_by_digest_and_checked(home: Home) -> None:
    async with Store(home) as store:
        await store.save_package(PACKAGE)
        await store.save_package(PACKAGE)
        digest = PACKAGE.digest.hex()
        assert await store.module(digest) == MODULE
        assert await store.package(PACKAGE.id) == PACKAGE
        file = home.root / "modules" / f"{digest}.wasm"
        file.write_bytes(MODULE + b"\0")
        with pytest.raises(LabError, match="damaged"):
            await store.module(digest)
        file.unlink()
        with pytest.raises(LabError, match="cannot read the module"):
            await store.module(digest)


async def test_old_versions_are_dropped_unless_something_names_them(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "KEPT_VERSIONS", 3)
    versions = [Package.unsigned("app", MODULE + bytes([0, 2, 0, number])) for number in range(8)]
    other = Package.unsigned("other", versions[1].module)
    async with Store(home) as store:
        await store.save_device(device())
        await store.save_package(other)
        for number, package in enumerate(versions):
            await store.save_package(package)
            if number == 2:
                await store.save_deployment("dev", "app", package.id, None)
        kept = {each["id"] for each in await store.packages("app")}
        assert kept == {versions[number].id for number in (2, 5, 6, 7)}
        digests = {versions[number].digest.hex() for number in (1, 2, 5, 6, 7)}
        assert {file.stem for file in (home.root / "modules").iterdir()} == digests
        assert await store.package(other.id) == other, "another app's version is of the same module"


async def test_settings(home: Home) -> None:
    async with Store(home) as store:
        assert await store.setting("heartbeat", 30.0) == 30.0
        await store.save_setting("heartbeat", 2.5)
        await store.save_setting("powered", [{"id": "a"}])
    async with Store(home) as store:
        assert await store.setting("heartbeat", 30.0) == 2.5
        assert await store.setting("powered", []) == [{"id": "a"}]


KILLED = """
import asyncio, os, sys
from pathlib import Path
from lab.home import Home
from lab.packages import Package
from lab.store import Store, tables

async def main():
    store = await Store(Home(Path(sys.argv[1]))).__aenter__()
    package = Package.unsigned("app", b"\\0asm\\1\\0\\0\\0")
    await store.save_package(package)
    number = 0
    while True:
        id = f"dev-{number}"
        await store.save_device(
            tables.Device(id=id, board="b", engine="native", created=1.0, state="registered")
        )
        await store.save_deployment(id, "app", package.id, None)
        os.write(1, f"{number}\\n".encode())
        number += 1

asyncio.run(main())
"""


def test_what_was_awaited_survives_sigkill(home: Home) -> None:
    command = [sys.executable, "-c", KILLED, str(home.root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        said = [int(process.stdout.readline()) for _ in range(20)]
        process.send_signal(signal.SIGKILL)
        said += [int(line) for line in process.stdout.read().split()]

    async def read() -> tuple[set[str], set[str]]:
        async with Store(home) as store:
            devices = {row.id for row in await store.devices()}
            return devices, {row.device for row in await store.deployments()}

    devices, deployments = asyncio.run(read())
    promised = {f"dev-{number}" for number in said}
    assert promised <= devices
    assert promised <= deployments


async def test_a_number_of_32_bits_has_room(home: Home) -> None:
    async with Store(home) as store:
        await store.save_device(device())
        await store.save_reports([device().model_dump() | {"boots": 2**32 - 1}], [])
        assert (await store.devices())[0].boots == 2**32 - 1


async def test_events_are_found_by_what_is_in_them(home: Home) -> None:
    async with Store(home) as store, Events(store) as events:
        for number, (device, level, text) in enumerate(
            [("a", "info", "it is 100 % warm"), ("b", "error", "it is cold"), ("a", "error", "it is 1000")]
        ):
            events.publish("device.log", device, level=level, text=text, number=number)
        await events.written()

        async def found(**asked: Any) -> list[int]:
            return [event.data["number"] for event in await store.find_events(limit=10, **asked)]

        assert await found() == [2, 1, 0]
        assert await found(device="a") == [2, 0]
        assert await found(fields={"level": ["error"]}) == [2, 1]
        assert await found(text="100 %") == [0], "no wildcard"
        assert await found(kinds=["app.log"]) == []
        assert await found(before=(await store.events(0, 10))[2].sequence) == [1, 0]


@pytest.mark.parametrize("change", ["UPDATE audit SET who = 'nobody'", "DELETE FROM audit"])
async def test_the_audit_log_can_only_be_added_to(home: Home, change: str) -> None:
    async with Store(home) as store:
        row = {"time": 1.0, "who": "anna", "role": "admin", "action": "deploy", "target": "b"}
        row |= {"result": "done", "reason": ""}
        await store.add_audit(tables.Audit(**row))
        with (
            pytest.raises(DatabaseError, match="only added to"),
            create_engine(home.database_url).begin() as connection,
        ):
            connection.execute(text(change))
        assert [found.who for found in await store.audit({}, limit=5)] == ["anna"]


# ---- events


async def test_events_keep_their_order_and_numbers_across_restarts(home: Home) -> None:
    async with Store(home) as store:
        async with Events(store) as events:
            for number in range(10):
                events.publish("test", "dev", "app", number=number)
        async with Events(store) as events:
            mark = events.last
            events.publish("test", number=10)
            found = [event async for event in events.subscribe(follow=False)]
    assert [event.data["number"] for event in found] == list(range(11))
    sequences = [event.sequence for event in found]
    assert sequences == sorted(set(sequences))
    assert found[-1].sequence > mark >= found[-2].sequence
    assert (found[0].kind, found[0].device, found[0].app) == ("test", "dev", "app")
    json.dumps(found[0].describe())


async def test_a_slow_reader_misses_nothing(home: Home) -> None:
    """More happens than memory holds, while a reader looks away at every turn."""
    total = 12_000
    async with Store(home) as store, Events(store) as events:
        seen: list[int] = []

        async def read() -> None:
            async for event in events.subscribe():
                seen.append(event.data["number"])
                if len(seen) % 1000 == 1:
                    await asyncio.sleep(0.02)
                if len(seen) == total:
                    return

        reader = asyncio.create_task(read())
        for number in range(total):
            events.publish("test", number=number)
            if number % 500 == 0:
                await asyncio.sleep(0)
        await asyncio.wait_for(reader, 30)
    assert seen == list(range(total))


async def test_readers_follow_and_filter(home: Home) -> None:
    async with Store(home) as store, Events(store) as events:
        events.publish("before", "a")
        mark = events.last
        found: list[str] = []

        async def read() -> None:
            async for event in events.subscribe(mark, device="a"):
                found.append(event.kind)
                if event.kind == "last":
                    return

        reader = asyncio.create_task(read())
        await asyncio.sleep(0)
        events.publish("mine", "a")
        events.publish("other", "b")
        events.publish("last", "a")
        await asyncio.wait_for(reader, 10)
    assert found == ["mine", "last"]


async def test_old_events_are_dropped(home: Home) -> None:
    async with Store(home, retention=50) as store:
        async with Events(store) as events:
            for _ in range(200):
                events.publish("test")
        kept = await store.events(0, 1000)
    assert len(kept) == 50
    assert kept[-1].sequence == events.last
