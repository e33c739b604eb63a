"""What a snapshot costs and saves: how long saving takes, how large it is, and the way from a load to a
connected device against that from a power cut.

Run: .venv/bin/python benchmarks/snapshot.py [--board mps2-an385] [--runs 9]

Both ways end when the device is connected and the alarm app, which is on its flash, runs; of a loaded device
it runs from the start.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

from harness import machine, report

from lab.testing.bench import Bench
from lab.testing.device import Device


def seconds(work: Callable[[], object]) -> float:
    """Return how long `work` takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def power_cut(device: Device) -> None:
    """Cut a device's power and return once its app runs again."""
    device.power_cut()
    device.bench.call(lambda: device.bench.lab.wait(device.id, app="alarm"))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--board", default="mps2-an385")
    parser.add_argument("--runs", type=int, default=9)
    options = parser.parse_args()
    print(f"{machine()}; {options.board}")
    with Bench() as bench:
        device = bench.up(options.board, timeout=300)
        device.deploy("alarm", confirmed=True, timeout=300)
        saves = [seconds(lambda: device.snapshot("warm")) for _ in range(options.runs)]
        [kept] = bench.lab.snapshots(device.id)
        loads = [seconds(lambda: device.restore("warm", timeout=300)) for _ in range(options.runs)]
        cuts = [seconds(lambda: power_cut(device)) for _ in range(options.runs)]
    report("save", [1000 * each for each in saves], "ms")
    report("size", [kept["size"] / 1024], "KiB")
    report("load to connected", [1000 * each for each in loads], "ms")
    report("power cut to connected, app running", [1000 * each for each in cuts], "ms")


if __name__ == "__main__":
    main()
