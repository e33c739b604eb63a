"""What the link carries: its code alone, through the bridge, and through the UART of a real board.

Run: python benchmarks/link.py [--board B]… [--runs N]
"""

from __future__ import annotations

import argparse
import os
import socket
import struct
import tempfile
import time
from pathlib import Path

import anyio
from anyio.abc import ByteStream, SocketAttribute, SocketStream
from boot import BOARDS, Bench, close
from harness import machine, report

from lab.bridge import Bridge
from lab.console import Console
from lab.engines._stream import SocketByteStream
from lab.home import Home
from lab.link import Accepted, Data, Deframer, DeviceLink, HostLink, Type, frame

SIZE = 4 << 20
WINDOW = 32768
UART_BYTES = 64 << 10


def code(runs: int) -> None:
    framing, deframing = [], []
    payload = os.urandom(SIZE)
    for _ in range(runs):
        host, device = HostLink(SIZE), DeviceLink(SIZE)
        device.open(1, 0)
        host.receive(device.take_output(), 0)
        host.accept(0)
        device.receive(host.take_output(), 0)
        start = time.perf_counter()
        device.send(payload, 0)
        wire = device.take_output()
        framing.append(SIZE / (time.perf_counter() - start) / 1e6)
        start = time.perf_counter()
        events = [
            event for at in range(0, len(wire), 4096) for event in host.receive(wire[at : at + 4096], 0)
        ]
        deframing.append(SIZE / (time.perf_counter() - start) / 1e6)
        assert sum(len(event.payload) for event in events if isinstance(event, Data)) == SIZE
    report("framing 1 KiB payloads", framing, "MB/s")
    report("deframing them", deframing, "MB/s")


async def through_bridge(runs: int) -> None:
    """There and back: device, bridge, an echoing gateway, all in this one process."""
    rates = []
    for _ in range(runs):
        near, far = socket.socketpair()
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        port = listener.extra(SocketAttribute.local_port)

        async def echo(stream: SocketStream) -> None:
            async with stream:
                async for data in stream:
                    await stream.send(data)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, echo)
            tasks.start_soon(Bridge(SocketByteStream(near), ("127.0.0.1", port)).run)
            device = SocketByteStream(far)
            rates.append(await _there_and_back(device))
            tasks.cancel_scope.cancel()
        await listener.aclose()
    report("device, bridge, echoing gateway and back", rates, "MB/s")


async def _there_and_back(line: ByteStream) -> float:
    link = DeviceLink(WINDOW)
    link.open(1, 0)
    await line.send(link.take_output())
    sent = received = 0
    start = time.perf_counter()
    while received < SIZE:
        for event in link.receive(await line.receive(), 0):
            if isinstance(event, Accepted):
                start = time.perf_counter()
            elif isinstance(event, Data):
                received += len(event.payload)
                link.consumed(len(event.payload))
        if part := min(link.credit, SIZE - sent):
            link.send(bytes(part), 0)
            sent += part
        if output := link.take_output():
            await line.send(output)
    return SIZE / (time.perf_counter() - start) / 1e6


async def through_uart(bench: Bench, runs: int) -> None:
    """To the board: frames it ignores, then one it must answer. From the board: the answers to `help`."""
    # Of a type nobody knows, then DATA of a connection nobody has: the firmware answers with CLOSE 3.
    body = struct.pack("<BHH", 99, 0, 0) + bytes(range(1, 256)) * 4
    burst = frame(body) * (UART_BYTES // len(body))
    question = frame(struct.pack("<BHH", Type.DATA, 4711, 0) + b"?")
    to_board, from_board = [], []
    job = bench.job("bench")
    board = await bench.start(job)
    console = Console(board.console, job.folder / "console.log")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(console.run)
        async for _ in console.follow():
            if "connecting as bench\r\n" in console.text:
                break
        for _ in range(runs):
            deframer = Deframer()
            start = time.perf_counter()
            await board.link.send(burst + question)
            answered = False
            while not answered:
                bodies = deframer.feed(await board.link.receive())
                answered = any(each[:3] == struct.pack("<BH", Type.CLOSE, 4711) for each in bodies)
            to_board.append(len(burst) / (time.perf_counter() - start) / 1e3)

            before, asked = console.end, 20
            console.mark_boot()
            start = time.perf_counter()
            await console.write(b"help\r" * asked)
            async for _ in console.follow():
                if console.text.count("fail on purpose") == asked:
                    break
            from_board.append((console.end - before) / (time.perf_counter() - start) / 1e3)
        await close(board)
        tasks.cancel_scope.cancel()
    report(f"{bench.name}: to the board (link, deframed)", to_board, "kB/s")
    report(f"{bench.name}: from the board (console, printed)", from_board, "kB/s")


async def main(names: list[str], runs: int) -> None:
    print(machine(), f"load {os.getloadavg()[0]:.1f}", sep=", ")
    code(runs)
    await through_bridge(runs)
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            await through_uart(Bench(name, Home(Path(folder)).create()), runs)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--board", action="append", choices=BOARDS)
    parser.add_argument("--runs", type=int, default=9)
    options = parser.parse_args()
    anyio.run(main, options.board or BOARDS, options.runs, backend_options={"use_uvloop": True})
