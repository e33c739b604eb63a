"""What boards in Renode cost: from `up` to connected for one board and for ten, memory, and how time passes.

Run: .venv/bin/python benchmarks/renode.py [--board stm32f746g_disco] [--fleet 10] [--runs 3]

The pool is measured against one process a board: as many of them as boards, with the same image.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import anyio
import psutil
from harness import machine, pss, report

from lab import build
from lab.engines import _renode_pool
from lab.engines import renode as engine
from lab.engines.renode import RenodeMachine
from lab.home import Home
from lab.lab import Lab

WATCHED = 10.0  # s in which the clocks are compared


def processes(devices: list[dict[str, Any]]) -> set[int]:
    """Return the processes that run the devices, their launchers included."""
    pids = {device["pid"] for device in devices}
    return pids | {child.pid for pid in pids for child in psutil.Process(pid).children(recursive=True)}


async def once(board: str, count: int, folder: Path) -> tuple[float, float, int, float, float]:
    """Return seconds to connected, MiB of memory, processes, cores used at rest, virtual per real time."""
    async with Lab(Home(folder)) as lab:
        started = time.monotonic()
        devices = await lab.up(board, count=count, timeout=600)
        connected = time.monotonic() - started
        pids = processes(devices)
        memory = sum(pss(pid) for pid in pids)
        board_machine = lab.powered(devices[0]["id"]).machine
        assert isinstance(board_machine, RenodeMachine)
        before = (time.monotonic(), await board_machine.virtual_seconds(), used(pids))
        await anyio.sleep(WATCHED)
        real = time.monotonic() - before[0]
        factor = (await board_machine.virtual_seconds() - before[1]) / real
        return (
            connected,
            memory,
            len({device["pid"] for device in devices}),
            (used(pids) - before[2]) / real,
            factor,
        )


def used(pids: set[int]) -> float:
    """Return the processor seconds that processes have taken."""
    return sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in pids)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--board", default="stm32f746g_disco")
    parser.add_argument("--fleet", type=int, default=10)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    print(machine())
    print(f"board {options.board}, {engine.program()}")
    build.build(options.board)
    for count, capacity in ((1, 1), (options.fleet, _renode_pool.CAPACITY), (options.fleet, 1)):
        engine.CAPACITY = capacity  # type: ignore[misc]
        rows = []
        for _ in range(options.runs if count == 1 else 1):
            with tempfile.TemporaryDirectory() as folder:
                rows.append(anyio.run(once, options.board, count, Path(folder)))
        seconds, memory, held, cores, factor = zip(*rows, strict=True)
        what = f"{count} board{'s' if count > 1 else ''} in {held[0]} process{'es' if held[0] > 1 else ''}"
        report(f"{what}, image built, to connected", seconds, "s")
        report(f"{what}, memory (PSS) of all", memory, "MiB")
        report(f"{what}, cores used at rest", [100 * each for each in cores], "%")
        report(f"{what}, virtual time over real time", [100 * each for each in factor], "%")


if __name__ == "__main__":
    main()
