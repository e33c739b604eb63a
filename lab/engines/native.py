"""Engine `native`: the firmware as a Linux process."""

from __future__ import annotations

import os
import signal

import anyio
from anyio.abc import ByteStream

from lab.boards import Board
from lab.engines import Exit, Launch
from lab.engines._process import Process, Wire, check_tools, memory_file

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
        launch.folder.mkdir(parents=True, exist_ok=True)
        wires = {name: Wire() for name in _STREAMS}
        try:
            process = _spawn(launch, wires)
        except BaseException:
            for wire in wires.values():
                wire.close()
            raise
        streams = {name: await wire.stream() for name, wire in wires.items()}
        return NativeMachine(launch, process, wires, **streams)


class NativeMachine:
    """A board that is a process.

    A reset ends the process and starts another on the same streams and flash. The lab keeps the child's ends
    of the streams for that, and gives them up when the machine ends.
    """

    carried = None

    def __init__(
        self,
        launch: Launch,
        process: Process,
        wires: dict[str, Wire],
        *,
        console: ByteStream,
        link: ByteStream,
        simbus: ByteStream,
    ) -> None:
        self.console = console
        self.link = link
        self.simbus = simbus
        self._launch = launch
        self._process = process
        self._wires = wires
        self._replacing = anyio.Lock()
        self._asked = False

    @property
    def pid(self) -> int:
        """The process; another one after a reset."""
        return self._process.pid

    async def stop(self) -> Exit:
        """Cut its power. Idempotent; returns when the process is gone."""
        self._asked = True
        self._process.send(signal.SIGKILL)
        return await self.wait()

    async def reset(self) -> None:
        """Press its reset button: flash survives. A paused board runs again.

        :raises LabError: it has ended.
        """
        async with self._replacing:
            if self._asked or self._process.ended:
                raise self._process.gone("be reset")
            self._process.send(signal.SIGKILL)
            await self._process.wait()
            if self._asked:
                return  # its power was cut meanwhile
            self._process = _spawn(self._launch, self._wires)

    async def pause(self) -> None:
        """Stop it; nothing is lost.

        :raises LabError: it has ended.
        """
        self._signal(signal.SIGSTOP, "be paused")

    async def resume(self) -> None:
        """Let it go on after `pause`.

        :raises LabError: it has ended.
        """
        self._signal(signal.SIGCONT, "be resumed")

    async def wait(self) -> Exit:
        """Return when it has ended, by itself or by `stop`; not when it is reset."""
        while True:
            process = self._process
            code = await process.wait()
            async with self._replacing:
                if process is self._process:
                    break
        for wire in self._wires.values():
            wire.release()
        return Exit(code, "stopped" if self._asked else process.reason(), self._asked)

    def _signal(self, number: signal.Signals, what: str) -> None:
        if self._process.ended:
            raise self._process.gone(what)
        self._process.send(number)


def _spawn(launch: Launch, wires: dict[str, Wire]) -> Process:
    identity = memory_file(launch.identity)
    ends = {name: wire.child_end for name, wire in wires.items()}
    arguments = [str(launch.image)]
    for name, end in ends.items():
        arguments += [f"--{name}", str(end)]
    arguments += ["--identity", f"/proc/self/fd/{identity}", "--flash", str(launch.folder / "flash.bin")]
    try:
        return Process(arguments, [*ends.values(), identity], launch.folder / "engine.log")
    finally:
        os.close(identity)
