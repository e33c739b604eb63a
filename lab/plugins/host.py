"""The plugins of a node: found in a folder, swapped when their file changes, restarted when they fail.

Each plugin has a thread of its own, so that one which waits or loops keeps neither the node nor the others
waiting. A file that is new or has changed is compiled and instantiated while the old instance goes on; the
new one takes its place at the next call, and only if it was good.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, TypeVar

import anyio
from wasmtime.component import Record

from lab.errors import LabError
from lab.plugins.engine import Compiled, PluginError, Runtime
from lab.plugins.guest import Functions, Guest, GuestFailed, Limits
from lab.plugins.values import Err
from lab.plugins.worlds import DEFAULT, World, worlds

_SCAN_SECONDS = 0.2
_BACKOFF = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)  # s after one failure, two in a row, …
_GRACE = 2.0  # s beyond Limits.wait until a thread that has not come back is given up
NOT_TAKEN = "its file was not taken"
"""How `Plugin.error` begins if the file that is there now is not what runs."""
_SENSOR = "lab:plugin/sensor@0.1.0"
_PAGE = "lab:plugin/page@0.1.0"

T = TypeVar("T")

Identity = tuple[int, int, int]
"""What is another once a file has been written or replaced."""


def identity(file: Path) -> Identity:
    """Return a file's.

    :raises FileNotFoundError: it is not there.
    """
    status = file.stat()
    return status.st_mtime_ns, status.st_size, status.st_ino


class State(StrEnum):
    """How a plugin does."""

    LOADING = "loading"
    RUNNING = "running"
    FAILING = "failing"
    """It raised, trapped or hung, and is restarted after a pause; or its sensor does not answer."""
    REJECTED = "rejected"
    """Its file cannot be used, and there is no older instance."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a plugin measured, see `sensor.reading` in wit/plugin.wit."""

    sensor: str
    quantity: str
    value: float
    unit: str
    state: str
    note: str


class Journal(Protocol):
    """Where the host says what happens to plugins."""

    def __call__(self, level: str, source: str, text: str) -> None:
        """Write one line; `source` is the plugin's name."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What a node gives one plugin.

    :param world: its world, or none for the default.
    :param functions: the functions of every interface; the world chooses among them.
    """

    functions: Functions
    world: str | None = None
    enabled: bool = True
    limits: Limits = field(default_factory=Limits)


