"""What boards in Renode cost: from `up` to connected for one board and for ten, memory, how time passes, and
a suite against QEMU.

Run: .venv/bin/python benchmarks/renode.py [--board stm32f746g_disco] [--fleet 10] [--runs 3]
         [--control monitor|pyrenode3] [--process] [--suite-runs 3] [--against mps2-an385]

The pool is measured against one process a board: as many of them as boards, with the same image. Before that,
a process without boards: until it takes its first command, and how long a command takes. `--process` measures
nothing else and needs no image.

The suite is that of the alarm app, whose tests wait for a sensor that measures every 2 s of its board's time.
`--fleet 0` leaves the pool out, `--suite-runs 0` the suite.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import anyio
import psutil
from harness import machine, pss, report
from robot.api import ExecutionResult

from lab import build
from lab.engines import _renode_pool
from lab.engines import renode as engine
from lab.engines.renode import RenodeMachine
from lab.home import Home
from lab.lab import Lab

COMMANDS = 200
WATCHED = 10.0  # s in which the clocks are compared
SUITE = Path(__file__).parents[1] / "robot" / "suites" / "alarm.robot"


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


async def process(control: str, folder: Path) -> tuple[float, float, float, float]:
    """Return seconds to the first command, of them those of a processor, ms a command, MiB of memory."""
    began = time.monotonic()
    pool = await _renode_pool.Pool.start(control, engine.program(), folder)
    try:
        started = time.monotonic() - began
        pids = {pool.process.pid} | {
            child.pid for child in psutil.Process(pool.process.pid).children(recursive=True)
        }
        taken = used(pids)
        began = time.monotonic()
        for _ in range(COMMANDS):
            await pool.control.execute("version")
        return started, taken, (time.monotonic() - began) / COMMANDS * 1000, sum(pss(pid) for pid in pids)
    finally:
        await pool.close()


def report_process(control: str, runs: int) -> None:
    rows = []
    for number in range(1 + runs):  # the first may compile the models
        with tempfile.TemporaryDirectory() as folder:
            row = anyio.run(process, control, Path(folder))
        rows += [row] if number else []
    started, taken, command, memory = zip(*rows, strict=True)
    report("a process without boards, to its first command", started, "s")
    report("a process without boards, processor time to it", taken, "s")
    report("a command", command, "ms")
    report("a process without boards, memory (PSS)", memory, "MiB")


def pools(board: str, fleet: int, runs: int) -> None:
    """Report on one board, on a fleet that shares processes, and on one whose boards have a process each."""
    for count, capacity in ((1, 1), (fleet, _renode_pool.CAPACITY), (fleet, 1)):
        engine.CAPACITY = capacity  # type: ignore[attr-defined]
        rows = []
        for _ in range(runs if count == 1 else 1):
            with tempfile.TemporaryDirectory() as folder:
                rows.append(anyio.run(once, board, count, Path(folder)))
        seconds, memory, held, cores, factor = zip(*rows, strict=True)
        what = f"{count} board{'s' if count > 1 else ''} in {held[0]} process{'es' if held[0] > 1 else ''}"
        report(f"{what}, image built, to connected", seconds, "s")
        report(f"{what}, memory (PSS) of all", memory, "MiB")
        report(f"{what}, cores used at rest", [100 * each for each in cores], "%")
        report(f"{what}, virtual time over real time", [100 * each for each in factor], "%")


def suite(board: str, runs: int) -> None:
    """Report how long `SUITE` takes on a board: the command, until the app runs, and its tests."""
    whole, ready, tests = [], [], []
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as folder:
            command = ["-m", "robot", "--variable", f"BOARD:{board}", "--outputdir", folder, str(SUITE)]
            started = time.monotonic()
            ran = subprocess.run(
                [sys.executable, *command], capture_output=True, text=True, check=False, cwd=SUITE.parents[2]
            )
            whole.append(time.monotonic() - started)
            if ran.returncode != 0:
                raise SystemExit(f"{SUITE.name} failed on {board}:\n{ran.stdout}{ran.stderr}")
            result = ExecutionResult(Path(folder) / "output.xml").suite
            ready.append(result.setup.elapsed_time.total_seconds())
            tests.append(sum(test.elapsed_time.total_seconds() for test in result.all_tests))
    report(f"{SUITE.name} on {board}, the whole command", whole, "s")
    report(f"{SUITE.name} on {board}, until the app runs", ready, "s")
    report(f"{SUITE.name} on {board}, its tests", tests, "s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--board", default="stm32f746g_disco")
    parser.add_argument("--fleet", type=int, default=10)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--against", default="mps2-an385", help="the board in QEMU that runs the suite too")
    parser.add_argument("--suite-runs", type=int, default=3)
    parser.add_argument("--control", choices=list(_renode_pool.CONTROLS), default=engine.chosen_control())
    parser.add_argument("--process", action="store_true")
    options = parser.parse_args()
    os.environ[engine.CONTROL] = options.control
    print(machine())
    print(f"board {options.board}, {engine.program()}, controlled by {options.control}")
    report_process(options.control, options.runs)
    if options.process:
        return
    build.build(options.board)
    if options.fleet:
        pools(options.board, options.fleet, options.runs)
    if options.suite_runs:
        build.build(options.against)
        for board in (options.board, options.against):
            suite(board, options.suite_runs)


if __name__ == "__main__":
    main()
