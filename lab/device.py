"""A device of a lab while it has power: its machine, and what listens to each of its three streams."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import anyio

from lab.bridge import Bridge
from lab.console import Console
from lab.engines import Engine, Exit, Launch, Machine
from lab.line import Line
from lab.peripherals import Peripherals, Simbus
from lab.waiting import Gate

if TYPE_CHECKING:
    from pathlib import Path

    from lab.boards import Board
    from lab.events import Events
    from lab.pki import Authority


class Device:
    """One board under power, from `start` until its machine ends.

    :param name: its id. A board on a real port has the one it was provisioned with, known once it connects.
    :param board: the board it is.
    :param folder: its own folder.
    :param development: whether it is provisioned to take unsigned modules.
    :param trace: whether the frames of its link are kept (`lab.bridge.Bridge`), in `Device.trace`.
    """

    def __init__(
        self, name: str, board: Board, folder: Path, *, development: bool = False, trace: bool = False
    ) -> None:
        self.id = name
        self.development = development
        self.board = board
        self.folder = folder
        self.trace = folder / "link.jsonl" if trace else None
        self.peripherals = Peripherals(
            ((part.kind, part.name, part.settings) for part in board.parts), folder=folder
        )
        self.machine: Machine
        self.line: Line
        """Its link, before the bridge; faults disturb it."""
        self.gate = Gate()
        """Its way to the gateway, behind the bridge."""
        self.bridge: Bridge
        self.console: Console
        self.paused = False
        self.exit: Exit | None = None
        self.connected = anyio.Event()
        """Set when the gateway has heard its answer to the welcome, the first time since power-on."""
        self.ended = anyio.Event()
        self.boot_ms: float | None = None
        """From the spawn to the first byte on the console."""
        self.connect_ms: float | None = None
        """From the spawn to `connected`."""
        self._spawned = 0.0

    @property
    def started(self) -> bool:
        """Whether it has a machine: streams to read, a process to end."""
        return hasattr(self, "machine")

    async def start(
        self,
        engine: Engine,
        image: Path | None,
        authority: Authority,
        gateway: tuple[str, int],
        gate: Gate,
        publishers: Sequence[bytes] = (),
    ) -> None:
        """Give it power.

        :param image: the firmware; none if it is on the board already.
        :param gate: the way to the gateway that it shares with the lab's other devices.
        :param publishers: keys whose packages it takes.
        :raises LabError: the engine could not start it.
        """
        identity = b""  # a board with its own firmware has its own identity, too
        if image is not None:
            identity = authority.identity(
                self.id,
                seed=os.urandom(32),
                now=int(time.time()),
                publishers=publishers,
                board_class=self.board.name,
                development=self.development,
            )
        self._spawned = time.monotonic()
        self.machine = await engine.start(Launch(self.id, self.board, image, identity, self.folder))
        self.console = Console(self.machine.console, self.folder / "console.log")
        self.line = Line(self.machine.link)
        self.bridge = Bridge(
            self.line,
            gateway,
            console=self.machine.carried,
            trace=self.trace,
            gates=(self.gate, gate),
        )

    async def run(self, events: Events) -> None:
        """Serve its streams until the machine ends, then say how it ended."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.line.run)
            tasks.start_soon(self._serve_bridge)
            tasks.start_soon(self._note_boot)
            if self.machine.simbus is not None:
                tasks.start_soon(self._serve_simbus)
            async with anyio.create_task_group() as to_its_end:
                to_its_end.start_soon(self.console.run)
                exit_ = await self.machine.wait()
            tasks.cancel_scope.cancel()
        self.note_ended(exit_, events)

    def note_ended(self, exit: Exit, events: Events) -> None:
        """Say that its machine is gone, and how that came."""
        self.exit = exit
        events.publish("device.exited", self.id, reason=exit.reason, asked=exit.asked)
        self.ended.set()

    def note_connected(self) -> None:
        """Take the time of the first connection since power-on."""
        if not self.connected.is_set():
            self.connect_ms = (time.monotonic() - self._spawned) * 1000
            self.connected.set()

    async def _serve_bridge(self) -> None:
        async with self.line:
            await self.bridge.run()

    async def _serve_simbus(self) -> None:
        assert self.machine.simbus is not None
        async with self.machine.simbus:
            await Simbus(self.peripherals).serve(self.machine.simbus)

    async def _note_boot(self) -> None:
        await self.console.first_byte.wait()
        self.boot_ms = (time.monotonic() - self._spawned) * 1000
