"""A node whose parts are a lab's device: plugin, node, gateway, device, app, simulated part, and back."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import LAB, Cli
from tests.e2e.parts import BLUE, GREEN, RED, beeps, eventually, led
from tests.unit.plugins import built, install

pytestmark = pytest.mark.hil

REMOTE = Path(__file__).parents[2] / "examples" / "remote"


@contextmanager
def node(lab: Cli, hardware: str) -> Iterator[http.client.HTTPConnection]:
    """Run a node with the shipped plugins for a device's sensors; yield a connection to it."""
    plugins = lab.folder / "plugins"
    plugins.mkdir()
    for name in ("dht22", "bme680"):
        install(built(name), plugins)
    (lab.folder / "node.toml").write_text(
        f'[node]\nfolder = "node"\nplugins = "plugins"\n[hardware]\nkind = "device"\n{hardware}\n'
        "[cluster]\nport = 0\n[http]\nport = 0\n[polling]\ninterval = 0.5\n"
        "[plugins.dht22]\nled = 1\n[plugins.bme680]\nled = 2\ni2c = [0x77]\ncalibration_polls = 2\n"
    )
    process = subprocess.Popen([LAB, "node", "-c", "node.toml"], cwd=lab.folder, env=lab.environment)
    address = lab.folder / "node" / "node.json"
    try:
        eventually(address.exists, True)
        connection = http.client.HTTPConnection("127.0.0.1", json.loads(address.read_text())["http"])
        yield connection
        connection.close()
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def get(connection: http.client.HTTPConnection, path: str) -> Any:
    connection.request("GET", path)
    return json.loads(connection.getresponse().read())


def post(connection: http.client.HTTPConnection, path: str, body: Any) -> tuple[int, str]:
    connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    response = connection.getresponse()
    return response.status, response.read().decode()


def value(connection: http.client.HTTPConnection, sensor: str, quantity: str) -> float | None:
    found = get(connection, "/api/readings")["nodes"]["hub"]["sensors"]
    return found.get(sensor, {}).get(quantity, {}).get("value")  # type: ignore[no-any-return]


def test_plugins_measure_with_a_device_and_show_on_it(lab: Cli) -> None:
    lab.ok("up", "--board", "native", "--name", "device")
    lab.ok("sensor", "device", "dht22.temperature=21.5", "bme680.temperature=-3.25", "bme680.pressure=987.5")
    lab.ok("deploy", str(REMOTE), "--all")
    with node(lab, 'device = "device"\napp = "remote"') as connection:
        eventually(lambda: value(connection, "dht22", "temperature"), 21.5)
        eventually(lambda: led(lab, "device", 1), GREEN)
        eventually(lambda: round(value(connection, "bme680", "temperature") or 0, 1), -3.2)
        assert round(value(connection, "bme680", "pressure") or 0) in (987, 988)

        lab.ok("sensor", "device", "dht22.temperature=31.5")
        eventually(lambda: value(connection, "dht22", "temperature"), 31.5)
        eventually(lambda: led(lab, "device", 1), RED)
        eventually(lambda: beeps(lab, "device"), 3)

        assert post(connection, "/api/nodes/hub/buzzer", {"pattern": "once"})[0] == 200
        eventually(lambda: beeps(lab, "device"), 4)
        assert post(connection, "/api/nodes/hub/fan", {"on": True})[0] == 200

        # A sensor that does not answer is told as it is; the other one is not touched.
        lab.ok("sensor", "device", "dht22.fault=nack")
        eventually(lambda: failing(connection), "the DHT22 gives no reading: no_answer")
        lab.ok("sensor", "device", "dht22.fault=none", "dht22.temperature=14")
        eventually(lambda: led(lab, "device", 1), BLUE)
        assert warnings(connection, "hardware") == []

        lab.ok("down", "device")
        eventually(lambda: len(warnings(connection, "hardware")), 1)
        assert "app remote on device does not obey" in warnings(connection, "hardware")[0]


def test_a_device_without_such_an_app_has_no_outputs(lab: Cli) -> None:
    lab.ok("up", "--board", "native", "--name", "device")
    lab.ok("deploy", str(REMOTE), "--all")
    before = lab.json("leds", "device")["writes"]
    with node(lab, 'device = "device"') as connection:
        eventually(lambda: value(connection, "dht22", "temperature") is not None, True)
        status, said = post(connection, "/api/nodes/hub/buzzer", {"pattern": "once"})
        assert (status, "hardware.app" in said) == (422, True), said
    assert lab.json("leds", "device")["writes"] == before


def failing(connection: http.client.HTTPConnection) -> str:
    plugins = {each["name"]: each for each in get(connection, "/api/plugins")["plugins"]}
    assert plugins["bme680"]["state"] == "running"
    return plugins["dht22"]["error"]  # type: ignore[no-any-return]


def warnings(connection: http.client.HTTPConnection, source: str) -> list[str]:
    return [line["text"] for line in get(connection, f"/api/logs?source={source}")["lines"]]
