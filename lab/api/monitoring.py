"""`/health`, `/ready`, `/alerts`, `/webhooks`, `/history`, `/nodes`, `/plugins`: how the lab is."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Literal

import anyio
from fastapi import APIRouter, Path, Query
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field

from lab.api.auth import Role, needs
from lab.api.context import TheMonitor
from lab.api.paging import ByName, Newest
from lab.errors import LabError
from lab.lab import Json
from lab.monitor import readiness

public = APIRouter(tags=["health"])
router = APIRouter(tags=["monitoring"])

NodeName = Annotated[str, Path(pattern="^[A-Za-z0-9._-]{1,32}$")]


class WebhookRequest(BaseModel):
    """Who is to be told of alerts; `secret` signs what is sent."""

    url: str = Field(min_length=1, max_length=2000)
    secret: str = Field("", max_length=200)


class NodeRequest(BaseModel):
    """A gateway node of this machine, by the port of its local face."""

    port: int = Field(ge=1, le=65535)


class BuzzerRequest(BaseModel):
    """What a node's buzzer is to sound."""

    pattern: Literal["once", "triple", "long"]


class FanRequest(BaseModel):
    """Whether a node's fan is to run; null: as its plugin says."""

    on: bool | None


@public.get("/health")
async def show_health() -> Json:
    """Say that the process answers; `/ready` says whether its parts work."""
    return {"status": "alive"}


@public.get("/ready", responses={503: {"description": "a part of the lab does not work"}})
async def show_readiness(monitor: TheMonitor) -> Response:
    """Look at every part: ready, degraded by one it can do without, or, with 503, failing.

    Details are for those who may look, at `/api/v1/health/parts`.
    """
    parts = await monitor.health()
    status = readiness(parts)
    body = {"status": status, "parts": {part.name: part.healthy for part in parts}}
    return JSONResponse(body, 503 if status == "failing" else 200)


@router.get("/health/parts")
async def show_parts(monitor: TheMonitor) -> Json:
    """Show every part of the lab, whether it works and how one sees it."""
    return {"parts": [asdict(part) for part in await monitor.health()]}


@router.get("/alerts")
async def list_alerts(monitor: TheMonitor, page: Newest) -> Json:
    """List what wants attention now."""
    rows = [asdict(alert) for alert in monitor.alerts()]
    return page.of("alerts", rows, lambda row: float(row["since"]))


@router.delete("/alerts/{alert:path}")
async def dismiss_alert(monitor: TheMonitor, alert: str) -> Json:
    """Clear an alert that has been seen to."""
    monitor.dismiss(alert)
    return {}


@router.get("/webhooks", dependencies=[needs(Role.ADMIN)])
async def list_webhooks(monitor: TheMonitor, page: ByName) -> Json:
    """List who is told of alerts."""
    return page.of("webhooks", await monitor.webhooks(), lambda row: str(row["url"]))


@router.post("/webhooks", status_code=201, dependencies=[needs(Role.ADMIN)])
async def add_webhook(monitor: TheMonitor, what: WebhookRequest) -> Json:
    """Tell an address of alerts from now on."""
    await monitor.add_webhook(what.url, what.secret)
    return {"webhooks": await monitor.webhooks()}


@router.delete("/webhooks", dependencies=[needs(Role.ADMIN)])
async def drop_webhook(monitor: TheMonitor, url: Annotated[str, Query(max_length=2000)]) -> Json:
    """Tell an address no more."""
    await monitor.drop_webhook(url)
    return {}


@router.get("/history")
async def show_history(monitor: TheMonitor) -> Json:
    """Show the load of the last hour, one sample each five seconds."""
    return {"samples": monitor.history()}


@router.get("/nodes")
async def list_nodes(monitor: TheMonitor, page: ByName) -> Json:
    """List the gateway nodes that this lab watches, and what they last measured."""
    ports = await monitor.nodes()
    rows: list[Json] = [{"name": name, "port": port, "error": ""} for name, port in ports.items()]
    answer = page.of("nodes", rows, lambda row: str(row["name"]))

    async def ask(node: Json) -> None:
        try:
            node["readings"] = (await monitor.ask_node(node["name"], "/api/readings"))["nodes"]
        except LabError as error:
            node["error"] = error.message

    async with anyio.create_task_group() as tasks:
        for node in answer["nodes"]:
            tasks.start_soon(ask, node)
    return answer


@router.put("/nodes/{node}", dependencies=[needs(Role.ADMIN)])
async def add_node(monitor: TheMonitor, node: NodeName, what: NodeRequest) -> Json:
    """Watch a node of this machine; it raises an alert when it or one of its plugins fails."""
    await monitor.add_node(node, what.port)
    return {"name": node, "port": what.port}


@router.delete("/nodes/{node}", dependencies=[needs(Role.ADMIN)])
async def drop_node(monitor: TheMonitor, node: NodeName) -> Json:
    """Watch a node no more."""
    await monitor.drop_node(node)
    return {}


@router.post("/nodes/{node}/members/{member}/buzzer")
async def buzz(monitor: TheMonitor, node: NodeName, member: NodeName, what: BuzzerRequest) -> Json:
    """Sound the buzzer of a node, or of one of its spokes."""
    done: Json = await monitor.ask_node(node, f"/api/nodes/{member}/buzzer", what.model_dump())
    return done


@router.post("/nodes/{node}/members/{member}/fan")
async def turn_fan(monitor: TheMonitor, node: NodeName, member: NodeName, what: FanRequest) -> Json:
    """Switch the fan of a node, or of one of its spokes; null leaves it to its plugin again."""
    done: Json = await monitor.ask_node(node, f"/api/nodes/{member}/fan", what.model_dump())
    return done


@router.get("/plugins")
async def list_plugins(monitor: TheMonitor, page: ByName) -> Json:
    """List the plugins of every node that is watched, as it last said."""
    rows = [{"node": node, **plugin} for node, plugins in monitor.plugins.items() for plugin in plugins]
    return page.of("plugins", rows, lambda row: f"{row['node']}/{row['name']}")
