"""A device of a lab while it has power: its machine, bridge and console, supervised together."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import anyio
import structlog

from lab.bridge import Bridge
from lab.console import Console
from lab.engines import Engine, Exit, Launch, Machine

if TYPE_CHECKING:
    from pathlib import Path

    from lab.boards import Board
    from lab.events import Events
    from lab.pki import Authority

log = structlog.get_logger()


class Device:
    """One board under power, from `start` until its machine ends.

    :param name: its id.
    :param board: the board it is.
    :param folder: its own folder.
    """

    def __init__(self, name: str, board: Board, folder: Path) -> None:
        self.id = name
        self.board = board
        self.folder = folder
        self.machine: Machine
        self.bridge: Bridge
        self.console: Console
        self.paused = False
        self.exit: Exit | None = None
        self.ended = anyio.Event()
        self.spawned = 0.0
        self.boot_ms: float | None = None
        self.connect_ms: float | None = None

    async def start(
        self, engine: Engine, image: Path, authority: Authority, gateway: tuple[str, int]
    ) -> None:
        """Give it power: a fresh identity blob, the machine, and what listens to it.

        :raises LabError: the engine could not start it.
        """
        identity = authority.identity(self.id, seed=os.urandom(32), now=int(time.time()))
        self.spawned = time.monotonic()
        self.machine = await engine.start(Launch(self.id, self.board, image, identity, self.folder))
        self.console = Console(self.machine.console, self.folder / "console.log")
        self.bridge = Bridge(self.machine.link, gateway)

    async def run(self, events: Events) -> None:
        """Serve its streams until the machine ends, then say how it ended."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.console.run)
            tasks.start_soon(self.bridge.run)
            tasks.start_soon(self._note_boot)
            self.exit = await self.machine.wait()
            tasks.cancel_scope.cancel()
        events.publish("device.exited", device=self.id, reason=self.exit.reason, asked=self.exit.asked)
        self.ended.set()

    async def _note_boot(self) -> None:
        await self.console.first_byte.wait()
        self.boot_ms = (time.monotonic() - self.spawned) * 1000

    def note_connected(self) -> None:
        """Take the time of the first connection since power-on."""
        if self.connect_ms is None:
            self.connect_ms = (time.monotonic() - self.spawned) * 1000
