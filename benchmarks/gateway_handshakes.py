"""How many mutual TLS 1.3 handshakes a second a core of the gateway does, up to the welcome.

Handshakes are divided by all the CPU time of the gateway's process, so that clients and other work on the
machine do not count. Run: python benchmarks/gateway_handshakes.py [--count N] [--runs N]
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import socket
import ssl
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import structlog
import uvloop
from harness import machine, report

from lab.events import Events
from lab.gateway import Gateway
from lab.gateway.tls import Connection
from lab.home import Home
from lab.pki import GATEWAY, Authority
from lab.store import Store
from lab.wire import messages as m

CLIENTS = 8
HELLO = m.Hello(
    1, "bench", "native", "0", bytes(20), m.BootReason.POWER_ON, "", 1, 1, 65536, 65536, 65536, 1024, ()
)


def connect(
    address: tuple[str, int], context: ssl.SSLContext, device: str, *, ready: bool = False
) -> ssl.SSLSocket:
    """Open a session up to its welcome, or to being connected."""
    tls = context.wrap_socket(socket.create_connection(address), server_hostname=GATEWAY)
    tls.sendall(m.encode(replace(HELLO, device=device)))
    [envelope] = m.Reader().feed(tls.recv(4096))
    welcome = m.decode(envelope)
    assert isinstance(welcome, m.Welcome), welcome
    if ready:
        tls.sendall(m.encode(m.Ready(welcome.uuid)))
    return tls


def client_context(ca: Path, certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(ca)
    context.load_cert_chain(certificate, key)
    return context


def quiet() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))


def _clients(address: tuple[str, int], ca: Path, devices: list[tuple[str, Path, Path]], count: int) -> None:
    def one(device: str, certificate: Path, key: Path) -> None:
        context = client_context(ca, certificate, key)
        for _ in range(count // len(devices)):
            connect(address, context, device).close()

    with ThreadPoolExecutor(len(devices)) as pool:
        for work in [pool.submit(one, *device) for device in devices]:
            work.result()


class _Answer:
    """No gateway at all: answers a hello with any welcome, which shows what TLS alone costs."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def received(self, data: bytes) -> None:
        self._connection.send(m.encode(m.Welcome(bytes(16), 0, 30_000)))

    def lost(self, reason: str) -> None: ...


async def rates(
    address: tuple[str, int], ca: Path, devices: list[tuple[str, Path, Path]], count: int, runs: int
) -> tuple[list[float], list[float]]:
    """Return handshakes per second of this process's CPU time, and of the clock, for each run."""
    by_cpu, by_clock = [], []
    for run in range(runs + 1):
        work = count if run else CLIENTS * 10  # the first run warms up
        process = multiprocessing.get_context("spawn").Process(
            target=_clients, args=(address, ca, devices, work)
        )
        cpu, clock = time.process_time(), time.monotonic()
        process.start()
        await asyncio.to_thread(process.join)
        assert process.exitcode == 0
        if run:
            by_cpu.append(work / (time.process_time() - cpu))
            by_clock.append(work / (time.monotonic() - clock))
    return by_cpu, by_clock


async def measure(count: int, runs: int) -> None:
    print(f"{machine()}, {ssl.OPENSSL_VERSION}, uvloop {uvloop.__version__}")
    print(f"{count} mutual TLS 1.3 handshakes a run, P-256, no tickets, up to the welcome; {CLIENTS} clients")
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        authority = Authority(home)
        issued = [authority.issue(f"bench-{number}") for number in range(CLIENTS)]
        devices = [(one.name, one.certificate, one.key) for one in issued]

        context = authority.server_context()
        server = await asyncio.get_running_loop().create_server(
            lambda: Connection(context, _Answer, lambda address, reason: None, 30.0), "127.0.0.1", 0
        )
        address = server.sockets[0].getsockname()
        by_cpu, _ = await rates(address, authority.certificate_file, devices, count, runs)
        server.close()
        report("TLS alone, per second of its CPU time", by_cpu, "1/s")

        async with Store(home) as store, Events(store) as events:
            gateway = Gateway(store, events, authority)
            await gateway.start()
            for device, *_ in devices:
                await gateway.register(device, "native", "native")
            by_cpu, by_clock = await rates(gateway.address, authority.certificate_file, devices, count, runs)
            await gateway.stop()
        report("the whole gateway, per second of its CPU time", by_cpu, "1/s")
        report("the whole gateway, per second, clients beside it", by_clock, "1/s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    quiet()
    uvloop.run(measure(options.count, options.runs))


if __name__ == "__main__":
    main()
