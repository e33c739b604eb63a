"""What an app costs on a device: computing, calling the host, being polled, memory, and reacting to a sensor.

Run: python benchmarks/apps.py [--board native] [--board mps2-an385] [--runs 15]
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import anyio
import uvloop
import wasmtime
from harness import machine, report

from lab.home import Home
from lab.lab import Lab
from lab.packages import Package
from lab.sdk import compile as compile_app
from lab.sdk import new as new_app

ITERATIONS = 400_000  # of `work`; about 15 WebAssembly instructions each, within a call's budget
CALLS = 20_000

# x = x * 1664525 + 1013904223; x ^= x >> 13
WORK = """(module
  (import "lab:device/clock@0.1.0" "now" (func $now (result i64)))
  (func (export "nothing"))
  (func (export "work") (param $n i32) (result i32) (local $x i32)
    (loop $next
      (local.set $x (i32.add (i32.mul (local.get $x) (i32.const 1664525)) (i32.const 1013904223)))
      (local.set $x (i32.xor (local.get $x) (i32.shr_u (local.get $x) (i32.const 13))))
      (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (local.get $x))
  (func (export "ask") (param $n i32)
    (loop $next
      (drop (call $now))
      (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))))"""

NATIVE = """#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
int main(int argc, char **argv) {
    uint32_t n = (uint32_t)atoi(argv[argc - 1]), x = 0;
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    do {
        x = x * 1664525u + 1013904223u;
        x ^= x >> 13;
    } while (--n);
    clock_gettime(CLOCK_MONOTONIC, &b);
    printf("%u %f\\n", x, (double)(b.tv_sec - a.tv_sec) * 1e3 + (double)(b.tv_nsec - a.tv_nsec) / 1e6);
}"""

POLLED = """(module
  (import "lab:device/publish@0.1.0" "send" (func $send (param i32 i32 i32 i32)))
  (memory (export "memory") 1) (data (i32.const 0) "t")
  (global (export "__heap_base") i32 (i32.const 64)) (global (export "__data_end") i32 (i32.const 16))
  (func (export "init") (result i32) i32.const 100)
  (func (export "poll") (call $send (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 0))))"""

WHOLE_PAGE = '(module (memory 1) (func (export "f") (result i32) (i32.load (i32.const 65532))))'


def _wat(name: str, source: str) -> Package:
    return Package.unsigned(name, bytes(wasmtime.wat2wasm(source)))


async def calls(lab: Lab, device: str, function: str, arguments: list[int], runs: int) -> list[float]:
    """Return the round-trip times of `runs` calls, ms."""
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        await lab.gateway.call(device, "work", function, arguments, timeout=60)
        times.append((time.perf_counter() - started) * 1000)
    return times


def natively(folder: Path, runs: int) -> list[float]:
    """Return how long the same loop takes as C compiled for this machine, ms."""
    (folder / "work.c").write_text(NATIVE)
    subprocess.run(["gcc", "-O2", "-o", folder / "work", folder / "work.c"], check=True)
    return [
        float(
            subprocess.run(
                [folder / "work", str(ITERATIONS)], capture_output=True, text=True, check=True
            ).stdout.split()[1]
        )
        for _ in range(runs)
    ]


async def jitter(lab: Lab, device: str, seconds: float) -> list[float]:
    """Return by how many ms the polls of four apps missed their 100 ms, by the device's own clock."""
    module = bytes(wasmtime.wat2wasm(POLLED))
    for number in range(4):
        await lab.gateway.deploy(device, Package.unsigned(f"polled{number}", module))
    stamps: dict[str, list[int]] = {}
    with anyio.move_on_after(seconds):
        async for event in lab.events.subscribe(lab.events.last, device=device):
            if event.kind == "app.event":
                stamps.setdefault(event.app or "", []).append(event.data["uptime"])
    for number in range(4):
        await lab.gateway.stop_app(device, f"polled{number}")
    return [abs(b - a - 100) for each in stamps.values() for a, b in itertools.pairwise(each)]


async def reaction(lab: Lab, device: str, folder: Path, runs: int) -> list[float]:
    """Return the time from setting the room's temperature to LED 1 changing, ms: the alarm app."""
    new_app(folder / "alarm", template="alarm", language="c")
    await lab.gateway.deploy(
        device, Package.unsigned("alarm", compile_app(folder / "alarm").wasm.read_bytes())
    )
    parts = lab.powered(device).peripherals
    times = []
    for run in range(runs):
        wanted, colour = (31.5, (255, 0, 0)) if run % 2 == 0 else (14.0, (0, 0, 255))
        changed = anyio.Event()

        def look(part: str, colour: tuple[int, int, int] = colour, changed: anyio.Event = changed) -> None:
            leds = parts.snapshot()["ws2812"]["leds"]
            if tuple(leds[1]) == colour:  # type: ignore[index,arg-type]
                changed.set()

        end = parts.subscribe(look)
        started = time.perf_counter()
        parts.set("dht22.temperature", str(wanted))
        await changed.wait()
        times.append((time.perf_counter() - started) * 1000)
        end()
    await lab.gateway.stop_app(device, "alarm")
    return times


async def measure(board: str, runs: int, folder: Path) -> None:
    async with Lab(Home(folder / "lab")) as lab:
        await lab.up(board, name="device", development=True)
        print(f"\n{board}")
        await lab.gateway.deploy("device", _wat("work", WORK))
        nothing = await calls(lab, "device", "nothing", [], runs * 4)
        report("call of an empty function, round trip", nothing, "ms")
        base = statistics.median(nothing)
        work = [value - base for value in await calls(lab, "device", "work", [ITERATIONS], runs)]
        report(f"loop of {ITERATIONS} turns in WebAssembly", work, "ms")
        if board == "native":  # elsewhere it would compare two machines
            native = natively(folder, runs)
            report("the same in C, gcc -O2", native, "ms")
            ratio = statistics.median(work) / statistics.median(native)
            print(f"{'  ratio of the medians':<58} {ratio:>9.1f}")
        asked = [value - base for value in await calls(lab, "device", "ask", [CALLS], runs)]
        report("one host call (clock.now)", [value / CALLS * 1000 for value in asked], "µs")
        await lab.gateway.stop_app("device", "work")

        small = await lab.gateway.deploy("device", _wat("small", POLLED))
        report("memory of an app with 64 bytes of its own", [small.memory / 1024], "KiB")
        await lab.gateway.stop_app("device", "small")
        whole = await lab.gateway.deploy("device", _wat("whole", WHOLE_PAGE))
        report("memory of an app with a whole page", [whole.memory / 1024], "KiB")
        await lab.gateway.stop_app("device", "whole")

        report("four apps polled every 100 ms: off by", await jitter(lab, "device", 10), "ms")
        report(
            "temperature set to LED changed (DHT22: a reading every 2 s)",
            await reaction(lab, "device", folder, runs),
            "ms",
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--board", action="append")
    parser.add_argument("--runs", type=int, default=15)
    options = parser.parse_args()
    print(machine())
    for board in options.board or ["native", "mps2-an385"]:
        with tempfile.TemporaryDirectory() as folder:
            uvloop.run(measure(board, options.runs, Path(folder)))


if __name__ == "__main__":
    main()
