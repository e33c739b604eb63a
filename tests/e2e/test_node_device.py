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
from tests.e2e.parts import BLUE, GREEN, RED, beeps, eventually, led, silent
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
        eventually(lambda: silent(lab, "device"), True)  # a beep that begins within another is none

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


def ask_lab(lab: Cli, method: str, path: str, body: Any, request: str) -> Any:
    """Ask the lab's API in the name of a request."""
    address = json.loads((lab.home / "daemon.json").read_text())
    connection = http.client.HTTPConnection("127.0.0.1", address["port"])
    headers = {"Authorization": f"Bearer {address['token']}", "Content-Type": "application/json"}
    connection.request(method, f"/api/v1/{path}", json.dumps(body), {**headers, "X-Request-Id": request})
    response = connection.getresponse()
    answer = json.loads(response.read())
    assert response.status == 200, answer
    assert response.getheader("X-Request-Id") == request
    return answer


def said(lab: Cli, *query: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = lab.json("logs", *query)["lines"]
    return found


def test_one_id_from_the_call_through_node_gateway_and_bridge_to_the_devices_answer(lab: Cli) -> None:
    lab.ok("up", "--board", "native", "--name", "device")
    lab.ok("deploy", str(REMOTE), "--all")
    with node(lab, 'device = "device"\napp = "remote"') as connection:
        eventually(lambda: value(connection, "dht22", "temperature") is not None, True)
        before = beeps(lab, "device")
        ask_lab(lab, "PUT", "nodes/gatehouse", {"port": connection.port}, "watch-1")
        ask_lab(lab, "POST", "nodes/gatehouse/members/hub/buzzer", {"pattern": "once"}, "beep-7")
        eventually(lambda: beeps(lab, "device"), before + 1)
        wanted = {
            ("api", "nodes/gatehouse/members/hub/buzzer", ""),
            ("node", "buzzer is done", ""),
            ("bridge", "carried", "device"),
            ("gateway", "device answered", "device"),
            ("api", "devices/device/apps/remote/command", ""),
        }

        def chain() -> set[tuple[str, str, str]]:
            lines = said(lab, "--request", "beep-7")
            assert {line["request"] for line in lines} == {"beep-7"}
            return {
                (
                    line["component"],
                    line["fields"].get("path", line["text"]).removeprefix("/api/v1/"),
                    line["device"] or "",
                )
                for line in lines
            }

        eventually(chain, wanted)
        [carried] = said(lab, "--request", "beep-7", "--component", "bridge")
        assert carried["fields"]["to_device"] > 0
        assert carried["fields"]["from_device"] > 0
        [answered] = said(lab, "--request", "beep-7", "--component", "gateway")
        assert answered["fields"]["answer"] == "commandresult"

        # What a plugin says is found by the same query, once each.
        lab.ok("sensor", "device", "dht22.fault=nack")
        eventually(lambda: len(said(lab, "--component", "plugin", "--text", "no_answer")), 1)
        [line] = said(lab, "--component", "plugin", "--text", "no_answer")
        assert (line["fields"]["node"], line["fields"]["source"]) == ("hub", "dht22")
        ends = [line["text"] for line in said(lab, "--component", "node", "--text", "buzzer is done")]
        assert ends == ["buzzer is done"], "taken once, however often it was asked for"


def test_a_device_without_such_an_app_has_no_outputs(lab: Cli) -> None:
    lab.ok("up", "--board", "native", "--name", "device")
    lab.ok("deploy", str(REMOTE), "--all")
    before = lab.json("leds", "device")["writes"]
    with node(lab, 'device = "device"') as connection:
        eventually(lambda: value(connection, "dht22", "temperature") is not None, True)
        status, why = post(connection, "/api/nodes/hub/buzzer", {"pattern": "once"})
        assert (status, "hardware.app" in why) == (422, True), why
    assert lab.json("leds", "device")["writes"] == before


def failing(connection: http.client.HTTPConnection) -> str:
    plugins = {each["name"]: each for each in get(connection, "/api/plugins")["plugins"]}
    assert plugins["bme680"]["state"] == "running"
    return plugins["dht22"]["error"]  # type: ignore[no-any-return]


def warnings(connection: http.client.HTTPConnection, source: str) -> list[str]:
    return [line["text"] for line in get(connection, f"/api/logs?source={source}")["lines"]]
