"""A lab in one process: gateway, boards, bridges. The daemon holds one, and so may a test.

::

    async with Lab(Home(folder)) as lab:
        [device] = await lab.up("mps2-an385")
        await lab.deploy([device["id"]], Publisher.own(lab.home).sign("fib", module))
        [value] = await lab.gateway.call(device["id"], "fib", "fib", [20])
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import anyio
import structlog
from anyio import from_thread, to_thread
from anyio.abc import TaskGroup

from lab import boards, build
from lab.audit import Audit
from lab.boards import Board
from lab.console import Console
from lab.device import Device
from lab.engines import Engine, Exit
from lab.engines.native import NativeEngine
from lab.engines.qemu import QemuEngine
from lab.engines.renode import RenodeEngine
from lab.engines.serial import SerialEngine
from lab.errors import LabError, LabTimeoutError, UsageError
from lab.events import Event, Events
from lab.faults import Faults, SensorFail, parse
from lab.gateway import AppInfo, Config, DeviceInfo, DeviceState, Gateway
from lab.gateway.rollout import Rollouts
from lab.gateway.selector import check_labels
from lab.home import Home
from lab.packages import Package
from lab.peripherals import Peripherals
from lab.pki import GATEWAY, Authority, Issued, check_device_id, publisher_keys
from lab.snapshots import Snapshot, Snapshots, aside, digest_of
from lab.store import Store
from lab.vault import Vault
from lab.waiting import Gate

log = structlog.get_logger()

Json = dict[str, Any]
Progress = Callable[[Json], None]


def ignore(progress: Json) -> None:
    """Take progress and tell nobody."""


class Lab:
    """Everything one lab runs. An async context manager: leaving it ends every machine.

    :param home: where its state lives.
    :param config: of the gateway.
    :param trace: keep the frames of every device's link (`lab.device.Device.trace`).
    """

    def __init__(self, home: Home, config: Config | None = None, *, trace: bool = False) -> None:
        self.home = home.create()
        self._trace = trace
        self.ending = anyio.Event()
        """Set when somebody asked the lab to end; whoever runs it then leaves it."""
        self.store = Store(self.home)
        self.events = Events(self.store)
        self.vault = Vault(self.home, self.store)
        self.authority = Authority(self.home)
        self.gateway = Gateway(self.store, self.events, self.authority, config)
        self.gateway.on_the_line = self._on_the_line
        self.audit = Audit(self.store)
        self.rollouts = Rollouts(self.gateway, self.store, self.events, self.audit)
        self.engines: dict[str, Engine] = {
            engine.name: engine for engine in (QemuEngine(), NativeEngine(), RenodeEngine(), SerialEngine())
        }
        self.gate = Gate()
        """The way of all devices to the gateway."""
        self._faults = Faults(self.gateway, self.gate, self.events)
        self._powered: dict[str, Device] = {}
        self._ended: dict[str, Device] = {}
        self._unserved: dict[str, str] = {}
        self._surroundings: dict[str, Peripherals] = {}
        self._keeping: set[str] = set()
        self._tasks: TaskGroup
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(self.store)
            await stack.enter_async_context(self.events)
            stack.push_async_callback(self.audit.written)
            await self.gateway.start()
            stack.push_async_callback(self.gateway.stop)
            await self.rollouts.start()
            stack.push_async_callback(self.rollouts.stop)
            self._tasks = await stack.enter_async_context(anyio.create_task_group())
            stack.push_async_callback(self._power_off_all)
            self._tasks.start_soon(self._watch, self.events.last)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        self.ending.set()
        return await self._stack.__aexit__(kind, value, trace)

    async def _power_off_all(self) -> None:
        with anyio.CancelScope(shield=True):
            await self._power_off(list(self._powered.values()))
            await self._remember_powered()
            with contextlib.suppress(LabError):  # a gateway that cannot be up again is to end anyway
                await self._faults.clear(None, why="the lab ends")
        self._tasks.cancel_scope.cancel()

    # -- devices

    def devices(self, *, after: str = "", limit: int | None = None) -> list[Json]:
        """Describe the devices this lab knows, under power or not, by id.

        :param after: only those whose ids come after this one.
        :param limit: how many; none means all.
        """
        infos = sorted((info for info in self.gateway.devices() if info.id > after), key=lambda info: info.id)
        return [self._describe(info) for info in infos[:limit]]

    def device(self, name: str) -> Json:
        """Describe one device.

        :raises UsageError: there is none of that name.
        """
        return self._describe(self.gateway.device(name))

    def powered(self, name: str) -> Device:
        """Return a device that has power.

        :raises LabError: it has none.
        :raises UsageError: there is no such device.
        """
        if name not in self._powered:
            board = self.gateway.device(name).board
            raise LabError(f"{name} is off", hint=f"boot it with: lab up --board {board} --name {name}")
        return self._powered[name]

    def under_power(self) -> list[Device]:
        """Return the devices that have power."""
        return list(self._powered.values())

    def console(self, name: str) -> Console:
        """Return a device's console; of one that has crashed, what it said last."""
        ended = self._ended.get(name)
        return ended.console if ended and name not in self._powered else self.powered(name).console

    def unserved(self) -> dict[str, str]:
        """Return the devices that the lab itself has failed, and how, until they have power again."""
        return dict(self._unserved)

    def board(self, name: str) -> Board:
        """Return the board called `name`; a user's own are in the lab's folder, under ``platforms``."""
        own = self.home.root / "platforms"
        return boards.load(name, [own] if own.is_dir() else [])

    async def up(
        self,
        board: str,
        *,
        count: int = 1,
        name: str | None = None,
        serial: str | None = None,
        development: bool = False,
        labels: Mapping[str, str] | None = None,
        timeout: float = 60.0,
        progress: Progress = ignore,
    ) -> list[Json]:
        """Boot boards; return their descriptions once each is connected to the gateway.

        A device that was here before and is off comes back with its identity, flash and apps. Should one
        board not connect, or the caller be cancelled, all boards of this call are taken down again.

        :param count: how many.
        :param name: the id, with a number behind it when `count` is more than 1; else the board's name.
        :param serial: the port's URL, for a board on a real port.
        :param development: provision them to take unsigned modules too.
        :param labels: what selectors may pick them by, besides labels they have already.
        :param timeout: seconds until all are connected; the build is not counted.
        :raises UsageError: no such board; the id is taken; what cannot be a label.
        :raises MissingError: this machine lacks what runs or builds the board.
        :raises LabTimeoutError: some are not connected in time; says which, and what each said last.
        """
        check_labels(labels or {})
        kind = self.board(board)
        if serial is not None:
            kind = boards.with_serial(kind, serial)
        self.engines[kind.engine].check(kind)
        names = self._free_names(kind, count, name)
        devices = [self._device(each, kind, development=development) for each in names]
        for device in devices:  # taken before the first await: two calls never get the same name
            self._powered[device.id] = device
        connected = 0

        async def boot(device: Device) -> None:
            nonlocal connected
            await self._start(device, image)
            if labels:
                await self.gateway.label(device.id, labels)
            await self._first_connection(device)
            connected += 1
            progress({"text": f"{connected} of {count} connected", "device": device.id})

        try:
            image = await self._image(kind, progress)
            progress({"text": f"booting {count} × {kind.name}"})
            with anyio.fail_after(timeout):
                await _together([partial(boot, device) for device in devices])
        except TimeoutError as error:
            late = [device for device in devices if not device.connected.is_set()]
            raise LabTimeoutError(
                f"{len(late)} of {count} boards not connected after {timeout:g} s",
                hint="\n".join(map(_last_words, late[:8])),
            ) from error
        finally:
            if connected < count:
                with anyio.CancelScope(shield=True):
                    await self._power_off(devices)
        await self._remember_powered()
        return [self.device(device.id) for device in devices]

    async def down(self, names: Iterable[str], *, forget: bool = False) -> None:
        """Cut the power of devices.

        :param forget: drop them from the registry too, with what they were to run, and erase their flash.
        :raises UsageError: no such device.
        """
        infos = [self.gateway.device(name) for name in names]
        for info in infos:
            self._check_at_rest(info.id)
        await self._power_off([self._powered[info.id] for info in infos if info.id in self._powered])
        await self._remember_powered()
        for info in infos:
            self._ended.pop(info.id, None)
            self._unserved.pop(info.id, None)
            if forget:
                self._surroundings.pop(info.id, None)
                await self.gateway.forget(info.id)
                for chip in self.home.device(info.id).glob("*.bin"):
                    chip.unlink()
                Snapshots(self.home.device(info.id)).remove_all()

    async def restore(self) -> None:
        """Boot again what had power when the last daemon of this lab was killed."""
        wanted = await self.store.setting("powered", [])

        async def boot(name: str, board: str, serial: str | None, development: bool = False) -> None:
            try:
                kind = self.board(board)
                kind = boards.with_serial(kind, serial) if serial else kind
                device = self._device(name, kind, development=development)
                self._powered[name] = device
                await self._start(device, await self._image(device.board, ignore))
            except LabError as error:
                self._powered.pop(name, None)
                self.events.publish("device.failed", name, reason=str(error))

        await _together([partial(boot, *entry) for entry in wanted])

    async def wait(self, name: str, *, app: str | None = None, boots: int = 1, timeout: float = 60.0) -> Json:
        """Return a device's description once it is connected.

        :param app: and runs this app.
        :param boots: and has booted at least this often since power-on.
        :param timeout: seconds.
        :raises LabTimeoutError: it is not there in time.
        """
        since = self.events.last

        def runs() -> bool:
            return app is None or any(a.name == app and a.runs for a in self.gateway.device(name).apps)

        def there() -> bool:
            info = self.gateway.device(name)
            return info.state is DeviceState.CONNECTED and info.boots >= boots and runs()

        try:
            with anyio.fail_after(timeout):
                if not there():
                    async for _ in self.events.subscribe(since, device=name):
                        if there():
                            break
        except TimeoutError as error:
            info = self.device(name)
            lacking = "" if runs() else f", does not run {app}"
            raise LabTimeoutError(
                f"after {timeout:g} s {name} is {info['state']} at boot {info['boots']}{lacking}",
                hint=f"see what it says: lab console {name}",
            ) from error
        return self.device(name)

    async def reset(self, name: str) -> None:
        """Press a device's reset button; it boots again and reconnects by itself.

        :raises LabError: it is off, or has no such button.
        """
        device = self.powered(name)
        await device.machine.reset()
        device.console.mark_boot()

    async def pause(self, name: str) -> None:
        """Stop a device's clock.

        :raises LabError: it is off, or its engine cannot.
        """
        device = self.powered(name)
        await device.machine.pause()
        device.bridge.hold()
        device.paused = True

    async def resume(self, name: str) -> None:
        """Let a paused device go on."""
        device = self.powered(name)
        await device.machine.resume()
        device.bridge.release()
        device.paused = False

    # -- snapshots

    def snapshots(self, name: str) -> list[Json]:
        """Describe a device's snapshots, the oldest first (`lab.snapshots.Snapshots.list`)."""
        return self._snapshots(name).list()

    async def save_snapshot(self, name: str, snapshot: str) -> Json:
        """Keep a device as it is now: machine, memories, clock, parts. It stands still meanwhile.

        :param snapshot: what to call it; one that has the name is replaced.
        :raises UsageError: its engine has no snapshots, or it cannot be called so.
        :raises LabError: it is off, or cannot be written.
        """
        device, kept = self.powered(name), self._snapshots(name)
        with self._keeps(name), kept.draft(snapshot) as draft:
            if not device.started:
                raise LabError(f"{name} is still being started", hint=f"wait for it: lab wait {name}")
            await device.save(draft)
            what = Snapshot(
                device=name,
                board=device.board.name,
                engine=device.board.engine,
                firmware=device.firmware,
                development=device.development,
                saved=time.time(),
            )
            await to_thread.run_sync(kept.keep, draft, snapshot, what)
        self.events.publish("snapshot.saved", name, snapshot=snapshot)
        return kept.describe(snapshot)

    async def load_snapshot(self, name: str, snapshot: str, *, timeout: float = 60.0) -> Json:
        """Have a device be as it was when a snapshot was saved; return it once it is connected again.

        Whatever can be wrong with the snapshot is found before the device loses anything: then it goes on as
        it is. One that is off is switched on by it. Faults in force end.

        :param timeout: seconds until it is connected.
        :raises NotFoundError: there is no such device or snapshot.
        :raises UsageError: it is of another board or firmware.
        :raises LabError: it is damaged, or the engine does not take it.
        :raises LabTimeoutError: it is not connected in time; it is as the snapshot has it.
        """
        board = self.board(self.gateway.device(name).board)
        self.engines[board.engine].check(board)
        with self._keeps(name):
            what, folder = await to_thread.run_sync(self._snapshots(name).verified, snapshot)
            image = await self._image(board, ignore)
            _check_fits(what, name, board, digest_of(image), snapshot)
            device = await self._replace(name, board, image, folder, development=what.development)
            self.events.publish("snapshot.loaded", name, snapshot=snapshot)
        await self._remember_powered()
        try:
            with anyio.fail_after(timeout):
                await self._first_connection(device)
        except TimeoutError as error:
            raise LabTimeoutError(
                f"{name} is as snapshot {snapshot} has it, but not connected after {timeout:g} s",
                hint=_last_words(device),
            ) from error
        return self.device(name)

    def remove_snapshot(self, name: str, snapshot: str) -> None:
        """Erase a snapshot of a device.

        :raises NotFoundError: there is no such device or snapshot.
        """
        kept = self._snapshots(name)
        with self._keeps(name):
            kept.remove(snapshot)

    # -- apps

    async def deploy(
        self,
        names: Sequence[str] | None,
        package: Package,
        *,
        timeout: float = 60.0,
        confirmed: bool = False,
        wait: bool = True,
        progress: Progress = ignore,
    ) -> list[Json]:
        """Have devices run a package; return each one's word, failures included.

        :param names: which devices; none means all that are connected.
        :param timeout: seconds for each device.
        :param confirmed: return only when its trial is over.
        :param wait: if not, return at once, the state of each being `wanted`; one that is away gets it when
            it is back.
        :raises UsageError: there is no such device.
        :raises LabError: no device is connected.
        """
        if names is None:
            names = [info.id for info in self.gateway.devices() if info.state is DeviceState.CONNECTED]
            if not names:
                raise LabError("no device is connected", hint="see which there are: lab ps")
        for name in names:
            self.gateway.device(name)
        rows: dict[str, Json] = {}

        async def push(name: str) -> None:
            def step(sent: int, total: int) -> None:
                progress({"device": name, "sent": sent, "total": total})

            try:
                if not wait:
                    await self.gateway.want(name, package)
                    rows[name] = {"device": name, **_unheard(package, "wanted").describe()}
                    return
                info = await self.gateway.deploy(
                    name, package, timeout=timeout, confirmed=confirmed, progress=step
                )
                rows[name] = {"device": name, **info.describe()}
            except LabError as error:
                rows[name] = {"device": name, **_unheard(package, "failed", error.message).describe()}

        await _together([partial(push, name) for name in names])
        return [rows[name] for name in names]

    async def apps(self, name: str) -> list[Json]:
        """Ask a device for its apps."""
        return [{"device": name, **info.describe()} for info in await self.gateway.list_apps(name)]

    async def restart_gateway(self) -> None:
        """End every session and start the gateway anew, on its port; devices reconnect by themselves."""
        await self.gateway.stop()
        await self.gateway.start()

    def revoke(self, name: str) -> Issued:
        """Revoke a device's certificate; its session ends at once and it cannot begin another.

        :raises NotFoundError: none was issued to it.
        """
        issued = self.authority.revoke(name)
        self.gateway.cut_off(name, "the certificate of this device was revoked")
        self.events.publish("device.revoked", name, serial=f"{issued.serial:x}")
        return issued

    # -- faults

    async def fault(
        self, target: str, fault: str, *, duration: float | None = None, **parameters: object
    ) -> Json:
        """Make something go wrong; return it as `faults` does. Another of its kind there ends first.

        :param target: a device under power, or ``gateway.lab``.
        :param fault: its name; names and parameters: `lab.faults.known`, docs/faults.md.
        :param duration: seconds it lasts; without, until it is cleared or the device has no power any more.
        :raises UsageError: there is no such fault, or it cannot be there; says why.
        :raises LabError: the device is off.
        """
        return await self._faults.set(self._target(target), parse(fault, parameters), duration, self._tasks)

    async def set_parts(self, name: str, settings: Iterable[tuple[str, str]]) -> None:
        """Set quantities of a device's parts, their noise or drift, as `Peripherals.set` takes them.

        ``PART.fault`` is another spelling of the fault ``sensor.fail``; ``none`` clears it.

        :raises UsageError: there is no such part or quantity, or it cannot be that.
        :raises LabError: the device is off.
        """
        device = self.powered(name)
        for what, value in settings:
            part, _, aspect = what.partition(".")
            if aspect != "fault" or part not in device.peripherals.parts:
                device.peripherals.set(what, value)
            elif value == "none":
                await self._faults.clear(device, key=f"{SensorFail.name} {part}")
            else:
                fault = parse(SensorFail.name, {"part": part, "how": value})
                await self._faults.set(device, fault, None, self._tasks)

    def faults(self, target: str) -> list[Json]:
        """Return the faults in force on a device, or at the gateway (``gateway.lab``)."""
        if target != GATEWAY and target not in self._powered:
            self.gateway.device(target)
            return []
        return self._faults.active(self._target(target))

    async def clear_faults(self, target: str, fault: str | None = None) -> list[Json]:
        """End the faults in force on a device or at the gateway; return them.

        :param fault: only those of this name.
        """
        if not self.faults(target):
            return []
        return await self._faults.clear(self._target(target), fault)

    # -- behind it

    def _snapshots(self, name: str) -> Snapshots:
        """Return the snapshots of a device the lab knows."""
        return Snapshots(self.home.device(self.gateway.device(name).id))

    @contextlib.contextmanager
    def _keeps(self, name: str) -> Iterator[None]:
        """Let one at a time save or load a device."""
        self._check_at_rest(name)
        self._keeping.add(name)
        try:
            yield
        finally:
            self._keeping.discard(name)

    def _check_at_rest(self, name: str) -> None:
        if name in self._keeping:
            raise LabError(f"a snapshot of {name} is being saved or loaded", hint="try again in a moment")

    async def _replace(
        self, name: str, board: Board, image: Path | None, snapshot: Path, *, development: bool
    ) -> Device:
        """Have a device run from a snapshot; should it not start, the one before goes on."""
        before, folder = self._powered.get(name), self.home.device(name)
        goes_on = before is not None and not before.paused
        if goes_on:
            await self.pause(name)
        try:
            with aside(folder):
                device = Device(name, board, folder, development=development, trace=self._trace)
                if before is None:
                    self._powered[name] = device
                await self._power(device, image, snapshot)
        except BaseException:
            if self._powered.get(name) is not before:
                self._powered.pop(name, None)
            if goes_on and self._powered.get(name) is before:
                with anyio.CancelScope(shield=True):
                    await self.resume(name)
            raise
        with anyio.CancelScope(shield=True):  # no half of it: the one before is gone, and the new one served
            self._powered[name] = device
            self._surroundings[name] = device.peripherals
            if before is not None:
                await self._power_off([before])
            self._tasks.start_soon(self._look_after, device)
            await device.machine.resume()
        return device

    def _on_the_line(self, name: str, asked: str) -> contextlib.AbstractContextManager[None]:
        """Have a device's bridge say what it carries for a request."""
        device = self._powered.get(name)
        return device.bridge.exchange(name, asked) if device and device.started else contextlib.nullcontext()

    def _target(self, name: str) -> Device | None:
        return None if name == GATEWAY else self.powered(name)

    def _describe(self, info: DeviceInfo) -> Json:
        device = self._powered.get(info.id)
        serial = device.board.serial.url if device and device.board.serial else None
        return {
            **info.describe(),
            "state": self._state(info),
            "pid": device.machine.pid if device and device.started else None,
            "serial": serial,
            "boot_ms": device.boot_ms if device else None,
            "connect_ms": device.connect_ms if device else None,
            "link": asdict(device.bridge.counters) if device and device.started else None,
            "faults": self._faults.active(device) if device else [],
        }

    def _state(self, info: DeviceInfo) -> str:
        """Return the machine's state where it has the say, else the gateway's."""
        device = self._powered.get(info.id)
        if device is None:
            if info.id in self._ended:
                return "crashed"
            return "off" if info.state is not DeviceState.WAITING else info.state
        if device.paused:
            return "paused"
        return info.state if device.connected.is_set() or info.state is DeviceState.WAITING else "booting"

    def _device(self, name: str, board: Board, *, development: bool) -> Device:
        """Make a device; one that was here before stands where it stood: as warm, as damp."""
        folder = self.home.device(name)
        device = Device(name, board, folder, development=development, trace=self._trace)
        before = self._surroundings.get(name)
        if before is not None:
            device.peripherals.stand_where(before)
        self._surroundings[name] = device.peripherals
        return device

    def _free_names(self, board: Board, count: int, name: str | None) -> list[str]:
        """Choose ids: those asked for, else the board's name with the lowest numbers that are not in use."""
        stem = name or board.name
        if name is not None and count == 1:
            names = [name]
        elif name is not None:
            names = [f"{stem}-{number}" for number in range(1, count + 1)]
        else:
            free = (f"{stem}-{number}" for number in itertools.count(1))
            names = list(itertools.islice((each for each in free if self._is_free(each, board)), count))
        for each in names:
            check_device_id(each)
            self._check_at_rest(each)
            if each in self._powered:
                raise UsageError(f"{each} is up already", hint=f"take it down with: lab down {each}")
            known = self._known(each)
            if known and known.board != board.name:
                raise UsageError(
                    f"{each} is a {known.board}, not a {board.name}",
                    hint=f"choose another --name, or drop the old device: lab down --forget {each}",
                )
        return names

    def _is_free(self, name: str, board: Board) -> bool:
        known = self._known(name)
        return name not in self._powered and (known is None or known.board == board.name)

    def _known(self, name: str) -> DeviceInfo | None:
        try:
            return self.gateway.device(name)
        except UsageError:
            return None

    async def _image(self, board: Board, progress: Progress) -> Path | None:
        """Build the board's firmware if it is not up to date."""
        if board.firmware is None:
            return None

        def step(text: str) -> None:
            from_thread.run_sync(progress, {"text": text})

        result = await to_thread.run_sync(partial(build.build, board.firmware, progress=step))
        return result.image

    async def _start(self, device: Device, image: Path | None) -> None:
        """Give a device power and somebody who looks after it."""
        await self._power(device, image)
        self._tasks.start_soon(self._look_after, device)

    async def _power(self, device: Device, image: Path | None, snapshot: Path | None = None) -> None:
        """Give a device power."""
        if device.board.engine != "serial":
            await self.gateway.register(device.id, device.board.name, device.board.engine)
        engine = self.engines[device.board.engine]
        publishers = publisher_keys(self.home.publishers)
        gateway = self.gateway.address
        await device.start(engine, image, self.authority, gateway, self.gate, publishers, snapshot)
        self._ended.pop(device.id, None)
        self._unserved.pop(device.id, None)

    async def _look_after(self, device: Device) -> None:
        try:
            await device.run(self.events)
        except Exception as error:
            # What one board's traffic does to its bridge or its parts must not end the others.
            log.exception("a board's service failed", device=device.id)
            self._unserved[device.id] = _first_words(error)
            with anyio.CancelScope(shield=True):
                await device.machine.stop()
            device.note_ended(
                Exit(1, f"the lab failed to serve it: {_first_words(error)}", asked=False), self.events
            )
        assert device.exit is not None
        with anyio.CancelScope(shield=True):
            await self._end_faults(device)
        self._note_off(device)
        if not device.exit.asked:
            self._ended[device.id] = device
            log.warning("a board ended by itself", device=device.id, reason=device.exit.reason)

    async def _end_faults(self, device: Device) -> None:
        """End the faults of a device whose machine is gone: before, one may wait for it and hold this up."""
        asked = device.exit is not None and device.exit.asked
        await self._faults.clear(device, why=f"the device {'is switched off' if asked else 'has ended'}")

    async def _first_connection(self, device: Device) -> None:
        """Return when a device is connected.

        :raises LabError: its machine ended first.
        """
        async with anyio.create_task_group() as tasks:

            async def give_up() -> None:
                await device.ended.wait()
                tasks.cancel_scope.cancel()

            tasks.start_soon(give_up)
            await device.connected.wait()
            tasks.cancel_scope.cancel()
        if device.exit is not None:
            raise LabError(
                f"{device.id} ended before it was connected: {device.exit.reason}",
                hint=_last_words(device),
            )

    async def _power_off(self, devices: Iterable[Device]) -> None:
        """Stop machines; return when nothing of them is left."""

        async def stop(device: Device) -> None:
            if device.started:
                await device.machine.stop()
                await device.ended.wait()
                await self._end_faults(device)
            self._note_off(device)

        await _together([partial(stop, device) for device in devices])

    def _note_off(self, device: Device) -> None:
        """Say that a device has no power, unless its place has been taken by one from a snapshot."""
        if self._powered.get(device.id) is device:
            del self._powered[device.id]

    async def _remember_powered(self) -> None:
        """Note what has power, for the daemon after one that is killed."""
        await self.store.save_setting(
            "powered",
            [
                [
                    device.id,
                    device.board.name,
                    device.board.serial.url if device.board.serial else None,
                    device.development,
                ]
                for device in self._powered.values()
            ],
        )

    async def _watch(self, since: int) -> None:
        """Tell devices what the gateway has heard of them."""
        async for event in self.events.subscribe(since):
            if event.kind not in ("device.connected", "device.waiting"):
                continue
            device = self._powered.get(event.device or "") or self._adopt(event)
            if device is None:
                continue
            if event.kind == "device.connected":
                device.note_connected()
            elif device.board.engine == "serial":
                # Whoever attached the port to this lab has thereby asked for the device that is on it.
                await self.gateway.accept(device.id)

    def _adopt(self, event: Event) -> Device | None:
        """Find the serial device behind a connection, and give it the id of its certificate."""
        for device in self._powered.values():
            port = device.bridge.local_port if device.started else None
            if device.board.engine == "serial" and event.data["address"].endswith(f":{port}"):
                assert event.device is not None
                del self._powered[device.id]
                device.id = event.device
                self._powered[device.id] = device
                return device
        return None


