"""Limits and health, on a lab in this process whose parts a test can break."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import Message
from starlette.websockets import WebSocketDisconnect

from lab.api import create_api
from lab.api.auth import Limits
from lab.api.middleware import LimitBody
from lab.api.stream import Client
from lab.errors import LabError
from lab.events import BACKLOG_LIMIT
from lab.home import Home
from lab.lab import Lab

TOKEN = "t" * 43


@asynccontextmanager
async def serving(
    folder: Path, *, trace: bool = False, **options: Any
) -> AsyncIterator[tuple[Lab, httpx.AsyncClient]]:
    async with Lab(Home(folder / "lab"), trace=trace) as lab:
        api = create_api(lab, TOKEN, **options)
        watching = asyncio.create_task(api.state.monitor.run())
        headers = {"Authorization": f"Bearer {TOKEN}"}
        transport = httpx.ASGITransport(api)
        async with httpx.AsyncClient(transport=transport, base_url="http://lab", headers=headers) as client:
            await asyncio.sleep(0)
            yield lab, client
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


def test_a_burst_is_throttled(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path, limits=Limits(rate=1, burst=5)) as (_lab, client):
            answers = [await client.get("/api/v1/lab") for _ in range(7)]
            assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 2
            assert int(answers[-1].headers["retry-after"]) >= 1
            assert answers[-1].headers["content-type"] == "application/problem+json"
            assert answers[-1].json()["status"] == 429
            assert (await client.get("/health")).status_code == 200

    asyncio.run(run())


def test_guessing_tokens_is_throttled(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path, limits=Limits(failures=3)) as (_lab, client):
            wrong = [
                (await client.get("/api/v1/lab", headers={"Authorization": f"Bearer {n}"})).status_code
                for n in range(5)
            ]
            assert wrong == [401, 401, 401, 429, 429]
            assert (await client.get("/api/v1/lab")).status_code == 200

    asyncio.run(run())


async def amiss(client: httpx.AsyncClient) -> tuple[int, str, dict[str, str]]:
    """Return what readiness answers, and the parts that are red, each with its detail."""
    answer = await client.get("/ready")
    red = {name for name, healthy in answer.json()["parts"].items() if not healthy}
    parts = (await client.get("/api/v1/health/parts")).json()["parts"]
    details = {part["name"]: part["detail"] for part in parts if not part["healthy"]}
    assert set(details) == red
    return answer.status_code, answer.json()["status"], details


GREEN: tuple[int, str, dict[str, str]] = (200, "ready", {})


def test_a_gateway_that_does_not_listen_turns_readiness_red(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as (lab, client):
            assert await amiss(client) == GREEN
            await lab.gateway.stop()
            red = {"gateway": "does not listen: lab gateway --restart"}
            assert await amiss(client) == (503, "failing", red)
            await lab.gateway.start()
            assert await amiss(client) == GREEN

    asyncio.run(run())


def test_a_store_that_fails_turns_readiness_red(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as (lab, client):
            with sqlite3.connect(lab.home.database) as database:
                database.execute("ALTER TABLE event RENAME TO gone")
            code, status, red = await amiss(client)
            assert (code, status, list(red)) == (503, "failing", ["store"])
            assert "no such table" in red["store"]
            with sqlite3.connect(lab.home.database) as database:
                database.execute("ALTER TABLE gone RENAME TO event")
            assert await amiss(client) == GREEN

    asyncio.run(run())


def test_events_that_are_not_written_turn_readiness_red(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as (lab, client):
            for _ in range(BACKLOG_LIMIT):
                lab.events.publish("device.labelled", "b", labels={})
            answer = await client.get("/ready")
            assert (answer.status_code, answer.json()["parts"]["events"]) == (503, False)
            await lab.events.written()
            assert await amiss(client) == GREEN

    asyncio.run(run())


def test_a_disk_that_is_full_turns_readiness_red(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        async with serving(tmp_path) as (_lab, client):
            left = shutil.disk_usage(tmp_path)._replace(free=1 << 20)
            monkeypatch.setattr(shutil, "disk_usage", lambda _path: left)
            assert await amiss(client) == (503, "failing", {"disk": "1 MiB free"})

    asyncio.run(run())


def test_a_monitor_that_has_ended_turns_readiness_red(tmp_path: Path) -> None:
    async def run() -> None:
        async with Lab(Home(tmp_path / "lab")) as lab:
            transport = httpx.ASGITransport(create_api(lab, TOKEN))
            headers = {"Authorization": f"Bearer {TOKEN}"}
            async with httpx.AsyncClient(
                transport=transport, base_url="http://lab", headers=headers
            ) as client:
                assert await amiss(client) == (503, "failing", {"monitor": "does not run"})

    asyncio.run(run())


@pytest.mark.hil
@pytest.mark.native
def test_a_bridge_that_fails_turns_readiness_red(tmp_path: Path, native: None) -> None:
    async def run() -> None:
        async with serving(tmp_path, trace=True) as (lab, client):
            trace = lab.home.device("b") / "link.jsonl"
            trace.mkdir()  # where the bridge is to write
            with pytest.raises(LabError, match="b ended before it was connected"):
                await lab.up("native", name="b")
            code, status, red = await amiss(client)
            assert (code, status, set(red)) == (503, "failing", {"bridges", "devices"})
            assert "IsADirectoryError" in red["bridges"]
            trace.rmdir()
            await lab.up("native", name="b")
            assert await amiss(client) == GREEN

    asyncio.run(run())


@pytest.mark.hil
@pytest.mark.native
def test_a_device_that_ends_by_itself_turns_health_red(tmp_path: Path, native: None) -> None:
    async def run() -> None:
        async with serving(tmp_path) as (lab, client):
            [device] = await lab.up("native", name="b")
            since = lab.events.last
            os.kill(device["pid"], signal.SIGKILL)
            async for event in lab.events.subscribe(since, device="b"):
                if event.kind == "alert.raised":
                    break
            assert await amiss(client) == (200, "degraded", {"devices": "b is crashed"})
            await lab.up("native", name="b")
            assert await amiss(client) == GREEN

    asyncio.run(run())


def test_a_body_that_stops_coming_is_given_up() -> None:
    sent: list[Message] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await receive()
        raise AssertionError("it waited for ever")

    async def receive() -> Message:
        if not sent and not started:
            started.append(True)
            return {"type": "http.request", "body": b"a", "more_body": True}
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    started: list[bool] = []
    scope = {"type": "http", "method": "POST", "path": "/", "headers": [], "query_string": b""}
    asyncio.run(LimitBody(app, seconds=0.05)(scope, receive, send))
    assert sent[0]["status"] == 408
    assert (b"content-type", b"application/problem+json") in sent[0]["headers"]


def test_a_client_that_does_not_read_is_dropped() -> None:
    class Stuck:
        async def send_text(self, text: str) -> None:
            await asyncio.Event().wait()

    async def run() -> None:
        with pytest.raises(WebSocketDisconnect, match="too slowly"):
            await Client(Stuck(), seconds=0.05).send(("{}",))  # type: ignore[arg-type]

    asyncio.run(run())


@pytest.mark.parametrize("url", ["ftp://x/", "file:///etc/passwd", "http://", "http://u@x/", "x"])
def test_what_cannot_be_a_webhook_is_refused(tmp_path: Path, url: str) -> None:
    async def run() -> None:
        async with serving(tmp_path) as (_lab, client):
            assert (await client.post("/api/v1/webhooks", json={"url": url})).status_code == 422

    asyncio.run(run())
