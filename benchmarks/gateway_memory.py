"""What an idle, connected device costs the gateway in memory.

The growth of the private memory of the gateway process (smaps_rollup) by N connected devices, divided by N.
The clients are another process. Run: python benchmarks/gateway_memory.py [--count N] [--runs N]
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import multiprocessing
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path

import uvloop
from gateway_handshakes import client_context, connect, quiet
from harness import machine, report

from lab.events import Events
from lab.gateway import Gateway
from lab.home import Home
from lab.pki import Authority
from lab.store import Store


def private_memory() -> int:
    """Return the bytes that no other process shares."""
    gc.collect()
    return sum(
        int(line.split()[1]) * 1024
        for line in Path("/proc/self/smaps_rollup").read_text().splitlines()
        if line.startswith("Private_")
    )


def _clients(
    address: tuple[str, int], ca: Path, devices: list[tuple[str, Path, Path]], control: Connection
) -> None:
    sessions = [
        connect(address, client_context(ca, certificate, key), device, ready=True)
        for device, certificate, key in devices
    ]
    control.send(len(sessions))
    control.recv()
    for session in sessions:
        session.close()


async def once(count: int) -> float:
    """Return the KB a connected device takes; to be called in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        authority = Authority(home)
        async with Store(home) as store, Events(store) as events:
            gateway = Gateway(store, events, authority)
            await gateway.start()
            devices = []
            for number in range(count + 1):
                issued = authority.issue(f"bench-{number}")
                devices.append((issued.name, issued.certificate, issued.key))
                await gateway.register(issued.name, "native", "native")
            spawn = multiprocessing.get_context("spawn")

            async def run(chosen: list[tuple[str, Path, Path]]) -> float:
                here, there = spawn.Pipe()
                process = spawn.Process(
                    target=_clients, args=(gateway.address, authority.certificate_file, chosen, there)
                )
                process.start()
                await asyncio.to_thread(here.recv)
                for device, *_ in chosen:
                    await gateway.connected(device)
                await asyncio.sleep(0.5)  # for the last report to be written
                used = private_memory()
                here.send(None)
                await asyncio.to_thread(process.join)
                return used

            before = await run(devices[:1])  # the first session pays for what all share
            after = await run(devices[1:])
            await gateway.stop()
    return (after - before) / count / 1000


def _once(count: int, control: Connection) -> None:
    quiet()
    control.send(uvloop.run(once(count)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    spawn = multiprocessing.get_context("spawn")
    results = []
    for _ in range(options.runs):
        here, there = spawn.Pipe()
        process = spawn.Process(target=_once, args=(options.count, there))
        process.start()
        results.append(here.recv())
        process.join()
    print(machine())
    print(f"{options.count} connected, idle devices a run")
    report("gateway memory a connected, idle device", results, "KB")


if __name__ == "__main__":
    main()
