"""A lab in the tests' own process, for code that is not asynchronous.

::

    with Bench() as lab:
        device = lab.up("native")
        device.deploy("alarm")
        device.sensors.dht22.temperature = 31.5
        device.wait_until(lambda: device.leds[1] == (255, 0, 0))

The `Lab` runs on an event loop in a thread of its own; every method here blocks until it has answered.
Engines tie their emulators to that thread, so they end with it, and with this process, however it ends.
"""

from __future__ import annotations

import tempfile
from collections.abc import Awaitable, Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from threading import Condition
from types import TracebackType
from typing import Any, Self, TypeVar

import structlog
from anyio.from_thread import start_blocking_portal

from lab.errors import DeviceError, LabError
from lab.events import REPORTS, Event
from lab.gateway import Config
from lab.gateway.rollout import Plan
from lab.home import Home
from lab.lab import Json, Lab
from lab.modules import App as Module
from lab.modules import read_app
from lab.packages import SUFFIX as PACKAGE
from lab.packages import Package
from lab.publisher import Publisher
from lab.testing.device import Device
from lab.testing.gateway import Gateway

T = TypeVar("T")

App = str | Path | bytes | Package
"""An app to deploy: a template's name; the path of a source, app's folder, module or package; a module's
bytes; a package, sent as it is."""

_RUNS = ("trial", "running")


