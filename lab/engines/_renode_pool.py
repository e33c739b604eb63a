"""A Renode process that runs several machines."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Callable
from pathlib import Path

import anyio
from anyio import to_thread

from lab import paths, third_party
from lab.engines._process import Process
from lab.engines._renode_arrivals import Arrivals
from lab.engines._renode_monitor import MonitorControl
from lab.engines._renode_pyrenode3 import Pyrenode3Control
from lab.engines.renode_control import Control, Setup, included, write_private

CAPACITY = 8
"""Machines a process runs; with more it stalled (measured on Mono)."""

_USING = re.compile(r"using [\w.= ]+;$")

CONTROLS: dict[str, Callable[[Setup], Control]] = {"monitor": MonitorControl, "pyrenode3": Pyrenode3Control}
"""The ways to control Renode, by the names that ``LAB_RENODE_CONTROL`` has for them."""


class Pool:
    """One Renode process, with room for `CAPACITY` machines."""

    def __init__(self, control: Control, arrivals: Arrivals, folder: Path, models: str) -> None:
        self.control = control
        self.models = models
        """What tells the models and the Renode that compiled them from others."""
        self.machines: set[str] = set()
        """Names of its machines, those that are being made included."""
        self.guests: set[str] = set()
        """Names of all machines that it ever had."""
        self.arrival = arrivals.arrival
        self._arrivals = arrivals
        self._folder = folder

    @classmethod
    async def start(cls, control: str, program: str, folder: Path) -> Pool:
        """Start Renode; returns when it takes commands.

        :param control: one of `CONTROLS`.
        :param program: the `renode` program.
        :param folder: takes its log.
        :raises LabError: it did not get there; the message has what it said.
        """
        settings = third_party.cache() / "renode"
        models = await to_thread.run_sync(_prepare, settings, program, control)
        arrivals = Arrivals()
        setup = Setup(program, models, settings, folder, arrivals)
        pool = cls(CONTROLS[control](setup), arrivals, folder, models.stem)
        try:
            await pool.control.start()
            # 10 ms instead of 0.1: an idle machine then costs a fifth, and eight of them keep real time.
            await pool.control.execute('emulation SetGlobalQuantum "0.01"')
        except BaseException:
            with anyio.CancelScope(shield=True):
                await pool.close()
            raise
        return pool

    @property
    def process(self) -> Process:
        """Its process, which leads a process group."""
        return self.control.process

    async def include(self, script: str) -> None:
        """Run a script of several lines, while all clocks are stopped.

        :raises RenodeError: one of its lines was refused; those before it have been done.
        """
        file = self._folder / f"machine-{secrets.token_hex(4)}.resc"
        await to_thread.run_sync(write_private, file, script)
        try:
            await self.control.execute(included(file), still=True)
        finally:
            file.unlink()

    async def close(self) -> None:
        """End the process; returns when it is gone."""
        await self.control.close()
        await self._arrivals.aclose()


def _prepare(settings: Path, program: str, control: str) -> Path:
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
    file = Path(program).resolve()
    chosen = sorted(f"{name}={value}" for name, value in os.environ.items() if name.startswith("PYRENODE_"))
    maker = " ".join([control, os.fspath(file), str(file.stat().st_mtime_ns), *chosen])
    text = f"// {maker!r}\n" + "\n".join([*sorted(usings), *bodies])
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
