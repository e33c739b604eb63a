"""Limits and health, on a lab in this process whose parts a test can break."""

from __future__ import annotations

import asyncio
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
from lab.home import Home
from lab.lab import Lab

TOKEN = "t" * 43


@asynccontextmanager
async def serving(folder: Path, **options: Any) -> AsyncIterator[tuple[Lab, httpx.AsyncClient]]:
    async with Lab(Home(folder / "lab")) as lab:
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


def test_a_part_that_fails_turns_readiness_red(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as (lab, client):
            assert (await client.get("/ready")).status_code == 200
            await lab.gateway.stop()
            red = await client.get("/ready")
            assert red.status_code == 503
            assert red.json()["parts"]["gateway"] is False
            parts = (await client.get("/api/v1/health/parts")).json()["parts"]
            assert "lab gateway --restart" in next(p["detail"] for p in parts if p["name"] == "gateway")
            await lab.gateway.start()
            assert (await client.get("/ready")).status_code == 200

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
