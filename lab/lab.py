"""A lab in one process: gateway, boards, bridges. The daemon holds one, and so may a test.

::

    async with Lab(Home(folder)) as lab:
        [device] = await lab.up("mps2-an385")
        await lab.deploy([device["id"]], "fib", module)
        [value] = await lab.call(device["id"], "fib", "fib", [20])
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import anyio
import structlog
from anyio import to_thread
from anyio.abc import TaskGroup

from lab import boards, build
from lab.boards import Board
from lab.device import Device
from lab.engines import Engine
from lab.engines.native import NativeEngine
from lab.engines.qemu import QemuEngine
from lab.engines.serial import SerialEngine
from lab.errors import LabError, LabTimeoutError, UsageError
from lab.events import Events
from lab.gateway import Gateway
from lab.home import Home
from lab.modules import check_module
from lab.pki import Authority
from lab.store import Store

log = structlog.get_logger()

Json = dict[str, Any]
Progress = Callable[[Json], None]


def ignore(progress: Json) -> None:
    """Take progress and tell nobody."""


class Lab:
    """Everything one lab runs. An async context manager: leaving it ends every machine.

    :param home: where its state lives.
    """

    def __init__(self, home: Home) -> None:
        self.home = home.create()
        self.ending = anyio.Event()
        self.engines: dict[str, Engine] = {
            engine.name: engine for engine in (QemuEngine(), NativeEngine(), SerialEngine())
        }
        self._powered: dict[str, Device] = {}
        self._tasks: TaskGroup

    async def __aenter__(self) -> Self:
        self._exit = contextlib.AsyncExitStack()
        async with contextlib.AsyncExitStack() as stack:
            self.store = await stack.enter_async_context(Store(self.home))
            self.events = Events(self.store)
            self.authority = Authority(self.home)
            self.gateway = Gateway(self.store, self.events, self.authority)
            await self.gateway.start()
            stack.push_async_callback(self.gateway.stop)
            self._tasks = await stack.enter_async_context(anyio.create_task_group())
            stack.push_async_callback(self._power_off_all)
            self._exit = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        self.ending.set()
        return await self._exit.__aexit__(kind, value, trace)

    async def _power_off_all(self) -> None:
        with anyio.CancelScope(shield=True):
            await self._power_off(list(self._powered))
            self._tasks.cancel_scope.cancel()

    # -- boards

    def board(self, name: str) -> Board:
        """Return the board called `name`; the user's own are in the lab's folder, under ``platforms``."""
        own = self.home.root / "platforms"
        return boards.load(name, [own] if own.is_dir() else [])

    async def up(
        self,
        board: str,
        *,
        count: int = 1,
        name: str | None = None,
        serial: str | None = None,
        timeout: float = 60.0,
        progress: Progress = ignore,
    ) -> list[Json]:
        """Boot `count` boards; return their descriptions once each is connected to the gateway.

        A device that was here before and is off comes back with its identity, flash and apps. Should one board not
        connect, or the caller be cancelled, all boards of this call are taken down again.

        :param name: the id, with a number behind it when `count` is more than 1; else the board's name.
        :param serial: the port's URL, for a board on a real port.
        :param timeout: seconds until all are connected; the build is not counted.
        :raises UsageError: no such board; the id is taken.
        :raises MissingError: this machine lacks what runs or builds the board.
        :raises LabTimeoutError: some are not connected in time; says which and what each last said.
        """
        kind = self.board(board)
        if serial is not None:
            kind = boards.with_serial(kind, serial)
        engine = self.engines[kind.engine]
        engine.check(kind)
        names = self._names(kind, count, name)
        image = await self._image(kind, progress)
        connected = 0

        async def boot(device: Device) -> None:
            nonlocal connected
            await device.start(engine, image, self.authority, self.gateway.address)
            self._tasks.start_soon(self._supervise, device)
            await self._connected(device)
            connected += 1
            progress({"text": f"{connected} of {count} connected", "device": device.id})

        devices = [Device(each, kind, self.home.device(each)) for each in names]
        for device in devices:
            await self.gateway.register(device.id, kind.name, kind.engine)
            self._powered[device.id] = device
        progress({"text": f"booting {count} × {kind.name}"})
        try:
            with anyio.fail_after(timeout):
                await _all(boot, devices)
        except TimeoutError as error:
            raise LabTimeoutError(
                f"{count - connected} of {count} boards not connected after {timeout:g} s",
                hint="\n".join(self._last_word(device) for device in devices if device.connect_ms is None),
            ) from error
        finally:
            if connected < count:
                with anyio.CancelScope(shield=True):
                    await self._power_off(names)
        return [self.describe(name) for name in names]
