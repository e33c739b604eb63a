"""Signed packages and trials at the gateway: what a device says becomes of them, and what is kept of that."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config as Alembic

from lab import store as stores
from lab.errors import DeviceError, LabTimeoutError
from lab.gateway import DeviceState
from lab.home import Home
from lab.packages import package_id
from lab.publisher import Publisher
from lab.store import Store
from lab.wire import messages as m

from .gateway_site import Site, version

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": True}


async def test_the_device_gets_the_envelope_and_its_word_is_passed_on(
    site: Site, publisher: Publisher
) -> None:
    _, firmware = await site.device()
    firmware.trial = "hold"
    package = version(publisher, 7)
    app = await site.gateway.deploy("dev-1", package)
    assert [begun.envelope for begun in firmware.begun] == [package.envelope]
    assert (app.state, app.sequence, app.runs) == ("trial", 7, True)
    firmware.confirm("app")
    await site.seen("app.state", state="running", sequence=7)


async def test_confirmed_waits_for_the_end_of_the_trial(site: Site, publisher: Publisher) -> None:
    _, firmware = await site.device()
    firmware.trial = "confirm"
    assert (await site.gateway.deploy("dev-1", version(publisher, 1), confirmed=True)).state == "running"
    firmware.trial = "hold"
    with pytest.raises(LabTimeoutError, match="that app is confirmed"):
        await site.gateway.deploy("dev-1", version(publisher, 2), confirmed=True, timeout=0.2)


async def test_a_version_that_was_given_up_is_no_longer_wanted(site: Site, publisher: Publisher) -> None:
    client, firmware = await site.device()
    await site.gateway.deploy("dev-1", version(publisher, 1))
    firmware.trial = "fail"
    with pytest.raises(DeviceError, match="runs the version before it: unreachable executed"):
        await site.gateway.deploy("dev-1", version(publisher, 2), confirmed=True)
    one = version(publisher, 1)
    assert site.gateway.device("dev-1").desired == {"app": one.digest.hex()}
    await client.close()
    await site.until(DeviceState.DISCONNECTED)
    _, back = await site.device(apps=tuple(firmware.apps.values()))
    await site.gateway.call("dev-1", "app", "f")
    assert back.begun == [], "it is not sent what it gave up, nor what it has"


async def test_a_rollback_that_nobody_waits_for_is_noted_too(site: Site, publisher: Publisher) -> None:
    _, firmware = await site.device()
    await site.gateway.deploy("dev-1", version(publisher, 1))
    firmware.trial = "hold"
    await site.gateway.deploy("dev-1", version(publisher, 2))
    firmware.give_up("app", "time over")
    await site.seen("app.state", reason="time over")
    await site.restart()
    assert site.gateway.device("dev-1").desired == {"app": version(publisher, 1).digest.hex()}


async def test_a_first_version_that_fails_its_trial_is_not_wanted(site: Site, publisher: Publisher) -> None:
    _, firmware = await site.device()
    firmware.trial = "fail"
    with pytest.raises(DeviceError, match="app failed on dev-1: unreachable executed"):
        await site.gateway.deploy("dev-1", version(publisher, 1), confirmed=True)


async def test_a_trial_goes_on_when_the_device_comes_back(site: Site, publisher: Publisher) -> None:
    client, firmware = await site.device()
    firmware.trial = "hold"
    deploying = asyncio.create_task(site.gateway.deploy("dev-1", version(publisher, 1), confirmed=True))
    await site.seen("app.state", state="trial")
    await client.close()
    await site.until(DeviceState.DISCONNECTED)
    _, back = await site.device(apps=tuple(firmware.apps.values()))
    back.confirm("app")
    assert (await asyncio.wait_for(deploying, 10)).state == "running"
    assert back.begun == []


async def test_a_replayed_older_version_is_refused_and_the_newer_stays(
    site: Site, publisher: Publisher
) -> None:
    _, firmware = await site.device()
    newer = version(publisher, 8)
    await site.gateway.deploy("dev-1", newer)
    with pytest.raises(DeviceError, match="dev-1 refused app: it has had 8"):
        await site.gateway.deploy("dev-1", version(publisher, 7))
    assert site.gateway.device("dev-1").desired == {"app": newer.digest.hex()}
    assert len(firmware.chunks) == 1


async def test_a_confirmed_version_is_not_sent_again(site: Site, publisher: Publisher) -> None:
    client, firmware = await site.device()
    await site.gateway.deploy("dev-1", version(publisher, 2))
    for sequence in (2, 3):  # the very version; one that came another way
        await client.close()
        await site.until(DeviceState.DISCONNECTED)
        kept = m.AppStatus("app", m.AppState.RUNNING, firmware.begun[0].digest, 11, 0, "", sequence)
        client, back = await site.device(apps=(kept,))
        await site.gateway.call("dev-1", "app", "f")
        assert back.begun == []


async def test_what_is_wanted_is_sent_when_the_device_comes(site: Site, publisher: Publisher) -> None:
    await site.gateway.register("dev-1", "native", "native")
    package = version(publisher, 1)
    await site.gateway.want("dev-1", package)
    _, firmware = await site.device()
    await site.seen("app.state", state="running", digest=package.digest.hex())
    await site.gateway.want("dev-1", version(publisher, 2))
    await site.seen("app.state", state="running", sequence=2)
    assert len(firmware.begun) == 2


async def test_a_removed_app_is_no_longer_wanted(site: Site, publisher: Publisher) -> None:
    _, firmware = await site.device()
    await site.gateway.deploy("dev-1", version(publisher, 1))
    await site.gateway.remove_app("dev-1", "app")
    assert firmware.stopped == ["app"]
    assert site.gateway.device("dev-1").desired == {}
    assert await site.store.deployments() == []
    assert [package["name"] for package in await site.store.packages("app")] == ["app"], "the version is kept"


async def test_development_devices_are_told_apart(site: Site) -> None:
    await site.device("plain")
    await site.device("open", development=1)
    assert {info.id: info.development for info in site.gateway.devices()} == {"plain": False, "open": True}
    await site.restart()
    assert site.gateway.device("open").development


async def test_a_database_from_before_packages_is_brought_up_to_date(tmp_path: Path) -> None:
    home = Home(tmp_path).create()
    scripts = Alembic()
    scripts.set_main_option("script_location", str(Path(stores.__file__).parent / "migrations"))
    scripts.set_main_option("sqlalchemy.url", f"sqlite:///{home.database}")
    command.upgrade(scripts, "0001")
    digest = "ab" * 32
    with sqlite3.connect(home.database) as connection:
        connection.execute(
            "INSERT INTO device VALUES ('dev', '00', 'native', 'native', 1, 'connected', NULL,"
            " '', '', '', '', 1, 2, 3, 4)"
        )
        connection.execute("INSERT INTO module VALUES (?, 8, 1.0)", (digest,))
        connection.execute("INSERT INTO deployment VALUES ('dev', 'app', ?, 1.0)", (digest,))
        connection.execute("INSERT INTO app VALUES ('dev', 'app', 1, ?, 8, 0, '')", (digest,))
    async with Store(home) as store:
        [deployment] = await store.deployments()
        assert deployment.package == package_id("app", b"", digest)
        [package] = await store.packages("app")
        assert (package["digest"], package["signed"], package["sequence"]) == (digest, False, 0)
        [app] = await store.apps()
        assert (app.sequence, app.rejected) == (0, "")
    command.downgrade(scripts, "0001")
    with sqlite3.connect(home.database) as connection:
        assert connection.execute("SELECT device, name, digest FROM deployment").fetchall() == [
            ("dev", "app", digest)
        ]
