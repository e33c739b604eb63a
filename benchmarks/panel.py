"""What the API and the panel cost: latency with many devices, device to browser, weight, memory, clients.

Run: .venv/bin/python benchmarks/panel.py [--devices 500] [--clients 200] [--boards 20] [--runs 200]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import websockets
from harness import machine, pss, report

LAB = Path(sys.executable).with_name("lab")


def lab(home: Path, *arguments: str) -> Any:
    """Run `lab` in `home`; return the JSON it printed."""
    done = subprocess.run(
        [LAB, *arguments, "--json"],
        env={**os.environ, "LAB_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"lab {' '.join(arguments)}: {done.stderr}")
    return json.loads(done.stdout)


def percentile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1]


def fill_registry(home: Path, count: int) -> None:
    """Register devices that never connect, straight in the store, while no daemon runs."""
    from lab.gateway.registry import Row
    from lab.home import Home
    from lab.store import Store
    from lab.store.tables import Device

    async def run() -> None:
        async with Store(Home(home).create()) as store:
            for number in range(count):
                row = Row(f"idle-{number:04}", "native", "native", time.time())
                await store.save_device(Device(**row.columns()))

    asyncio.run(run())


def api_latency(url: str, token: str, runs: int, device: str) -> None:
    paths = ("lab", "devices", "devices?limit=50", f"devices/{device}", "logs?limit=100", "alerts")
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}) as client:
        for path in paths:
            times = []
            for _ in range(runs):
                started = time.perf_counter()
                client.get(f"/api/v1/{path}").raise_for_status()
                times.append((time.perf_counter() - started) * 1000)
                time.sleep(0.01)  # below the limit of requests a second
            what = f"GET /api/v1/{path}"
            print(f"{what:<58} p50 {percentile(times, 50):>6.1f} ms, p95 {percentile(times, 95):>6.1f} ms")


async def streams(url: str, token: str, clients: int, seconds: float) -> list[float]:
    """Follow the lab with many clients; return how long each event took to each of them, in ms."""
    late: list[float] = []
    headers = {"Authorization": f"Bearer {token}"}
    begun = asyncio.Event()

    async def follow() -> None:
        address = f"{url.replace('http', 'ws')}/api/v1/stream"
        async with websockets.connect(address, additional_headers=headers, max_size=None) as socket:
            async for message in socket:
                now = time.time()
                for frame in json.loads(message):
                    if begun.is_set() and frame.get("event", {}).get("kind") == "device.heartbeat":
                        late.append((now - frame["event"]["time"]) * 1000)

    tasks = [asyncio.create_task(follow()) for _ in range(clients)]
    await asyncio.sleep(3)
    begun.set()
    await asyncio.sleep(seconds)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return late


def browser(url: str, login: str, device: str, runs: int) -> None:
    """Measure what a browser loads first, and how soon it shows an LED that the device changed."""
    chromium = shutil.which("chromium")
    if chromium is None:
        print("no Chromium: page weight and device to browser are left out")
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = running.new_page()
        page.goto(login)
        for name, path in (("fleet", "/"), ("board", f"/devices/{device}")):
            page.goto(url + path)
            page.wait_for_timeout(1500)
            weight = page.evaluate(
                "performance.getEntries().reduce((sum, each) => sum + (each.encodedBodySize ?? 0), 0)"
            )
            report(f"first load of the {name} page, bodies of all answers", [weight / 1024], "KiB")
        # The app writes the strip when it is commanded; the page notes when its picture changed.
        page.evaluate(
            """() => {
                window.seen = [];
                const watch = new MutationObserver(() => window.seen.push(Date.now()));
                const led = document.querySelector("#board [data-led='1']");
                watch.observe(led, {attributes: true, attributeFilter: ["data-colour"]});
            }"""
        )
        times = page.evaluate(
            """async ([device, runs]) => {
                const csrf = document.querySelector("meta[name=csrf]").content;
                const found = [];
                for (let run = 0; run < runs; run += 1) {
                    window.seen.length = 0;
                    const sent = Date.now();
                    await fetch(`/api/v1/devices/${device}/apps/light/call`, {
                        method: "POST",
                        headers: {"Content-Type": "application/json", "X-CSRF-Token": csrf},
                        body: JSON.stringify({function: "flip", arguments: []}),
                    });
                    const end = Date.now() + 5000;
                    while (!window.seen.length && Date.now() < end) {
                        await new Promise((done) => setTimeout(done, 1));
                    }
                    if (window.seen.length) found.push(window.seen[0] - sent);
                    await new Promise((done) => setTimeout(done, 60));
                }
                return found;
            }""",
            [device, runs],
        )
        report("call in the browser, LED on the device, picture changed", times, "ms")
        running.close()


# Flips LED 1 each time it is called.
LIGHT = """
(module
  (import "lab:device/led-controller@0.1.0" "set"
    (func $set (param i32 i32 i32 i32) (result i32)))
  (global $on (mut i32) (i32.const 0))
  (func (export "flip")
    (global.set $on (i32.xor (global.get $on) (i32.const 255)))
    (drop (call $set (i32.const 1) (global.get $on) (i32.const 0) (i32.const 0)))))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=500)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--boards", type=int, default=20)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--board", default="native")
    options = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "lab"
        fill_registry(home, options.devices)
        try:
            lab(home, "up", "--board", options.board, "--count", str(options.boards), "--name", "board")
            login = lab(home, "panel", "--no-open")["url"]
            address = json.loads((home / "daemon.json").read_text())
            url, token, pid = f"http://127.0.0.1:{address['port']}", address["token"], address["pid"]
            print(f"{options.devices} devices in the registry and {options.boards} {options.board} boards")
            api_latency(url, token, options.runs, "board-1")
            report("memory (PSS) of the daemon", [pss(pid)], "MiB")
            source = Path(folder) / "light"
            source.mkdir()
            (source / "light.wat").write_text(LIGHT)
            (source / "app.toml").write_text(
                'name = "light"\nversion = "1.0.0"\nlanguage = "wat"\nsources = ["light.wat"]\n'
                '[permissions]\ninterfaces = ["led-controller"]\n'
            )
            lab(home, "deploy", str(source), "--to", "board-1")
            browser(url, login, "board-1", min(options.runs, 50))
            lab(home, "gateway", "--heartbeat", "1")
            late = asyncio.run(streams(url, token, options.clients, 15))
            what = f"heartbeat of {options.boards} devices a second to {options.clients} WebSocket clients"
            print(
                f"{what:<58} p50 {percentile(late, 50):>6.1f} ms, p95 {percentile(late, 95):>6.1f} ms "
                f"({len(late)} deliveries)"
            )
            report("memory (PSS) of the daemon after that", [pss(pid)], "MiB")
        finally:
            subprocess.run([LAB, "down"], env={**os.environ, "LAB_HOME": str(home)}, check=False)


if __name__ == "__main__":
    main()
