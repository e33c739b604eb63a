"""The Robot library's documentation; the library itself is tested by the suites in robot/suites."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

DOCUMENTED = Path(__file__).parents[2] / "docs" / "keywords.md"


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
