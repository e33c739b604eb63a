"""`/devices/{device}/apps`, `/deployments`: what devices run."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from lab.api.context import TheLab
from lab.api.operations import operate
from lab.api.problems import Refused
from lab.errors import ExitCode
from lab.lab import Json, Progress

router = APIRouter(tags=["apps"])

_MODULE_LIMIT = 4 << 20  # bytes; more than any board of the catalogue has for apps


class CommandRequest(BaseModel):
    """Bytes for an app, in hex."""

    payload: str = Field(pattern="^([0-9a-fA-F]{2})*$", max_length=512)


class CallRequest(BaseModel):
    """An export to run, its arguments numbers as its signature wants them."""

    function: str = Field(min_length=1, max_length=64)
    arguments: list[int | float] = Field(default_factory=list, max_length=8)


@router.get("/apps")
async def list_fleet_apps(lab: TheLab) -> Json:
    """List the apps of the fleet by name: which devices have each, in which state, as they last said."""
    found: dict[str, list[Json]] = {}
    for info in lab.gateway.devices():
        for app in info.apps:
            found.setdefault(app.name, []).append({"device": info.id, **app.describe()})
    return {"apps": [{"name": name, "devices": found[name]} for name in sorted(found)]}


@router.get("/devices/{device}/apps")
async def list_apps(lab: TheLab, device: str) -> Json:
    """Ask a device for its apps."""
    return {"apps": await lab.apps(device)}


@router.delete("/devices/{device}/apps/{name}")
async def stop_app(lab: TheLab, device: str, name: str) -> Json:
    """Have a device end an app and free its memory."""
    await lab.gateway.stop_app(device, name)
    return {}


@router.post("/devices/{device}/apps/{name}/call")
async def call(lab: TheLab, device: str, name: str, what: CallRequest) -> Json:
    """Run a function that an app exports, on the device."""
    values = await lab.gateway.call(device, name, what.function, what.arguments)
    return {"value": values[0] if len(values) == 1 else None, "values": values}


@router.post("/devices/{device}/apps/{name}/command")
async def command(lab: TheLab, device: str, name: str, what: CommandRequest) -> Json:
    """Give bytes to an app's `on-command`, on the device."""
    answer = await lab.gateway.command(device, name, bytes.fromhex(what.payload))
    return {"answer": answer.hex(), "text": answer.decode(errors="replace")}


@router.post("/deployments")
async def deploy(lab: TheLab, request: Request, name: str, to: str = "", timeout: float = 60.0) -> Response:
    """Have devices run the module in the body; `to` lists them, comma between, else all connected ones."""
    module = await module_of(request)
    devices = to.split(",") if to else None

    async def work(progress: Progress) -> Json:
        return {"apps": await lab.deploy(devices, name, module, timeout=timeout, progress=progress)}

    return await operate(request, work)


async def module_of(request: Request) -> bytes:
    """Return the body of a request that carries a module.

    :raises Refused: it is larger than any board takes; nothing more of it is read then.
    """
    module = bytearray()
    async for piece in request.stream():
        module += piece
        if len(module) > _MODULE_LIMIT:
            raise Refused(
                413,
                "Content Too Large",
                f"a module is at most {_MODULE_LIMIT >> 20} MiB: no board takes more",
                exit_code=ExitCode.USAGE,
            )
    return bytes(module)
