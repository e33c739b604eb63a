"""A node on simulated parts: what it shows at which temperature, what it answers, what goes wrong."""

from __future__ import annotations

import asyncio
import functools
import json
import math
import os
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from lab.errors import LabTimeoutError, UsageError
from lab.node import run
from lab.node.capabilities import functions
from lab.node.config import Config, load, parse
from lab.node.hardware import Hardware
from lab.node.hardware.device import Device
from lab.node.hardware.linux import spi_bits
from lab.node.hardware.simulated import Simulated
from lab.node.node import Node
from lab.node.outputs import Leds
from lab.node.system import System
from lab.node.web import local_app
from lab.plugins.host import Reading
from lab.plugins.refusal import Error, Refused

from .plugins import built, install

pytestmark = pytest.mark.anyio

EXAMPLES = Path(__file__).parents[2] / "examples"
GREEN, ORANGE, RED, BLUE = (0, 255, 0), (255, 120, 0), (255, 0, 0), (0, 0, 255)
PURPLE, YELLOW, DARK = (128, 0, 128), (255, 255, 0), (0, 0, 0)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def hub(folder: Path, **tables: Any) -> Config:
    table: dict[str, Any] = {
        "cluster": {"role": "hub", "node_id": "hub", "port": 0},
        "node": {"folder": str(folder / "state"), "plugins": str(folder / "plugins")},
        "http": {"port": 0},
        "polling": {"interval": 0.2},
        "hardware": {"thermal": str(folder / "thermal")},
        "sensors": {"dht22": {"pin": 4}, "bme680": {"address": 0x77}},
        "buzzer": {"pin": 18},
        "fan": {"pin": 23},
        "plugins": {
            "bme680": {"led": 2, "i2c": [0x77], "calibration_polls": 3},
            "node-monitor": {"led": [0, 3]},
        },
    }
    return parse(table | tables, folder)


class Lit:
    """A node that is cycled by hand, and its parts."""

    def __init__(self, node: Node) -> None:
        self.node = node
        assert isinstance(node.hardware, Simulated)
        self.parts = node.hardware.parts
        self.strip: Any = self.parts.parts["leds"]
        self.buzzer: Any = self.parts.parts["buzzer"]

    async def cycle(self, **quantities: float) -> dict[str, Reading]:
        """Set quantities (`dht22_temperature=…`), do a cycle, return readings by sensor and quantity."""
        for name, value in quantities.items():
            self.parts.set(name.replace("_", ".", 1), str(value))
        return {f"{each.sensor}.{each.quantity}": each for each in await self.node.cycle()}

    async def beeps(self, count: int) -> None:
        """Wait until the buzzer has sounded `count` times since it was made."""
        while self.buzzer.total < count or self.buzzer.on:
            changed, loop = asyncio.Event(), asyncio.get_running_loop()
            wake = functools.partial(loop.call_soon_threadsafe, changed.set)
            end = self.parts.subscribe(lambda _name, wake=wake: wake())  # type: ignore[misc]
            try:
                if self.buzzer.total < count or self.buzzer.on:
                    async with asyncio.timeout(20):
                        await changed.wait()
            finally:
                end()


@asynccontextmanager
async def lit(config: Config, *names: str, hardware: Hardware | None = None) -> AsyncIterator[Lit]:
    config.node.plugins.mkdir(parents=True, exist_ok=True)
    for name in names:
        install(built(name), config.node.plugins)
    async with Node(config, hardware=hardware).open() as node:
        await node.host.load_all()
        yield Lit(node)


def client(node: Node) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(local_app(node)), base_url="http://127.0.0.1")


# -- configuration


