"""Alerts: each raised by its cause, told to a webhook, and cleared when the cause is over."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import http.server
import json
import queue
import socket
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
import wasmtime

from lab import monitor
from lab.lab import Lab
from lab.node import web
from tests.panel.conftest import PATIENCE
from tests.panel.test_limits import serving
from tests.unit.test_node import hub, lit

# Traps in its first poll, as a version that is broken does on trial.
BROKEN = """
(module
  (memory (export "memory") 1)
  (func (export "init") (result i32) (i32.const 100))
  (func (export "poll") unreachable))
"""
LIMIT = PATIENCE / 1000  # s until a test gives up

Told = queue.Queue[tuple[dict[str, Any], str]]


@contextmanager
def receiver(answers: Sequence[int] = ()) -> Iterator[tuple[str, Told]]:
    """A webhook's receiver: its address, and what it was told.

    :param answers: its first answers; all others are 204.
    """
    told: Told = queue.Queue()
    left = deque(answers)

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            told.put((json.loads(body), self.headers.get("x-lab-signature", "")))
            self.send_response(left.popleft() if left else 204)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hook", told
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def hook() -> Iterator[tuple[str, Told]]:
    with receiver() as made:
        yield made


async def heard(told: Told, state: str) -> dict[str, Any]:
    """Return the alert of the next message to the webhook, which is of `state` and signed."""
    message, signature = await asyncio.to_thread(told.get, timeout=LIMIT)
    assert message["state"] == state
    assert len(signature) == 64
    alert: dict[str, Any] = message["alert"]
    return alert


async def standing(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    alerts: list[dict[str, Any]] = (await client.get("/api/v1/alerts")).json()["alerts"]
    return alerts


async def listen(client: httpx.AsyncClient, url: str) -> None:
    made = await client.post("/api/v1/webhooks", json={"url": url, "secret": "s"})
    assert made.json()["webhooks"] == [{"url": url, "signed": True}]


def test_a_device_that_is_offline(tmp_path: Path, hook: Any) -> None:
    url, told = hook

    async def run() -> None:
        async with serving(tmp_path) as (lab, client):
            await listen(client, url)
            await lab.gateway.register("b", "native", "native")
            lab.events.publish("device.exited", "b", asked=False, reason="killed")
            alert = await heard(told, "raised")
            assert await standing(client) == [alert]
            assert alert["id"] == "device-offline:b"
            assert "killed" in alert["text"]
            lab.events.publish("device.connected", "b", boot_reason="power-on")
            assert await heard(told, "cleared") == alert
            assert await standing(client) == []
            await client.delete("/api/v1/webhooks", params={"url": url})

    asyncio.run(run())


def test_a_plugin_that_fails(tmp_path: Path, hook: Any) -> None:
    url, told = hook

    async def run() -> None:
        async with serving(tmp_path) as (_lab, client), lit(hub(tmp_path), "bme680") as it:
            await listen(client, url)
            it.parts.set("bme680.fault", "nack")
            await it.cycle()
            with socket.create_server(("127.0.0.1", 0)) as listener:
                async with web.serving(web.local_app(it.node), listener):
                    where = {"port": listener.getsockname()[1]}
                    assert (await client.put("/api/v1/nodes/hub", json=where)).status_code == 200
                    alert = await heard(told, "raised")
                    assert await standing(client) == [alert]
                    assert alert["id"] == "plugin:hub/bme680"
                    assert alert["text"] == (
                        "plugin bme680 of hub is failing: nothing answers at 0x77: no_answer"
                    )
                    it.parts.set("bme680.fault", "none")
                    await it.cycle()
                    assert await heard(told, "cleared") == alert
                    assert await standing(client) == []

    asyncio.run(run())


@pytest.mark.hil
@pytest.mark.native
def test_a_rollout_over_its_failure_budget(tmp_path: Path, hook: Any, native: None) -> None:
    url, told = hook

    async def run() -> None:
        async with serving(tmp_path) as (lab, client):
            await listen(client, url)
            await lab.up("native", name="dut", count=2, development=True)
            module = bytes(wasmtime.wat2wasm(BROKEN))
            kept = (await client.post("/api/v1/packages?name=broken", content=module)).json()
            plan = {"package": kept["id"], "devices": ["dut-1", "dut-2"], "batch": 1}
            id = (await client.post("/api/v1/rollouts", json=plan)).json()["id"]
            failed = await heard(told, "raised")
            assert failed["id"] == "app-failed:dut-1/broken"
            alert = await heard(told, "raised")
            assert await standing(client) == [alert, failed]
            assert alert["id"] == f"rollout:{id}"
            assert alert["text"] == f"rollout {id} of broken: 1 devices failed, 0 may"
            await client.post(f"/api/v1/rollouts/{id}/abort")
            assert await heard(told, "cleared") == alert
            assert await standing(client) == [failed]
            # One that is over does not become good again: its alert stands until somebody has seen it.
            last = {"package": kept["id"], "devices": ["dut-2"]}
            id = (await client.post("/api/v1/rollouts", json=last)).json()["id"]
            assert (await heard(told, "raised"))["id"] == "app-failed:dut-2/broken"
            alert = await heard(told, "raised")
            assert alert["text"] == f"rollout {id} of broken: 1 devices failed, 0 may"
            assert (await client.get(f"/api/v1/rollouts/{id}")).json()["state"] == "failed"
            assert (await client.delete(f"/api/v1/alerts/{alert['id']}")).status_code == 200
            assert await heard(told, "cleared") == alert
            await lab.down(["dut-1", "dut-2"])

    asyncio.run(run())


# -- webhooks that fail


def raise_one(lab: Lab, device: str) -> None:
    lab.events.publish("device.exited", device, asked=False, reason="killed")


def test_a_webhook_that_fails_is_told_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor, "_BACKOFF", 0.01)

    async def run(url: str, told: Told) -> None:
        async with serving(tmp_path) as (lab, client):
            await listen(client, url)
            for device in ("b", "c"):
                raise_one(lab, device)
            tries = [(await heard(told, "raised"))["device"] for _ in range(6)]
            # Three tries are all there are; the next alert gets as many.
            assert tries == ["b", "b", "b", "c", "c", "c"]

    with structlog.testing.capture_logs() as lines, receiver([500, 503, 302, 500, 404]) as (url, told):
        asyncio.run(run(url, told))
    failed = [line for line in lines if line["event"] == "webhook failed"]
    assert [line["reason"] for line in failed] == ["it answered 302"]


def test_a_webhook_that_does_not_answer_holds_up_no_other_and_has_an_end(tmp_path: Path, hook: Any) -> None:
    url, told = hook
    count = 2 * monitor._WAITING

    async def run(stuck: str) -> None:
        async with serving(tmp_path) as (lab, client):
            await listen(client, url)
            await client.post("/api/v1/webhooks", json={"url": stuck})
            for number in range(count):
                raise_one(lab, f"b-{number}")
                assert (await heard(told, "raised"))["device"] == f"b-{number}"

    with structlog.testing.capture_logs() as lines, socket.create_server(("127.0.0.1", 0)) as listener:
        stuck = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        asyncio.run(run(stuck))
    dropped = [line for line in lines if line["event"] == "webhook not told"]
    assert {line["url"] for line in dropped} == {stuck}
    # One is under way, and as many wait as may.
    assert len(dropped) == count - monitor._WAITING - 1


def test_what_signs_a_webhook_is_not_kept_in_the_clear(tmp_path: Path, hook: Any) -> None:
    url, told = hook
    secret = "correct horse battery staple"

    async def run() -> None:
        async with serving(tmp_path) as (lab, client):
            await client.post("/api/v1/webhooks", json={"url": url, "secret": secret})
            raise_one(lab, "b")
            message, signature = await asyncio.to_thread(told.get, timeout=LIMIT)
            body = json.dumps(message).encode()
            assert signature == hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()

    asyncio.run(run())
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert not [file for file in files if secret.encode() in file.read_bytes()]
