"""What the Robot library's keywords say when they fail; that they succeed is shown by robot/suites."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
DOCUMENTED = HERE.parents[1] / "docs" / "keywords.md"


def test_keywords_are_documented_as_they_are(tmp_path: Path) -> None:
    fresh = tmp_path / "keywords.md"
    done = subprocess.run(
        [sys.executable, "-m", "robot.libdoc", "lab.testing.LabLibrary", fresh],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert fresh.read_text() == DOCUMENTED.read_text(), "run: libdoc lab.testing.LabLibrary docs/keywords.md"


@pytest.mark.hil
@pytest.mark.native
def test_keywords_can_fail(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "robot", "--outputdir", tmp_path, HERE / "failures.robot"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
