"""Engine `qemu`: real Cortex-M code in qemu-system-arm."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import ByteStream
from qemu.qmp import EventListener, QMPClient, QMPError

from lab.boards import Board
from lab.engines import Exit, Launch, _carried
from lab.engines._process import Process, Wire, check_tools, memory_file
from lab.errors import LabError, MissingError, UsageError

_PROGRAM = "qemu-system-arm"
_STATE = "machine.qemu"
"""QEMU's migration stream, in a snapshot. It holds the memory that a file backs, too."""

# A UART without a FIFO takes one byte from a socket, and QEMU's main loop looks for the next when that has
# been read: two hand-overs between threads for each byte. A multiplexer, though it has nobody to share with,
# reads ahead and hands on from the thread that reads the UART (chardev/char-mux.c). What it holds, up to 32
# bytes, is in no snapshot: a connection ends there anyway, but nothing else may pass through one.
_BUFFER = ",mux=on"
_NO_BYTE = "256"
"""The byte that makes a multiplexer take the next one for a command, by default 1: one that there is not."""


class QemuEngine:
    """Boots boards in QEMU, one process each."""

    name = "qemu"

    def check(self, board: Board) -> None:
        """Raise `MissingError` if QEMU is not installed."""
        check_tools()
        if shutil.which(_PROGRAM) is None:
            raise MissingError(
                f"{_PROGRAM} is not on this machine, and board {board.name} needs it",
                hint="sudo apt install qemu-system-arm",
            )

    async def start(self, launch: Launch) -> QemuMachine:
        """Start a machine; returns once its process runs and its streams are open.

        :raises LabError: the process could not be started.
        """
        uarts = launch.board.uarts
        if uarts is None:
            raise UsageError(f"board {launch.board.name} names no UARTs")
        streams = {"link": uarts.link, "console": uarts.console, "simbus": uarts.simbus}
        wires = {name: Wire() for name, uart in streams.items() if uart is not None}
        control = Wire()
        inherited = [wire.child_end for wire in (*wires.values(), control)]
        identity = memory_file(launch.identity)
        launch.folder.mkdir(parents=True, exist_ok=True)
        by_uart = {uart: wires[name].child_end for name, uart in streams.items() if uart is not None}
        try:
            process = Process(
                arguments(launch, by_uart, control.child_end, f"/proc/self/fd/{identity}"),
                [*inherited, identity],
                launch.folder / "engine.log",
            )
        except LabError:
            for wire in (*wires.values(), control):
                wire.close()
            raise
        finally:
            os.close(identity)
        for wire in (*wires.values(), control):
            wire.release()
        console, carried = (wires["console"].stream(), None) if "console" in wires else _carried.pair()
        machine = QemuMachine(
            process,
            control,
            console=console,
            link=wires["link"].stream(),
            simbus=wires["simbus"].stream() if "simbus" in wires else None,
            carried=carried,
        )
        if launch.snapshot is not None:
            try:
                await machine.load(launch.snapshot)
            except BaseException:
                with anyio.CancelScope(shield=True):
                    await machine.stop()
                    await machine.close()
                raise
        return machine


