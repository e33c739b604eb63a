"""Hub and spokes over real TLS: what arrives, once and in order, and who is turned away."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from lab.errors import LabError
from lab.node.commands import Commands
from lab.node.config import Config, parse
from lab.node.hardware.simulated import Simulated
from lab.node.leases import BUS, Leases
from lab.node.ledger import Ledger, Push
from lab.node.node import Node
from lab.node.outbox import Outbox
from lab.node.probe import probe
from lab.node.uplink import Uplink, UplinkError
from lab.node.web import cluster_app, local_app, serving
from lab.peripherals.bus import Peripherals
from lab.plugins.host import Reading, Worker

from .plugins import built, install

pytestmark = pytest.mark.anyio

HOUR = 3600


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def config(folder: Path, name: str, port: int = 0, **tables: Any) -> Config:
    role = "hub" if name == "hub" else "spoke"
    cluster: dict[str, Any] = {"role": role, "node_id": name}
    if role == "hub":
        cluster |= {"port": port, "nodes": ["spoke", "other"]}
    else:
        cluster |= {
            "hub_url": f"https://127.0.0.1:{port}",
            "credentials": str(folder / "hub" / "credentials" / f"{name}.json"),
        }
    table = {
        "cluster": cluster,
        "node": {"folder": str(folder / name), "plugins": str(folder / f"{name}-plugins")},
        "http": {"port": 0},
        "polling": {"interval": 0.2},
        "hardware": {"thermal": str(folder / "none")},
        "sensors": {"dht22": {}},
        "buzzer": {"pin": 18},
    }
    return parse(table | tables, folder)


class Site:
    """A folder with a hub that can come and go."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = Clock()
        # Bound and not listening: the port stays this hub's while the hub is away, and refuses connections.
        self.reserved = socket.socket()
        self.reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self.reserved.bind(("127.0.0.1", 0))
        self.port: int = self.reserved.getsockname()[1]

    def listen(self) -> socket.socket:
        return socket.create_server(("127.0.0.1", self.port), reuse_port=True)

    @asynccontextmanager
    async def hub(self, **tables: Any) -> AsyncIterator[Node]:
        made = config(self.folder, "hub", self.port, **tables)
        async with Node(made, clock=self.clock).open() as node:
            listener = self.listen()
            files = {
                "ssl_certfile": str(node.credentials.certificate),
                "ssl_keyfile": str(node.credentials.key),
            }
            async with serving(cluster_app(node), listener, **files):
                yield node
                node.commands.close()

    @asynccontextmanager
    async def spoke(self, name: str = "spoke", **tables: Any) -> AsyncIterator[Node]:
        async with Node(config(self.folder, name, self.port, **tables), clock=self.clock).open() as node:
            yield node

    def uplink(self, name: str = "spoke") -> Uplink:
        return Uplink(f"https://127.0.0.1:{self.port}", self.folder / "hub" / "credentials" / f"{name}.json")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.reserved.close()


def keep(node: Node, value: float) -> None:
    node._keep([Reading("dht22", "temperature", value, "°C", "normal", "")])


async def push_all(node: Node, uplink: Uplink) -> None:
    worker = Worker("push")
    try:
        while await node.push_once(uplink, worker):
            pass
    finally:
        worker.close()


async def post(uplink: Uplink, body: dict[str, Any]) -> dict[str, Any]:
    return await asyncio.to_thread(uplink.post, "/push", body)


def values(node: Node, of: str = "spoke") -> list[float]:
    return [row["value"] for row in node.ledger.history(node=of, limit=100_000)]


@asynccontextmanager
async def running(*nodes: Node) -> AsyncIterator[None]:
    async with anyio.create_task_group() as tasks:
        for node in nodes:
            tasks.start_soon(node.run)
        yield
        tasks.cancel_scope.cancel()


async def until(what: Any) -> Any:
    """Return what `what` returns, as soon as it is true."""
    async with asyncio.timeout(20):
        while not (found := what()):  # noqa: ASYNC110  what it looks at tells nobody when it changes
            await asyncio.sleep(0.02)
    return found


