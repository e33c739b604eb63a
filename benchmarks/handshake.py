"""From a board's first console byte to connected (mutual TLS 1.3 and the greeting), and the bytes that takes.

Run: python benchmarks/handshake.py [--board B]… [--runs N]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import uvloop
from harness import machine, report

from lab.home import Home
from lab.lab import Lab


async def measure(board: str, runs: int, folder: Path) -> None:
    times, received, sent = [], [], []
    async with Lab(Home(folder)) as lab:
        for _ in range(runs):
            await lab.up(board, name="device")
            device = lab.powered("device")
            assert device.connect_ms is not None
            assert device.boot_ms is not None
            times.append(device.connect_ms - device.boot_ms)
            received.append(device.bridge.counters.bytes_received)
            sent.append(device.bridge.counters.bytes_sent)
            await lab.down(["device"])
    report(f"{board}: first console byte to connected", times, "ms")
    report("  bytes from the device", received, "B")
    report("  bytes to the device", sent, "B")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--board", action="append")
    parser.add_argument("--runs", type=int, default=9)
    options = parser.parse_args()
    print(machine())
    for board in options.board or ["mps2-an385", "netduinoplus2", "native"]:
        with tempfile.TemporaryDirectory() as folder:
            uvloop.run(measure(board, options.runs, Path(folder)))


if __name__ == "__main__":
    main()
