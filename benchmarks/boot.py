"""From spawn to a board's first console byte, what that costs in CPU time, and its memory once it idles.

Run: python benchmarks/boot.py [--board B]… [--runs N] [--boards-for-memory N]
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import anyio
from harness import machine, pss, report

from lab import boards, build
from lab.console import Console
from lab.engines import Engine, Launch, Machine
from lab.engines.native import NativeEngine
from lab.engines.qemu import QemuEngine
from lab.home import Home
from lab.pki import Authority

BOARDS = ["mps2-an385", "mps2-an386", "mps2-an500", "netduinoplus2", "native"]
ENGINES: dict[str, Engine] = {"qemu": QemuEngine(), "native": NativeEngine()}


@dataclass
class Bench:
    """Starts boards of one kind, each with an identity and a folder of its own."""

    name: str
    home: Home

    def __post_init__(self) -> None:
        self.board = boards.load(self.name)
        assert self.board.firmware
        self.image = build.build(self.board.firmware).image
        self.authority = Authority(self.home)

    def job(self, device: str) -> Launch:
        identity = self.authority.identity(device, seed=os.urandom(32), now=int(time.time()))
        return Launch(device, self.board, self.image, identity, self.home.device(device))

    async def start(self, job: Launch) -> Machine:
        return await ENGINES[self.board.engine].start(job)


async def close(machine: Machine) -> None:
    await machine.stop()
    for stream in (machine.console, machine.link, machine.simbus):
        if stream is not None:
            await stream.aclose()


async def boot(bench: Bench, runs: int) -> None:
    first_byte, cpu = [], []
    for run in range(runs + 1):
        job = bench.job("bench")
        start = time.perf_counter()
        board = await bench.start(job)
        await board.console.receive()
        elapsed = time.perf_counter() - start
        if run > 0:  # the first fills the page cache
            first_byte.append(elapsed * 1000)
            assert board.pid
            cpu.append(cpu_ms(board.pid))
        await close(board)
    report(f"{bench.name}: spawn to first console byte", first_byte, "ms")
    report(f"{bench.name}: CPU time until then", cpu, "ms")


def cpu_ms(pid: int) -> float:
    tasks = Path(f"/proc/{pid}/task")
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir()) / 1e6


async def memory(bench: Bench, count: int) -> None:
    machines = []
    async with anyio.create_task_group() as tasks:
        for number in range(count):
            job = bench.job(f"bench-{number}")
            board = await bench.start(job)
            console = Console(board.console, job.folder / "console.log")
            tasks.start_soon(console.run)
            machines.append(board)
            async for _ in console.follow():
                if "connecting as" in console.text:
                    break
        report(
            f"{bench.name}: PSS of one of {count} boards", [pss(each.pid or 0) for each in machines], "MiB"
        )
        for board in machines:
            await close(board)


async def main(names: list[str], runs: int, count: int) -> None:
    print(machine(), f"load {os.getloadavg()[0]:.1f}", sep=", ")
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench(name, Home(Path(folder)).create())
            await boot(bench, runs)
            await memory(bench, count)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--board", action="append", choices=BOARDS)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--boards-for-memory", type=int, default=10)
    options = parser.parse_args()
    anyio.run(
        main,
        options.board or BOARDS,
        options.runs,
        options.boards_for_memory,
        backend_options={"use_uvloop": True},
    )
