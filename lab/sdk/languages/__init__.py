"""The languages apps are written in: one file each, found by the suffix of the source.

A language makes a core module of its sources and nothing else; `lab.sdk.compiler` shrinks and judges it.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

from lab.errors import LabError, MissingError
from lab.sdk.manifest import Build

_TIMEOUT = 300.0  # seconds for one compiler


@dataclass(frozen=True, slots=True)
class Job:
    """What a language is given to do.

    :param name: the app's.
    :param folder: the app's folder; compilers run there, so that they name files as their author does.
    :param sources: the app's sources, relative to `folder`; the first is the root of the others.
    :param output: where the module is to be; the folder it is in is for this job alone.
    :param build: how memory is laid out.
    :param progress: told what takes long.
    """

    name: str
    folder: Path
    sources: tuple[str, ...]
    output: Path
    build: Build
    progress: Callable[[str], None]


class Language(Protocol):
    """One language."""

    @property
    def name(self) -> str:
        """What a manifest calls it."""

    @property
    def suffixes(self) -> tuple[str, ...]:
        """What its sources' names end in."""

    def build(self, job: Job) -> str:
        """Write ``job.output``; return the compiler's warnings as it wrote them.

        :raises LabError: the sources are wrong; the hint is what the compiler wrote.
        :raises MissingError: a compiler is not on this machine.
        """


@cache
def languages() -> tuple[Language, ...]:
    """Return every language."""
    from lab.sdk.languages.assemblyscript import AssemblyScript
    from lab.sdk.languages.c import C
    from lab.sdk.languages.rust import Rust
    from lab.sdk.languages.wat import Wat

    return (C(), Rust(), AssemblyScript(), Wat())


def need(program: str, *, hint: str) -> str:
    """Return where `program` is.

    :raises MissingError: it is not on PATH; `hint` says how to get it.
    """
    where = shutil.which(program)
    if where is None:
        raise MissingError(f"{program} is not installed", hint=hint)
    return where


def run(command: Sequence[str], job: Job) -> str:
    """Run a compiler in the app's folder; return what it said.

    :raises LabError: it failed; the hint is its own words, unchanged.
    """
    try:
        done = subprocess.run(
            command,
            cwd=job.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{job.name} was still compiling after {_TIMEOUT:.0f} s", hint=command[0]) from error
    if done.returncode:
        raise LabError(f"{job.name} does not compile", hint=done.stdout.rstrip("\n"))
    return done.stdout