class QemuMachine:
    """A board in a QEMU process of its own."""

    def __init__(
        self,
        process: Process,
        control: Wire,
        *,
        console: ByteStream,
        link: ByteStream,
        simbus: ByteStream | None,
        carried: ByteStream | None,
    ) -> None:
        self.console = console
        self.link = link
        self.simbus = simbus
        self.carried = carried
        self._process = process
        self._control = control
        self._monitor: QMPClient | None = None
        self._commanding = anyio.Lock()
        self._asked = False
        self._paused = False

    @property
    def pid(self) -> int:
        """QEMU's process."""
        return self._process.pid

    async def stop(self) -> Exit:
        """Cut its power. Idempotent; returns when the process is gone."""
        self._asked = True
        self._process.send(signal.SIGKILL)
        return await self.wait()

    async def reset(self) -> None:
        """Press its reset button; returns when the machine has been reset, or has ended.

        :raises LabError: it has ended, or QEMU does not do it.
        """
        async with self._commanding:
            monitor = await self._connected()
            with monitor.listener("RESET") as resets:
                await self._execute(monitor, "system_reset")
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._give_up_at_end, tasks.cancel_scope)
                    await resets.get()
                    tasks.cancel_scope.cancel()

    async def pause(self) -> None:
        """Stop its clock; nothing is lost.

        :raises LabError: it has ended, or QEMU does not do it.
        """
        await self.freeze()
        self._paused = True

    async def resume(self) -> None:
        """Let it go on after `pause`.

        :raises LabError: it has ended, or QEMU does not do it.
        """
        async with self._commanding:
            await self._execute(await self._connected(), "cont")
        self._paused = False

    async def freeze(self) -> None:
        """Stop its clock until `thaw`.

        :raises LabError: it has ended, or QEMU does not do it.
        """
        async with self._commanding:
            await self._execute(await self._connected(), "stop")

    async def thaw(self) -> None:
        """End `freeze`; it goes on unless it is paused.

        :raises LabError: it has ended, or QEMU does not do it.
        """
        if not self._paused:
            await self.resume()

    async def save(self, folder: Path) -> None:
        """Write what is in it to `folder`. It is frozen.

        :raises LabError: it has ended, or QEMU cannot write it.
        """
        with (folder / _STATE).open("wb") as file:
            await self._migrate("migrate", file.fileno(), "write a snapshot")

    async def load(self, folder: Path) -> None:
        """Take what `save` wrote into `folder`. It was started for that, and stands still afterwards.

        :raises LabError: QEMU cannot read it.
        """
        with (folder / _STATE).open("rb") as file:
            await self._migrate("migrate-incoming", file.fileno(), "take a snapshot")

    async def _migrate(self, command: str, file: int, what: str) -> None:
        """Have QEMU write itself to a file, or read itself from it; return when that is done."""
        async with self._commanding:
            monitor = await self._connected()
            events = [{"capability": "events", "state": True}]
            await self._execute(monitor, "migrate-set-capabilities", capabilities=events)
            # QEMUs from 8.2 on could be given the file's name. Its socket is at rest between two commands.
            socket.send_fds(self._control.take(), [b" "], [file])
            await self._execute(monitor, "getfd", fdname="snapshot")
            with monitor.listener("MIGRATION") as steps:
                await self._execute(monitor, command, uri="fd:snapshot")
                status = "it ended"
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._give_up_at_end, tasks.cancel_scope)
                    status = await self._outcome(steps)
                    # It says so a moment before it takes commands again; when it does, there is no event.
                    while status == "completed" and await self._migrates(monitor):
                        pass
                    tasks.cancel_scope.cancel()
            if status != "completed":
                said = self._process.reason() if self._process.ended else status
                raise LabError(
                    f"QEMU (pid {self.pid}) could not {what}: {said}", hint=f"Its log is {self._process.log}."
                )

    @staticmethod
    async def _outcome(steps: EventListener) -> str:
        while True:
            step: Any = (await steps.get())["data"]
            if step["status"] in ("completed", "failed"):
                return str(step["status"])

    async def _migrates(self, monitor: QMPClient) -> bool:
        try:
            state: Any = await monitor.execute("query-status")
        except (QMPError, OSError) as error:
            raise self._unable("say how it is", error) from error
        return state["status"] in ("finish-migrate", "inmigrate")

    async def close(self) -> None:
        """Close its streams: nobody will read them."""
        for stream in (self.console, self.link, self.simbus):
            if stream is not None:
                await stream.aclose()

    def send_signal(self, number: signal.Signals) -> None:
        """Send its process a signal that the machine did not ask for; nothing happens if it has ended."""
        self._process.send(number)

    async def wait(self) -> Exit:
        """Return when it has ended, by itself or by `stop`."""
        code = await self._process.wait()
        with anyio.CancelScope(shield=True):
            async with self._commanding:
                await self._disconnect()
        return Exit(code, "stopped" if self._asked else self._process.reason(), self._asked)

    async def _give_up_at_end(self, scope: anyio.CancelScope) -> None:
        await self._process.wait()
        scope.cancel()

    async def _connected(self) -> QMPClient:
        """Connect to QEMU's monitor when it is first needed: until then its greeting waits in the socket."""
        if self._monitor is None:
            monitor = QMPClient()
            try:
                await monitor.connect(self._control.take())
            except (QMPError, OSError) as error:
                raise self._unable("take commands", error) from error
            self._monitor = monitor
        return self._monitor

    async def _execute(self, monitor: QMPClient, command: str, **arguments: object) -> None:
        try:
            await monitor.execute(command, arguments)
        except (QMPError, OSError) as error:
            raise self._unable(f"do {command!r}", error) from error

    async def _disconnect(self) -> None:
        if self._monitor is None:
            self._control.close()
            return
        # QEMU may have ended in the middle of a message; there is nobody left to tell.
        with contextlib.suppress(QMPError, OSError, EOFError):
            await self._monitor.disconnect()

    def _unable(self, what: str, error: BaseException) -> LabError:
        return LabError(
            f"QEMU (pid {self.pid}) did not {what}: {error}", hint=f"Its log is {self._process.log}."
        )


def arguments(launch: Launch, uarts: dict[int, int], control: int, identity: str) -> Sequence[str]:
    """Return QEMU's command line.

    :param uarts: descriptor of the socket by number of the UART.
    :param control: descriptor of the socket for QMP.
    :param identity: file that holds the identity.
    """
    board = launch.board
    if board.qemu is None or board.uarts is None or board.identity is None or launch.image is None:
        raise UsageError(f"board {board.name} is not one for engine 'qemu'")
    machine = board.qemu.machine
    line = [_PROGRAM, "-name", launch.device, "-nodefaults", "-no-user-config", "-display", "none"]
    if board.qemu.ram:
        memory = board.memory[board.qemu.ram]
        backing = "memory-backend-ram"
        if memory.file:
            file = _escaped(launch.folder / memory.file)
            backing = f"memory-backend-file,share=on,mem-path={file}"
        line += ["-object", f"{backing},id=ram,size={memory.size}", "-m", f"{memory.size}B"]
        machine += ",memory-backend=ram"
    line += ["-machine", machine]
    if board.qemu.cpu:
        line += ["-cpu", board.qemu.cpu]
    for uart in range(max(uarts) + 1):
        if uart in uarts:
            buffer = _BUFFER if uart == board.uarts.link else ""
            line += ["-chardev", f"socket,id=uart{uart},fd={uarts[uart]}{buffer}"]
            line += ["-serial", f"chardev:uart{uart}"]
        else:
            line += ["-serial", "null"]
    line += ["-echr", _NO_BYTE]
    line += ["-chardev", f"socket,id=control,fd={control}", "-mon", "chardev=control,mode=control"]
    line += ["-device", f"loader,file={identity},addr={board.identity.address:#x},force-raw=on"]
    if launch.snapshot is not None:
        line += ["-S", "-incoming", "defer"]
    return [*line, "-kernel", str(launch.image), *board.qemu.arguments]


def _escaped(path: os.PathLike[str]) -> str:
    """Return `path` for one of QEMU's comma-separated options."""
    return os.fspath(path).replace(",", ",,")
