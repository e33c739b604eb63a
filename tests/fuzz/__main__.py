"""The long run: ``python -m tests.fuzz --minutes 30`` (docs/fuzzing.md)."""

from __future__ import annotations

import argparse
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

from lab import third_party
from lab.errors import LabError
from tests.fuzz import ends, targets

PYTHON = {f"python-{end}": end for end in ends.ENDS}


def main() -> int:
    """Fuzz, then print what was reached. Returns 1 if something broke."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", nargs="*", help=f"default: all of {', '.join([*targets.NAMES, *PYTHON])}")
    parser.add_argument("--minutes", type=float, default=30, help="for all targets together (default: 30)")
    parser.add_argument("--runs", type=int, help="inputs for each target, in place of a time")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="targets at the same time")
    parser.add_argument("--corpus", type=Path, default=third_party.cache() / "fuzz", help="kept between runs")
    arguments = parser.parse_args()
    if unknown := set(arguments.target) - {*targets.NAMES, *PYTHON}:
        parser.error(
            f"there is no target {', '.join(unknown)}; there are {', '.join([*targets.NAMES, *PYTHON])}"
        )
    names: list[str] = arguments.target or [*targets.NAMES, *PYTHON]
    if find_spec("atheris") is None and (skipped := [name for name in names if name in PYTHON]):
        print(
            f"skipped, since atheris is missing (pip install atheris): {', '.join(skipped)}", file=sys.stderr
        )
        names = [name for name in names if name not in PYTHON]
    in_c = [name for name in names if name not in PYTHON]
    if in_c:
        targets.folder()
    jobs = min(arguments.jobs, len(names)) or 1
    seconds = max(1, int(arguments.minutes * 60 * jobs / max(1, len(names))))

    def fuzz(name: str) -> targets.Run:
        print(f"{name} …", file=sys.stderr)
        end = PYTHON.get(name)
        contents = ends.seeds(end) if end else targets.seeds(name)
        targets.write_corpus(arguments.corpus / name, [*contents, *targets.known(name)])
        limit = f"-max_total_time={seconds}" if arguments.runs is None else f"-runs={arguments.runs}"
        program = [sys.executable, "-m", "tests.fuzz.atheris_driver", end] if end else None
        return targets.run(name, arguments.corpus / name, limit, program=program)

    with ThreadPoolExecutor(jobs) as pool:
        runs = list(pool.map(fuzz, names))
    print(f"{'target':16} {'executions':>12} {'edges':>7} {'features':>9}")
    for run in runs:
        print(f"{run.target:16} {run.executions:12,} {run.coverage:7,} {run.features:9,}")
    broken = [run for run in runs if run.crash]
    for run in broken:
        print(f"\n{run.target} broke; the input is {run.crash}\n{run.output[-3000:]}", file=sys.stderr)
    if broken:
        return 1
    if in_c:
        print(f"\n{targets.coverage({name: arguments.corpus / name for name in in_c})}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except LabError as error:
        print("\n".join(filter(None, (str(error), error.hint))), file=sys.stderr)
        sys.exit(error.exit_code)
