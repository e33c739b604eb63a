"""What the lab asks of one Renode process, whichever way it is spoken to.

There are two ways, and the rest of the engine knows neither: monitor commands over a connection that
Renode's agent opens (`_renode_monitor`), and a process of the lab's own into which pyrenode3 loads Renode
(`_renode_pyrenode3`). Which is used, and why: docs/decisions/renode-control.md.
"""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import anyio
from anyio import BrokenResourceError, ClosedResourceError, EndOfStream, IncompleteRead
from anyio.abc import ByteStream
from anyio.streams.buffered import BufferedByteReceiveStream

from lab.engines._process import Process
from lab.engines._renode_arrivals import Arrivals
from lab.errors import LabError, LabTimeoutError, UsageError

COMMAND_TIMEOUT = 60.0
KEYWORD_TIMEOUT = 300.0  # a keyword waits in virtual time, which may be slower
_START_TIMEOUT = 30.0
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")

T = TypeVar("T")


class RenodeError(LabError):
    """Renode refused a command, in its own words."""


class Control(Protocol):
    """One Renode process, which does what it is asked one by one.

    Each method raises `RenodeError` if Renode refuses, `LabTimeoutError` if it does not answer in time, which
    ends it, and another `LabError` if it has ended.
    """

    @property
    def process(self) -> Process:
        """The process, from `start` on; it leads a process group."""

    async def start(self) -> None:
        """Start Renode; returns when it takes commands.

        :raises LabError: it did not get there; the message has what it said.
        """

    async def execute(self, command: str, machine: str = "", *, still: bool = False) -> str:
        """Run a monitor command and return what the monitor said.

        :param machine: the machine it is about; none for the whole process.
        :param still: stop all clocks meanwhile, as making a machine needs it; no machine notices.
        """

    async def run(self, machine: str) -> None:
        """Let a machine run that has been made."""

    async def halt(self, machine: str, halted: bool) -> None:
        """Halt a machine's processors, or let them go on; its timers and its neighbours go on."""

    async def remove(self, machine: str, streams: Iterable[str]) -> None:
        """Remove a machine and its streams, or what there is of them."""

    async def virtual_seconds(self, machine: str) -> float:
        """Return the time that a machine's clock shows."""

    async def keyword(self, request: str) -> str:
        """Give an XML-RPC request to Renode's Robot keywords and return the response, which says how it went.

        Other requests wait until it is answered.
        """

    async def close(self) -> None:
        """End the process, if `start` got that far; returns when it is gone."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What a Renode process is started with.

    :param program: the `renode` program.
    :param models: the C# source that it compiles.
    :param settings: folder in which it keeps its settings and what it has compiled.
    :param folder: takes its log.
    :param arrivals: where its streams connect to.
    """

    program: str
    models: Path
    settings: Path
    folder: Path
    arrivals: Arrivals

    @property
    def log(self) -> Path:
        """The file that takes what it says."""
        return self.folder / "engine.log"


class Conversation:
    """Requests to a process, and its answers. One at a time.

    :param stream: the connection to it.
    """

    def __init__(self, process: Process, stream: ByteStream) -> None:
        self._process = process
        self._stream = stream
        self._answers = BufferedByteReceiveStream(stream)
        self._asking = anyio.Lock()

    async def ask(
        self,
        request: bytes,
        read: Callable[[BufferedByteReceiveStream], Awaitable[T]],
        *,
        what: str,
        timeout: float = COMMAND_TIMEOUT,
    ) -> T:
        """Send `request` and return what `read` makes of the answer.

        :param what: what is asked for, to be said of a failure.
        :param timeout: seconds; the process is ended if it takes longer.
        """
        # Shielded: half a request or answer would leave the connection out of step.
        with anyio.CancelScope(shield=True):
            async with self._asking:
                try:
                    with anyio.fail_after(timeout):
                        await self._stream.send(request)
                        answer = await read(self._answers)
                except TimeoutError as error:
                    self._process.kill_group()
                    raise LabTimeoutError(
                        f"Renode did not answer {what!r} within {timeout:g} s and was ended",
                        hint=f"Its log is {self._process.log}.",
                    ) from error
                except (
                    OSError,
                    EndOfStream,
                    IncompleteRead,
                    BrokenResourceError,
                    ClosedResourceError,
                ) as error:
                    raise self._process.gone(f"do {what!r}") from error
        return answer

    async def aclose(self) -> None:
        """Hang up."""
        await self._stream.aclose()


class Conversing:
    """What both ways of control have in common: a process, and a conversation with it."""

    process: Process

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._conversation: Conversation | None = None

    async def close(self) -> None:
        """End the process; returns when it is gone."""
        with anyio.CancelScope(shield=True):
            if hasattr(self, "process"):
                self.process.kill_group()
                await self.process.wait()
            if self._conversation is not None:
                await self._conversation.aclose()


async def ready(process: Process, sign: Callable[[], Awaitable[T]]) -> T:
    """Return what `sign` does, unless the process ends before or takes too long.

    :raises LabError: with what it said.
    """
    found: list[T] = []

    async def give_up_at_end() -> None:
        await process.wait()
        raise LabError(process.reason(), hint=f"Its log is {process.log}.")

    try:
        with anyio.fail_after(_START_TIMEOUT):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(give_up_at_end)
                found.append(await sign())
                tasks.cancel_scope.cancel()
    except TimeoutError as error:
        log = process.log.read_text("utf-8", "replace")
        raise LabTimeoutError(
            f"Renode did not take commands within {_START_TIMEOUT:g} s: {log[-2000:]}",
            hint=f"Its log is {process.log}.",
        ) from error
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None
    return found[0]


def refused(what: str, said: str, log: Path) -> RenodeError:
    """Return the error of a request that Renode refused, of which the first line is named."""
    first = what.strip().splitlines()[0]
    return RenodeError(f"Renode refused {first!r}: {said}", hint=f"Its log is {log}.")


def quoted(text: str | os.PathLike[str]) -> str:
    """Return `text` as one string of Renode's monitor.

    :raises UsageError: the monitor has no way to write it.
    """
    plain = os.fspath(text)
    if any(ord(character) < 0x20 for character in plain) or '\\"' in plain or plain.endswith("\\"):
        raise UsageError(
            f"Renode cannot take {plain!r}", hint="Use a path without control characters and \\."
        )
    return '"' + plain.replace('"', '\\"') + '"'


def checked_name(text: str) -> str:
    """Return `text` if it can stand in a command as it is.

    :raises UsageError: it could be read as something else.
    """
    if not _NAME.fullmatch(text):
        raise UsageError(f"{text!r} is no name for Renode", hint="Letters, digits, '.', '_' and '-' are.")
    return text


def included(file: Path) -> str:
    """Return the command that runs a script, or compiles C#: ``include`` takes no string.

    :raises UsageError: the path cannot be written.
    """
    plain = os.fspath(file.absolute())
    if any(ord(character) < 0x20 for character in plain) or ";" in plain or '"' in plain:
        raise UsageError(f"Renode cannot take the path {plain!r}", hint="Use a folder without ; and quotes.")
    return "include @" + plain.replace(" ", "\\ ")


def write_private(file: Path, text: str) -> None:
    """Write a file that only this user may read."""
    file.touch(mode=0o600)
    file.write_text(text, "utf-8")