def test_examples_are_configurations() -> None:
    first, second = load(EXAMPLES / "hub.toml"), load(EXAMPLES / "spoke.toml")
    assert first.cluster.nodes == (second.cluster.node_id,)
    assert second.cluster.credentials == first.node.folder / "credentials" / "spoke.json"
    assert first.node.plugins == EXAMPLES.parent / "build" / "plugins"
    assert first.plugin("node-monitor").led == (0, 3)
    assert load(EXAMPLES / "device.toml").hardware.app == "remote"


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"poling": {}}, "poling: there is no such key"),
        ({"polling": {"interval": "2"}}, "polling.interval"),
        ({"polling": {"interval": 0}}, "polling.interval"),
        ({"sensors": {"bme680": {"address": 0x50}}}, "sensors.bme680.address"),
        ({"cluster": {"role": "spoke"}}, "hub_url"),
        ({"cluster": {"node_id": "../up"}}, "cluster.node_id"),
        ({"hardware": {"kind": "device"}}, "hardware.device"),
        ({"hardware": {"kind": "device", "device": "d"}, "buzzer": {"pin": 18}}, "buzzer.pin"),
        ({"hardware": {"app": "remote"}}, "hardware.app"),
        ({"hardware": {"kind": "device", "device": "d", "app": "a"}, "leds": {"count": 42}}, "leds.count"),
        ({"hardware": {"kind": "none"}, "fan": {"pin": 23}}, "fan.pin"),
        ({"plugins": {"dht22": {"led": 11}}}, "plugins.dht22.led"),
        ({"plugins": {"dht22": {"i2c": [0x80]}}}, "plugins.dht22.i2c"),
        ({"plugins": {"dht22": 1}}, "plugins.dht22"),
    ],
)
def test_configuration_says_which_key_is_wrong(table: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=said):
        parse(table, tmp_path)


def test_a_plugin_gets_its_own_keys_as_text(tmp_path: Path) -> None:
    table = parse({"plugins": {"x": {"led": [0, 3], "title": "a", "n": 3, "on": True}}}, tmp_path).plugin("x")
    assert table.settings == {"led": "0,3", "title": "a", "n": "3", "on": "true"}


def test_stale_and_missing_plugins_are_built_at_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    monkeypatch.setattr(run, "build", lambda source, output: (made.append(source.name), output.touch()))
    for name in ("a", "b", "off"):
        (tmp_path / "src" / name).mkdir(parents=True)
        (tmp_path / "src" / name / "plugin.py").write_text("")
    node = {"folder": "state", "plugins": "plugins", "sources": "src"}
    config = parse({"node": node, "plugins": {"off": {"enabled": False}}}, tmp_path)
    for _ in range(2):
        run.build_missing(config, lambda _name: None)
    assert made == ["a", "b"]
    os.utime(tmp_path / "plugins" / "a.wasm", (0, 0))
    run.build_missing(config, lambda _name: None)
    assert made == ["a", "b", "a"]


# -- the cycle


async def test_room_temperature_on_led_1_with_hysteresis(tmp_path: Path) -> None:
    async with lit(hub(tmp_path), "dht22") as it:
        for temperature, colour in ((20, GREEN), (27, ORANGE), (14, BLUE)):
            # A DHT22 measures every 2 s; a part made anew measures at once.
            it.parts.parts["dht22"]._measured_at = -math.inf  # type: ignore[attr-defined]
            readings = await it.cycle(dht22_temperature=temperature)
            assert readings["dht22.temperature"].value == temperature
            assert it.strip.colours[1] == colour, temperature
        assert it.buzzer.total == 0
        for temperature, colour, state in (
            (30, RED, "alarm"),
            (29.4, RED, "alarm"),
            (28.9, ORANGE, "warning"),
            (29.4, ORANGE, "warning"),
            (31, RED, "alarm"),
        ):
            it.parts.parts["dht22"]._measured_at = -math.inf  # type: ignore[attr-defined]
            readings = await it.cycle(dht22_temperature=temperature)
            assert it.strip.colours[1] == colour, temperature
            assert readings["dht22.temperature"].state == state
        await it.beeps(3)