class Bench:
    """A lab. A context manager: leaving it ends every board.

    :param folder: where its state lives; a temporary one, removed at the end, unless given.
    :param platforms: folder of the user's own boards.
    :param config: of the gateway.
    :param trace: keep the frames of every link (`Device.trace`).
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        platforms: Path | None = None,
        config: Config | None = None,
        trace: bool = False,
    ) -> None:
        self._stack = ExitStack()
        self.folder = folder or Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="lab-")))
        self._platforms = platforms
        self._config = config
        self._trace = trace
        self._devices: dict[str, Device] = {}
        self._numbers: dict[str, int] = {}
        self._compiled: dict[tuple[Path, str], Module] = {}
        self.changes = Changes()
        """What `Device.wait_until` waits for."""

    def __enter__(self) -> Self:
        _log_to_logging()
        with self._stack:
            portal = start_blocking_portal("asyncio", {"use_uvloop": True})
            self.portal = self._stack.enter_context(portal)
            """Runs functions on the lab's event loop, for what is not offered here: `portal.call`."""
            home = Home(self.folder).create()
            self.publisher = Publisher.own(home)
            """Whose apps the devices take: it signs what `deploy` sends."""
            if self._platforms is not None:
                (home.root / "platforms").symlink_to(self._platforms.absolute())
            self.lab = self._stack.enter_context(
                self.portal.wrap_async_context_manager(
                    self.portal.call(lambda: Lab(home, self._config, trace=self._trace))
                )
            )
            """The asynchronous lab behind this one."""
            self.gateway = Gateway(self)
            self._watch = self.portal.start_task_soon(self._watch_events)
            self._stack.callback(self._watch.cancel)
            self._stack = self._stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def devices(self) -> list[Device]:
        """Every device that was booted here and not forgotten since."""
        return list(self._devices.values())

    def up(
        self,
        board: str = "native",
        *,
        name: str | None = None,
        serial: str | None = None,
        development: bool = False,
        timeout: float = 60.0,
    ) -> Device:
        """Boot a board and return it once it is connected. See `Lab.up`."""
        what = {"serial": serial, "development": development, "timeout": timeout}
        [device] = self._up(board, 1, name or self._unused(board), **what)
        return device

    def fleet(self, count: int, board: str = "native", *, timeout: float = 60.0) -> list[Device]:
        """Boot several boards of a kind at once and return them once all are connected."""
        return self._up(board, count, self._unused(f"{board}-fleet"), timeout=timeout)

    def forget(self, devices: Iterable[Device]) -> None:
        """Cut devices' power and drop them from the registry, if they are in it; their folders stay."""
        names = [device.id for device in devices if device.id in self._devices]
        self.call(lambda: self.lab.down(names, forget=True))
        for name in names:
            self._devices.pop(name, None)

    def deploy(
        self,
        devices: Iterable[Device],
        app: App,
        *,
        name: str | None = None,
        language: str = "c",
        confirmed: bool = False,
        timeout: float = 60.0,
    ) -> list[Json]:
        """Have devices run an app; return what each says of it: name, state, digest, memory.

        :param app: see `App`. Sources are compiled; a template is made into an app first.
        :param name: what the devices call it; else its folder's or file's name.
        :param language: of a template: ``c``, ``rust``, ``assemblyscript`` or ``wat``.
        :param confirmed: return only when its trial is over.
        :param timeout: seconds for each device.
        :raises DeviceError: a device refused it, or it failed there.
        :raises MissingError: a compiler is not on this machine.
        """
        __tracebackhide__ = True
        package = self.package(app, name=name, language=language)
        ids = [device.id for device in devices]
        rows = self.call(lambda: self.lab.deploy(ids, package, confirmed=confirmed, timeout=timeout))
        failed = [row for row in rows if row["state"] not in _RUNS]
        if failed:
            raise DeviceError("\n".join(f"{row['device']}: {row['reason']}" for row in failed))
        return rows

    def package(
        self,
        app: App,
        *,
        name: str | None = None,
        language: str = "c",
        version: str = "",
        sequence: int | None = None,
        publisher: Publisher | None = None,
    ) -> Package:
        """Return an app as devices are sent it: signed, unless it is a package.

        :param app: see `App`.
        :param version: for people.
        :param sequence: what devices order packages by; goes up by itself.
        :param publisher: who signs; else this lab's own.
        """
        key = publisher or self.publisher
        if isinstance(app, Package):
            return app
        if isinstance(app, bytes):
            return key.sign(name or "app", app, version=version, sequence=sequence)
        path = Path(app)
        if path.suffix == PACKAGE:
            return Package.load(path)
        found = self._compiled.get((path, language)) or read_app(path, language=language)
        if not path.exists():  # a template, which is the same every time
            self._compiled[path, language] = found
        return key.sign(name or found.name, found.module, version=version or found.version, sequence=sequence)

    def rollout(self, package: Package, plan: Plan) -> int:
        """Begin to bring a package to devices, in batches; return the rollout's number."""
        __tracebackhide__ = True

        async def begin() -> int:
            await self.lab.store.save_package(package)
            begun = await self.lab.rollouts.begin(plan, package.id)
            return int(begun["id"])

        return self.call(begin)

    def events(self, kind: str | None = None, *, device: str | None = None, since: int = 0) -> list[Event]:
        """Return what has happened so far, oldest first (`lab.events` lists the kinds).

        :param since: only what has a higher number.
        """

        async def collect() -> list[Event]:
            stream = self.lab.events.subscribe(since, device=device, follow=False)
            return [event async for event in stream if kind in (None, event.kind)]

        return self.call(collect)

    def call(self, function: Callable[[], Awaitable[T]]) -> T:
        """Run an asynchronous function on the lab's event loop and return its result.

        An error the lab raises on purpose says all there is to say: it comes without the loop's own frames.
        """
        __tracebackhide__ = True
        try:
            return self.portal.call(function)
        except LabError as error:
            raise error.with_traceback(None) from None

    # -- for `Device` and `Gateway`

    def mark(self) -> None:
        """Let every device's waits look only at what is yet to come."""
        for device in self.devices:
            device.mark()

    def power_on(self, device: Device, timeout: float) -> None:
        """Give a device its power again; return once it is connected."""
        info = device.info
        what = {"serial": info["serial"], "development": info["development"], "timeout": timeout}
        self.call(lambda: self.lab.up(info["board"], name=device.id, **what))
        self._watch_parts(device)

    def load_snapshot(self, device: Device, name: str, timeout: float) -> None:
        """Have a device be as it was; return once it is connected."""
        self.call(lambda: self.lab.load_snapshot(device.id, name, timeout=timeout))
        self._watch_parts(device)

    # -- behind it

    def _up(self, board: str, count: int, name: str, **what: Any) -> list[Device]:
        before = self.lab.events.last
        rows = self.call(lambda: self.lab.up(board, count=count, name=name, **what))
        devices = [Device(self, row["id"], since=before) for row in rows]
        self._devices.update((device.id, device) for device in devices)
        for device in devices:
            self._watch_parts(device)
        return devices

    def _watch_parts(self, device: Device) -> None:
        device.peripherals(lambda parts: parts.subscribe(lambda _part: self.changes.note()))

    async def _watch_events(self) -> None:
        async for event in self.lab.events.subscribe(self.lab.events.last):
            # A device that is asked for its apps sends reports: who waits would ask again, without end.
            if event.kind not in REPORTS:
                self.changes.note()

    def _unused(self, stem: str) -> str:
        """Return a name that no device of this lab has had: its folder would still hold the other's flash."""
        self._numbers[stem] = number = self._numbers.get(stem, 0) + 1
        return f"{stem}-{number}"


class Changes:
    """Counts what changes in a lab, and wakes who waits for it. For any thread."""

    def __init__(self) -> None:
        self.version = 0
        self._condition = Condition()

    def note(self) -> None:
        """Something has changed."""
        with self._condition:
            self.version += 1
            self._condition.notify_all()

    def wait(self, version: int, timeout: float) -> None:
        """Return once anything has changed since `version`, or after `timeout` seconds."""
        with self._condition:
            self._condition.wait_for(lambda: self.version != version, timeout)


def _log_to_logging() -> None:
    """Have what the lab logs appear where tests look for it, unless the user has chosen another place."""
    if not structlog.is_configured():
        structlog.configure(
            processors=[
                structlog.stdlib.filter_by_level,
                structlog.processors.format_exc_info,
                structlog.processors.LogfmtRenderer(key_order=["event"]),
            ],
            logger_factory=structlog.stdlib.LoggerFactory(),
            wrapper_class=structlog.stdlib.BoundLogger,
        )
