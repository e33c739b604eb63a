"""Every list that can grow comes in pages, which together are the whole of it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import wasmtime
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from lab.home import Home
from lab.lab import Lab
from tests.panel.conftest import PATIENCE
from tests.panel.test_limits import serving
from tests.unit.postgres import Cluster, cluster

Fill = Callable[[Lab, httpx.AsyncClient], Awaitable[None]]
FIVE = ("a", "b", "c", "d", "e")


@pytest.fixture(scope="module")
def postgres() -> Iterator[Cluster]:
    with cluster() as running:
        yield running


async def tokens(_lab: Lab, client: httpx.AsyncClient) -> None:
    for name in FIVE:
        await client.post("/api/v1/tokens", json={"name": name})


async def certificates(lab: Lab, _client: httpx.AsyncClient) -> None:
    for name in FIVE:
        lab.authority.issue(name)


async def publishers(_lab: Lab, client: httpx.AsyncClient) -> None:
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    for name in FIVE[:4]:
        await client.put(f"/api/v1/publishers/{name}", json={"public_key": pem})


async def secrets(_lab: Lab, client: httpx.AsyncClient) -> None:
    for name in FIVE:
        await client.put(f"/api/v1/secrets/{name}", json={"value": "x"})


async def webhooks(_lab: Lab, client: httpx.AsyncClient) -> None:
    for name in FIVE:
        await client.post("/api/v1/webhooks", json={"url": f"http://127.0.0.1:9/{name}"})


async def nodes(lab: Lab, client: httpx.AsyncClient) -> None:
    for name in FIVE:
        await client.put(f"/api/v1/nodes/{name}", json={"port": 9})


async def boards(_lab: Lab, _client: httpx.AsyncClient) -> None:
    """The catalogue is there."""


async def devices(lab: Lab, _client: httpx.AsyncClient) -> None:
    for name in FIVE:
        await lab.gateway.register(name, "native", "native")


async def alerts(lab: Lab, client: httpx.AsyncClient) -> None:
    await devices(lab, client)
    since = lab.events.last
    for name in FIVE:
        lab.events.publish("device.exited", name, asked=False, reason="killed")
    raised = 0
    async with asyncio.timeout(PATIENCE / 1000):
        async for event in lab.events.subscribe(since):
            raised += event.kind == "alert.raised"
            if raised == len(FIVE):
                return


async def packages(_lab: Lab, client: httpx.AsyncClient) -> None:
    module = bytes(wasmtime.wat2wasm('(module (memory (export "memory") 1))'))
    for name in FIVE:
        assert (await client.post(f"/api/v1/packages?name={name}", content=module)).status_code == 201


async def rollouts(lab: Lab, client: httpx.AsyncClient) -> None:
    await devices(lab, client)
    await packages(lab, client)
    for kept in (await client.get("/api/v1/packages")).json()["packages"]:
        plan = {"package": kept["id"], "devices": ["a"]}
        assert (await client.post("/api/v1/rollouts", json=plan)).status_code == 201


async def audit(_lab: Lab, client: httpx.AsyncClient) -> None:
    await tokens(_lab, client)


async def logs(lab: Lab, _client: httpx.AsyncClient) -> None:
    for name in FIVE:
        lab.events.publish("device.labelled", name, labels={})


@pytest.mark.parametrize(
    ("fill", "rows", "cursor"),
    [
        (tokens, "tokens", "after"),
        (certificates, "certificates", "after"),
        (publishers, "publishers", "after"),
        (secrets, "secrets", "after"),
        (webhooks, "webhooks", "after"),
        (nodes, "nodes", "after"),
        (boards, "boards", "after"),
        (devices, "devices", "after"),
        (alerts, "alerts", "before"),
        (packages, "packages", "before"),
        (rollouts, "rollouts", "before"),
        (audit, "rows", "before"),
        (logs, "lines", "before"),
    ],
    ids=lambda what: getattr(what, "__name__", None),
)
def test_pages_are_the_whole(tmp_path: Path, fill: Fill, rows: str, cursor: str) -> None:
    async def run() -> None:
        async with serving(tmp_path) as (lab, client):
            await fill(lab, client)
            path = f"/api/v1/{fill.__name__}"
            whole = (await client.get(path)).json()[rows]
            assert len(whole) >= 4
            seen: list[Any] = []
            query: dict[str, Any] = {"limit": 2}
            while True:
                page = (await client.get(path, params=query)).json()
                assert len(page[rows]) <= 2
                seen += page[rows]
                if page["next"] is None:
                    break
                query[cursor] = page["next"]
            assert seen == whole

    asyncio.run(run())


@pytest.mark.parametrize(
    ("fill", "rows", "cursor"),
    [
        (secrets, "secrets", "after"),
        (rollouts, "rollouts", "before"),
        (audit, "rows", "before"),
        (logs, "lines", "before"),
    ],
    ids=lambda what: getattr(what, "__name__", None),
)
def test_a_lab_keeps_its_state_in_postgresql(
    tmp_path: Path, postgres: Cluster, fill: Fill, rows: str, cursor: str
) -> None:
    home = Home(tmp_path / "lab").create()
    (home.root / "database.url").write_text(postgres.database())
    test_pages_are_the_whole(tmp_path, fill, rows, cursor)
    assert not home.database.exists()


def test_a_page_of_nothing_is_refused(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as (_lab, client):
            for path, limit in itertools.product(("tokens", "packages", "devices"), ("0", "1001", "x")):
                answer = await client.get(f"/api/v1/{path}", params={"limit": limit})
                assert answer.status_code == 422
                assert answer.headers["content-type"] == "application/problem+json"

    asyncio.run(run())
