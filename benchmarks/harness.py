"""What every benchmark prints: the machine, the runs, the median. Nothing here judges a figure."""

from __future__ import annotations

import logging
import os
import platform
import statistics
from collections.abc import Sequence
from pathlib import Path

import structlog

# A lab held in this process logs each request; the figures would be lost between the lines.
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))


def machine() -> str:
    """Return one line about this machine."""
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0))
    return f"{cores} cores of {model}, {memory:.0f} GiB, Python {platform.python_version()}"


def report(what: str, values: Sequence[float], unit: str) -> None:
    """Print the median of `values`, their spread and number."""
    print(
        f"{what:<58} {statistics.median(values):>9.1f} {unit:<5} "
        f"(min {min(values):.1f}, max {max(values):.1f}, {len(values)} runs)",
        flush=True,
    )


def pss(pid: int) -> float:
    """Return a process's proportional set size in MiB: its own memory and its share of what is shared."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise ValueError(f"no Pss for process {pid}")
