"""What plugins and nodes cost: a poll, a swap, a host's memory, a hub with many spokes, the native agent.

Builds what it needs (some ten seconds a plugin) below ``$LAB_CACHE``.
Run: python benchmarks/plugins.py [poll] [reload] [memory] [spokes] [agent] [--runs N] [--spokes N]
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog
from harness import machine, report

from lab import paths, third_party
from lab.node.uplink import Uplink
from lab.plugins.build import build
from lab.plugins.engine import Runtime
from lab.plugins.guest import Guest, Limits, record
from lab.plugins.worlds import worlds

LAB = str(Path(sys.executable).with_name("lab"))
SHIPPED = ("dht22", "bme680", "node-monitor", "dashboard")
_SENSOR = "lab:plugin/sensor@0.1.0"


def component(name: str, high_alarm: str | None = None) -> Path:
    """Return a shipped plugin, built once; `high_alarm` replaces the threshold of dht22."""
    folder = third_party.cache() / "benchmark-plugins" / (high_alarm or "shipped")
    output = folder / f"{name}.wasm"
    source = paths.data("plugins") / name
    text = (source / "plugin.py").read_text()
    if high_alarm is not None:
        text = text.replace("HIGH_ALARM = 30.0", f"HIGH_ALARM = {high_alarm}")
    copy = folder / name / "plugin.py"
    if not output.exists() or copy.read_text() != text:
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(text)
        build(copy.parent, output, name)
    return output


def put(file: Path, folder: Path, name: str | None = None) -> None:
    part = folder / f".{file.name}.part"
    shutil.copyfile(file, part)
    part.replace(folder / f"{name or file.stem}.wasm")


@contextmanager
def node(folder: Path, **tables: Any) -> Iterator[tuple[int, dict[str, int]]]:
    """Run a hub; yield its process id and its ports."""
    lines = ["[cluster]", "port = 0", f"nodes = {json.dumps(tables.pop('nodes', []))}", "[http]", "port = 0"]
    lines += [
        "[polling]",
        f"interval = {tables.pop('interval', 1.0)}",
        "[sensors]",
        "dht22 = {}",
        "bme680 = {}",
    ]
    lines += ["[node]", 'folder = "state"', 'plugins = "plugins"', "[buzzer]", "pin = 18"]
    lines += ["[plugins.bme680]", "i2c = [0x77]", "[plugins.second-dht22]", 'world = "dht22"']
    (folder / "node.toml").write_text("\n".join(lines))
    address = folder / "state" / "node.json"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([LAB, "node", "-c", str(folder / "node.toml")], stderr=log)
    try:
        while not address.exists():
            if process.poll() is not None:
                raise SystemExit((folder / "log").read_text())
            time.sleep(0.02)
        yield process.pid, json.loads(address.read_text())
    finally:
        process.terminate()
        process.wait()


def get(connection: http.client.HTTPConnection, path: str) -> Any:
    connection.request("GET", path)
    return json.loads(connection.getresponse().read())


def poll(runs: int) -> None:
    """A poll of dht22: host, guest, three host calls, guest, host; in one thread, without a node."""
    reading = record(temperature=22.0, humidity=45.0)
    granted: dict[str, Any] = {name: {} for name in worlds()["dht22"].imports}
    device = "lab:device/{}@0.1.0".format
    granted[device("dht22")] = {"read": lambda: reading}
    granted[device("log")] = {"write": lambda *_: None}
    granted[device("led-controller")] = dict.fromkeys(
        ("length", "set", "set-two", "set-all", "clear"), lambda *_: True
    )
    granted[device("buzzer-controller")] = dict.fromkeys(("on-for", "beep", "off"), lambda *_: None)
    granted["lab:plugin/settings@0.1.0"] = {"get": lambda _key: None}
    runtime = Runtime()
    compiled = asyncio.run(runtime.load(component("dht22").read_bytes()))
    guest = Guest(runtime, compiled, worlds()["dht22"], granted, Limits())
    guest.call(_SENSOR, "poll")
    values = []
    for _ in range(runs):
        began = time.perf_counter()
        for _ in range(500):
            guest.call(_SENSOR, "poll")
        values.append((time.perf_counter() - began) / 500 * 1e6)
    report("poll of dht22 (3 host calls, 2 readings)", values, "µs")
    loads, starts = [], []
    for _ in range(runs):
        began = time.perf_counter()
        compiled = asyncio.run(runtime.load(component("dht22").read_bytes()))
        loads.append((time.perf_counter() - began) * 1000)
        began = time.perf_counter()
        Guest(runtime, compiled, worlds()["dht22"], granted, Limits()).close()
        starts.append((time.perf_counter() - began) * 1000)
    report("load of a compiled plugin from the cache, with its digest", loads, "ms")
    report("instance of a loaded plugin", starts, "ms")
    runtime.close()


def reload(runs: int) -> None:
    """From the new file's rename to LED 1 in its colour, with a cycle every 0.5 s."""
    for label, cold in (("never seen before: compiled first", True), ("compiled before", False)):
        values = []
        for run in range(runs):
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                (folder / "plugins").mkdir()
                put(component("dht22"), folder / "plugins")
                new = component("dht22", "20.0")
                with node(folder, interval=0.5) as (_, where):
                    connection = http.client.HTTPConnection("127.0.0.1", where["http"])

                    def led(connection: http.client.HTTPConnection = connection) -> Any:
                        return get(connection, "/api/parts")["parts"]["leds"]["leds"][1]

                    while led() != [0, 255, 0]:
                        time.sleep(0.05)
                    if cold:  # a custom section of its own makes it another component
                        changed = folder / "dht22.wasm"
                        mark = f"{time.time()}{run}".encode()
                        changed.write_bytes(new.read_bytes() + bytes([0, len(mark) + 2, 1, ord("x")]) + mark)
                        new = changed
                    put(new, folder / "plugins", "dht22")
                    began = time.perf_counter()
                    while led() != [255, 0, 0]:
                        time.sleep(0.02)
                    values.append(time.perf_counter() - began)
                    connection.close()
        report(f"new file to new behaviour, {label}", values, "s")