class Worker:
    """A thread that does one thing after another, and does not keep the process from ending.

    :param name: of the thread.
    """

    def __init__(self, name: str) -> None:
        self.busy = False
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        threading.Thread(target=self._work, name=name, daemon=True).start()

    async def run(self, function: Callable[[], T]) -> T:
        """Return what `function` returns. Cancelled, the thread goes on alone, and `busy` says so."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def settle(result: T | None, error: BaseException | None) -> None:
            if not future.cancelled():
                if error is None:
                    future.set_result(result)  # type: ignore[arg-type]
                else:
                    future.set_exception(error)

        def job() -> None:
            result, failure = None, None
            try:
                result = function()
            except BaseException as error:
                failure = error
            self.busy = False
            with contextlib.suppress(RuntimeError):  # the loop has closed: nobody waits any more
                loop.call_soon_threadsafe(settle, result, failure)

        self.busy = True
        self._jobs.put(job)
        return await future

    def close(self) -> None:
        """End the thread once it has nothing left to do."""
        self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()


@dataclass(slots=True)
class Plugin:
    """One plugin, as the host knows it."""

    name: str
    file: Path
    world: World
    grant: Grant
    worker: Worker
    state: State = State.LOADING
    error: str = ""
    digest: str = ""
    polls: int = 0
    answered: bool = False
    """Whether this very component has returned from a call."""
    failures: int = 0
    """In a row, complaints of its own included."""
    rests: int = 0
    """In a row, each longer than the one before; a complaint is an answer, and costs none."""
    milliseconds: float = 0.0
    """Of the last call."""
    seen: Identity | None = None
    compiled: Compiled | None = None
    guest: Guest | None = None
    successor: tuple[Compiled, Guest] | None = None
    retry_at: float = 0.0

    def describe(self) -> dict[str, Any]:
        """Return what people may want to know, for JSON."""
        return {
            "name": self.name,
            "world": self.world.name,
            "state": str(self.state),
            "error": self.error,
            "digest": self.digest,
            "polls": self.polls,
            "failures": self.failures,
            "milliseconds": round(self.milliseconds, 3),
        }


class Host:
    """Runs the plugins of a folder.

    :param folder: each ``<name>.wasm`` in it is a plugin; looked at five times a second.
    :param grant: says what the plugin of a name gets.
    :param journal: where events go.
    :param clock: seconds, never going back; for the pauses after failures.
    """

    def __init__(
        self,
        folder: Path,
        runtime: Runtime,
        grant: Callable[[str], Grant],
        journal: Journal,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder = folder
        self.plugins: dict[str, Plugin] = {}
        self._runtime = runtime
        self._grant = grant
        self._journal = journal
        self._clock = clock
        self._unstable: dict[str, Identity] = {}

    async def run(self) -> None:
        """Follow the folder for ever."""
        while True:
            await self.scan()
            await anyio.sleep(_SCAN_SECONDS)

    async def load_all(self) -> None:
        """Load what is in the folder now; a plugin that is not good is told to the journal."""
        await self.scan()
        await self.scan()

    async def scan(self) -> None:
        """Look at the folder once. A file is loaded once two looks in a row saw it the same: it is whole."""
        found: dict[str, Identity] = {}
        for file in sorted(self.folder.glob("[!.]*.wasm")):
            with contextlib.suppress(FileNotFoundError):
                found[file.stem] = identity(file)
        for name in [name for name in self.plugins if name not in found]:
            await self._forget(self.plugins.pop(name))
        for name, seen in found.items():
            grant = self._grant(name)
            if not grant.enabled:
                continue
            plugin = self.plugins.get(name)
            if plugin is not None and plugin.seen == seen:
                continue
            if self._unstable.get(name) == seen:
                await self._load(name, seen, grant)
        self._unstable = found

    def order(self) -> list[str]:
        """Return the plugins that measure, in a cycle's order: dht22, bme680, node-monitor, the others."""
        first = ("dht22", "bme680", "node-monitor")
        names = [name for name, plugin in self.plugins.items() if _SENSOR in plugin.world.exports]
        return sorted(names, key=lambda name: (first.index(name) if name in first else len(first), name))

    def runs(self, name: str) -> bool:
        """Return whether a plugin of this name is run if its file is there."""
        return self._grant(name).enabled

    def measures(self, name: str) -> bool:
        """Return whether a plugin is called every cycle."""
        return name in self.plugins and _SENSOR in self.plugins[name].world.exports

    async def poll(self, name: str) -> list[Reading] | None:
        """Call a plugin's `poll`; none if it failed, or rests after a failure. Never raises."""
        plugin = self.plugins.get(name)
        if plugin is None:
            return None
        try:
            result = await self._call(plugin, _SENSOR, "poll")
        except PluginError as error:
            self._failed(plugin, error)
            return None
        if result is None:
            return None
        plugin.polls += 1
        plugin.answered = True
        if isinstance(result, Err):
            self._complained(plugin, result.value)
            return None
        self._recovered(plugin)
        return [_reading(each) for each in result]

    async def render(self, name: str, state: str) -> str:
        """Call a plugin's `render`.

        :raises PluginError: there is none of that name, or it failed.
        """
        plugin = self.plugins.get(name)
        if plugin is None or _PAGE not in plugin.world.exports:
            raise PluginError(f"there is no plugin {name} that renders", hint=f"plugins are in {self.folder}")
        try:
            result = await self._call(plugin, _PAGE, "render", state)
        except PluginError as error:
            self._failed(plugin, error)
            raise
        if not isinstance(result, str):
            raise PluginError(f"plugin {name} is {plugin.state}: {plugin.error or 'it is being loaded'}")
        plugin.polls += 1
        plugin.answered = True
        self._recovered(plugin)
        return result

    def close(self) -> None:
        """End every plugin; one that hangs is left to end with the process."""
        for plugin in self.plugins.values():
            plugin.worker.close()
        self.plugins.clear()

    # -- loading

    async def _load(self, name: str, seen: Identity, grant: Grant) -> None:
        world = worlds().get(grant.world or (name if name in worlds() else DEFAULT))
        plugin = self.plugins.get(name)
        if plugin is None:
            file = self.folder / f"{name}.wasm"
            plugin = Plugin(name, file, world or worlds()[DEFAULT], grant, Worker(f"plugin {name}"))
            self.plugins[name] = plugin
        plugin.seen = seen
        if plugin.error.startswith(NOT_TAKEN):  # that was another file
            plugin.error = ""
        try:
            if world is None:
                raise PluginError(
                    f"its configuration names world {grant.world}, which wit/plugin.wit does not have"
                )
            wasm = await anyio.to_thread.run_sync(plugin.file.read_bytes)
            compiled = await self._runtime.load(wasm)
            guest = await anyio.to_thread.run_sync(
                lambda: Guest(self._runtime, compiled, world, grant.functions, grant.limits)
            )
        except (LabError, OSError) as error:
            plugin.error = f"{NOT_TAKEN}: {error}"
            if plugin.guest is None:
                plugin.state = State.REJECTED
            self._journal("error", name, plugin.error + ("; the old one goes on" if plugin.guest else ""))
            return
        if plugin.successor is not None:
            plugin.successor[1].close()
        plugin.successor = compiled, guest
        if plugin.guest is None:
            plugin.state, plugin.error, plugin.retry_at = State.RUNNING, "", 0.0
        self._journal("info", name, f"loaded {compiled.digest[:12]} in world {world.name}")

    async def _forget(self, plugin: Plugin) -> None:
        self._journal("info", plugin.name, "its file is gone; ended")
        if not plugin.worker.busy and plugin.guest is not None:
            await plugin.worker.run(plugin.guest.close)
        plugin.worker.close()

    # -- calling

    async def _call(self, plugin: Plugin, interface: str, function: str, *arguments: Any) -> Any:
        if plugin.worker.busy:
            if plugin.successor is None:
                return None  # still in a call that was given up
            plugin.worker.close()
            plugin.worker, plugin.guest = Worker(f"plugin {plugin.name}"), None
        if plugin.successor is not None:
            self._succeed(plugin)
        if plugin.guest is None and (plugin.compiled is None or self._clock() < plugin.retry_at):
            return None
        began = time.perf_counter()
        with anyio.move_on_after(plugin.grant.limits.wait + _GRACE):
            result = await plugin.worker.run(lambda: self._in_thread(plugin, interface, function, arguments))
            plugin.milliseconds = (time.perf_counter() - began) * 1000
            return result
        raise GuestFailed(f"it has not come back after {plugin.grant.limits.wait + _GRACE:g} s")

    def _in_thread(self, plugin: Plugin, interface: str, function: str, arguments: tuple[Any, ...]) -> Any:
        if plugin.guest is None:
            assert plugin.compiled is not None
            plugin.guest = Guest(
                self._runtime, plugin.compiled, plugin.world, plugin.grant.functions, plugin.grant.limits
            )
        result = plugin.guest.call(interface, function, *arguments)
        for line in plugin.guest.output().splitlines():
            self._journal("info", plugin.name, line)
        return result

    def _succeed(self, plugin: Plugin) -> None:
        assert plugin.successor is not None
        old, (plugin.compiled, plugin.guest) = plugin.guest, plugin.successor
        plugin.successor = None
        plugin.digest, plugin.answered = plugin.compiled.digest, False
        plugin.state, plugin.error, plugin.failures, plugin.retry_at = State.RUNNING, "", 0, 0.0
        plugin.rests = 0
        if old is not None:
            old.close()

    def _failed(self, plugin: Plugin, error: PluginError) -> None:
        """Note a spent instance and when to try the next."""
        plugin.failures += 1
        pause = _BACKOFF[min(plugin.rests, len(_BACKOFF) - 1)]
        plugin.rests += 1
        plugin.state, plugin.error, plugin.retry_at = State.FAILING, str(error), self._clock() + pause
        if not plugin.worker.busy and plugin.guest is not None:
            plugin.guest.close()
        plugin.guest = None
        self._journal("error", plugin.name, f"failed, restarted in {pause:g} s: {error}")

    def _complained(self, plugin: Plugin, why: str) -> None:
        plugin.failures += 1
        plugin.rests = 0
        if plugin.error != why:  # said once, not every cycle
            self._journal("warning", plugin.name, why)
        plugin.state, plugin.error = State.FAILING, why

    def _recovered(self, plugin: Plugin) -> None:
        if plugin.failures:
            self._journal("info", plugin.name, f"works again after {plugin.failures} failures")
        plugin.state, plugin.failures, plugin.rests = State.RUNNING, 0, 0
        if plugin.successor is None and not plugin.error.startswith(NOT_TAKEN):
            plugin.error = ""


def _reading(value: Record) -> Reading:
    return Reading(
        **{name: getattr(value, name) for name in ("sensor", "quantity", "value", "unit", "state", "note")}
    )
