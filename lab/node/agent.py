"""The native agent: a node for a board of 512 MB that pushes its sensors to a hub and runs no WebAssembly.

``python -m lab.node.agent --config agent.toml``. Everything it imports is small: it is to stay below 30 MB.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import os
import signal
import socket
import sys
import threading
import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.errors import LabError, UsageError
from lab.node.outbox import Outbox
from lab.node.probe import probe
from lab.node.releases import RESTART, healthy, launched
from lab.node.releases import status as release_status
from lab.node.system import THERMAL, System
from lab.node.uplink import Uplink, UplinkError
from lab.plugins.refusal import Refused

_BATCHES = 100  # a push


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The keys of the file's table ``[agent]``. Paths are relative to the file.

    :param folder: for the buffer.
    :param interval: seconds between two cycles.
    :param i2c_bus: N of ``/dev/i2c-N``.
    :param bme680: its address; none if there is no such sensor.
    :param peers: other nodes to probe, ``name = "host:port"``.
    :param buffer: cycles kept on disk while the hub is away.
    """

    node_id: str
    hub_url: str
    credentials: Path
    folder: Path
    interval: float = 5.0
    i2c_bus: int = 1
    bme680: int | None = None
    peers: dict[str, str] = field(default_factory=dict)
    buffer: int = 100_000


class Agent:
    """Measures, keeps, pushes.

    :param air: returns what the BME680 measures; none if there is no such sensor.
    :param say: where lines for the journal go.
    """

    def __init__(
        self,
        config: Config,
        air: Callable[[], Any] | None,
        *,
        system: System | None = None,
        clock: Callable[[], float] = time.time,
        say: Callable[[str], None] = lambda text: print(text, file=sys.stderr, flush=True),
    ) -> None:
        self.config = config
        self._air = air
        self._system = system or System(THERMAL)
        self._clock = clock
        self._say = say
        self._failing: dict[str, str] = {}
        config.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.outbox = Outbox(config.folder / "outbox.db", config.buffer)
        self._uplink = Uplink(config.hub_url, config.credentials)

    def run(self, ended: threading.Event) -> int:
        """Do a cycle every `interval` seconds until `ended`, or a new release; return the exit code."""
        _notify("READY=1")
        due = time.monotonic()
        while not ended.is_set():
            self.outbox.add(self._clock(), {"readings": self.measure()})
            if self.push():
                healthy()
                if self._obey():
                    return RESTART
            _notify("WATCHDOG=1")
            due = max(due + self.config.interval, time.monotonic())
            ended.wait(due - time.monotonic())
        return 0

    def measure(self) -> list[dict[str, Any]]:
        """Return the readings of now, as a push holds them; what does not answer is left out."""
        info = self._system.info()
        readings = [
            _reading("node", "cpu-load", round(info.cpu_load, 1), "%"),
            _reading("node", "memory-used", info.memory_total - info.memory_free, "B"),
            _reading("node", "memory-total", info.memory_total, "B"),
            _reading("node", "uptime", info.uptime / 1000, "s"),
        ]
        if not math.isnan(info.cpu_temperature):
            readings.append(_reading("node", "cpu-temperature", round(info.cpu_temperature, 1), "°C"))
        if self._air is not None:
            try:
                air = self._air()
            except Refused as refused:
                self._tell("bme680", f"the BME680 gives no reading: {refused.error}")
            else:
                self._tell("bme680", "")
                readings += [
                    _reading("bme680", "temperature", round(air.temperature, 2), "°C"),
                    _reading("bme680", "humidity", round(air.humidity, 2), "%"),
                    _reading("bme680", "pressure", round(air.pressure, 2), "hPa"),
                    _reading("bme680", "gas-resistance", round(air.gas_resistance), "Ω"),
                ]
        for name, target in {"hub": self.config.hub_url, **self.config.peers}.items():
            latency = probe(target)
            online = not math.isnan(latency)
            note, state = ("online", "normal") if online else ("offline", "warning")
            value = round(latency, 2) if online else 0.0
            readings.append(_reading("network", name, value, "ms") | {"note": note, "state": state})
        return readings

    def push(self) -> bool:
        """Push what is kept, oldest first; return whether all of it arrived."""
        try:
            while batches := self.outbox.first(_BATCHES):
                body = {
                    "role": "agent",
                    "stream": self.outbox.stream,
                    "now": self._clock(),
                    "interval": self.config.interval,
                    "batches": batches,
                    "status": {
                        "buffered": len(self.outbox),
                        "dropped": self.outbox.dropped,
                        **release_status(),
                    },
                }
                self.outbox.accepted(self._uplink.push(body))
        except UplinkError as error:
            self._tell("push", f"{error}; kept on disk until it works")
            return False
        self._tell("push", "")
        return True

    def _obey(self) -> bool:
        """Fetch one command; return whether the launcher is to start another release."""
        try:
            command = self._uplink.post("/commands", {"wait": 0}).get("command")
            if command is None:
                return False
            try:
                answer = self._update(command)
            except (UplinkError, ValueError) as error:
                answer = {"error": str(error)}
            self._uplink.post(f"/commands/{command['id']}", answer)
            return "trial" in answer
        except UplinkError as error:
            self._tell("commands", str(error))
            return False

    def _update(self, command: dict[str, Any]) -> dict[str, Any]:
        releases, digest = launched(), str(command.get("program"))
        if command.get("do") != "update" or "program" not in command:
            return {"error": f"the native agent cannot do {command.get('do')!r}"}
        if releases is None:
            return {"error": "it was not started by its launcher, lab.node.releases"}
        content = self._uplink.request("GET", f"/artifacts/{digest}")
        if hashlib.sha256(content).hexdigest() != digest:
            return {"error": "the transfer was damaged"}
        return {"trial": releases.add(content)}

    def close(self) -> None:
        """Close the buffer and the connection."""
        self._uplink.close()
        self.outbox.close()

    def _tell(self, what: str, error: str) -> None:
        """Say what fails when it begins and when it ends, not every cycle."""
        if error and what not in self._failing:
            self._say(error)
            self._failing[what] = error
        elif not error and what in self._failing:
            del self._failing[what]
            self._say(f"{what} works again")


