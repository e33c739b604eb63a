"""A lab of its own for every test: its own folder, its own daemon, gone when the test is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

LAB = Path(sys.executable).with_name("lab")


class Cli:
    """Runs `lab` in one lab's folder, as a person would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / ".lab"
        self.environment = {**os.environ, "LAB_HOME": str(self.home), "NO_COLOR": "1"}

    def run(self, *arguments: str, timeout: float = 180) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [LAB, *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def ok(self, *arguments: str, timeout: float = 180) -> str:
        done = self.run(*arguments, timeout=timeout)
        assert done.returncode == 0, (
            f"lab {' '.join(arguments)}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        )
        return done.stdout

    def json(self, *arguments: str, timeout: float = 180) -> Any:
        return json.loads(self.ok(*arguments, "--json", timeout=timeout))

    def daemon(self) -> psutil.Process:
        return psutil.Process(json.loads((self.home / "daemon.json").read_text())["pid"])

    def processes(self) -> list[psutil.Process]:
        """Whatever runs on behalf of this lab: what names its folder or has it in its environment."""
        found = []
        for process in psutil.process_iter():
            try:
                if str(self.home) in " ".join(process.cmdline()) or process.environ().get("LAB_HOME") == str(
                    self.home
                ):
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
                continue
        return found


def alive(process: psutil.Process) -> bool:
    """Tell whether a process runs; one that has ended but was not waited for does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Cli]:
    cli = Cli(tmp_path)
    yield cli
    cli.run("down")
    left = cli.processes()
    for process in left:
        process.kill()
    assert not left, f"left running: {left}"


@pytest.fixture
def other_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    cli = Cli(tmp_path_factory.mktemp("other"))
    yield cli
    cli.run("down")
