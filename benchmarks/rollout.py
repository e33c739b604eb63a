"""A rollout to a fleet of native devices, of which some fail their trial: wall time, CPU, bytes.

Run: python benchmarks/rollout.py [--devices 200] [--failing 10] [--batch 50] [--size 16]

Every device runs a first version. The second one goes to all; for `--failing` percent it is one that traps
in its first poll: these devices go back. The CPU is that of the whole lab's process: gateway, database, and
the bridges of all devices.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
from pathlib import Path

import structlog
import uvloop
import wasmtime
from harness import machine, pss, report

from lab.gateway.rollout import Plan
from lab.home import Home
from lab.lab import Lab, ignore
from lab.publisher import Publisher

POLLED = """(module
  (func (export "init") (result i32) i32.const 100)
  (func (export "poll") {work})
  (@custom "padding" "{padding}"))"""


def app(work: str, kibibytes: int) -> bytes:
    """Return an app that is polled every 100 ms, padded to a size."""
    source = POLLED.format(work=work, padding="x" * (kibibytes * 1024 - 100))
    return bytes(wasmtime.wat2wasm(source))


async def timed(lab: Lab, plan: Plan, package: str, other: str | None) -> tuple[float, float, dict[str, int]]:
    """Run a rollout; return its wall time and CPU in s, and how many devices ended in which state."""
    wall, cpu = time.perf_counter(), time.process_time()
    begun = await lab.rollouts.begin(plan, package, other)
    found = await lab.rollouts.over(begun["id"], ignore)
    return time.perf_counter() - wall, time.process_time() - cpu, found["counts"]


async def run(folder: Path, options: argparse.Namespace) -> None:
    """Measure one rollout."""
    home = Home(folder / "lab")
    publisher = Publisher.own(home)
    async with Lab(home) as lab:
        started = time.perf_counter()
        await lab.up("native", count=options.devices, timeout=300)
        report(f"{options.devices} native devices up", [time.perf_counter() - started], "s")
        first = publisher.sign("app", app("", options.size))
        good = publisher.sign("app", app("nop", options.size))
        bad = publisher.sign("app", app("unreachable", options.size))
        for package in (first, good, bad):
            await lab.store.save_package(package)
        plan = Plan(batch=options.batch, max_failures=options.devices, split=options.failing)
        wall, cpu, counts = await timed(lab, plan, first.id, None)
        report(f"first version, {options.size} KiB, to confirmed: {counts}", [wall], "s")
        report("... CPU of the lab's process", [cpu], "s")
        wall, cpu, counts = await timed(lab, plan, good.id, bad.id)
        report(f"second version: {counts}", [wall], "s")
        report("... CPU of the lab's process", [cpu], "s")
        report("... of it, a device", [cpu / options.devices * 1000], "ms")
        devices = [lab.powered(info["id"]) for info in lab.devices()]
        report(
            "memory (PSS) of a native device", [pss(d.machine.pid) for d in devices if d.machine.pid], "MiB"
        )


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--devices", type=int, default=200)
    parser.add_argument("--failing", type=int, default=10, help="percent")
    parser.add_argument("--batch", type=int, default=50)
    parser.add_argument("--size", type=int, default=16, help="KiB of the module")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        uvloop.run(run(Path(folder), options))


if __name__ == "__main__":
    main()
