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


async def measure(count: int, runs: int) -> None:
    cpu_rates, wall_rates = [], []
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        authority = Authority(home)
        async with Store(home) as store, Events(store) as events:
            gateway = Gateway(store, events, authority)
            await gateway.start()
            devices = []
            for number in range(CLIENTS):
                issued = authority.issue(f"bench-{number}")
                devices.append((issued.name, issued.certificate, issued.key))
                await gateway.register(issued.name, "native", "native")
            for run in range(runs + 1):
                work = count if run else CLIENTS * 10  # the first run warms up
                process = multiprocessing.get_context("spawn").Process(
                    target=_clients, args=(gateway.address, authority.certificate_file, devices, work)
                )
                cpu, wall = time.process_time(), time.monotonic()
                process.start()
                await asyncio.to_thread(process.join)
                assert process.exitcode == 0
                if run:
                    cpu_rates.append(work / (time.process_time() - cpu))
                    wall_rates.append(work / (time.monotonic() - wall))
            await gateway.stop()
    print(f"{machine()}, {ssl.OPENSSL_VERSION}, uvloop {uvloop.__version__}")
    print(f"{count} mutual TLS 1.3 handshakes a run, P-256, no tickets, up to the welcome; {CLIENTS} clients")
    report("handshakes per second of gateway CPU", cpu_rates, "1/s")
    report("handshakes per second, clients on the same machine", wall_rates, "1/s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    quiet()
    uvloop.run(measure(options.count, options.runs))


if __name__ == "__main__":
    main()
