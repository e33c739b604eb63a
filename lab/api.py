"""The lab's API, `/api/v1`: what the CLI, the test kit and the panel speak.

Errors are problem documents (RFC 9457) with the exit code `lab` returns. Long work answers plain JSON when
it is done or, to ``Accept: application/x-ndjson``, one line a step; a client that goes away cancels it.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated

import anyio
from fastapi import Depends, FastAPI, Query, Request, WebSocket, WebSocketDisconnect
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from fastapi.routing import APIRouter
from pydantic import BaseModel, Field
from starlette.requests import HTTPConnection

from lab._version import __version__
from lab.device import Device
from lab.errors import ExitCode, LabError
from lab.lab import Json, Lab, Progress
from lab.peripherals import profile

_NDJSON = "application/x-ndjson"
_STATUS = {ExitCode.FAILED: 409, ExitCode.USAGE: 422, ExitCode.MISSING: 424, ExitCode.TIMEOUT: 504}
_MODULE_LIMIT = 4 << 20  # bytes; more than any board of the catalogue has for apps


class Unauthorized(Exception):
    """A request without this lab's token."""


class UpRequest(BaseModel):
    """Boards to boot."""

    board: str
    count: int = Field(1, ge=1, le=1000)
    name: str | None = None
    serial: str | None = None
    timeout: float = Field(60.0, gt=0)


class CommandRequest(BaseModel):
    """Bytes for an app, in hex."""

    payload: str = Field(pattern="^([0-9a-fA-F]{2})*$", max_length=512)


class WaitRequest(BaseModel):
    """What a device is to reach: connected, `boots` boots since power-on, `app` running."""

    app: str | None = None
    boots: int = 1
    timeout: float = Field(60.0, ge=0)


class CallRequest(BaseModel):
    """An export to run, its arguments numbers as its signature wants them."""

    function: str = Field(min_length=1, max_length=64)
    arguments: list[int | float] = Field(default_factory=list, max_length=8)


class PartsRequest(BaseModel):
    """What to set: names like ``dht22.temperature``, values as people write them."""

    set: list[tuple[str, str]]


class ProfileRequest(BaseModel):
    """A course over time: CSV, first column seconds, the others quantities."""

    csv: str


class PairingRequest(BaseModel):
    """How long to take in whoever comes; 0 ends it."""

    seconds: float = Field(ge=0, le=86400)


class GatewayRequest(BaseModel):
    """Settings of the gateway."""

    heartbeat: float = Field(ge=0.1, le=86400)


def problem(error: LabError) -> Json:
    """Describe `error` as a problem document."""
    return {
        "type": "about:blank",
        "title": type(error).__name__,
        "status": _STATUS.get(error.exit_code, 500),
        "detail": error.message,
        "hint": error.hint,
        "exit_code": int(error.exit_code),
    }


def _refuse(error: LabError) -> JSONResponse:
    body = problem(error)
    return JSONResponse(body, body["status"], media_type="application/problem+json")


def _line(item: Json) -> bytes:
    return json.dumps(item).encode() + b"\n"


async def _operate(request: Request, work: Callable[[Progress], Awaitable[Json]]) -> Response:
    """Answer with the result of `work`, or with its steps as they happen."""
    if _NDJSON not in request.headers.get("accept", ""):
        return JSONResponse(await work(lambda step: None))

    async def lines() -> AsyncIterator[bytes]:
        send, receive = anyio.create_memory_object_stream[Json](1024)

        def step(progress: Json) -> None:
            send.send_nowait({"progress": progress})

        async def run() -> None:
            async with send:
                try:
                    item = {"result": await work(step)}
                except LabError as error:
                    item = {"error": problem(error)}
                await send.send(item)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            async for item in receive:
                yield _line(item)

    return StreamingResponse(lines(), media_type=_NDJSON)


