"""A device of a lab while it has power: its machine, and what listens to each of its three streams."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import cbor2

from lab.bridge import Bridge
from lab.console import Console
from lab.engines import Engine, Exit, Keepable, Launch, Machine
from lab.engines._stream import SocketByteStream
from lab.errors import LabError, UsageError
from lab.line import Line
from lab.peripherals import Peripherals, Simbus
from lab.snapshots import digest_of
from lab.waiting import Gate

if TYPE_CHECKING:
    from pathlib import Path

    from lab.boards import Board
    from lab.events import Events
    from lab.pki import Authority


_PARTS = "parts.cbor"
_TRIES, _BUS_SECONDS = 500, 0.002


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
        self.simbus = Simbus(self.peripherals)
        self.machine: Machine
        self.line: Line
        """Its link, before the bridge; faults disturb it."""
        self.gate = Gate()
        """Its way to the gateway, behind the bridge."""
        self.bridge: Bridge
        self.console: Console
        self.paused = False
        self.firmware = ""
        """SHA-256 of its image, in hex."""
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
        snapshot: Path | None = None,
    ) -> None:
        """Give it power.

        :param image: the firmware; none if it is on the board already.
        :param gate: the way to the gateway that it shares with the lab's other devices.
        :param publishers: keys whose packages it takes.
        :param snapshot: what `save` wrote; it is as it was then, and stands still until its machine resumes.
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
        self.firmware = digest_of(image)
        if snapshot is not None:
            self._load_parts(snapshot / _PARTS)
        self._spawned = time.monotonic()
        launch = Launch(self.id, self.board, image, identity, self.folder, snapshot)
        self.machine = await engine.start(launch)
        self.console = Console(self.machine.console, self.folder / "console.log")
        self.line = Line(self.machine.link)
        self.bridge = Bridge(
            self.line,
            gateway,
            console=self.machine.carried,
            trace=self.trace,
            gates=(self.gate, gate),
            in_session=snapshot is not None,
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

    async def save(self, folder: Path) -> None:
        """Write machine and parts as they are to files in `folder`; then it goes on, unless it was paused.

        :raises UsageError: what runs it cannot be kept.
        :raises LabError: it has ended, or cannot be written.
        """
        machine = self.machine
        if not isinstance(machine, Keepable):
            raise UsageError(
                f"{self.id} runs in engine '{self.board.engine}', which has no snapshots",
                hint="Boards in QEMU and in Renode have them: lab boards",
            )
        self.bridge.hold()
        try:
            await self._freeze(machine)
            await machine.save(folder)
            parts = {"parts": self.peripherals.save(), "unanswered": self.simbus.unanswered}
            (folder / _PARTS).write_bytes(cbor2.dumps(parts))
        finally:
            self.simbus.release()
            with anyio.CancelScope(shield=True):
                if self.exit is None:
                    await machine.thaw()
            if not self.paused:
                self.bridge.release()

    async def _freeze(self, machine: Keepable) -> None:
        """Freeze the machine at a moment when it has heard all that was said to it on its simbus.

        It may wait for an answer, for it asks again when it goes on; but half an answer would be lost to it.
        In Renode the parts are asked in the middle of an instruction, and have answered before it ends.
        """
        bus = self.machine.simbus
        if isinstance(bus, SocketByteStream):
            self.simbus.hold()
        for _ in range(_TRIES):
            await machine.freeze()
            if not isinstance(bus, SocketByteStream):
                return
            while bus.unread:
                await anyio.lowlevel.checkpoint()
            if not bus.unsent:
                return
            await machine.thaw()
            await anyio.sleep(_BUS_SECONDS)  # nobody tells when the other end of a socket has read
        raise LabError(
            f"{self.id} does not hear what its parts answer it", hint=f"Look at it: lab console {self.id}"
        )

    def _load_parts(self, file: Path) -> None:
        try:
            kept = cbor2.loads(file.read_bytes())
            self.peripherals.load(kept["parts"])
            self.simbus = Simbus(self.peripherals, kept["unanswered"])
        except (cbor2.CBORDecodeError, KeyError, IndexError, TypeError, ValueError) as error:
            raise LabError(f"{file} makes no sense: {error}", hint="Save another snapshot.") from error

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
            await self.simbus.serve(self.machine.simbus)

    async def _note_boot(self) -> None:
        await self.console.first_byte.wait()
        self.boot_ms = (time.monotonic() - self._spawned) * 1000