def load(file: Path) -> Config:
    """Read the agent's configuration.

    :raises UsageError: it says what cannot be.
    """
    try:
        table = tomllib.loads(file.read_text())["agent"]
        for key in ("credentials", "folder"):
            table[key] = (file.parent / table[key]).resolve()
        config = Config(**table)
        sound = config.hub_url.startswith("https://") and 0 < config.interval <= 86400
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UsageError(f"{file}: {error}", hint="docs/nodes.md explains every key") from error
    if not sound:
        raise UsageError(f"{file}: hub_url is https://host:port, interval a number of seconds")
    return config


def _reading(sensor: str, quantity: str, value: float, unit: str) -> dict[str, Any]:
    return {"sensor": sensor, "quantity": quantity, "value": value, "unit": unit}


def _notify(state: str) -> None:
    """Tell systemd, if it has started this process (sd_notify(3))."""
    if path := os.environ.get("NOTIFY_SOCKET"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.connect(f"\0{path[1:]}" if path.startswith("@") else path)
            sender.send(state.encode())


def main() -> None:
    """Run the agent until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="lab.node.agent", description="Push this board's sensors to a hub.")
    parser.add_argument("--config", type=Path, required=True)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: ended.set())
    try:
        config = load(parser.parse_args().config)
        air = None
        if config.bme680 is not None:
            from lab.node.hardware.linux import LinuxI2c

            air = LinuxI2c(config.i2c_bus, config.bme680).bme680
        agent = Agent(config, air)
    except LabError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    try:
        code = agent.run(ended)
    finally:
        agent.close()
    sys.exit(code)


if __name__ == "__main__":
    main()