async def test_bme680_calibrates_then_scores_the_air_on_led_2(tmp_path: Path) -> None:
    async with lit(hub(tmp_path), "bme680") as it:
        for _ in range(3):
            readings = await it.cycle(bme680_humidity=40, bme680_gas=200_000)
            assert readings["bme680.iaq-samples"].note == "calibrating"
            assert it.strip.colours[2] == PURPLE
        assert readings["bme680.pressure"].value == pytest.approx(1013.25, abs=0.2)
        assert readings["bme680.temperature"].value == pytest.approx(22, abs=0.1)
        assert readings["bme680.humidity"].value == pytest.approx(40, abs=0.1)
        assert readings["bme680.gas-resistance"].value == pytest.approx(200_000, rel=0.05)
        for gas, colour, note in (
            (200_000, GREEN, "good"),
            (135_000, YELLOW, "moderate"),
            (40_000, RED, "bad"),
        ):
            readings = await it.cycle(bme680_gas=gas)
            assert readings["bme680.iaq"].note == note, readings["bme680.iaq"]
            assert it.strip.colours[2] == colour
        assert readings["bme680.iaq"].state == "alarm"
        await it.beeps(1)


async def test_plugin_identifies_the_sensor_through_the_hosts_bus(tmp_path: Path) -> None:
    async with lit(hub(tmp_path), "bme680") as it:
        await it.cycle()
        request = b"\x77\x01\x00\xd0"  # address, read length, register
        assert next(t.answer for t in it.parts.trace if t.request == request) == b"\x61"


@pytest.mark.parametrize(
    ("temperature", "colour", "beeps", "fan"),
    [
        (45, GREEN, 0, False),
        (60, ORANGE, 0, False),
        (72, RED, 0, True),
        (80, RED, 2, True),
        (None, DARK, 0, False),
    ],
)
async def test_cpu_temperature_on_leds_0_and_3(
    tmp_path: Path, temperature: int | None, colour: tuple[int, int, int], beeps: int, fan: bool
) -> None:
    if temperature is not None:
        (tmp_path / "thermal").write_text(f"{temperature * 1000}\n")
    async with lit(hub(tmp_path), "node-monitor") as it:
        readings = await it.cycle()
        assert it.strip.colours[0] == it.strip.colours[3] == colour
        assert it.strip.colours[1] == DARK
        assert it.parts.parts["fan"].state()["on"] is fan
        await it.beeps(beeps)
        if temperature is not None:
            assert readings["node.cpu-temperature"].value == temperature


async def test_memory_and_uptime_are_those_of_proc(tmp_path: Path) -> None:
    async with lit(hub(tmp_path), "node-monitor") as it:
        readings = await it.cycle()
        proc = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())  # noqa: ASYNC240
        total = int(proc["MemTotal"].split()[0]) * 1024
        used = total - int(proc["MemAvailable"].split()[0]) * 1024
        uptime = float(Path("/proc/uptime").read_text().split()[0])  # noqa: ASYNC240
        assert readings["node.memory-total"].value == total
        assert readings["node.memory-used"].value == pytest.approx(used, rel=0.05)
        assert readings["node.uptime"].value == pytest.approx(uptime, rel=0.05)


