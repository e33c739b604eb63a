"""A Renode process that runs several machines, and the lab's connection to it.

The lab binds a port on the loopback interface before it starts Renode. Renode's agent
(``renode/agent/LabAgent.cs``) connects out to it: one connection carries monitor commands, one each UART.
So no port is guessed, nothing of Renode listens, and Renode ends when the connection does.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import signal
import socket
import struct
from pathlib import Path

import anyio
from anyio import BrokenResourceError, ClosedResourceError, EndOfStream, IncompleteRead, to_thread
from anyio.abc import SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

from lab import paths, third_party
from lab.engines._process import Process
from lab.errors import LabError, LabTimeoutError, UsageError

CAPACITY = 8
"""Machines a process runs; with more it stalled (measured on Mono)."""

_OPTIONS = ("--disable-gui", "--plain", "--console", "--hide-analyzers")
_LENGTH = struct.Struct("<i")
_START_TIMEOUT = 30.0
_COMMAND_TIMEOUT = 60.0
_KEYWORD_TIMEOUT = 300.0  # a keyword waits in virtual time, which may be slower
_COMMAND, _STILL, _KEYWORD = range(3)  # kinds of request, as the agent counts them
_HELLO_TIMEOUT = 2.0
_HELLO_SIZE = 256
_USING = re.compile(r"using [\w.= ]+;$")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class RenodeError(LabError):
    """Renode refused a command, in its own words."""


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


class Pool:
    """One Renode process.

    :param program: the `renode` program.
    :param folder: takes its log.
    """

    def __init__(self, program: str, folder: Path) -> None:
        self._program = program
        self._folder = folder
        self._token = secrets.token_hex(16)
        self._commanding = anyio.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._arrived: dict[str, SocketStream] = {}
        self._control: SocketStream
        self._answers: BufferedByteReceiveStream
        self._stdin: int
        self.process: Process
        self.machines: set[str] = set()
        """Names of its machines, those that are being made included."""

    async def start(self) -> None:
        """Start Renode; returns when it takes commands.

        :raises LabError: it did not get there; the message has what it said.
        """
        settings = third_party.cache() / "renode"
        script = self._folder / "renode.resc"
        await to_thread.run_sync(_write, script, self._script(_prepare(settings, self._program)))
        # Renode's console reads its stdin in a busy loop once that has ended: it gets a pipe that does not.
        end, self._stdin = os.pipe()
        try:
            self.process = Process(
                [
                    "/bin/sh",
                    "-c",
                    f'XDG_CONFIG_HOME="$1"; export XDG_CONFIG_HOME; shift; exec "$@" </proc/self/fd/{end}',
                    "renode",
                    os.fspath(settings),
                    self._program,
                    *_OPTIONS,
                    *("-e", f"include {_path(script)}"),
                    # Not reached while the agent serves, for it ends the process: only after a failed script.
                    *("-e", "quit"),
                ],
                [end],
                self._folder / "engine.log",
            )
        except LabError:
            os.close(self._stdin)
            self._listener.close()
            raise
        finally:
            os.close(end)
        try:
            await self._first_connection()
            # 10 ms instead of 0.1: an idle machine then costs a fifth, and eight of them keep real time.
            await self.execute('emulation SetGlobalQuantum "0.01"')
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self.close()
            raise
        finally:
            script.unlink()  # it holds the token

    def _script(self, source: Path) -> str:
        port = self._listener.getsockname()[1]
        return f'include {_path(source)}\nemulation ConnectLab {port} "{self._token}"\n'

    async def _first_connection(self) -> None:
        async def give_up_at_end() -> None:
            await self.process.wait()
            raise LabError(self.process.reason(), hint=f"Its log is {self.process.log}.")

        try:
            with anyio.fail_after(_START_TIMEOUT):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(give_up_at_end)
                    self._control = await self.arrival("control")
                    tasks.cancel_scope.cancel()
        except TimeoutError as error:
            log = self.process.log.read_text("utf-8", "replace")
            raise LabTimeoutError(
                f"Renode did not take commands within {_START_TIMEOUT:g} s: {log[-2000:]}",
                hint=f"Its log is {self.process.log}.",
            ) from error
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None
        self._answers = BufferedByteReceiveStream(self._control)

    async def arrival(self, name: str) -> SocketStream:
        """Return the connection that introduces itself as `name`; strangers are dropped."""
        while name not in self._arrived:
            connection = await self._accepted()
            words = await self._introduction(connection)
            if len(words) == 2 and secrets.compare_digest(words[0], self._token):
                self._arrived[words[1]] = connection
            else:
                await connection.aclose()
        return self._arrived.pop(name)

    async def _accepted(self) -> SocketStream:
        self._listener.setblocking(False)
        while True:
            with contextlib.suppress(BlockingIOError):
                plain, _ = self._listener.accept()
                plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return await SocketStream.from_socket(plain)
            await anyio.wait_readable(self._listener)

    async def _introduction(self, connection: SocketStream) -> list[str]:
        """Read one line byte by byte: what follows it belongs to whoever reads the stream."""
        line = b""
        with anyio.move_on_after(_HELLO_TIMEOUT), contextlib.suppress(EndOfStream, BrokenResourceError):
            while not line.endswith(b"\n") and len(line) < _HELLO_SIZE:
                line += await connection.receive(1)
            return line.decode("ascii", "replace").split()
        return []

    async def execute(self, command: str, machine: str = "", *, still: bool = False) -> str:
        """Run a monitor command and return what the monitor said.

        :param machine: the machine it is about; none for the whole process.
        :param still: stop all clocks meanwhile, as making, starting and removing machines needs it; no
            machine notices.
        :raises RenodeError: Renode refused it.
        :raises LabError: the process has ended.
        """
        done, said = await self._request(
            _STILL if still else _COMMAND, machine, command, what=command, timeout=_COMMAND_TIMEOUT
        )
        said = said.strip()
        if not done:
            first = command.strip().splitlines()[0]
            raise RenodeError(f"Renode refused {first!r}: {said}", hint=f"Its log is {self.process.log}.")
        return said

    async def keyword(self, request: str) -> str:
        """Give an XML-RPC request to Renode's Robot keywords and return the response, which says how it went.

        Commands of the lab wait until it is answered.

        :raises RenodeError: Renode could not make anything of it.
        :raises LabError: the process has ended.
        """
        done, said = await self._request(
            _KEYWORD, "", request, what="a Robot keyword", timeout=_KEYWORD_TIMEOUT
        )
        if not done:
            raise RenodeError(f"Renode could not run a Robot keyword: {said}")
        return said

    async def _request(
        self, kind: int, machine: str, command: str, *, what: str, timeout: float
    ) -> tuple[bool, str]:
        """Return whether the agent did it, and what it said.

        :param what: what is asked for, to be said of a failure.
        :param timeout: seconds; Renode is ended if it takes longer.
        """
        texts = (machine.encode(), command.encode())
        request = bytes([kind]) + b"".join(_LENGTH.pack(len(text)) + text for text in texts)
        # Shielded: half a request or answer would leave the connection out of step.
        with anyio.CancelScope(shield=True):
            async with self._commanding:
                try:
                    with anyio.fail_after(timeout):
                        await self._control.send(request)
                        done = await self._answers.receive_exactly(1)
                        (length,) = _LENGTH.unpack(await self._answers.receive_exactly(_LENGTH.size))
                        said = await self._answers.receive_exactly(length)
                except TimeoutError as error:
                    self.kill()
                    raise LabTimeoutError(
                        f"Renode did not answer {what!r} within {timeout:g} s and was ended",
                        hint=f"Its log is {self.process.log}.",
                    ) from error
                except (
                    OSError,
                    EndOfStream,
                    IncompleteRead,
                    BrokenResourceError,
                    ClosedResourceError,
                ) as error:
                    raise self.process.gone(f"do {what!r}") from error
        return done == b"\x01", said.decode()

    def kill(self) -> None:
        """End the process and whatever its launcher has started."""
        if not self.process.ended:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)

    async def close(self) -> None:
        """End the process; returns when it is gone."""
        self.kill()
        await self.process.wait()
        self._listener.close()
        if hasattr(self, "_control"):
            await self._control.aclose()
        for connection in self._arrived.values():
            await connection.aclose()
        with contextlib.suppress(OSError):
            os.close(self._stdin)

    async def include(self, script: str) -> None:
        """Run a script of several lines.

        :raises RenodeError: one of its lines was refused; those before it have been done.
        """
        file = self._folder / f"machine-{secrets.token_hex(4)}.resc"
        await to_thread.run_sync(_write, file, script)
        try:
            await self.execute(f"include {_path(file)}", still=True)
        finally:
            file.unlink()


def _prepare(settings: Path, program: str) -> Path:
    """Return the one C# file that Renode compiles; it keeps the assembly in its cache in `settings`.

    One file and not seven: a compile takes a second, however short the file is.
    """
    sources = sorted((paths.data("renode")).glob("[ap]*/**/*.cs"))
    usings: set[str] = set()
    bodies = []
    for source in sources:
        lines = source.read_text("utf-8").splitlines()
        usings.update(line for line in lines if _USING.match(line))
        # The compiler names the file and line that a person can look at.
        body = "\n".join("" if _USING.match(line) else line for line in lines)
        bodies.append(f'#line 1 "{source}"\n{body}\n')
    # Renode's cache knows an assembly by its source alone, and one is only good for the Renode that made it.
    maker = Path(program).resolve()
    text = f"// {maker} {maker.stat().st_mtime_ns}\n" + "\n".join([*sorted(usings), *bodies])
    file = settings / f"lab-{hashlib.sha256(text.encode()).hexdigest()[:16]}.cs"
    config = settings / "renode" / "config"
    config.parent.mkdir(parents=True, exist_ok=True)
    if not config.exists():
        _replace(config, "[general]\ncompiler-cache-enabled = True\n")
    if not file.exists():
        _replace(file, text)
    return file


def _replace(file: Path, text: str) -> None:
    """Write a file that others may read or write at the same time."""
    beside = file.with_name(f"{file.name}.{secrets.token_hex(4)}")
    beside.write_text(text, "utf-8")
    beside.replace(file)


def _write(file: Path, text: str) -> None:
    file.touch(mode=0o600)
    file.write_text(text, "utf-8")


def _path(file: Path) -> str:
    """Return a path for ``include``, which takes no string."""
    plain = os.fspath(file.absolute())
    if any(ord(character) < 0x20 for character in plain) or ";" in plain or '"' in plain:
        raise UsageError(f"Renode cannot take the path {plain!r}", hint="Use a folder without ; and quotes.")
    return "@" + plain.replace(" ", "\\ ")