# -- pushing


async def test_spoke_pushes_every_cycle_and_the_hub_merges(site: Site) -> None:
    for name in ("hub", "spoke"):
        folder = site.folder / f"{name}-plugins"
        folder.mkdir()
        install(built("dht22"), folder)
    async with site.hub() as hub, site.spoke() as spoke, running(hub, spoke):
        assert isinstance(spoke.hardware, Simulated)
        spoke.hardware.parts.set("dht22.temperature", "27")

        def both() -> Any:
            nodes = hub.ledger.state()
            return nodes if all(nodes[name]["sensors"] for name in ("hub", "spoke")) else None

        nodes = await until(both)
        assert nodes["hub"]["sensors"]["dht22"]["temperature"]["value"] == 22.0
        assert nodes["spoke"]["sensors"]["dht22"]["temperature"]["value"] in (22.0, 27.0)
        assert nodes["spoke"]["role"] == "spoke"
        assert nodes["spoke"]["online"]
        assert not nodes["other"]["online"], "expected, not heard"
        count = len(values(hub))
        await until(lambda: len(values(hub)) >= count + 6)


async def test_headless_hub_hosts_the_page_and_watches_itself(site: Site) -> None:
    folder = site.folder / "hub-plugins"
    folder.mkdir()
    for name in ("node-monitor", "dashboard"):
        install(built(name), folder)
    async with site.hub(sensors={}, hardware={"kind": "none"}, buzzer={}) as hub:
        await hub.host.load_all()
        await hub.cycle()
        transport = httpx.ASGITransport(local_app(hub))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            page = (await http.get("/")).text
            assert "CPU load" in page
            assert '<span class="badge spoke">spoke</span><span class="alarm">offline</span>' in page
            refused = await http.post("/api/nodes/hub/buzzer", json={})
            assert (refused.status_code, "no buzzer" in refused.text) == (422, True)


async def test_log_lines_of_spokes_reach_the_hub(site: Site) -> None:
    async with site.hub() as hub, site.spoke() as spoke:
        spoke.journal("warning", "dht22", "it is cold here")
        keep(spoke, 1.0)
        await push_all(spoke, site.uplink())
        assert hub.remote_log["spoke"][-1]["text"] == "it is cold here"


