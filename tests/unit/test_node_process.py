"""`lab node` as its user runs it: two processes, a rebuilt plugin, one connection that outlives the swap."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from .plugins import built, install

EXAMPLES = Path(__file__).parents[2] / "examples"
RED = [255, 0, 0]
LAB = str(Path(sys.executable).with_name("lab"))
LIMIT = 60.0  # s until a test gives up


@contextmanager
def node(
    folder: Path, name: str, port: str = "0"
) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, int]]]:
    """Run an example's node in `folder`; yield its process and where it answers."""
    text = (EXAMPLES / f"{name}.toml").read_text()
    text = text.replace('sources = "../plugins"\n', "").replace("8080", "0").replace("8081", "0")
    text = text.replace("8443", port)
    (folder / "examples").mkdir(exist_ok=True)
    file = folder / "examples" / f"{name}.toml"
    file.write_text(text.replace("interval = 2.0", "interval = 0.5"))
    log = folder / f"{name}.log"
    with log.open("wb") as stream:
        process = subprocess.Popen([LAB, "node", "-c", str(file)], stderr=stream)
    try:
        yield process, until(lambda: address(folder / ".lab" / name / "node.json", process, log))
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT) == 0, log.read_text()


def address(file: Path, process: subprocess.Popen[bytes], log: Path) -> Any:
    assert process.poll() is None, log.read_text()
    return json.loads(file.read_text()) if file.exists() else None


def until(what: Any) -> Any:
    """Return what `what` returns, as soon as it is true."""
    ends = time.monotonic() + LIMIT
    while not (found := what()):
        assert time.monotonic() < ends, "it never came"
        time.sleep(0.05)
    return found


def get(connection: http.client.HTTPConnection, path: str) -> Any:
    connection.request("GET", path)
    return json.loads(connection.getresponse().read())


def test_rebuilt_plugin_acts_in_the_same_process_on_an_open_connection(tmp_path: Path) -> None:
    plugins = tmp_path / "build" / "plugins"
    plugins.mkdir(parents=True)
    install(built("dht22"), plugins)
    with node(tmp_path, "hub") as (process, where):
        connection = http.client.HTTPConnection("127.0.0.1", where["http"])

        def parts() -> Any:
            return get(connection, "/api/parts")["parts"]

        until(lambda: parts()["leds"]["leds"][1] == [0, 255, 0])
        opened = connection.sock
        assert parts()["buzzer"]["total"] == 0
        assert parts()["dht22"]["quantities"]["temperature"] == 22

        install(built("dht22", change=("HIGH_ALARM = 30.0", "HIGH_ALARM = 20.0")), plugins)

        until(lambda: parts()["leds"]["leds"][1] == RED)
        until(lambda: parts()["buzzer"]["total"] == 3)
        assert connection.sock is opened
        assert opened is not None
        assert (process.poll(), where["pid"]) == (None, process.pid)
        lines = get(connection, "/api/logs?source=dht22")["lines"]
        assert sum("loaded" in line["text"] for line in lines) == 2
        connection.close()


def test_hub_and_spoke_show_both_nodes_readings(tmp_path: Path) -> None:
    plugins = tmp_path / "build" / "plugins"
    plugins.mkdir(parents=True)
    for name in ("dht22", "dashboard"):
        install(built(name), plugins)
    with node(tmp_path, "hub") as (_, hub), node(tmp_path, "spoke", str(hub["cluster"])):
        connection = http.client.HTTPConnection("127.0.0.1", hub["http"])

        def both() -> bool:
            nodes = get(connection, "/api/readings")["nodes"]
            return all(nodes[name]["sensors"].get("dht22") for name in ("hub", "spoke"))

        until(both)
        connection.request("GET", "/")
        page = connection.getresponse().read().decode()
        assert page.count("<article") == 2
        connection.close()


def test_spoke_killed_and_restarted_loses_nothing(tmp_path: Path) -> None:
    plugins = tmp_path / "build" / "plugins"
    plugins.mkdir(parents=True)
    install(built("dht22"), plugins)
    with node(tmp_path, "hub") as (_, hub):
        port = str(hub["cluster"])
        with pytest.raises(AssertionError), node(tmp_path, "spoke", port) as (process, where):
            connection = http.client.HTTPConnection("127.0.0.1", where["http"])
            until(lambda: get(connection, "/api/readings")["nodes"]["spoke"].get("cycles", 0) >= 3)
            connection.close()
            os.kill(process.pid, signal.SIGKILL)
            process.wait(LIMIT)
        (tmp_path / ".lab" / "spoke" / "node.json").unlink()
        with node(tmp_path, "spoke", port):
            connection = http.client.HTTPConnection("127.0.0.1", hub["http"])

            def humidities() -> list[float]:
                path = "/api/history?node_id=spoke&quantity=humidity"
                return [row["at"] for row in get(connection, path)["readings"]]

            times = until(lambda: (found := humidities()) and len(found) > 6 and found)
            assert times == sorted(set(times))
            connection.close()


def test_second_node_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "build" / "plugins").mkdir(parents=True)
    with node(tmp_path, "hub"):
        handed_out = tmp_path / ".lab" / "hub" / "artifacts" / "of-the-first"
        handed_out.touch()
        done = subprocess.run(
            [LAB, "node", "-c", str(tmp_path / "examples" / "hub.toml")],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, "already runs" in done.stderr) == (1, True)
        assert handed_out.exists()
