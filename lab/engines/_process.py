"""A child process that dies with the lab, however the lab ends."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import anyio

from lab.engines._stream import SocketByteStream
from lab.errors import LabError, MissingError

_TAIL = 2000

# A parent that dies before setpriv has set PR_SET_PDEATHSIG goes unnoticed: so the shell looks whether its
# parent is still the lab ($0) before it becomes the program.
_GUARD = 'if [ "$PPID" = "$0" ]; then exec "$@"; fi'


def check_tools() -> None:
    """Raise `MissingError` if this machine lacks what every engine needs to start a process."""
    if shutil.which("setpriv") is None:
        raise MissingError("setpriv is not on this machine", hint="sudo apt install util-linux")


class Process:
    """A running child.

    The kernel kills it when the *thread* that started it ends (prctl(2), PR_SET_PDEATHSIG): start it from the
    event loop's thread, never from a worker.

    :param arguments: program and arguments.
    :param inherited: descriptors it inherits, under the same numbers.
    :param log: the file that takes its stdout and stderr.
    :param name: what it is called in messages; as its program unless said.
    :param stdin: the descriptor that is its stdin; nothing unless said.
    :param stdout: the descriptor that is its stdout instead of `log`.
    :param environment: variables that it has besides the lab's.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        inherited: Sequence[int],
        log: Path,
        *,
        name: str = "",
        stdin: int = subprocess.DEVNULL,
        stdout: int | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        guarded = [
            "setpriv",
            "--pdeathsig",
            "KILL",
            "--",
            "/bin/sh",
            "-c",
            _GUARD,
            str(os.getpid()),
        ]
        # SIGHUP, a native board's reset button, must not end a program that is not ready for it. A mask
        # outlives fork and exec; the firmware lifts it once it is.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
        try:
            with log.open("wb") as output:
                self._child = subprocess.Popen(
                    [*guarded, *arguments],
                    stdin=stdin,
                    stdout=output if stdout is None else stdout,
                    stderr=output,
                    env={**os.environ, **(environment or {})},
                    pass_fds=inherited,
                    # So it ignores SIGXFSZ, as Python does: a write beyond `limit_files` just fails.
                    restore_signals=False,
                    start_new_session=True,  # Ctrl-C in the terminal is the lab's, not its boards'
                )
        except OSError as error:
            raise LabError(
                f"{arguments[0]} could not be started: {error}", hint=f"Its log is {log}."
            ) from error
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        self.pid = self._child.pid
        self.name = name or Path(arguments[0]).name
        self.log = log
        self._handle: int | None = os.pidfd_open(self.pid)
        self._reaping = anyio.Lock()

    @property
    def ended(self) -> bool:
        """Whether it is known to have ended."""
        return self._handle is None

    async def wait(self) -> int:
        """Return its exit code once it has ended; negative is a signal. Any number of tasks may wait."""
        async with self._reaping:
            if self._handle is not None:
                await anyio.wait_readable(self._handle)
                self._child.wait()
                os.close(self._handle)
                self._handle = None
        return self._child.returncode

    def send(self, number: signal.Signals) -> None:
        """Send it a signal; nothing happens if it has ended."""
        if self._handle is not None:
            signal.pidfd_send_signal(self._handle, number)

    def kill_group(self) -> None:
        """Kill it and what it has started, as a launcher does; nothing happens if it has ended."""
        if self._handle is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    def limit_files(self, size: int | None) -> None:
        """Have its writes to files fail (EFBIG) from offset `size` on; none lets all of them succeed.

        setrlimit(2), RLIMIT_FSIZE: sockets are not files, what a write would put before the limit is written.
        """
        if self._handle is not None:
            _, most = resource.prlimit(self.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (most if size is None else size, most))

    def reason(self) -> str:
        """Say how it ended, with the tail of what it said. For after `wait`."""
        code = self._child.returncode
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"exited with code {code}"
        lines = self.log.read_text("utf-8", "replace").splitlines()
        said = "\n".join(line for line in lines if ": warning: " not in line)[-_TAIL:]
        return f"{self.name} {how}: {said}" if said else f"{self.name} {how}"

    def gone(self, what: str) -> LabError:
        """Return the error of a machine that can no longer do `what`."""
        return LabError(
            f"{self.name} (pid {self.pid}) has ended and cannot {what}", hint=f"Its log is {self.log}."
        )


class Wire:
    """One byte stream to a child: a pair of sockets, in which bytes wait from the very first."""

    def __init__(self) -> None:
        self._near, self._far = socket.socketpair()
        # QEMU writes byte by byte, and each byte counts as hundreds here: with the default of 208 KiB the
        # board's UART is full after a few hundred. The kernel cuts this down to twice net.core.wmem_max.
        self._far.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)

    @property
    def child_end(self) -> int:
        """The descriptor the child inherits."""
        return self._far.fileno()

    def release(self) -> None:
        """Close the child's end here, so that the stream ends when the child does."""
        self._far.close()

    def stream(self) -> SocketByteStream:
        """Return the lab's end."""
        return SocketByteStream(self._near)

    def take(self) -> socket.socket:
        """Return the lab's end as a plain socket."""
        return self._near

    def close(self) -> None:
        """Close both ends: the child could not be started."""
        self._near.close()
        self._far.close()


def memory_file(content: bytes) -> int:
    """Return a descriptor of an unnamed file: the private key in an identity never touches the disk."""
    descriptor = os.memfd_create("identity")
    os.write(descriptor, content)
    return descriptor