def _check_fits(what: Snapshot, device: str, board: Board, firmware: str, snapshot: str) -> None:
    """Raise `UsageError` if a snapshot is not of such a device."""
    for thing, was, is_ in (
        ("device", what.device, device),
        ("board", what.board, board.name),
        ("engine", what.engine, board.engine),
    ):
        if was != is_:
            raise UsageError(
                f"snapshot {snapshot} is of {thing} {was}, not of {is_}",
                hint="It holds identity and memory of one device, and is for that one only.",
            )
    if what.firmware != firmware:
        raise UsageError(
            f"snapshot {snapshot} is of another firmware than the present build for {board.name}",
            hint=f"build what it was saved from, or drop it: lab snapshot remove {device} {snapshot}",
        )


def _unheard(package: Package, state: str, reason: str = "") -> AppInfo:
    """Describe a package of which a device has not said itself that it has it."""
    digest, size = package.digest.hex(), len(package.module)
    return AppInfo(package.name, state, digest, size, 0, reason, package.sequence, package.version)


async def _together(jobs: Sequence[Callable[[], Coroutine[Any, Any, None]]]) -> None:
    """Run jobs at once; the first error ends the others and is raised as it is."""
    try:
        async with anyio.create_task_group() as tasks:
            for job in jobs:
                tasks.start_soon(job)
    except BaseExceptionGroup as group:
        raise _first(group) from None


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


def _first_words(error: BaseException) -> str:
    """Say an error, or the first of a group, in one line."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"


def _last_words(device: Device) -> str:
    """Return the end of what a device said, and where the rest is."""
    if not device.started:
        return f"{device.id}: not started yet"
    tail = device.console.tail(3).strip() or "nothing on its console"
    return f"{device.id}: {tail}\n  all of it: {device.console.log}"
