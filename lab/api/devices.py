"""`/devices`, `/pairing`: boards under power, and whom the gateway takes in."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, WebSocket, WebSocketDisconnect
from fastapi.responses import Response
from pydantic import BaseModel, Field

from lab.api.auth import Role, Who, needs, socket_while_admitted
from lab.api.context import TheLab
from lab.api.operations import operate
from lab.errors import LabError
from lab.lab import Json, Progress

router = APIRouter(tags=["devices"])


class UpRequest(BaseModel):
    """Boards to boot."""

    board: str
    count: int = Field(1, ge=1, le=1000)
    name: str | None = None
    serial: str | None = None
    development: bool = False
    labels: dict[str, str] = Field(default_factory=dict, max_length=32)
    timeout: float = Field(60.0, gt=0)


class WaitRequest(BaseModel):
    """What a device is to reach: connected, `boots` boots since power-on, `app` running."""

    app: str | None = None
    boots: int = 1
    timeout: float = Field(60.0, ge=0)


class LabelRequest(BaseModel):
    """Labels to give a device, and names of some to take away."""

    set: dict[str, str] = Field(default_factory=dict, max_length=32)
    drop: list[str] = Field(default_factory=list, max_length=32)


class PairingRequest(BaseModel):
    """How long to take in whoever comes; 0 ends it."""

    seconds: float = Field(ge=0, le=86400)


@router.get("/devices")
async def list_devices(
    lab: TheLab,
    after: Annotated[str, Query(max_length=64)] = "",
    limit: Annotated[int | None, Query(ge=1, le=1000)] = None,
) -> Json:
    """List the devices the lab knows, under power or not, by id; with `limit`, a page of them.

    For the next page ask for what comes `after` the answer's `next`.
    """
    found = lab.devices(after=after, limit=None if limit is None else limit + 1)
    page = found[:limit]
    return {"devices": page, "next": page[-1]["id"] if len(page) < len(found) else None}


@router.post("/devices")
async def boot_devices(lab: TheLab, request: Request, what: UpRequest) -> Response:
    """Boot boards; answers when every one is connected."""

    async def work(progress: Progress) -> Json:
        return {
            "devices": await lab.up(
                what.board,
                count=what.count,
                name=what.name,
                serial=what.serial,
                development=what.development,
                labels=what.labels,
                timeout=what.timeout,
                progress=progress,
            )
        }

    return await operate(request, work)


@router.get("/devices/{device}")
async def show_device(lab: TheLab, device: str) -> Json:
    """Describe one device."""
    return lab.device(device)


@router.delete("/devices/{device}")
async def power_off(lab: TheLab, device: str, forget: bool = False) -> Json:
    """Cut a device's power; with `forget`, drop it from the registry too."""
    await lab.down([device], forget=forget)
    return {}


@router.post("/devices/{device}/labels")
async def label(lab: TheLab, device: str, what: LabelRequest) -> Json:
    """Give a device labels; answers with all it has."""
    return {"labels": await lab.gateway.label(device, what.set, what.drop)}


@router.post("/devices/{device}/reset")
async def reset(lab: TheLab, device: str) -> Json:
    """Press a device's reset button."""
    await lab.reset(device)
    return {}


@router.post("/devices/{device}/pause")
async def pause(lab: TheLab, device: str) -> Json:
    """Stop a device's clock."""
    await lab.pause(device)
    return {}


@router.post("/devices/{device}/resume")
async def resume(lab: TheLab, device: str) -> Json:
    """Let a paused device go on."""
    await lab.resume(device)
    return {}


@router.post("/devices/{device}/wait")
async def wait(lab: TheLab, request: Request, device: str, what: WaitRequest) -> Response:
    """Answer once a device is connected and, if asked, runs an app."""
    return await operate(
        request,
        lambda progress: lab.wait(device, app=what.app, boots=what.boots, timeout=what.timeout),
    )


@router.post("/devices/{device}/accept", dependencies=[needs(Role.ADMIN)])
async def accept(lab: TheLab, device: str) -> Json:
    """Take in a device that waits."""
    await lab.gateway.accept(device)
    return {}


@router.post("/pairing", dependencies=[needs(Role.ADMIN)])
async def pair(lab: TheLab, what: PairingRequest) -> Json:
    """Take in whoever comes, for a while."""
    lab.gateway.open_pairing(what.seconds)
    return {}


@router.websocket("/devices/{device}/console", dependencies=[needs(Role.OPERATOR)])
async def console(lab: TheLab, socket: WebSocket, who: Who, device: str, history: bool = True) -> None:
    """Carry a device's console: binary messages both ways."""
    try:
        line = lab.console(device)
    except LabError as error:
        await socket.close(1008, error.message[:120])
        return
    await socket.accept()
    async with socket_while_admitted(socket, who) as tasks:

        async def type_in() -> None:
            try:
                while True:
                    message = await socket.receive()
                    if message["type"] == "websocket.disconnect":
                        break
                    typed = message.get("bytes") or (message.get("text") or "").encode()
                    await line.write(typed)
            finally:
                tasks.cancel_scope.cancel()

        tasks.start_soon(type_in)
        try:
            async for said in line.follow(history=history):
                await socket.send_bytes(said)
            await socket.close(1000, f"{device} has ended")
        except WebSocketDisconnect:
            pass
        tasks.cancel_scope.cancel()
