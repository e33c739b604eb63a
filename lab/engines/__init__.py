"""What runs a board. One file an engine; everything above speaks to these two protocols only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    import signal

    from anyio.abc import ByteStream

    from lab.boards import Board


@dataclass(frozen=True, slots=True)
class Launch:
    """What a machine is started with.

    :param device: the device's id.
    :param board: the board it is.
    :param image: the firmware (an ELF, or a Linux executable for `native`); none if the board has it.
    :param identity: the provisioning blob (docs/protocol.md, section 4), fresh for this power-on.
    :param folder: the device's own folder, for what must survive a power cut (`flash.bin`) and for the
        log of the engine (`engine.log`).
    :param snapshot: a folder that `Keepable.save` wrote, from a machine of the same board and image. The
        machine is as it was then, with the streams of now; it stands still until `Machine.resume`.
    """

    device: str
    board: Board
    image: Path | None
    identity: bytes
    folder: Path
    snapshot: Path | None = None


@dataclass(frozen=True, slots=True)
class Exit:
    """How a machine ended.

    :param code: exit code of its process; negative is a signal, as in `subprocess`.
    :param reason: in words, with the tail of what the process said.
    :param asked: whether `Machine.stop` was called before.
    """

    code: int
    reason: str
    asked: bool


class Machine(Protocol):
    """A board that runs.

    Its streams are open from before its first instruction. They end, after their last byte, when it does; who
    reads a stream closes it.

    :ivar pid: the process it runs in; none if it is a real board.
    :ivar console: the console.
    :ivar link: the link to the gateway.
    :ivar simbus: the bus to the simulated parts; none if the board has parts of its own.
    :ivar carried: far end of `console` where the link carries it in CONSOLE frames: `lab.bridge.Bridge` needs
        it. None where the console has a UART of its own.
    """

    @property
    def pid(self) -> int | None: ...  # noqa: D102
    @property
    def console(self) -> ByteStream: ...  # noqa: D102
    @property
    def link(self) -> ByteStream: ...  # noqa: D102
    @property
    def simbus(self) -> ByteStream | None: ...  # noqa: D102
    @property
    def carried(self) -> ByteStream | None: ...  # noqa: D102

    async def stop(self) -> Exit:
        """Cut its power. Idempotent; returns when the process is gone."""

    async def reset(self) -> None:
        """Press its reset button: memory that survives a warm reset survives."""

    async def pause(self) -> None:
        """Stop its clock; nothing is lost."""

    async def resume(self) -> None:
        """Let it go on after `pause`."""

    async def wait(self) -> Exit:
        """Return when it has ended, by itself or by `stop`."""


@runtime_checkable
class OwnProcess(Protocol):
    """A machine that has a process to itself."""

    def send_signal(self, number: signal.Signals) -> None:
        """Send the process a signal that the machine did not ask for; nothing happens if it has ended."""


@runtime_checkable
class Keepable(Protocol):
    """A machine that can be kept as it is, and be had again (`Launch.snapshot`)."""

    async def freeze(self) -> None:
        """Stop its clock, whether it is paused or not: nothing in it moves until `thaw`."""

    async def thaw(self) -> None:
        """End what `freeze` began; it goes on unless it is paused."""

    async def save(self, folder: Path) -> None:
        """Write what is in it to files in `folder`: processor, memories, devices, clock.

        It is frozen. What its streams carry at the time is not part of it.

        :raises LabError: it has ended, or cannot be written.
        """


class Engine(Protocol):
    """Starts machines of one kind."""

    name: str

    def check(self, board: Board) -> None:
        """Raise `MissingError`, with the command that installs it, if this machine cannot run `board`."""

    async def start(self, launch: Launch) -> Machine:
        """Start a machine; returns once its process runs and its streams are open."""
