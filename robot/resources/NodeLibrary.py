"""Gateway nodes as their user runs them: `lab node`, its plugins, and what it answers over HTTP."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from robot.api.deco import keyword, library

from lab import paths
from lab.testing.robot import hex_of, rgb

REPOSITORY = Path(__file__).parents[2]
LAB = str(Path(sys.executable).with_name("lab"))
SOON = timedelta(seconds=30)
STEP = 0.1  # s between two questions to a node, which nobody else tells of a change


class Node:
    """A running node: its process, and a connection to it that stays open."""

    def __init__(self, config: Path, folder: Path) -> None:
        self.log = config.with_suffix(".log")
        with self.log.open("wb") as stream:
            self.process = subprocess.Popen([LAB, "node", "-c", str(config)], stderr=stream)
        self.where: dict[str, int] = wait(
            lambda: self._where(folder / "node.json"), SOON, "a node that answers"
        )
        self.connection = http.client.HTTPConnection("127.0.0.1", self.where["http"])
        self.get("/api/plugins")
        self.socket = self.connection.sock

    def _where(self, file: Path) -> Any:
        if self.process.poll() is not None:
            raise AssertionError(self.log.read_text())
        return json.loads(file.read_text()) if file.exists() else None

    def get(self, path: str) -> Any:
        """Return what it answers."""
        self.connection.request("GET", path)
        return json.loads(self.connection.getresponse().read())

    def post(self, path: str, body: object) -> Any:
        """Send it something; return what it answers."""
        self.connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        answer = self.connection.getresponse()
        content = json.loads(answer.read() or b"null")
        if answer.status >= 400:
            raise AssertionError(f"{path}: {answer.status} {content}")
        return content

    def end(self) -> None:
        """End it, and return once it has."""
        self.connection.close()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)


@library(scope="SUITE", auto_keywords=False)
class NodeLibrary:
    """Starts the nodes of `examples/` in a folder of the suite's own, on ports the kernel chooses."""

    ROBOT_LISTENER_API_VERSION = 3

    def __init__(self) -> None:
        self.ROBOT_LIBRARY_LISTENER = self
        self._temporary = tempfile.TemporaryDirectory(prefix="lab-nodes-")
        self._folder = Path(self._temporary.name)
        self._plugins = self._folder / "build" / "plugins"
        self._nodes: dict[str, Node] = {}

    def end_suite(self, data: object, outcome: object) -> None:
        """End the suite's nodes."""
        while self._nodes:
            self._nodes.popitem()[1].end()
        self._temporary.cleanup()

    @keyword
    def build_plugin(self, name: str, **constants: str) -> None:
        """Builds a plugin of the lab, with constants of its source changed: `HIGH_ALARM=20.0`."""
        source = self._folder / "sources" / name
        source.mkdir(parents=True, exist_ok=True)
        shipped = paths.data("plugins") / name
        lines = (shipped / "plugin.py").read_text().splitlines(keepends=True)
        for constant, value in constants.items():
            found = [i for i, line in enumerate(lines) if line.startswith(f"{constant} = ")]
            if len(found) != 1:
                raise AssertionError(f"{name} has no constant {constant}")
            lines[found[0]] = f"{constant} = {value}\n"
        (source / "plugin.py").write_text("".join(lines))
        if (shipped / "plugin.toml").exists():
            (source / "plugin.toml").write_text((shipped / "plugin.toml").read_text())
        command = [LAB, "plugin", "build", str(source), "-o", str(self._plugins)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise AssertionError(done.stderr)

    @keyword
    def start_node(self, name: str) -> None:
        """Starts the node of `examples/NAME.toml`; a spoke's hub must run already."""
        text = (REPOSITORY / "examples" / f"{name}.toml").read_text()
        hub = str(self._nodes["hub"].where["cluster"]) if "hub" in self._nodes else "0"
        for old, new in (('sources = "../plugins"\n', ""), ("8443", hub), ("8080", "0"), ("8081", "0")):
            text = text.replace(old, new)
        config = self._folder / "examples" / f"{name}.toml"
        config.parent.mkdir(exist_ok=True)
        config.write_text(text)
        self._nodes[name] = Node(config, self._folder / ".lab" / name)

    @keyword
    def stop_node(self, name: str) -> None:
        """Ends a node."""
        self._nodes.pop(name).end()
        (self._folder / ".lab" / name / "node.json").unlink(missing_ok=True)

    @keyword
    def set_node_sensor(self, node: str, quantity: str, value: str) -> None:
        """Sets what a simulated part of a node senses: `dht22.temperature  31.5`."""
        self._nodes[node].post("/api/parts", {quantity: value})

    @keyword
    def reading_should_be(
        self, node: str, sensor: str, quantity: str, value: float, timeout: timedelta = SOON
    ) -> None:
        """Waits until the hub shows a reading of one of its nodes."""

        def shown() -> bool:
            nodes = self._nodes["hub"].get("/api/readings")["nodes"]
            found = nodes.get(node, {}).get("sensors", {}).get(sensor, {}).get(quantity)
            return found is not None and abs(found["value"] - value) < 0.1

        wait(shown, timeout, f"{sensor} {quantity} {value} of {node} at the hub")

    @keyword
    def node_led_should_be(self, node: str, led: int, wanted: str, timeout: timedelta = SOON) -> None:
        """Waits until an LED of a node's strip has a colour."""

        def shows() -> bool:
            leds = self._nodes[node].get("/api/parts")["parts"]["leds"]["leds"]
            return hex_of(leds[led]) == hex_of(rgb(wanted))

        wait(shows, timeout, f"LED {led} of {node} {wanted}")

    @keyword
    def node_should_have_beeped(self, node: str, times: int, timeout: timedelta = SOON) -> None:
        """Waits until a node's buzzer has begun to sound so many times."""
        wait(
            lambda: self._nodes[node].get("/api/parts")["parts"]["buzzer"]["total"] >= times,
            timeout,
            f"{times} beeps of {node}",
        )

    @keyword
    def node_should_not_have_been_restarted(self, node: str) -> None:
        """Fails unless the node's process and the connection to it are the ones they were at its start."""
        one = self._nodes[node]
        one.get("/api/plugins")
        if one.connection.sock is not one.socket:
            raise AssertionError(f"{node} has closed its connection")
        if one.process.poll() is not None or one.where["pid"] != one.process.pid:
            raise AssertionError(f"{node} is another process")

    @keyword
    def page_should_show(self, node: str, text: str, timeout: timedelta = SOON) -> None:
        """Waits until the page that the dashboard plugin renders holds a text."""

        def shown() -> bool:
            connection = self._nodes[node].connection
            connection.request("GET", "/")
            return text in connection.getresponse().read().decode()

        wait(shown, timeout, f"{text!r} on the page of {node}")


def wait(what: Callable[[], Any], timeout: timedelta, name: str) -> Any:
    """Return what `what` returns once it is true."""
    ends = time.monotonic() + timeout.total_seconds()
    while not (found := what()):
        if time.monotonic() > ends:
            raise AssertionError(f"no {name} within {timeout}")
        time.sleep(STEP)
    return found