def test_cpu_load_is_the_share_of_ticks_that_worked(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 1000 kB\nMemAvailable: 400 kB\n")
    (tmp_path / "uptime").write_text("12.5 20.0\n")
    (tmp_path / "stat").write_text("cpu  100 0 100 800 0 0 0 0 0 0\n")
    system = System(tmp_path / "no", tmp_path)
    (tmp_path / "stat").write_text("cpu  130 0 120 950 0 0 0 0 0 0\n")
    info = system.info()
    assert info.cpu_load == 25.0
    assert (info.uptime, info.memory_total, info.memory_free) == (12500, 1_024_000, 409_600)
    assert math.isnan(info.cpu_temperature)


async def test_one_led_write_a_cycle_with_all_eleven(tmp_path: Path) -> None:
    (tmp_path / "thermal").write_text("40000")
    async with lit(hub(tmp_path), "dht22", "bme680", "node-monitor") as it:
        for number in (1, 2, 3):
            await it.cycle()
            assert it.strip.writes == number
        strips = [t.request for t in it.parts.trace if t.operation == 3]
        assert [len(request) for request in strips] == [1 + 3 * 11] * 3
        assert it.strip.colours[:4] == [GREEN, GREEN, PURPLE, GREEN]


async def test_cycle_that_takes_longer_than_the_interval_or_is_not_kept_goes_on(tmp_path: Path) -> None:
    config = hub(tmp_path, polling={"interval": 0.001})
    async with lit(config, "dht22") as it, anyio.create_task_group() as tasks:
        tasks.start_soon(it.node.run)
        while it.node.cycles < 5:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        it.node.ledger.close()  # as if the disk had gone
        reached = it.node.cycles
        while it.node.cycles < reached + 5:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert "not kept" in it.node.journal.lines(level="error")[0].text
        tasks.cancel_scope.cancel()


async def test_readings_keep_the_cycles_order(tmp_path: Path) -> None:
    async with lit(hub(tmp_path), "node-monitor", "bme680", "dht22", "mischief") as it:
        readings = await it.node.cycle()
        sensors = list(dict.fromkeys(each.sensor for each in readings))
        assert sensors == ["dht22", "bme680", "node", "mischief"]


async def test_unplugged_sensor_fails_its_plugin_only(tmp_path: Path) -> None:
    async with lit(hub(tmp_path), "dht22", "bme680") as it:
        it.parts.set("bme680.fault", "nack")
        readings = await it.cycle()
        assert {name.partition(".")[0] for name in readings} == {"dht22"}
        plugins = {plugin["name"]: plugin for plugin in it.node.status()["plugins"]}
        assert plugins["bme680"]["state"] == "failing"
        assert plugins["bme680"]["error"] == "nothing answers at 0x77: no_answer"
        it.parts.set("bme680.fault", "none")
        assert "bme680.pressure" in await it.cycle()


@pytest.mark.parametrize(("fault", "said"), [("bad-checksum", "checksum"), ("unplugged", "timeout")])
async def test_dht22_faults_have_names(tmp_path: Path, fault: str, said: str) -> None:
    async with lit(hub(tmp_path), "dht22") as it:
        it.parts.set("dht22.fault", fault)
        assert await it.cycle() == {}
        assert it.node.host.plugins["dht22"].error == f"the DHT22 gives no reading: {said}"


async def test_number_that_is_none_is_not_passed_on(tmp_path: Path) -> None:
    config = hub(tmp_path, plugins={"mischief": {"what": "nan"}})
    async with lit(config, "mischief") as it:
        await it.cycle()
        assert it.node.ledger.state()["hub"]["sensors"] == {}


# -- permissions


async def test_plugin_reaches_only_its_addresses_pins_and_leds(tmp_path: Path) -> None:
    config = hub(tmp_path, plugins={"x": {"i2c": [0x77], "gpio": [5], "led": 2}})
    async with lit(config) as it:
        granted = functions("x", config.plugin("x"), it.node._parts)
        i2c = granted["lab:device/i2c@0.1.0"]["transfer"]
        assert i2c(0x77, b"\xd0", 1) == b"\x61"
        assert _refusal(i2c, 0x3C, b"\x00", 1) is Error.DENIED
        assert _refusal(i2c, 0x77, b"", 0) is Error.BAD_ARGUMENT
        assert _refusal(i2c, 0x77, b"\xd0", 257) is Error.BAD_ARGUMENT
        gpio = granted["lab:device/gpio-provider@0.1.0"]
        gpio["write"](5, True)
        assert _refusal(gpio["write"], 18, False) is Error.DENIED, "the buzzer's"
        leds = granted["lab:device/led-controller@0.1.0"]
        colour = type("Rgb", (), {"red": 1, "green": 2, "blue": 3})
        assert leds["set"](2, colour)
        assert not leds["set"](1, colour)
        assert not leds["set-two"](2, colour, 1, colour)
        leds["clear"]()
        assert it.node.leds.colours() == [DARK] * 11


def _refusal(function: Any, *arguments: Any) -> Error:
    with pytest.raises(Refused) as caught:
        function(*arguments)
    return caught.value.error


def test_two_leds_or_none() -> None:
    leds = Leds(Hardware(), 3)
    assert leds.set([(0, RED), (2, BLUE)], ())
    assert not leds.set([(1, RED), (3, BLUE)], ())
    assert leds.colours() == [RED, DARK, BLUE]


# -- HTTP


async def test_http_answers_while_a_sensor_is_read(tmp_path: Path) -> None:
    class Slow(Simulated):
        reading, release = threading.Event(), threading.Event()

        def dht22(self) -> tuple[float, float]:
            self.reading.set()
            assert self.release.wait(20)
            return super().dht22()

    config = hub(tmp_path)
    hardware = Slow(config)
    async with lit(config, "dht22", hardware=hardware) as it, client(it.node) as http:
        cycle = asyncio.create_task(it.node.cycle())
        await asyncio.to_thread(hardware.reading.wait)
        assert (await http.get("/api/readings")).status_code == 200
        assert not cycle.done(), "the sensor is still being read"
        hardware.release.set()
        assert await cycle


async def test_page_is_the_plugins_and_shows_the_readings(tmp_path: Path) -> None:
    (tmp_path / "thermal").write_text("61500")
    async with lit(hub(tmp_path), "dht22", "node-monitor", "dashboard") as it, client(it.node) as http:
        await it.cycle()
        page = await http.get("/")
        assert page.status_code == 200
        assert "22 °C" in page.text
        assert '<dd class="warning">61.5 °C · warm</dd>' in page.text
        assert '<span class="badge hub">hub</span>' in page.text
        assert page.text.count('action="/api/nodes/hub/buzzer"') == 3
        state = json.dumps((await http.get("/api/readings")).json())
        assert (await it.node.host.render("dashboard", state)).startswith("<!doctype html>")


async def test_page_escapes_data_and_runs_no_script(tmp_path: Path) -> None:
    config = hub(tmp_path, plugins={"mischief": {"what": "hostile"}})
    async with lit(config, "mischief", "dashboard") as it, client(it.node) as http:
        await it.cycle()
        page = await http.get("/")
        assert "&lt;script&gt;" in page.text
        assert "<script" not in page.text
        assert "default-src 'none'" in page.headers["content-security-policy"]


async def test_page_escapes_what_nodes_say_of_themselves(tmp_path: Path) -> None:
    bad = "\"'><script>"
    reading = {"value": 1.0, "unit": bad, "state": bad, "note": bad, "at": 0.0}
    node = {"role": bad, "online": True, "sensors": {bad: {bad: reading}, "network": {bad: reading}}}
    async with lit(hub(tmp_path, plugins={"dashboard": {"title": bad}}), "dashboard") as it:
        page = await it.node.host.render("dashboard", json.dumps({"nodes": {bad: node}}))
        assert "&lt;script&gt;" in page
        assert "<script" not in page
        assert "'>" not in page


async def test_without_a_dashboard_the_page_says_so(tmp_path: Path) -> None:
    async with lit(hub(tmp_path)) as it, client(it.node) as http:
        page = await http.get("/")
        assert page.status_code == 503
        assert "no plugin dashboard" in page.text


async def test_buttons_sound_the_buzzer(tmp_path: Path) -> None:
    async with lit(hub(tmp_path)) as it, client(it.node) as http:
        done = await http.post(
            "/api/nodes/hub/buzzer", data={"pattern": "triple"}, headers={"accept": "text/html"}
        )
        assert (done.status_code, done.headers["location"]) == (303, "/")
        await it.beeps(3)
        writes = [t.request[1] for t in it.parts.trace if t.operation == 4 and t.request[0] == 18]
        assert writes[0] == 1, "silent at first: it is active low"
        assert writes[1:7] == [0, 1, 0, 1, 0, 1]


async def test_fan_can_be_overridden_and_given_back(tmp_path: Path) -> None:
    async with lit(hub(tmp_path)) as it, client(it.node) as http:
        answer = await http.post("/api/nodes/hub/fan", json={"on": True})
        assert answer.json() == {"on": True, "manual": True}
        it.node.fan.set(False)
        assert it.parts.parts["fan"].state()["on"] is True, "a person decided"
        await http.post("/api/nodes/hub/fan", json={"on": None})
        assert it.parts.parts["fan"].state()["on"] is False


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/api/nodes/hub/buzzer", {"pattern": "tango"}, 422),
        ("/api/nodes/hub/fan", {"on": "yes"}, 422),
        ("/api/nodes/stranger/buzzer", {}, 404),
        ("/api/parts", {"dht22.colour": "red"}, 422),
    ],
)
async def test_what_cannot_be_is_refused(
    tmp_path: Path, path: str, body: dict[str, Any], status: int
) -> None:
    async with lit(hub(tmp_path)) as it, client(it.node) as http:
        assert (await http.post(path, json=body)).status_code == status


