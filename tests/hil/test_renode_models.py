"""The C# models under renode/, in plain `renode-test`: one Renode process for all suites."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.hil,
    pytest.mark.renode,
    pytest.mark.skipif(shutil.which("renode-test") is None, reason="renode-test is not installed"),
    pytest.mark.skipif(
        shutil.which("arm-none-eabi-gcc") is None, reason="arm-none-eabi-gcc is not installed"
    ),
]

SUITES = sorted((Path(__file__).parents[2] / "renode" / "tests").glob("*.robot"))


def test_models(tmp_path: Path) -> None:
    ran = subprocess.run(
        ["renode-test", "-r", tmp_path, *SUITES], capture_output=True, text=True, timeout=600, check=False
    )
    assert ran.returncode == 0, ran.stdout
    assert ran.stdout.count("robot finished successfully in") == len(SUITES)
