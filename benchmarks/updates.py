"""Updates: how long a device takes to verify, take and confirm one, what it costs on the line and in flash.

Run: .venv/bin/python benchmarks/updates.py [--board mps2-an385] [--runs 5]
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import wasmtime
from harness import machine, report

from lab import build
from lab.home import Home
from lab.lab import Lab
from lab.line import Disturbance, Way
from lab.link import Deframer, Type
from lab.packages import Package
from lab.publisher import Publisher
from lab.wire import messages as m

SIZE = 64 * 1024
POLL_MS = 20


def module(size: int) -> bytes:
    """Return a module of about `size` bytes, a new one at each call, that is polled every 20 ms."""
    code = bytes(
        wasmtime.wat2wasm(
            f'(module (func (export "init") (result i32) (i32.const {POLL_MS})) (func (export "poll")))'
        )
    )
    length = size - len(code) - 6  # the section's id, and its length in five bytes of LEB128
    leb = bytes(((length >> shift) & 0x7F) | (0x80 if shift < 28 else 0) for shift in range(0, 35, 7))
    return code + b"\0" + leb + b"\4fill" + os.urandom(length - 5)


class Count(Disturbance):
    """Disturbs nothing, and counts what passes: bytes on the UART, and of them those of TLS."""

    def __init__(self) -> None:
        super().__init__()
        self.uart = self.tls = 0
        self._deframer = Deframer()

    def pass_on(self, data: bytes) -> bytes:
        self.uart += len(data)
        for body in self._deframer.feed(data):
            if body[0] == Type.DATA:
                self.tls += len(body) - 5  # type, connection, sequence
        return data


@contextlib.asynccontextmanager
async def device(board: str) -> AsyncIterator[tuple[Lab, str, Publisher]]:
    """Boot one board in a lab of its own; it knows the lab's publisher."""
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        publisher = Publisher.own(home)
        async with Lab(home) as lab:
            [booted] = await lab.up(board)
            yield lab, booted["id"], publisher


async def updates(board: str, runs: int) -> None:
    """Update a device again and again, until each version is confirmed."""
    times, on_uart, on_tls = [], [], []
    async with device(board) as (lab, name, publisher):
        count = Count()
        lab.powered(name).line.disturb(Way.DOWN, count)
        for _ in range(runs):
            content = module(SIZE)
            package = publisher.sign("app", content, sequence=len(times) + 1)
            uart, tls, started = count.uart, count.tls, time.perf_counter()
            [result] = await lab.deploy([name], package, confirmed=True)
            times.append((time.perf_counter() - started) * 1000)
            if result["state"] != "running":
                raise SystemExit(f"{name}: {result}")
            on_uart.append(((count.uart - uart) / len(content) - 1) * 100)
            on_tls.append(((count.tls - tls) / len(content) - 1) * 100)
        report(f"update of 64 KiB to confirmed, with 3 polls at {POLL_MS} ms", times, "ms")
        report("bytes sent by TLS, over the module's size", on_tls, "%")
        report("bytes sent on the UART, over the module's size", on_uart, "%")
        await verify(lab, name, package, runs)


async def verify(lab: Lab, name: str, package: Package, runs: int) -> None:
    """Time the answer to a package that is there already, less the one to an envelope that is none."""
    session = lab.gateway._online(lab.gateway._known(name))
    content = package.module
    digest = hashlib.sha256(content).digest()

    async def begin(envelope: bytes) -> float:
        started = time.perf_counter()
        await session.request(m.DeployBegin("app", len(content), digest, envelope), m.Ack)
        return (time.perf_counter() - started) * 1000

    whole = [await begin(package.envelope) for _ in range(runs)]
    refused = [await begin(b"\0" * len(package.envelope)) for _ in range(runs)]
    report("signature verified on the device", [a - b for a, b in zip(whole, refused, strict=True)], "ms")


def flash_written(runs: int) -> None:
    """Count what the core programs into the flash of its test bench."""
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "module"
        program = build.build("native-asan").image.parent / "tests" / "apps_bench"
        with subprocess.Popen([program, "262144"], stdin=-1, stdout=-1, text=True, bufsize=1) as bench:
            assert bench.stdin and bench.stdout

            def ask(*words: object) -> int:
                bench.stdin.write(" ".join(map(str, words)) + "\n")
                for line in bench.stdout:
                    if line.startswith("= "):
                        return int(line.split(" ")[2])
                raise SystemExit("the bench ended")

            for _ in range(runs):
                before = ask("written")
                file.write_bytes(module(SIZE))
                ask("deploy", "app", file)
                for _ in range(3):
                    ask("step", POLL_MS)
                ratios.append((ask("written") - before) / SIZE * 100)
            bench.stdin.close()
    report("flash bytes programmed for an update of 64 KiB", ratios, "%")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--board", default="mps2-an385")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    print(machine())
    print(f"board {options.board}")
    build.build(options.board)
    anyio.run(updates, options.board, options.runs)
    flash_written(options.runs)


if __name__ == "__main__":
    main()
