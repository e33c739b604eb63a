"""Rollouts against devices over real TLS; and killed at every write they make, to go on."""

from __future__ import annotations

import asyncio
import functools
import itertools
from pathlib import Path
from typing import Any

import pytest

from lab.errors import LabError, NotFoundError, UsageError
from lab.gateway import Config, DeviceState
from lab.gateway import selector as selectors
from lab.gateway.rollout import Plan
from lab.home import Home
from lab.packages import Package
from lab.publisher import Publisher
from lab.wire import messages as m

from .device_client import DeviceClient, Firmware, Held
from .gateway_site import MODULE, Site, version

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": True}


class Fleet:
    """Devices that keep what they have when the gateway goes."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.firmware: dict[str, Firmware] = {}
        self.clients: dict[str, DeviceClient] = {}

    async def join(self, *names: str, trial: str = "confirm") -> None:
        """Connect devices: new ones, or some that were here before, with what they had then."""
        for name in names:
            before = self.firmware.get(name)
            apps = tuple(before.apps.values()) if before else ()
            self.clients[name], firmware = await self.site.device(name, apps=apps)
            firmware.trial = before.trial if before else trial
            if before:
                firmware.module, firmware.partial = before.module, before.partial
                firmware.before, firmware.begun = before.before, before.begun
            self.firmware[name] = firmware

    async def leave(self, *names: str) -> None:
        for name in names:
            await self.clients[name].close()
            await self.site.until(DeviceState.DISCONNECTED, name)

    def versions(self) -> dict[str, int]:
        """Return the sequence number that each device runs."""
        return {
            name: firmware.apps["app"].sequence
            for name, firmware in self.firmware.items()
            if "app" in firmware.apps and firmware.apps["app"].state is m.AppState.RUNNING
        }


@pytest.fixture
def fleet(site: Site) -> Fleet:
    return Fleet(site)


async def begin(site: Site, package: Package, other: Package | None = None, **plan: Any) -> int:
    for each in (package, other):
        if each is not None:
            await site.store.save_package(each)
    found = await site.rollouts.begin(Plan(**plan), package.id, other.id if other else None, by="anna")
    return int(found["id"])


async def over(site: Site, id: int) -> dict[str, Any]:
    return await asyncio.wait_for(site.rollouts.over(id, lambda news: None), 20)


async def state_of(site: Site, id: int, device: str, *states: str) -> None:
    """Return once a device of a rollout is in one of these states."""
    async with asyncio.timeout(20):
        async for event in site.events.subscribe():
            data = event.data
            if event.kind != "rollout.device" or event.device != device or data["rollout"] != id:
                continue
            if data["state"] in states:
                return


def states(found: dict[str, Any]) -> dict[str, str]:
    return {each["device"]: each["state"] for each in found["devices"]}


# ---- how it goes


async def test_every_device_gets_it_and_says_so(site: Site, fleet: Fleet, publisher: Publisher) -> None:
    await fleet.join("a", "b", "c")
    id = await begin(site, version(publisher, 1), batch=2)
    found = await over(site, id)
    assert (found["state"], found["counts"], found["created_by"]) == ("done", {"confirmed": 3}, "anna")
    assert fleet.versions() == {"a": 1, "b": 1, "c": 1}
    moves = [
        event.data["state"]
        async for event in site.events.subscribe(follow=False)
        if event.kind == "rollout.device" and event.device == "a"
    ]
    assert moves == ["transferring", "trial", "confirmed"]
    assert [rollout["id"] for rollout in await site.rollouts.rollouts()] == [id]
    [arm] = found["arms"].values()
    assert (arm["devices"], arm["confirmed"], arm["success"], arm["memory"]) == (3, 3, 1.0, 8192)


async def test_how_far_a_transfer_is(site: Site, fleet: Fleet, publisher: Publisher) -> None:
    await fleet.join("a")
    held = Held(
        fleet.firmware["a"],
        lambda message: isinstance(message, m.DeployChunk) and message.offset >= 2048,
    )
    content = bytes([1, 120]) + bytes(4096 - 13)  # a custom section fills it up to 4 KiB
    module = MODULE + b"\x00" + bytes([len(content) & 0x7F | 0x80, len(content) >> 7]) + content
    id = await begin(site, publisher.sign("app", module))
    await held.until(2)
    [device] = (await site.rollouts.show(id))["devices"]
    assert (device["state"], device["percent"]) == ("transferring", 50)
    held.release()
    found = await over(site, id)
    assert (found["devices"][0]["state"], found["devices"][0]["percent"]) == ("confirmed", None)


async def test_a_batch_is_not_exceeded(site: Site, fleet: Fleet, publisher: Publisher) -> None:
    await fleet.join("a", "b", "c", "d", trial="hold")
    id = await begin(site, version(publisher, 1), batch=2)
    for name in ("a", "b"):
        await state_of(site, id, name, "trial")
    assert states(await site.rollouts.show(id)) == {
        "a": "trial",
        "b": "trial",
        "c": "pending",
        "d": "pending",
    }
    fleet.firmware["a"].confirm("app")
    await state_of(site, id, "a", "confirmed")
    assert fleet.firmware["c"].begun == []
    fleet.firmware["b"].confirm("app")
    await state_of(site, id, "c", "trial")


async def test_too_many_failures_pause_it_and_resume_forgives_them(
    site: Site, fleet: Fleet, publisher: Publisher
) -> None:
    await fleet.join("a", "b", "c", "d")
    await over(site, await begin(site, version(publisher, 1)))
    for name in ("a", "b"):
        fleet.firmware[name].trial = "fail"
    id = await begin(site, version(publisher, 2), batch=1, max_failures=1)
    found = await over(site, id)
    assert (found["state"], found["reason"]) == ("paused", "2 devices failed, 1 may")
    assert found["counts"] == {"rolled-back": 2, "pending": 2}
    assert found["devices"][0]["reason"] == "unreachable executed"
    assert fleet.versions() == {"a": 1, "b": 1, "c": 1, "d": 1}
    await site.rollouts.resume(id)
    found = await over(site, id)
    assert (found["state"], found["counts"]) == ("done", {"rolled-back": 2, "confirmed": 2})
    assert fleet.versions() == {"a": 1, "b": 1, "c": 2, "d": 2}
    noted = [(row.who, row.action) for row in await site.audit.rows(limit=10, target=str(id))]
    assert noted == [("gateway", "rollout_done"), ("gateway", "rollout_paused")]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"batch": 1}, "1 devices failed, 0 may"),
        (
            {"batch": 3, "canary": 3, "max_failures": 3},
            "the canary c failed: app failed on c: budget exceeded",
        ),
    ],
)
async def test_one_whose_last_device_is_one_failure_too_many_has_failed(
    site: Site, fleet: Fleet, publisher: Publisher, options: dict[str, Any], reason: str
) -> None:
    await fleet.join("a", "b")
    await fleet.join("c", trial="hold")
    id = await begin(site, version(publisher, 1), **options)
    await state_of(site, id, "c", "trial")
    fleet.firmware["c"].give_up("app", "budget exceeded")
    found = await over(site, id)
    assert (found["state"], found["reason"]) == ("failed", reason)
    assert found["counts"] == {"confirmed": 2, "failed": 1}
    assert found["ended"] is not None
    with pytest.raises(UsageError, match="no rollout 1 under way"):
        await site.rollouts.resume(id)
    (noted,) = await site.audit.rows(limit=1, target=str(id))
    assert (noted.who, noted.action, noted.reason) == ("gateway", "rollout_failed", reason)


async def test_canaries_go_first_and_a_bad_one_stops_it(
    site: Site, fleet: Fleet, publisher: Publisher
) -> None:
    await fleet.join("a", "b", "c", trial="hold")
    id = await begin(site, version(publisher, 1), batch=3, canary=1, max_failures=3)
    await state_of(site, id, "a", "trial")
    assert states(await site.rollouts.show(id)) == {"a": "trial", "b": "pending", "c": "pending"}
    fleet.firmware["a"].give_up("app", "budget exceeded")
    found = await over(site, id)
    assert (found["state"], found["reason"]) == (
        "paused",
        "the canary a failed: app failed on a: budget exceeded",
    )
    assert fleet.firmware["b"].begun == []


async def test_a_device_that_is_away_gets_it_when_it_is_back(
    site: Site, fleet: Fleet, publisher: Publisher
) -> None:
    await fleet.join("a", "b", "c")
    await fleet.leave("b")
    id = await begin(site, version(publisher, 1))
    await state_of(site, id, "c", "confirmed")
    assert states(await site.rollouts.show(id)) == {"a": "confirmed", "b": "pending", "c": "confirmed"}
    await fleet.join("b")
    found = await over(site, id)
    assert (found["state"], found["counts"]) == ("done", {"confirmed": 3})


async def test_a_device_that_leaves_on_its_way_does_not_hold_up_the_others(
    site: Site, fleet: Fleet, publisher: Publisher
) -> None:
    await fleet.join("a", "b")
    fleet.firmware["a"].on_end = lambda module: fleet.clients["a"].writer.transport.abort()  # type: ignore[assignment,func-returns-value]
    id = await begin(site, version(publisher, 1), batch=1)
    await state_of(site, id, "b", "confirmed")
    assert states(await site.rollouts.show(id))["a"] in ("transferring", "trial")
    await site.until(DeviceState.DISCONNECTED, "a")
    await fleet.join("a")
    assert (await over(site, id))["counts"] == {"confirmed": 2}


async def test_a_device_that_rolls_back_while_it_is_away_is_told_apart(
    site: Site, fleet: Fleet, publisher: Publisher
) -> None:
    await fleet.join("a")
    await over(site, await begin(site, version(publisher, 1)))
    fleet.firmware["a"].trial = "hold"
    id = await begin(site, version(publisher, 2))
    await state_of(site, id, "a", "trial")
    await fleet.leave("a")
    firmware = fleet.firmware["a"]
    firmware.client.send = lambda message, id=0: None  # type: ignore[method-assign]
    firmware.give_up("app", "connection lost during trial")
    await fleet.join("a")
    found = await over(site, id)
    [device] = found["devices"]
    assert (device["state"], device["reason"]) == ("rolled-back", "connection lost during trial")


async def test_a_forgotten_device_does_not_hold_it_up(site: Site, fleet: Fleet, publisher: Publisher) -> None:
    await fleet.join("a", "b")
    await fleet.leave("b")
    id = await begin(site, version(publisher, 1), max_failures=1)
    await state_of(site, id, "a", "confirmed")
    await site.gateway.forget("b")
    found = await over(site, id)
    assert states(found) == {"a": "confirmed", "b": "failed"}
    assert found["devices"][1]["reason"] == "the device was forgotten"


async def test_who_has_it_already_is_not_sent_it(site: Site, fleet: Fleet, publisher: Publisher) -> None:
    await fleet.join("a", "b")
    await site.gateway.deploy("a", version(publisher, 1), confirmed=True)
    assert (await over(site, await begin(site, version(publisher, 1))))["counts"] == {"confirmed": 2}
    assert len(fleet.firmware["a"].begun) == 1


async def test_a_device_s_refusal_is_its_reason(site: Site, fleet: Fleet, publisher: Publisher) -> None:
    await fleet.join("a")
    fleet.firmware["a"].on_end = lambda module: m.Ack(m.ResultCode.FLASH_FULL, "no room", 0)
    found = await over(site, await begin(site, version(publisher, 1), max_failures=1))
    assert (found["devices"][0]["state"], found["devices"][0]["reason"]) == (
        "failed",
        "a refused app: no room",
    )
    assert site.gateway.device("a").desired == {}


# ---- what people do to it


async def test_pause_lets_those_under_way_finish(site: Site, fleet: Fleet, publisher: Publisher) -> None:
    await fleet.join("a", "b", trial="hold")
    id = await begin(site, version(publisher, 1), batch=1)
    await state_of(site, id, "a", "trial")
    assert (await site.rollouts.pause(id))["state"] == "paused"
    fleet.firmware["a"].confirm("app")
    await state_of(site, id, "a", "confirmed")
    assert states(await site.rollouts.show(id)) == {"a": "confirmed", "b": "pending"}
    fleet.firmware["b"].trial = "confirm"
    await site.rollouts.resume(id)
    assert (await over(site, id))["state"] == "done"


async def test_abort_leaves_the_others_as_they_are(site: Site, fleet: Fleet, publisher: Publisher) -> None:
    await fleet.join("a", "b", "c", trial="hold")
    await fleet.leave("c")
    id = await begin(site, version(publisher, 1), batch=1)
    await state_of(site, id, "a", "trial")
    found = await site.rollouts.abort(id)
    assert (found["state"], states(found)) == ("aborted", {"a": "trial", "b": "aborted", "c": "aborted"})
    fleet.firmware["a"].confirm("app")
    await state_of(site, id, "a", "confirmed")
    await fleet.join("c")
    await site.gateway.call("c", "app", "f")
    assert (fleet.firmware["b"].begun, fleet.firmware["c"].begun) == ([], [])
    with pytest.raises(UsageError, match="no rollout 1 under way"):
        await site.rollouts.resume(id)


async def test_a_pause_between_batches_can_be_cut_short(
    site: Site, fleet: Fleet, publisher: Publisher
) -> None:
    await fleet.join("a", "b")
    id = await begin(site, version(publisher, 1), batch=1, pause=3600)
    await state_of(site, id, "a", "confirmed")
    assert fleet.firmware["b"].begun == []
    await site.rollouts.abort(id)
    await site.seen("rollout.ended")
    assert (await site.rollouts.show(id))["counts"] == {"confirmed": 1, "aborted": 1}


async def test_back_to_an_older_version_it_has_to_be_signed_anew(
    site: Site, fleet: Fleet, publisher: Publisher
) -> None:
    await fleet.join("a", "b")
    one, two = version(publisher, 1), version(publisher, 2)
    await over(site, await begin(site, one))
    id = await begin(site, two)
    found = await over(site, id)
    assert {each["previous"] for each in found["devices"]} == {one.id}
    with pytest.raises(UsageError, match=r"a has app of sequence number 2 .* this one has 1"):
        await begin(site, one)
    again = publisher.again(one)
    back = await over(site, await begin(site, again, devices=["a", "b"], rollback_of=id))
    assert (back["counts"], back["rollback_of"]) == ({"confirmed": 2}, id)
    assert {firmware.apps["app"].digest for firmware in fleet.firmware.values()} == {one.digest}
    kept = await site.store.packages("app")
    assert [each["version"] for each in kept] == ["1.0.0", "2.0.0", "1.0.0"]


async def test_two_arms_side_by_side(site: Site, fleet: Fleet, publisher: Publisher) -> None:
    names = [f"dev-{number}" for number in range(8)]
    await fleet.join(*names)
    one, two = version(publisher, 1), version(publisher, 2)
    id = await begin(site, one, two, split=25)
    found = await over(site, id)
    assert sorted(fleet.versions().values()) == [1] * 6 + [2] * 2
    chosen = [each["device"] for each in found["devices"] if each["arm"] == "b"]
    for name in chosen:
        fleet.clients[name].send(m.LogLine(1, m.LogLevel.ERROR, "app", "too hot"))
        fleet.clients[name].send(m.Event(1, "app", "temperature", b"99"))
        await site.gateway.call(name, "app", "f")
    await site.events.written()
    arms = (await site.rollouts.show(id))["arms"]
    assert (arms["a"]["devices"], arms["b"]["devices"]) == (6, 2)
    assert (arms["a"]["package"], arms["b"]["package"]) == (one.id, two.id)
    assert arms["b"]["events"] == {"app.log.error": 2, "app.event": 2}
    assert arms["a"]["events"] == {}


# ---- who is meant


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        ("role=test", {"a", "b"}),
        ("role!=test", {"c"}),
        ("role=test,site=berlin", {"a"}),
        ("site", {"a", "c"}),
        ("!site", {"b"}),
    ],
)
async def test_devices_are_picked_by_label(
    site: Site, fleet: Fleet, publisher: Publisher, selector: str, found: set[str]
) -> None:
    await fleet.join("a", "b", "c")
    await site.gateway.label("a", {"role": "test", "site": "berlin"})
    await site.gateway.label("b", {"role": "test", "old": "yes"}, ())
    await site.gateway.label("b", {}, ["old"])
    await site.gateway.label("c", {"site": "bonn"})
    await site.restart()
    id = await begin(site, version(publisher, 1), selector=selector)
    assert set(states(await site.rollouts.show(id))) == found


@pytest.mark.parametrize("selector", ["", "=x", "a=", "a==b", "a=b,", "a b", "!a=b", "a,,b"])
def test_what_is_no_selector(selector: str) -> None:
    with pytest.raises(UsageError, match="is no selector"):
        selectors.parse(selector)


async def test_what_cannot_be_a_label(site: Site) -> None:
    await site.gateway.register("a", "native", "native")
    for labels in ({"": "x"}, {"x": ""}, {"a=b": "x"}, {"a": "ü"}):
        with pytest.raises(UsageError, match="cannot be a label"):
            await site.gateway.label("a", labels)
    with pytest.raises(UsageError, match="33 labels"):
        await site.gateway.label("a", {f"l{number}": "x" for number in range(33)})


@pytest.mark.parametrize(
    ("plan", "why"),
    [
        ({"batch": 0}, "a batch of 0"),
        ({"pause": -1}, "a pause of -1"),
        ({"max_failures": -1}, "a maximum of failures"),
        ({"split": 101}, "a split of 101"),
        ({"selector": "role=none"}, "no device matches role=none"),
        ({"selector": "role=x", "devices": ["a"]}, "by id or by selector"),
        ({"devices": ["ghost"]}, "ghost is not known"),
    ],
)
async def test_plans_that_cannot_be(
    site: Site, fleet: Fleet, publisher: Publisher, plan: dict[str, Any], why: str
) -> None:
    await fleet.join("a")
    with pytest.raises(UsageError, match=why):
        await begin(site, version(publisher, 1), **plan)
    assert await site.rollouts.rollouts() == []


async def test_of_two_begun_at_once_one_is_refused(site: Site, fleet: Fleet, publisher: Publisher) -> None:
    await fleet.join("a", trial="hold")
    packages = [version(publisher, number) for number in (1, 2)]
    begun = await asyncio.gather(*(begin(site, each) for each in packages), return_exceptions=True)
    assert sorted(type(each).__name__ for each in begun) == ["UsageError", "int"]
    assert len(await site.rollouts.rollouts()) == 1


async def test_one_rollout_of_an_app_at_a_time(site: Site, fleet: Fleet, publisher: Publisher) -> None:
    await fleet.join("a", trial="hold")
    id = await begin(site, version(publisher, 1))
    with pytest.raises(UsageError, match=f"rollout {id} of app is not over"):
        await begin(site, version(publisher, 2))
    with pytest.raises(NotFoundError, match="no rollout 99"):
        await site.rollouts.show(99)
    with pytest.raises(LabError, match="no package nonsense"):
        await site.rollouts.begin(Plan(), "nonsense")


# ---- killed


class Killed:
    """Ends a gateway as SIGKILL does, right after one of the writes that rollouts and deployments make."""

    WRITES = (
        "add_rollout",
        "save_rollout",
        "save_rollout_devices",
        "save_deployment",
        "delete_deployment",
    )

    def __init__(self, site: Site, left: float) -> None:
        self.site = site
        self.left = left
        self.made = 0
        self.died = asyncio.Event()
        for name in self.WRITES:
            setattr(site.store, name, self._count(getattr(site.store, name)))

    def _count(self, write: Any) -> Any:
        @functools.wraps(write)
        async def counted(*args: Any, **kwargs: Any) -> Any:
            if self.left <= 0:
                await asyncio.Event().wait()  # the process is dead: nothing comes of it any more
            result = await write(*args, **kwargs)
            self.made += 1
            self.left -= 1
            if self.left <= 0:
                self.died.set()
                await asyncio.Event().wait()
            return result

        return counted


async def killed_at(folder: Path, publisher: Publisher, write: float) -> tuple[int, dict[str, Any]]:
    """Run a rollout over four devices, of which one fails, and kill the gateway after a number of writes."""
    site = Site(Home(folder).create(), Config())
    await site.start()
    fleet = Fleet(site)
    await fleet.join("a", "b", "c", "d")
    fleet.firmware["b"].trial = "fail"
    for name in fleet.firmware:
        firmware, trial = fleet.firmware[name], fleet.firmware[name].trial
        firmware.trial = "confirm"
        await site.gateway.deploy(name, version(publisher, 1), confirmed=True)
        firmware.trial = trial
    killer = Killed(site, write)
    work = asyncio.create_task(begin_and_wait(site, version(publisher, 2)))
    death = asyncio.create_task(killer.died.wait())
    await asyncio.wait([work, death], return_when=asyncio.FIRST_COMPLETED)
    if not killer.died.is_set():
        death.cancel()
        found = await work
    else:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        await cut(site)
        await site.start()
        await fleet.join("a", "b", "c", "d")
        rollouts = await site.rollouts.rollouts()
        found = await over(site, rollouts[0]["id"]) if rollouts else {}
    assert all(len([b for b in each.begun if b.envelope]) <= 3 for each in fleet.firmware.values())
    running_ = fleet.versions()
    await site.stop()
    return killer.made, {**found, "versions": running_}


async def begin_and_wait(site: Site, package: Package) -> dict[str, Any]:
    return await over(site, await begin(site, package, batch=2, max_failures=1))


async def cut(site: Site) -> None:
    """Drop a gateway as it is, without a word to devices and without writing anything more."""
    await site.rollouts.stop()
    site.gateway._unsaved.clear()
    await site.gateway.stop(goodbye=False)
    for task in site.tasks:
        task.cancel()
    site.tasks.clear()
    site.clients.clear()
    await site.events.__aexit__(None, None, None)
    await site.store.__aexit__(None, None, None)


async def test_killed_after_any_write_it_goes_on_and_ends_the_same(
    tmp_path: Path, publisher: Publisher
) -> None:
    expected = {"a": "confirmed", "b": "rolled-back", "c": "confirmed", "d": "confirmed"}
    for write in itertools.count(1):
        made, found = await killed_at(tmp_path / str(write), publisher, write)
        assert (write, found["state"], states(found)) == (write, "done", expected)
        assert found["versions"] == {"a": 2, "b": 1, "c": 2, "d": 2}
        if made < write:  # over before it could be killed
            break
    assert write > 10
    print(f"killed after each of {write - 1} writes")
