"""The long run: ``python -m tests.fuzz --minutes 30``."""

from __future__ import annotations

import argparse
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lab import third_party
from lab.errors import LabError
from tests.fuzz import targets


def main() -> int:
    """Fuzz, then print what was reached. Exit code 1: something broke."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", nargs="*", help=f"default: all of {', '.join(targets.NAMES)}")
    parser.add_argument("--minutes", type=float, default=30, help="for all targets together (default: 30)")
    parser.add_argument("--runs", type=int, help="inputs for each target, in place of a time")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="targets at the same time")
    parser.add_argument("--corpus", type=Path, default=third_party.cache() / "fuzz", help="kept between runs")
    arguments = parser.parse_args()
    names = arguments.target or targets.NAMES
    if unknown := set(names) - set(targets.NAMES):
        parser.error(f"there is no target {', '.join(unknown)}; there are {', '.join(targets.NAMES)}")
    jobs = min(arguments.jobs, len(names))
    seconds = max(1, int(arguments.minutes * 60 * jobs / len(names)))
    limit = f"-max_total_time={seconds}" if arguments.runs is None else f"-runs={arguments.runs}"
    targets.folder()

    def fuzz(name: str) -> targets.Run:
        print(f"{name} …", file=sys.stderr)
        targets.write_seeds(name, arguments.corpus / name)
        return targets.run(name, arguments.corpus / name, limit)

    with ThreadPoolExecutor(jobs) as pool:
        runs = list(pool.map(fuzz, names))
    print(f"{'target':10} {'executions':>12} {'edges':>7} {'features':>9}")
    for run in runs:
        print(f"{run.target:10} {run.executions:12,} {run.coverage:7,} {run.features:9,}")
    broken = [run for run in runs if run.crash]
    for run in broken:
        print(f"\n{run.target} broke; the input is {run.crash}\n{run.output[-3000:]}", file=sys.stderr)
    if broken:
        return 1
    print(f"\n{targets.coverage({name: arguments.corpus / name for name in names})}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except LabError as error:
        print(f"{error}\n{error.hint or ''}".rstrip(), file=sys.stderr)
        sys.exit(3)
