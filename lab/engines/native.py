"""Engine `native`: the firmware as a Linux process (``firmware/ports/native``)."""

from __future__ import annotations

import os
import signal

from anyio.abc import ByteStream

from lab.boards import Board
from lab.engines import Exit, Launch
from lab.engines._process import Process, Wire, check_tools, memory_file
from lab.errors import UsageError

FLASH_FILE = "flash.bin"
"""The flash, in the device's folder."""
_STREAMS = ("console", "link", "simbus")


class NativeEngine:
    """Runs boards as processes of this machine, without an emulator."""

    name = "native"

    def check(self, board: Board) -> None:
        """Raise `MissingError` if this machine cannot run `board`."""
        check_tools()

    async def start(self, launch: Launch) -> NativeMachine:
        """Start a machine; returns once its process runs and its streams are open.

        :raises LabError: the process could not be started.
        """
        if launch.image is None:
            raise UsageError(f"board {launch.board.name} names no firmware to start")
        launch.folder.mkdir(parents=True, exist_ok=True)
        wires = {name: Wire() for name in _STREAMS}
        identity = memory_file(launch.identity)
        arguments = [str(launch.image), "--board", launch.board.name]
        for name, wire in wires.items():
            arguments += [f"--{name}", str(wire.child_end)]
        arguments += ["--identity", f"/proc/self/fd/{identity}", "--flash", str(launch.folder / FLASH_FILE)]
        if launch.board.app_pool:
            arguments += ["--pool", str(launch.board.app_pool)]
        inherited = [*(wire.child_end for wire in wires.values()), identity]
        try:
            process = Process(arguments, inherited, launch.folder / "engine.log")
        except BaseException:
            for wire in wires.values():
                wire.close()
            raise
        finally:
            os.close(identity)
        for wire in wires.values():
            wire.release()
        return NativeMachine(process, **{name: wire.stream() for name, wire in wires.items()})


class NativeMachine:
    """A board that is a process."""

    carried = None

    def __init__(
        self, process: Process, *, console: ByteStream, link: ByteStream, simbus: ByteStream
    ) -> None:
        self.console = console
        self.link = link
        self.simbus = simbus
        self._process = process
        self._asked = False

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    async def stop(self) -> Exit:
        """Cut its power. Idempotent; returns when the process is gone."""
        self._asked = True
        self._process.send(signal.SIGKILL)
        return await self.wait()

    async def reset(self) -> None:
        """Press its reset button, which is SIGHUP. A paused board resets when it goes on.

        :raises LabError: it has ended.
        """
        self._send(signal.SIGHUP, "be reset")

    async def pause(self) -> None:
        """Stop it; nothing is lost.

        :raises LabError: it has ended.
        """
        self._send(signal.SIGSTOP, "be paused")

    async def resume(self) -> None:
        """Let it go on after `pause`.

        :raises LabError: it has ended.
        """
        self._send(signal.SIGCONT, "be resumed")

    def send_signal(self, number: signal.Signals) -> None:
        """Send its process a signal that the machine did not ask for; nothing happens if it has ended."""
        self._process.send(number)

    def limit_files(self, size: int | None) -> None:
        """Have its writes to files, its flash among them, fail from offset `size` on; none lets all pass."""
        self._process.limit_files(size)

    async def wait(self) -> Exit:
        """Return when it has ended, by itself or by `stop`."""
        code = await self._process.wait()
        return Exit(code, "stopped" if self._asked else self._process.reason(), self._asked)

    def _send(self, number: signal.Signals, what: str) -> None:
        if self._process.ended:
            raise self._process.gone(what)
        self._process.send(number)
