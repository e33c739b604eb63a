"""The C# models under renode/, in plain `renode-test`."""

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


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.stem)
def test_models(suite: Path, tmp_path: Path) -> None:
    ran = subprocess.run(
        ["renode-test", "-r", tmp_path, suite], capture_output=True, text=True, timeout=600, check=False
    )
    assert ran.returncode == 0, ran.stdout
    # It says nothing of what it does not take for a suite.
    assert f"{suite.name} finished successfully in" in ran.stdout
