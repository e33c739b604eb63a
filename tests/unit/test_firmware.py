"""The core's own tests, compiled for this host under the sanitizers (firmware/tests/test_*.c)."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.unit.firmware import folder

PROGRAMS = sorted(path.stem for path in (Path(__file__).parents[2] / "firmware/tests").glob("test_*.c"))


@pytest.mark.parametrize("program", PROGRAMS)
def test_core(program: str) -> None:
    done = subprocess.run([folder() / "tests" / program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
