"""Renode, loaded by pyrenode3 into a process of the lab's own (`_renode_worker`).

pyrenode3 is no dependency of the lab: it comes from its git repository only. Without it boards run all the
same, controlled by the monitor.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from anyio import to_thread
from anyio.streams.buffered import BufferedByteReceiveStream

from lab.engines import _renode_worker
from lab.engines._process import Process, Wire
from lab.engines.renode_control import (
    COMMAND_TIMEOUT,
    KEYWORD_TIMEOUT,
    Conversation,
    Conversing,
    RenodeError,
    included,
    ready,
    refused,
)
from lab.errors import LabError, MissingError

INSTALL = "pip install git+https://github.com/antmicro/pyrenode3.git"
"""The command that gets pyrenode3; it comes from there only."""

PYTHON = "LAB_PYRENODE3_PYTHON"
"""The variable that names the interpreter which has pyrenode3, if it is not the lab's."""

_PLACES = ("PYRENODE_PKG", "PYRENODE_BUILD_DIR", "PYRENODE_BIN")


class Pyrenode3Control(Conversing):
    """A Renode in a Python process that is asked by frames on its stdin and stdout."""

    async def start(self) -> None:
        """Start the process; returns when Renode is loaded and the models are compiled."""
        setup = self._setup
        chosen = await to_thread.run_sync(interpreter)
        wire = Wire()
        try:
            self.process = Process(
                [chosen, _renode_worker.__file__],
                [],
                setup.log,
                name="Renode in pyrenode3",
                stdin=wire.child_end,
                stdout=wire.child_end,
                environment={"XDG_CONFIG_HOME": os.fspath(setup.settings), **places(setup.program)},
            )
        except LabError:
            wire.close()
            raise
        wire.release()
        self._conversation = Conversation(self.process, wire.stream())
        first = {
            "models": included(setup.models),
            "port": setup.arrivals.port,
            "token": setup.arrivals.token,
        }
        answer = await ready(self.process, lambda: self._exchange(first, "load Renode"))
        if "error" in answer:
            raise LabError(
                f"pyrenode3 could not start Renode: {answer['error']}",
                hint=f"RENODE or PYRENODE_BUILD_DIR says which it is; its log is {setup.log}.",
            )

    async def execute(self, command: str, machine: str = "", *, still: bool = False) -> str:
        """Run a monitor command and return what the monitor said."""
        said: str = await self._ask("execute", command, command=command, machine=machine, still=still)
        return said.strip()

    async def run(self, machine: str) -> None:
        """Let a machine run that has been made."""
        await self._ask("run", f"run {machine}", machine=machine)

    async def halt(self, machine: str, halted: bool) -> None:
        """Halt a machine's processors, or let them go on."""
        await self._ask("halt", f"halt {machine}", machine=machine, halted=halted)

    async def remove(self, machine: str, streams: Iterable[str]) -> None:
        """Remove a machine and its streams, or what there is of them."""
        with contextlib.suppress(RenodeError):
            await self._ask("remove", f"remove {machine}", machine=machine)
        for stream in streams:
            with contextlib.suppress(RenodeError):
                await self._ask("hang_up", f"hang up {stream}", stream=stream)

    async def virtual_seconds(self, machine: str) -> float:
        """Return the time that a machine's clock shows."""
        seconds: float = await self._ask("virtual_seconds", f"tell the time of {machine}", machine=machine)
        return seconds

    async def keyword(self, request: str) -> str:
        """Answer an XML-RPC request to Renode's Robot keywords."""
        response: str = await self._ask(
            "keyword", "run a Robot keyword", timeout=KEYWORD_TIMEOUT, request=request
        )
        return response

    async def _ask(self, do: str, what: str, *, timeout: float = COMMAND_TIMEOUT, **arguments: object) -> Any:
        """Have the worker do something and return its value.

        :param what: what it is, to be said of a failure.
        """
        answer = await self._exchange({"do": do, **arguments}, what, timeout)
        if "error" in answer:
            raise refused(what, answer["error"].strip(), self._setup.log)
        return answer["value"]

    async def _exchange(
        self, request: dict[str, Any], what: str, timeout: float = COMMAND_TIMEOUT
    ) -> dict[str, Any]:
        assert self._conversation is not None
        return await self._conversation.ask(
            _renode_worker.frame(request), _answer, what=what, timeout=timeout
        )


async def _answer(stream: BufferedByteReceiveStream) -> dict[str, Any]:
    (length,) = _renode_worker.LENGTH.unpack(await stream.receive_exactly(_renode_worker.LENGTH.size))
    answer: dict[str, Any] = json.loads(await stream.receive_exactly(length))
    return answer


def python() -> str:
    """Return the Python that should have pyrenode3: `LAB_PYRENODE3_PYTHON`, or the lab's own."""
    return os.environ.get(PYTHON) or sys.executable


def interpreter() -> str:
    """Return `python`, if it has pyrenode3.

    :raises MissingError: it has none.
    """
    chosen = python()
    if not version(chosen):
        raise MissingError(
            f"{chosen} has no pyrenode3",
            hint=f"{INSTALL}\n(or {PYTHON} names a Python that has it, or LAB_RENODE_CONTROL=monitor)",
        )
    return chosen


@functools.cache
def version(python: str) -> str:
    """Return the version of pyrenode3 that an interpreter has; empty if it has none."""
    ask = "import pyrenode3; from pyrenode3.__about__ import __version__; print(__version__)"
    try:
        asked = subprocess.run(
            [python, "-c", ask],
            env={**os.environ, "PYRENODE_SKIP_LOAD": "1"},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return asked.stdout.strip() if asked.returncode == 0 else ""


def places(program: str) -> dict[str, str]:
    """Return the variables that tell pyrenode3 which Renode `program` is, unless the user has.

    Nothing if it is not known: pyrenode3 then takes the one that is installed.
    """
    if any(os.environ.get(name) for name in _PLACES):
        return {}
    file = Path(program).resolve()
    built = file.parent / "output" / "bin" / "Release" / "build_type"
    if built.is_file():
        runtime = "coreclr" if built.read_text().strip() == "dotnet" else "mono"
        return {"PYRENODE_RUNTIME": runtime, "PYRENODE_BUILD_DIR": os.fspath(file.parent)}
    if (file.parent / "libhostfxr.so").is_file():  # a portable release of the .NET build
        return {"PYRENODE_RUNTIME": "coreclr", "PYRENODE_BIN": os.fspath(file)}
    return {}
