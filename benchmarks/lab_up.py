"""How long `lab up` and `lab deploy` take, as a user at a shell has it, and what a device costs in memory.

Run: .venv/bin/python benchmarks/lab_up.py [--board mps2-an385] [--runs 5] [--fleet 20]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import wasmtime
from harness import machine, pss, report

LAB = Path(sys.executable).with_name("lab")


def lab(home: Path, *arguments: str) -> tuple[float, Any]:
    """Run `lab` in `home`; return its seconds as a whole process and the JSON it printed."""
    started = time.perf_counter()
    done = subprocess.run(
        [LAB, *arguments],
        env={**os.environ, "LAB_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(f"lab {' '.join(arguments)}: {done.stderr}")
    return seconds, json.loads(done.stdout) if done.stdout.startswith("{") else None


def module(size: int, seed: int) -> bytes:
    """Return a module of exactly `size` bytes, another one for each `seed`: a custom section fills it."""
    code = bytes(wasmtime.wat2wasm(f'(module (func (export "f") (result i32) i32.const {seed}))'))
    length = size - len(code) - 1 - 5  # the section's id, and its length in five bytes of LEB128
    leb = bytes(((length >> shift) & 0x7F) | (0x80 if shift < 28 else 0) for shift in range(0, 35, 7))
    return code + b"\0" + leb + b"\4fill" + os.urandom(length - 5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--board", default="mps2-an385")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--fleet", type=int, default=20)
    options = parser.parse_args()
    print(machine())
    print(f"board {options.board}")
    subprocess.run([LAB, "build", "--board", options.board], check=True, capture_output=True)

    cold, warm, boot, connect = [], [], [], []
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "cold"
        for _ in range(options.runs):
            seconds, _result = lab(home, "up", "--board", options.board, "--json")
            cold.append(seconds)
            lab(home, "down")
        home = Path(folder) / "warm"
        lab(home, "up", "--board", options.board, "--name", "first", "--json")
        for run in range(options.runs):
            seconds, result = lab(home, "up", "--board", options.board, "--name", f"board-{run}", "--json")
            [device] = result["devices"]
            warm.append(seconds)
            boot.append(device["boot_ms"])
            connect.append(device["connect_ms"])
            lab(home, "down", device["id"])
        report("lab up, no daemon yet, to connected", [value * 1000 for value in cold], "ms")
        report("lab up, daemon running, to connected", [value * 1000 for value in warm], "ms")
        report("  of it: spawn to the first console byte", boot, "ms")
        report("  of it: spawn to connected (welcome answered)", connect, "ms")

        for kibibytes in (1, 16, 64):
            times = []
            for run in range(options.runs):
                file = Path(folder) / f"app{kibibytes}.wasm"
                file.write_bytes(module(kibibytes * 1024, run))
                seconds, _result = lab(home, "deploy", str(file), "--to", "first", "--json")
                times.append(seconds * 1000)
            report(f"lab deploy of {kibibytes} KiB, to running", times, "ms")
            lab(home, "stop", "first", f"app{kibibytes}")
        lab(home, "down")

        home = Path(folder) / "fleet"
        seconds, result = lab(home, "up", "--board", options.board, "--count", str(options.fleet), "--json")
        report(f"lab up --count {options.fleet}, no daemon yet", [seconds * 1000], "ms")
        report(
            "  memory (PSS) of each board's process",
            [pss(device["pid"]) for device in result["devices"]],
            "MiB",
        )
        daemon = json.loads((home / "daemon.json").read_text())["pid"]
        report("  memory (PSS) of the lab's daemon with all of them", [pss(daemon)], "MiB")
        lab(home, "down")


if __name__ == "__main__":
    main()
