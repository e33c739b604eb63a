"""`/devices/{device}/apps`, `/deployments`: what devices run."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from lab.api.context import TheLab, entry_of
from lab.api.operations import operate
from lab.api.paging import ByName
from lab.api.problems import Refused
from lab.errors import ExitCode
from lab.lab import Json, Progress
from lab.packages import LIMIT, Package

router = APIRouter(tags=["apps"])


class CommandRequest(BaseModel):
    """Bytes for an app, in hex."""

    payload: str = Field(pattern="^([0-9a-fA-F]{2})*$", max_length=512)


class CallRequest(BaseModel):
    """An export to run, its arguments numbers as its signature wants them."""

    function: str = Field(min_length=1, max_length=64)
    arguments: list[int | float] = Field(default_factory=list, max_length=8)


@router.get("/apps")
async def list_fleet_apps(lab: TheLab, page: ByName) -> Json:
    """List the apps of the fleet by name: which devices have each, in which state, as they last said."""
    found: dict[str, list[Json]] = {}
    for info in lab.gateway.devices():
        for app in info.apps:
            found.setdefault(app.name, []).append({"device": info.id, **app.describe()})
    rows = [{"name": name, "devices": found[name]} for name in found]
    return page.of("apps", rows, lambda row: str(row["name"]))


@router.get("/devices/{device}/apps")
async def list_apps(lab: TheLab, device: str) -> Json:
    """Ask a device for its apps."""
    return {"apps": await lab.apps(device)}


@router.delete("/devices/{device}/apps/{name}")
async def stop_app(lab: TheLab, device: str, name: str, remove: bool = False) -> Json:
    """Have a device end an app and free its memory; with `remove`, its flash too."""
    await (lab.gateway.remove_app if remove else lab.gateway.stop_app)(device, name)
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
async def deploy(
    lab: TheLab,
    request: Request,
    name: str = "",
    to: str = "",
    timeout: float = 60.0,
    confirmed: bool = False,
    wait: bool = True,
) -> Response:
    """Have devices run the package in the body, or the bare module as the app `name`.

    `to` lists the devices, comma between, else all connected ones. Answers when each runs it, on trial or for
    good; with `confirmed`, when each trial is over; without `wait`, at once.
    """
    package = await package_of(request, name)
    devices = to.split(",") if to else None

    async def work(progress: Progress) -> Json:
        rows = await lab.deploy(
            devices, package, timeout=timeout, confirmed=confirmed, wait=wait, progress=progress
        )
        failed = [f"{row['device']}: {row['reason']}" for row in rows if row["state"] == "failed"]
        entry_of(request).reason = "; ".join(failed)
        return {"package": package.describe(), "apps": rows}

    return await operate(request, work)


async def package_of(request: Request, name: str = "") -> Package:
    """Return the package in a request's body.

    :param name: of the app, where the body is a bare module.
    :raises Refused: it is larger than any board takes; nothing more of it is read then.
    :raises UsageError: it is neither a package nor a module.
    """
    content = bytearray()
    async for piece in request.stream():
        content += piece
        if len(content) > LIMIT:
            raise Refused(
                413,
                "Content Too Large",
                f"a module is at most {LIMIT >> 20} MiB: no board takes more",
                exit_code=ExitCode.USAGE,
            )
    package = Package.of(bytes(content), name, name or "the body")
    entry_of(request).detail |= {"app": package.name, "package": package.id, "publisher": package.publisher}
    return package