def memory(runs: int) -> None:
    """A node with five plugins, after ten cycles."""
    resident, shared = [], []
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "plugins").mkdir()
            for each in SHIPPED:
                put(component(each), folder / "plugins")
            put(component("dht22"), folder / "plugins", "second-dht22")
            with node(folder, interval=0.2) as (pid, where):
                connection = http.client.HTTPConnection("127.0.0.1", where["http"])
                while get(connection, "/api/readings")["nodes"]["hub"].get("cycles", 0) < 30:
                    time.sleep(0.1)
                connection.request("GET", "/")
                connection.getresponse().read()
                connection.close()
                status = Path(f"/proc/{pid}/status").read_text()
                rss = {
                    line.split(":")[0]: int(line.split()[1]) / 1024
                    for line in status.splitlines()
                    if "kB" in line
                }
                resident.append(rss["RssAnon"])
                shared.append(rss["RssFile"])
    report("node with 5 plugins: memory of its own", resident, "MiB")
    report("node with 5 plugins: mapped files (code, shared)", shared, "MiB")


def spokes(count: int, runs: int) -> None:
    """As many spokes as fast as they can: a batch of ten readings a push, a connection a spoke."""
    names = [f"spoke-{number}" for number in range(count)]
    rates, slowest, cpu = [], [], []
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "plugins").mkdir()
            with node(folder, nodes=names) as (pid, where):
                asyncio.run(_push(folder, where["cluster"], names, rates, slowest, cpu, pid))
    report(f"pushes to one hub from {count} spokes", rates, "1/s")
    report("99th percentile of a push, all at once", slowest, "ms")
    report("CPU time of the hub, a push", cpu, "ms")


async def _push(
    folder: Path,
    port: int,
    names: list[str],
    rates: list[float],
    slowest: list[float],
    cpu: list[float],
    pid: int,
) -> None:
    from concurrent.futures import ThreadPoolExecutor

    loop = asyncio.get_running_loop()
    rounds = 10
    took: list[float] = []

    def one(name: str) -> None:
        uplink = Uplink(
            f"https://127.0.0.1:{port}", folder / "state" / "credentials" / f"{name}.json", timeout=60
        )
        stream = uuid.uuid4().hex
        readings = [{"sensor": "s", "quantity": f"q{n}", "value": float(n)} for n in range(10)]
        for sequence in range(1, rounds + 1):
            began = time.perf_counter()
            body = {
                "stream": stream,
                "now": time.time(),
                "interval": 2.0,
                "batches": [{"sequence": sequence, "at": time.time(), "readings": readings}],
            }
            assert uplink.post("/push", body)["accepted"] == sequence
            took.append((time.perf_counter() - began) * 1000)
        uplink.close()

    before, began = _cpu(pid), time.perf_counter()
    with ThreadPoolExecutor(len(names)) as threads:
        await asyncio.gather(*(loop.run_in_executor(threads, one, name) for name in names))
    rates.append(len(names) * rounds / (time.perf_counter() - began))
    cpu.append((_cpu(pid) - before) * 1000 / (len(names) * rounds))
    slowest.append(statistics.quantiles(took, n=100)[98])


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def agent(runs: int) -> None:
    """The native agent after ten pushes over TLS."""
    values = []
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "plugins").mkdir()
            with node(folder, nodes=["agent"]) as (_, where):
                (folder / "agent.toml").write_text(
                    f'[agent]\nnode_id = "agent"\nhub_url = "https://127.0.0.1:{where["cluster"]}"\n'
                    'credentials = "state/credentials/agent.json"\nfolder = "agent"\ninterval = 0.2\n'
                )
                process = subprocess.Popen(
                    [sys.executable, "-m", "lab.node.agent", "--config", str(folder / "agent.toml")]
                )
                connection = http.client.HTTPConnection("127.0.0.1", where["http"])
                path = "/api/history?node_id=agent&quantity=uptime"
                while len(get(connection, path)["readings"]) < 10:
                    time.sleep(0.1)
                connection.close()
                status = Path(f"/proc/{process.pid}/status").read_text()
                process.terminate()
                process.wait()
                values.append(int(status.split("VmHWM:")[1].split()[0]) / 1024)
    report("native agent, peak resident set", values, "MiB")


def main() -> None:
    """Run what was asked for, or all of it."""
    known = ("poll", "reload", "memory", "spokes", "agent")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="*", choices=[*known, []], default=[])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--spokes", type=int, default=100)
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    print(machine())
    for what in options.what or known:
        if what == "spokes":
            spokes(options.spokes, options.runs)
        else:
            {"poll": poll, "reload": reload, "memory": memory, "agent": agent}[what](options.runs)


if __name__ == "__main__":
    main()