async def test_hub_down_for_an_hour(site: Site) -> None:
    async with site.spoke() as spoke:
        async with site.hub() as hub:
            keep(spoke, -1.0)
            await push_all(spoke, site.uplink())
        started = site.clock.now
        uplink = site.uplink()
        for number in range(HOUR // 2):
            site.clock.now += 2
            keep(spoke, float(number))
            if number % 300 == 0:
                with pytest.raises(UplinkError, match="not reached"):
                    await push_all(spoke, uplink)
        assert len(spoke.outbox) == HOUR // 2
    async with site.spoke() as restarted, site.hub() as hub:  # the buffer is on disk
        keep(restarted, 9999.0)
        await push_all(restarted, site.uplink())
        assert values(hub) == [-1.0, *map(float, range(HOUR // 2)), 9999.0]
        rows = hub.ledger.history(node="spoke", since=started + 1, limit=5)
        assert [row["at"] - started for row in rows] == pytest.approx([2, 4, 6, 8, 10], abs=0.01)
        assert len(restarted.outbox) == 0


async def test_push_whose_answer_was_lost_is_not_taken_twice(site: Site) -> None:
    async with site.spoke() as spoke:
        for number in range(5):
            keep(spoke, float(number))
        async with site.hub() as hub:
            uplink = site.uplink()
            body = {
                "stream": spoke.outbox.stream,
                "now": site.clock.now,
                "interval": 2.0,
                "batches": spoke.outbox.first(3),
            }
            assert (await post(uplink, body))["accepted"] == 3
            assert (await post(uplink, body))["accepted"] == 3
        async with site.hub() as hub:  # a restart does not make it forget
            await push_all(spoke, site.uplink())
            assert values(hub) == [0, 1, 2, 3, 4]


async def test_spoke_with_a_new_buffer_is_heard(site: Site) -> None:
    async with site.hub() as hub:
        for value in (1.0, 2.0):
            async with site.spoke() as spoke:
                keep(spoke, value)
                await push_all(spoke, site.uplink())
            for file in (site.folder / "spoke").glob("outbox.db*"):
                file.unlink()
        assert values(hub) == [1, 2]


def test_full_buffer_loses_the_oldest_and_counts_them(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", 3)
    for number in range(5):
        outbox.add(number, {"number": number})
    assert [batch["number"] for batch in outbox.first(10)] == [2, 3, 4]
    assert outbox.dropped == 2
    outbox.close()


@pytest.mark.parametrize("skew", [-86400, 300])
async def test_clock_skew_is_told_and_taken_out(site: Site, skew: float) -> None:
    async with site.hub() as hub, site.spoke() as spoke:
        true = site.clock.now
        spoke.clock = lambda: site.clock.now + skew
        keep(spoke, 1.0)
        site.clock.now += 7
        await push_all(spoke, site.uplink())
        [row] = hub.ledger.history(node="spoke")
        assert row["at"] == pytest.approx(true, abs=0.01)
        assert hub.ledger.state()["spoke"]["skew"] == skew
        assert any("off ours" in line.text for line in hub.journal.lines(level="warning"))


# -- who is turned away


@pytest.mark.parametrize("token", ["", "wrong"])
async def test_wrong_token_is_refused(site: Site, token: str) -> None:
    async with site.hub() as hub, site.spoke() as spoke:
        file = site.folder / "hub" / "credentials" / "spoke.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"token": token}))
        keep(spoke, 1.0)
        with pytest.raises(UplinkError, match="401") as caught:
            await push_all(spoke, site.uplink())
        assert caught.value.refused
        assert values(hub) == []
        assert len(spoke.outbox) == 1, "kept for when the token is right"


async def test_every_path_of_the_cluster_wants_a_token(site: Site) -> None:
    async with site.hub() as hub:
        app = cluster_app(hub)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="https://hub") as http:
            paths = [route.path for route in app.routes]  # type: ignore[attr-defined]
            assert len(paths) >= 5
            for path in paths:
                answer = await http.request("POST", path.replace("{number}", "1"), json={"wait": 0})
                assert answer.status_code in (401, 405), path
                answer = await http.get(path.replace("{number}", "1"))
                assert answer.status_code in (401, 405), path


async def test_spoke_believes_its_own_hub_only(site: Site, tmp_path_factory: pytest.TempPathFactory) -> None:
    stranger = Site(tmp_path_factory.mktemp("stranger"))
    async with stranger.hub(), site.hub() as hub:
        wrong = Uplink(
            f"https://127.0.0.1:{stranger.port}", site.folder / "hub" / "credentials" / "spoke.json"
        )
        with pytest.raises(UplinkError, match="CERTIFICATE_VERIFY_FAILED"):
            await post(wrong, {})
        assert hub.ledger.state()["spoke"]["online"] is False


@pytest.mark.parametrize(
    "change",
    [
        {"stream": "../x"},
        {"now": "NaN"},
        {"batches": [{"sequence": 0, "at": 1}]},
        {"batches": [{"sequence": 1, "at": 1, "readings": [{"sensor": "", "quantity": "q", "value": 1}]}]},
        {"batches": [{"sequence": 1, "at": 1, "readings": [{"sensor": "s", "quantity": "q"}]}]},
        {"interval": -1},
    ],
)
async def test_push_that_is_none_is_refused(site: Site, change: dict[str, Any]) -> None:
    good = {"stream": "0" * 32, "now": site.clock.now, "interval": 2.0, "batches": []}
    async with site.hub() as hub:
        uplink = site.uplink()
        with pytest.raises(UplinkError, match="422"):
            await post(uplink, good | change)
        assert (await post(uplink, good))["accepted"] == 0
        assert values(hub) == []


def test_batches_out_of_order_are_put_in_order(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db", lambda *_: None)
    batches = [
        {"sequence": n, "at": 10.0 + n, "readings": [{"sensor": "s", "quantity": "q", "value": n}]}
        for n in (3, 1, 2)
    ]
    push = Push.model_validate({"stream": "0" * 32, "now": 20.0, "interval": 1.0, "batches": batches})
    assert ledger.push("x", push)[0] == 3
    assert [row["value"] for row in ledger.history()] == [1, 2, 3]
    assert ledger.state()["x"]["sensors"]["s"]["q"]["value"] == 3
    ledger.close()


# -- commands


async def test_buzzer_of_a_spoke_sounds_by_the_hubs_button(site: Site) -> None:
    async with site.hub() as hub, site.spoke() as spoke, running(spoke):
        assert isinstance(spoke.hardware, Simulated)
        transport = httpx.ASGITransport(local_app(hub))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            answer = await http.post("/api/nodes/spoke/buzzer", json={"pattern": "once"})
            assert (answer.status_code, answer.json()) == (200, {"pattern": "once"})
            buzzer: Any = spoke.hardware.parts.parts["buzzer"]
            await until(lambda: buzzer.total == 1)
            refused = await http.post("/api/nodes/spoke/fan", json={"on": True})
            assert (refused.status_code, "spoke has no fan" in refused.text) == (409, True)


async def test_request_has_one_id_on_hub_and_spoke(site: Site) -> None:
    async with site.hub() as hub, site.spoke() as spoke, running(spoke):
        transport = httpx.ASGITransport(local_app(hub))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            named, bad = {"X-Request-Id": "beep-7"}, {"X-Request-Id": "a b"}
            await http.post("/api/nodes/spoke/buzzer", json={"pattern": "once"}, headers=named)
            await http.post("/api/nodes/spoke/buzzer", json={"pattern": "once"}, headers=bad)

            async def told(**query: Any) -> list[dict[str, Any]]:
                answer = await http.get("/api/logs", params={"source": "commands", **query})
                lines: list[dict[str, Any]] = answer.json()["lines"]
                return lines

            def done() -> bool:
                lines = hub.remote_log.get("spoke", ())
                return [line["source"] for line in lines].count("commands") == 2

            await until(done)
            lines = await told(node_id="spoke")
            assert [line["text"] for line in lines] == ["buzzer is done"] * 2
            assert lines[0]["request"] == "beep-7"
            assert lines[1]["request"] not in (None, "a b")

            # Read on from a number; another run of the hub would begin anew.
            stream, first = hub.journal.stream, lines[0]["number"]
            assert await told(stream=stream, since=0, limit=1) == [lines[0]]
            assert await told(stream=stream, since=first) == [lines[1]]
            assert await told(stream="another", since=first) == lines


async def test_connection_of_a_dead_node_swallows_no_command() -> None:
    commands = Commands()
    dead = asyncio.create_task(commands.fetch("spoke", 20))
    await asyncio.sleep(0)
    alive = asyncio.create_task(commands.fetch("spoke", 20))
    await asyncio.sleep(0)
    asked = asyncio.create_task(commands.ask("spoke", {"do": "x"}, 20))
    assert await dead is None
    command = await alive
    assert command is not None
    assert not commands.answered("other", command["id"], {}), "not its command"
    assert commands.answered("spoke", command["id"], {"done": 1})
    assert not commands.answered("spoke", command["id"], {"done": 2})
    assert await asked == {"done": 1}


async def test_commands_of_a_node_that_is_away_are_limited() -> None:
    commands = Commands()
    asked = [asyncio.create_task(commands.ask("spoke", {"do": "x"}, 20)) for _ in range(33)]
    with pytest.raises(LabError, match="has not fetched"):
        await asked[-1]
    for task in asked:
        task.cancel()
    await asyncio.gather(*asked, return_exceptions=True)
    assert await commands.fetch("spoke", 0.01) is None, "withdrawn"


# -- a shared sensor


async def test_turns_are_first_come_first_served_and_end() -> None:
    leases = Leases()
    assert await leases.acquire(BUS, "a")
    waiting = asyncio.create_task(leases.acquire(BUS, "b"))
    await asyncio.sleep(0)
    leases.release(BUS, "b")  # not its own yet
    assert not waiting.done()
    leases.release(BUS, "a")
    assert await waiting
    leases.release(BUS, "a")  # late: it is b's now
    third = asyncio.create_task(leases.acquire(BUS, "c"))
    await asyncio.sleep(0)
    assert not third.done()
    third.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await third


async def test_two_nodes_share_one_bme680(site: Site) -> None:
    table = {"sensors": {"bme680": {"shared": True}}}
    first = config(site.folder, "hub", site.port, **table)
    parts = Peripherals([("bme680", "bme680", {"address": 0x77}), ("buzzer", "buzzer", {"pin": 18})])
    at_work: list[str] = []
    users: list[str] = []

    class Watched(Simulated):
        def __init__(self, made: Config, name: str) -> None:
            super().__init__(made, parts)
            self.name = name

        def _transact(self, operation: Any, request: bytes) -> bytes:
            if operation == 1:
                users.append(self.name)
            return super()._transact(operation, request)

        def bme680(self) -> Any:
            with self.exclusive():
                at_work.append(self.name)
                assert len(at_work) == 1, "both at once"
                try:
                    return super().bme680()
                finally:
                    at_work.remove(self.name)

    second = config(site.folder, "spoke", site.port, **table)
    hub_node = Node(first, hardware=Watched(first, "hub"))
    spoke_node = Node(second, hardware=Watched(second, "spoke"))
    async with hub_node.open() as hub, spoke_node.open() as spoke:
        listener = site.listen()
        files = {"ssl_certfile": str(hub.credentials.certificate), "ssl_keyfile": str(hub.credentials.key)}
        async with serving(cluster_app(hub), listener, **files):
            parts.set("bme680.temperature", "31")

            async def measure(node: Node) -> list[float]:
                return [(await asyncio.to_thread(node.hardware.bme680)).temperature for _ in range(4)]

            seen = await asyncio.gather(measure(hub), measure(spoke))
    assert [round(value) for values in seen for value in values] == [31] * 8
    assert {"hub", "spoke"} == set(users)


@pytest.mark.parametrize("answer", [b"{}", b'{"accepted": "all"}', b"[]", b"<html>"])
def test_an_answer_that_is_no_hubs_costs_the_push_only(tmp_path: Path, answer: bytes) -> None:
    class Elsewhere(Uplink):
        def request(self, method: str, path: str, body: bytes | None = None, *, wait: float = 0.0) -> bytes:
            return answer

    with pytest.raises(UplinkError, match="the hub"):
        Elsewhere("https://hub:8443", tmp_path / "credentials.json").push({})


async def test_without_the_hub_there_is_no_turn(site: Site) -> None:
    (site.folder / "hub" / "credentials").mkdir(parents=True)
    table = {"sensors": {"bme680": {"shared": True}}, "plugins": {"bme680": {"i2c": [0x77]}}}
    folder = site.folder / "spoke-plugins"
    folder.mkdir()
    install(built("bme680"), folder)
    async with site.spoke(**table) as spoke:
        await spoke.host.load_all()
        assert await spoke.cycle() == []
        assert spoke.host.plugins["bme680"].error == "nothing answers at 0x77: timeout"


# -- network health


def test_probe_tells_who_is_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert probe(f"127.0.0.1:{port}") >= 0
        assert probe(f"https://127.0.0.1:{port}") >= 0
    assert math.isnan(probe(f"127.0.0.1:{port}"))


async def test_node_reports_its_hub_as_offline_and_online(site: Site) -> None:
    folder = site.folder / "spoke-plugins"
    folder.mkdir()
    install(built("node-monitor"), folder)
    async with site.spoke(probe={"interval": 0.1}) as spoke, running(spoke):

        def mark() -> str | None:
            network = spoke.ledger.state()["spoke"]["sensors"].get("network", {})
            return network.get("hub", {}).get("note")

        await until(lambda: mark() == "offline")
        async with site.hub():
            await until(lambda: mark() == "online")
