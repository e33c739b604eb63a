"""A node as it runs: plugins, parts, the poll cycle, and its place in the cluster."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import anyio
import structlog

from lab._version import __version__
from lab.errors import LabError, UsageError
from lab.logs import current_request
from lab.node.capabilities import Parts, Target, functions
from lab.node.commands import Commands
from lab.node.config import Config
from lab.node.credentials import Credentials
from lab.node.hardware import Hardware, I2cHardware, open_hardware
from lab.node.journal import Journal
from lab.node.leases import HubArbiter, Leases, SpokeArbiter
from lab.node.ledger import Ledger, Push, PushedReading
from lab.node.outbox import Outbox
from lab.node.outputs import PATTERNS, Buzzer, Fan, Leds, quietly
from lab.node.probe import probe
from lab.node.releases import healthy, launched
from lab.node.releases import status as release_status
from lab.node.system import System
from lab.node.update import Artifacts, update_plugins, update_program
from lab.node.uplink import Uplink, UplinkError
from lab.plugins.engine import Runtime
from lab.plugins.guest import Limits
from lab.plugins.host import Grant, Host, Reading, Worker

if TYPE_CHECKING:
    from lab.node.modbus import Source

_PUSH_BATCHES = 100
_PUSH_BACKOFF = 30.0  # s at most between two attempts
_COMMAND_WAIT = 25.0  # s that the hub lets a spoke wait for a command
_COMMAND_TIMEOUT = 10.0  # s until a spoke's silence is a failure
_UPDATE_TIMEOUT = 120.0
_RESTART_SECONDS = 0.5
_HEALTHY_CYCLES = 2
_LOG_LINES = 200  # a batch


class Node:
    """One node. `async with Node(config) as node: await node.run()`.

    :param config: what it is.
    :param hardware: its parts, if they are not to be opened as the configuration says.
    :param clock: Unix time in seconds.
    """

    def __init__(
        self, config: Config, *, hardware: Hardware | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self.config = config
        self.id = config.cluster.node_id
        self.is_hub = config.cluster.role == "hub"
        self.clock = clock
        self.journal = Journal(config.logging.level, clock=clock)
        self.remote_log: dict[str, list[dict[str, Any]]] = {}
        self.cycles = 0
        self._hardware = hardware
        self._targets: dict[str, Target] = {}
        self._told_line = 0
        self._silent: set[str] = set()
        self._pushed = False
        self.ended = asyncio.Event()
        """Set when the node is to end."""
        self.restart = False
        """Whether its launcher is to start another release then."""
        self._push_wanted = asyncio.Event()

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[Node]:
        """Open everything that a node needs; in the end close it."""
        folder = self.config.node.folder
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.config.node.plugins.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"cannot use {error.filename}: {error.strerror}") from error
        async with contextlib.AsyncExitStack() as stack:
            self.hardware = self._hardware or open_hardware(self.config)
            stack.callback(self.hardware.close)
            self.hardware.complain = lambda why: self.journal("warning", "hardware", why)
            self.leds = Leds(self.hardware, self.config.leds.count)
            self.buzzer = Buzzer(self.hardware, self.config.buzzer.pin, self.config.buzzer.active_low)
            self.fan = Fan(self.hardware, self.config.fan.pin, self.config.fan.active_low)
            self._parts = Parts(
                self.hardware,
                self.leds,
                self.buzzer,
                self.fan,
                System(self.config.hardware.thermal),
                self.journal,
                lambda: tuple(self._targets.values()),
            )
            self._leds_worker = Worker("leds")
            stack.callback(self._leds_worker.close)
            self.ledger = Ledger(
                folder / "ledger.db", lambda node, text: self.journal("warning", node, text), clock=self.clock
            )
            stack.callback(self.ledger.close)
            self.ledger.expect(self.id, self.config.cluster.role, self.config.polling.interval)
            self._runtime = Runtime()
            stack.callback(self._runtime.close)
            self.host = Host(self.config.node.plugins, self._runtime, self._grant, self.journal)
            stack.callback(self.host.close)
            self.commands, self.leases = Commands(), Leases()
            self._modbus = self._modbus_sources()
            for source in self._modbus:
                stack.callback(source.close)
            if self.is_hub:
                self.artifacts = Artifacts(folder / "artifacts")
                self.credentials = Credentials(folder, self.config.cluster.nodes)
                for name in self.config.cluster.nodes:
                    self.ledger.expect(name, "spoke", self.config.polling.interval)
                self._arbitrate(HubArbiter(self.leases, self.id))
            else:
                self.outbox = Outbox(folder / "outbox.db", self.config.cluster.buffer)
                stack.callback(self.outbox.close)
                self._arbitrate(SpokeArbiter(self._uplink()))
            yield self

    async def run(self) -> None:
        """Do what a node does, until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.host.run)
            tasks.start_soon(self._cycles)
            tasks.start_soon(self._probes)
            if not self.is_hub:
                tasks.start_soon(self._pushes)
                tasks.start_soon(self._obey)

    def _grant(self, name: str) -> Grant:
        table = self.config.plugin(name)
        limits = Limits(seconds=table.seconds, memory=table.memory << 20)
        return Grant(functions(name, table, self._parts), table.world, table.enabled, limits)

    def _modbus_sources(self) -> list[Source]:
        if not self.config.modbus.sources:
            return []
        from lab.node.modbus import Source

        return [Source(name, settings) for name, settings in self.config.modbus.sources.items()]

    def _arbitrate(self, arbiter: HubArbiter | SpokeArbiter) -> None:
        sensor = self.config.sensors.bme680
        if sensor is not None and sensor.shared and isinstance(self.hardware, I2cHardware):
            self.hardware.arbiter = arbiter

    def _uplink(self) -> Uplink:
        cluster = self.config.cluster
        assert cluster.hub_url is not None and cluster.credentials is not None  # config.load has checked it
        return Uplink(cluster.hub_url, cluster.credentials)

    # -- the cycle

    async def _cycles(self) -> None:
        due = time.monotonic()
        while True:
            try:
                await self.cycle()
            except (OSError, sqlite3.Error) as error:  # a full disk, for one: measuring and showing go on
                self.journal("error", "node", f"a cycle was not kept: {error}")
            now = time.monotonic()
            due = max(due + self.config.polling.interval, now)
            await anyio.sleep(due - now)

    async def cycle(self) -> list[Reading]:
        """Poll every plugin, write the LEDs once, pass on what was measured."""
        readings: list[Reading] = []
        for name in self.host.order():
            readings += await self.host.poll(name) or []
        readings += await self._read_modbus()
        await self._leds_worker.run(lambda: quietly(self.leds.sync))
        if self.config.logging.show_sensor_data:
            for each in readings:
                value = f"{each.value:g} {each.unit}".strip()
                self.journal("info", each.sensor, f"{each.quantity} {value} {each.note}".strip())
        self.cycles += 1
        await anyio.to_thread.run_sync(self._keep, readings)
        if self.cycles >= _HEALTHY_CYCLES and (self.is_hub or self._pushed):
            healthy()
        self._push_wanted.set()
        return readings

    async def _read_modbus(self) -> list[Reading]:
        readings: list[Reading] = []
        for source in self._modbus:
            try:
                readings += await source.read()
            except OSError as error:
                if source.name not in self._silent:
                    self._silent.add(source.name)
                    self.journal("warning", source.name, f"its Modbus device gives no reading: {error}")
            else:
                self._silent.discard(source.name)
        return readings

    def _keep(self, readings: list[Reading]) -> None:
        at = self.clock()
        # A value that is no number has no place in JSON; a sensor without one has no reading.
        good = [each for each in readings if each.value == each.value and abs(each.value) != float("inf")]
        self.ledger.note(self.id, at, [PushedReading(**asdict(each)) for each in good], self.status())
        if not self.is_hub:
            lines = self.journal.lines(self._told_line, "info")[-_LOG_LINES:]
            self._told_line = lines[-1].number if lines else self._told_line
            body = {
                "readings": [asdict(each) for each in good],
                "log": [
                    {
                        "at": line.at,
                        "level": line.level,
                        "source": line.source,
                        "text": line.text[:4000],
                        "request": line.request,
                    }
                    for line in lines
                ],
            }
            self.outbox.add(at, body)

    def status(self) -> dict[str, Any]:
        """Return what a node says of itself besides readings."""
        return {
            "version": __version__,
            "cycles": self.cycles,
            "plugins": [plugin.describe() for plugin in self.host.plugins.values()],
            "leds": self.leds.colours(),
            "fan": {"on": self.fan.on, "manual": self.fan.manual},
            **release_status(),
            **({} if self.is_hub else {"buffered": len(self.outbox), "dropped": self.outbox.dropped}),
        }

    # -- the cluster

    async def _probes(self) -> None:
        targets = dict(self.config.probe.peers)
        if not self.is_hub:
            targets = {"hub": self.config.cluster.hub_url or ""} | targets
        while targets:
            latencies = await asyncio.gather(*(asyncio.to_thread(probe, each) for each in targets.values()))
            for name, latency in zip(targets, latencies, strict=True):
                now = Target(name, latency == latency, latency)
                before = self._targets.get(name)
                if before is None or before.online != now.online:
                    level, text = ("info", "online") if now.online else ("warning", "offline")
                    self.journal(level, "network", f"{name} is {text}")
                self._targets[name] = now
            await anyio.sleep(self.config.probe.interval)

    async def _pushes(self) -> None:
        uplink, worker, failures = self._uplink(), Worker("push"), 0
        try:
            while True:
                await self._push_wanted.wait()
                self._push_wanted.clear()
                try:
                    while await self.push_once(uplink, worker):
                        pass
                except UplinkError as error:
                    if not failures:
                        self.journal("warning", "push", f"{error}; kept on disk until it works")
                    failures += 1
                    pause = self.config.polling.interval * 2 ** min(failures - 1, 10)
                    await anyio.sleep(min(pause, _PUSH_BACKOFF))
                    self._push_wanted.set()
                else:
                    if failures:
                        self.journal("info", "push", f"works again after {failures} failures")
                    failures = 0
        finally:
            worker.close()

    async def push_once(self, uplink: Uplink, worker: Worker) -> bool:
        """Push the oldest batches; return whether there are more.

        :raises UplinkError: the hub did not take them.
        """
        batches = await worker.run(lambda: self.outbox.first(_PUSH_BATCHES))
        if not batches:
            return False
        body = {
            "role": "spoke",
            "stream": self.outbox.stream,
            "now": self.clock(),
            "interval": self.config.polling.interval,
            "batches": batches,
            "status": self.status(),
        }
        accepted = await worker.run(lambda: uplink.push(body))
        await worker.run(lambda: self.outbox.accepted(accepted))
        self._pushed = True
        return len(batches) == _PUSH_BATCHES

    def take(self, node: str, push: Push) -> int:
        """Take what a spoke pushed to this hub; return the last batch's number that need not come again."""
        accepted, new = self.ledger.push(node, push)
        lines = [line.model_dump() for batch in new for line in batch.log]
        self._keep_lines(node, lines, push)
        return accepted

    def _keep_lines(self, node: str, lines: list[dict[str, Any]], push: Push) -> None:
        skew = push.now - self.clock()
        numbers = self.journal.numbers(len(lines))
        kept = self.remote_log.get(node, []) + [
            line | {"at": line["at"] - skew, "number": number}
            for line, number in zip(lines, numbers, strict=True)
        ]
        self.remote_log[node] = kept[-1000:]

    async def _obey(self) -> None:
        uplink, worker = self._uplink(), Worker("commands")
        try:
            while True:
                try:
                    answer = await worker.run(
                        lambda: uplink.post("/commands", {"wait": _COMMAND_WAIT}, wait=_COMMAND_WAIT)
                    )
                    if (command := answer.get("command")) is not None:
                        done = await self.execute_safely(command)
                        number = command["id"]
                        await worker.run(lambda: uplink.post(f"/commands/{number}", done))  # noqa: B023
                except UplinkError:  # the push loop says so
                    await anyio.sleep(self.config.polling.interval)
        finally:
            worker.close()

    async def execute_safely(self, command: dict[str, Any]) -> dict[str, Any]:
        """Do a command; what goes wrong is in the answer, for who asked."""
        try:
            return await self.execute(command)
        except LabError as error:
            return {"error": str(error)}
        except Exception as error:
            self.journal("error", "commands", f"{command.get('do')} failed: {error!r}")
            return {"error": f"it failed: {error!r}"}

    async def execute(self, command: dict[str, Any]) -> dict[str, Any]:
        """Do a command on this node.

        :raises LabError: it cannot.
        """
        action: Callable[[dict[str, Any]], Awaitable[dict[str, Any]]] | None = {
            "buzzer": self._do_buzzer,
            "fan": self._do_fan,
            "update": self._do_update,
        }.get(str(command.get("do")))
        if action is None:
            raise UsageError(f"{self.id} cannot do {command.get('do')!r}")
        asked_for = {"request": command["request"]} if command.get("request") else {}
        with structlog.contextvars.bound_contextvars(**asked_for):
            done = await action(command)
            self.journal("info", "commands", f"{command['do']} is done")
        return done

    async def command(self, node: str, command: dict[str, Any]) -> dict[str, Any]:
        """Do a command on a node of the cluster, this one or another.

        :raises LabError: it cannot, or that node does not answer.
        """
        if request := current_request():
            command = {**command, "request": request}
        if node == self.id:
            return await self.execute(command)
        limit = _UPDATE_TIMEOUT if command["do"] == "update" else _COMMAND_TIMEOUT
        return await self.commands.ask(node, command, limit)

    async def _do_buzzer(self, command: dict[str, Any]) -> dict[str, Any]:
        if self.buzzer.pin is None and not self.config.hardware.app:
            raise UsageError(
                f"{self.id} has no buzzer", hint="its configuration names no buzzer.pin, and no hardware.app"
            )
        pattern = command.get("pattern")
        if pattern not in PATTERNS:
            raise UsageError(f"there is no pattern {pattern!r}", hint=f"there are: {', '.join(PATTERNS)}")
        self.buzzer.beep(*PATTERNS[pattern])
        return {"pattern": pattern}

    async def _do_update(self, command: dict[str, Any]) -> dict[str, Any]:
        if plugins := command.get("plugins"):
            return await update_plugins(self.host, plugins, self._fetch)
        releases = launched()
        if releases is None:
            raise LabError(
                f"{self.id} was not started by its launcher", hint="docs/nodes.md says how: lab.node.releases"
            )
        done = await update_program(releases, str(command.get("program")), self._fetch)
        # The answer leaves first; then the launcher starts the release that is on trial.
        self.restart = True
        asyncio.get_running_loop().call_later(_RESTART_SECONDS, self.ended.set)
        return done

    async def _fetch(self, digest: str) -> bytes:
        if self.is_hub:
            content = self.artifacts.get(digest)
        else:
            uplink = self._uplink()
            try:
                content = await asyncio.to_thread(uplink.request, "GET", f"/artifacts/{digest}")
            except UplinkError as error:
                raise LabError(str(error)) from error
            finally:
                uplink.close()
        if content is None:
            raise LabError(f"there is no artifact {digest[:12]}")
        return content

    async def _do_fan(self, command: dict[str, Any]) -> dict[str, Any]:
        if self.fan.pin is None and not self.config.hardware.app:
            raise UsageError(
                f"{self.id} has no fan", hint="its configuration names no fan.pin, and no hardware.app"
            )
        wanted = command.get("on")
        if wanted is not None and not isinstance(wanted, bool):
            raise UsageError("on is true, false, or null for automatic")
        self.fan.override(wanted)
        return {"on": self.fan.on, "manual": self.fan.manual}