def create_api(lab: Lab, token: str) -> FastAPI:
    """Make the API of `lab`; every request must bear `token`."""

    def authorize(connection: HTTPConnection) -> None:
        given = connection.headers.get("authorization", "")
        if not secrets.compare_digest(given.encode(), f"Bearer {token}".encode()):
            raise Unauthorized

    api = FastAPI(
        title="lab", version=__version__, docs_url=None, redoc_url=None, openapi_url="/api/v1/openapi.json"
    )

    @api.exception_handler(LabError)
    async def on_lab_error(request: Request, error: LabError) -> JSONResponse:
        return _refuse(error)

    @api.exception_handler(RequestValidationError)
    async def on_validation(request: Request, error: RequestValidationError) -> JSONResponse:
        words = "; ".join(f"{'.'.join(map(str, item['loc'][1:]))}: {item['msg']}" for item in error.errors())
        return JSONResponse(
            {
                "title": "UsageError",
                "status": 422,
                "detail": words,
                "hint": "",
                "exit_code": int(ExitCode.USAGE),
            },
            422,
            media_type="application/problem+json",
        )

    @api.exception_handler(Unauthorized)
    async def on_unauthorized(request: Request, error: Unauthorized) -> JSONResponse:
        return JSONResponse(
            {"title": "Unauthorized", "status": 401, "detail": "this lab's token is missing or wrong"},
            401,
            {"WWW-Authenticate": "Bearer"},
            media_type="application/problem+json",
        )

    routes = APIRouter(prefix="/api/v1", dependencies=[Depends(authorize)])

    @routes.get("/lab")
    async def show_lab() -> Json:
        return {"version": __version__, "home": str(lab.home.root)}

    @routes.post("/shutdown", status_code=202)
    async def shut_down() -> Json:
        lab.ending.set()
        return {}

    # -- devices

    @routes.get("/devices")
    async def list_devices() -> Json:
        return {"devices": lab.devices()}

    @routes.post("/devices")
    async def boot_devices(request: Request, what: UpRequest) -> Response:
        async def work(progress: Progress) -> Json:
            return {
                "devices": await lab.up(
                    what.board,
                    count=what.count,
                    name=what.name,
                    serial=what.serial,
                    timeout=what.timeout,
                    progress=progress,
                )
            }

        return await _operate(request, work)

    @routes.get("/devices/{device}")
    async def show_device(device: str) -> Json:
        return lab.device(device)

    @routes.delete("/devices/{device}")
    async def power_off(device: str, forget: bool = False) -> Json:
        await lab.down([device], forget=forget)
        return {}

    @routes.post("/devices/{device}/reset")
    async def reset(device: str) -> Json:
        await lab.reset(device)
        return {}

    @routes.post("/devices/{device}/pause")
    async def pause(device: str) -> Json:
        await lab.pause(device)
        return {}

    @routes.post("/devices/{device}/resume")
    async def resume(device: str) -> Json:
        await lab.resume(device)
        return {}

    @routes.post("/devices/{device}/wait")
    async def wait(request: Request, device: str, what: WaitRequest) -> Response:
        return await _operate(
            request,
            lambda progress: lab.wait(device, app=what.app, boots=what.boots, timeout=what.timeout),
        )

    @routes.post("/devices/{device}/accept")
    async def accept(device: str) -> Json:
        await lab.gateway.accept(device)
        return {}

    @routes.post("/pairing")
    async def pair(what: PairingRequest) -> Json:
        lab.gateway.open_pairing(what.seconds)
        return {}

    # -- apps

    @routes.get("/devices/{device}/apps")
    async def list_apps(device: str) -> Json:
        return {"apps": await lab.apps(device)}

    @routes.delete("/devices/{device}/apps/{name}")
    async def stop_app(device: str, name: str) -> Json:
        await lab.gateway.stop_app(device, name)
        return {}

    @routes.post("/devices/{device}/apps/{name}/call")
    async def call(device: str, name: str, what: CallRequest) -> Json:
        values = await lab.gateway.call(device, name, what.function, what.arguments)
        return {"value": values[0] if len(values) == 1 else None, "values": values}

    @routes.post("/devices/{device}/apps/{name}/command")
    async def command(device: str, name: str, what: CommandRequest) -> Json:
        answer = await lab.gateway.command(device, name, bytes.fromhex(what.payload))
        return {"answer": answer.hex(), "text": answer.decode(errors="replace")}

    @routes.post("/deployments")
    async def deploy(request: Request, name: str, to: str = "", timeout: float = 60.0) -> Response:
        module = bytearray()
        async for piece in request.stream():
            module += piece
            if len(module) > _MODULE_LIMIT:
                return JSONResponse(
                    {
                        "title": "UsageError",
                        "status": 413,
                        "detail": f"a module is at most {_MODULE_LIMIT >> 20} MiB: no board takes more",
                        "exit_code": int(ExitCode.USAGE),
                    },
                    413,
                    media_type="application/problem+json",
                )
        devices = to.split(",") if to else None

        async def work(progress: Progress) -> Json:
            return {
                "apps": await lab.deploy(devices, name, bytes(module), timeout=timeout, progress=progress)
            }

        return await _operate(request, work)

    # -- simulated parts

    def describe_parts(device: Device) -> Json:
        return {"parts": device.peripherals.snapshot(), "quantities": device.peripherals.describe()}

    @routes.get("/devices/{device}/parts")
    async def show_parts(device: str, follow: bool = False) -> Response:
        power = lab.powered(device)
        if not follow:
            return JSONResponse(describe_parts(power))

        async def lines() -> AsyncIterator[bytes]:
            changed = anyio.Event()

            def note(part: str) -> None:
                changed.set()

            end = power.peripherals.subscribe(note)
            try:
                while not power.ended.is_set():
                    changed = anyio.Event()
                    yield _line(describe_parts(power))
                    with anyio.move_on_after(1.0):  # a profile moves without an event of its own
                        await changed.wait()
            finally:
                end()

        return StreamingResponse(lines(), media_type=_NDJSON)

    @routes.post("/devices/{device}/parts")
    async def set_parts(device: str, what: PartsRequest) -> Json:
        power = lab.powered(device)
        for name, value in what.set:
            power.peripherals.set(name, value)
        return describe_parts(power)

    @routes.post("/devices/{device}/parts/profile")
    async def play_profile(device: str, what: ProfileRequest) -> Json:
        power = lab.powered(device)
        power.peripherals.play(profile.parse(what.csv, "the profile"))
        return describe_parts(power)

    # -- gateway

    def gateway_status() -> Json:
        host, port = lab.gateway.address
        return {
            "host": host,
            "port": port,
            "heartbeat": lab.gateway.heartbeat,
            "pairing": lab.gateway.pairing,
            "sessions": lab.gateway.sessions,
        }

    @routes.get("/gateway")
    async def show_gateway() -> Json:
        return gateway_status()

    @routes.post("/gateway")
    async def set_gateway(what: GatewayRequest) -> Json:
        await lab.gateway.set_heartbeat(what.heartbeat)
        return gateway_status()

    @routes.post("/gateway/restart")
    async def restart_gateway() -> Json:
        await lab.restart_gateway()
        return gateway_status()

    # -- what happens

    @routes.get("/events")
    async def events(
        since: Annotated[int, Query(ge=0)] = 0, device: str | None = None, follow: bool = False
    ) -> StreamingResponse:
        async def lines() -> AsyncIterator[bytes]:
            async for event in lab.events.subscribe(since, device=device, follow=follow):
                yield _line(event.describe())

        return StreamingResponse(lines(), media_type=_NDJSON)

    @routes.websocket("/devices/{device}/console")
    async def console(socket: WebSocket, device: str, history: bool = True) -> None:
        try:
            line = lab.console(device)
        except LabError as error:
            await socket.close(1008, error.message[:120])
            return
        await socket.accept()
        async with anyio.create_task_group() as tasks:

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

    api.include_router(routes)
    return api