@pytest.mark.parametrize(
    "headers", [{"host": "evil.example"}, {"origin": "http://evil.example"}, {"origin": "null"}]
)
async def test_other_sites_cannot_use_the_browser_here(tmp_path: Path, headers: dict[str, str]) -> None:
    async with lit(hub(tmp_path)) as it, client(it.node) as http:
        refused = await http.post("/api/nodes/hub/buzzer", headers=headers)
        assert refused.status_code == 403
        assert it.buzzer.total == 0


async def test_logging_switches(tmp_path: Path) -> None:
    quiet = hub(tmp_path / "quiet", logging={"level": "warning"})
    async with lit(quiet, "dht22") as it, client(it.node) as http:
        await it.cycle()
        assert (await http.get("/api/logs")).json()["lines"] == []
    talking = hub(tmp_path / "talking", logging={"show_sensor_data": True})
    async with lit(talking, "dht22") as it, client(it.node) as http:
        await it.cycle()
        lines = (await http.get("/api/logs", params={"source": "dht22"})).json()["lines"]
        assert "temperature 22 °C" in [line["text"] for line in lines]


async def test_history_is_kept(tmp_path: Path) -> None:
    async with lit(hub(tmp_path), "dht22") as it, client(it.node) as http:
        for _ in range(3):
            await it.cycle()
        query = {"sensor": "dht22", "quantity": "humidity"}
        rows = (await http.get("/api/history", params=query)).json()["readings"]
        assert [row["value"] for row in rows] == [45.0] * 3


