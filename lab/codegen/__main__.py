"""``python -m lab.codegen [--check]``."""

from __future__ import annotations

import argparse
import sys

from lab.codegen import stale, write
from lab.errors import ExitCode, LabError


def main() -> int:
    """Generate, or only check; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m lab.codegen", description="Generate what wit/device.wit says."
    )
    parser.add_argument("--check", action="store_true", help="change nothing; fail if a file is stale")
    arguments = parser.parse_args()
    try:
        files = stale() if arguments.check else write()
    except LabError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    for file in files:
        print(f"{'stale' if arguments.check else 'wrote'} {file}")
    if files and arguments.check:
        print("Run python -m lab.codegen, and commit what it writes.", file=sys.stderr)
        return ExitCode.FAILED
    return ExitCode.DONE


if __name__ == "__main__":
    sys.exit(main())