# -- parts


def test_spi_bits_of_a_ws2812() -> None:
    # G, R, B; a 1 is 110 and a 0 is 100: 0xFF is 110 eight times.
    assert spi_bits([(0, 255, 0)])[:9].hex() == "db6db6" + "924924" * 2
    assert spi_bits([(1, 0, 128)])[:9].hex() == "924924" + "924926" + "d24924"
    assert not any(spi_bits([(0, 0, 0)])[9:])


def test_device_takes_what_its_app_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    device = Device(parse({"hardware": {"kind": "device", "device": "dev-1"}}, tmp_path))
    try:
        assert _refusal(device.dht22) is Error.NO_ANSWER
        for payload in (b"\xff", b"[]", b'{"temperature": 21.5, "humidity": 40}'):
            data = {"topic": "dht22", "payload": payload.hex()}
            device.take({"time": time.time(), "kind": "app.event", "device": "dev-1", "data": data})
        device.take({"kind": "app.event", "device": "other", "data": {"topic": "dht22", "payload": "7b7d"}})
        assert device.dht22() == (21.5, 40.0)
        device.take({"time": time.time() - 60, "kind": "app.event", "device": "dev-1", "data": data})
        assert _refusal(device.dht22) is Error.NO_ANSWER, "what a lab tells of a minute ago is no reading"
        failed = {"topic": "dht22", "payload": b'{"error": "checksum"}'.hex()}
        device.take({"time": time.time(), "kind": "app.event", "device": "dev-1", "data": failed})
        assert _refusal(device.dht22) is Error.CHECKSUM
        assert _refusal(device.bme680) is Error.NO_ANSWER
        assert _refusal(device.i2c, 0x77, b"\xd0", 1) is Error.UNSUPPORTED
    finally:
        device.close()


async def test_command_to_a_silent_node_times_out(tmp_path: Path) -> None:
    async with lit(hub(tmp_path)) as it:
        with pytest.raises(LabTimeoutError, match="did not answer"):
            await it.node.commands.ask("spoke", {"do": "buzzer"}, 0.05)
        assert await it.node.commands.fetch("spoke", 0.05) is None, "withdrawn"
