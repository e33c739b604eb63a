"""A node's two HTTP faces: for this machine on loopback, and, on a hub, for its spokes over TLS.

The first trusts whoever can reach it, as only this machine can; it refuses what a web page of somebody else's
makes a browser here send (another Host, another Origin). The second wants a spoke's token for everything.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import asdict
from typing import Any
from urllib.parse import urlsplit

import anyio
import structlog
import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from pydantic import BaseModel, Field
from starlette.types import ASGIApp, Receive, Scope, Send

from lab.errors import ExitCode, LabError
from lab.logs import request_id
from lab.node.hardware.simulated import Simulated
from lab.node.journal import LEVELS
from lab.node.ledger import Push
from lab.node.node import Node
from lab.node.update import LIMIT
from lab.plugins.engine import PluginError

_LOCAL = frozenset({"127.0.0.1", "localhost", "::1"})
_KEEP_ALIVE_SECONDS = 120  # longer than a spoke's cycle, and than the rebuild of a plugin
_UPDATES = ("plugins", "program")
_PUSH_LIMIT = 8 << 20  # bytes of a body
_STATUS = {ExitCode.FAILED: 409, ExitCode.USAGE: 422, ExitCode.MISSING: 424, ExitCode.TIMEOUT: 504}
# The page is a plugin's: whatever it returns, no script runs, nothing is loaded, forms go to this node only.
_PAGE_POLICY = "; ".join(
    (
        "default-src 'none'",
        "style-src 'unsafe-inline'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)


class Wait(BaseModel):
    """How long a spoke lets its request for a command rest, in seconds."""

    wait: float = Field(ge=0, le=60)


class Resource(BaseModel):
    """What a spoke wants a turn on."""

    resource: str = Field(max_length=32)


def _problem(error: LabError) -> JSONResponse:
    status = _STATUS.get(error.exit_code, 500)
    body = {"title": type(error).__name__, "status": status, "detail": error.message, "hint": error.hint}
    return JSONResponse(body, status, media_type="application/problem+json")


def local_app(node: Node) -> ASGIApp:
    """Return what this machine's people and programs see."""
    app = FastAPI(title=f"Node {node.id}", docs_url=None, redoc_url=None)

    @app.exception_handler(LabError)
    async def failed(_request: Request, error: LabError) -> JSONResponse:
        return _problem(error)

    def readings() -> dict[str, Any]:
        return {"node": node.id, "time": node.clock(), "nodes": node.ledger.state()}

    @app.get("/")
    async def page() -> HTMLResponse:
        state = await anyio.to_thread.run_sync(lambda: json.dumps(readings(), allow_nan=False))
        try:
            html, status = await node.host.render("dashboard", state), 200
        except PluginError as error:
            html, status = f"<!doctype html><title>No page</title><pre>{_text(error)}</pre>", 503
        return HTMLResponse(html, status, {"Content-Security-Policy": _PAGE_POLICY})

    @app.get("/api/readings")
    def show_readings() -> dict[str, Any]:
        return readings()

    @app.get("/api/history")
    def show_history(
        node_id: str | None = None,
        sensor: str | None = None,
        quantity: str | None = None,
        since: float = 0.0,
        limit: int = 1000,
    ) -> dict[str, Any]:
        rows = node.ledger.history(
            node=node_id, sensor=sensor, quantity=quantity, since=since, limit=min(max(limit, 1), 100_000)
        )
        return {"readings": rows}

    @app.get("/api/logs")
    def show_logs(
        level: str = "debug",
        source: str | None = None,
        node_id: str | None = None,
        limit: int = 500,
        stream: str = "",
        since: int | None = None,
    ) -> dict[str, Any]:
        """List the newest lines by time, or the first ones after number `since` of a stream."""
        if level not in LEVELS:
            raise HTTPException(422, f"level is one of {', '.join(LEVELS)}")
        lines: list[dict[str, Any]] = [
            {"node": node.id, **asdict(x)} for x in node.journal.lines(level=level)
        ]
        lines += [{"node": name} | line for name, kept in list(node.remote_log.items()) for line in kept]
        chosen = [
            line
            for line in lines
            if LEVELS.index(line["level"]) >= LEVELS.index(level)
            and source in (None, line["source"])
            and node_id in (None, line["node"])
        ]
        if since is None:
            chosen.sort(key=lambda line: float(line["at"]))
            return {"stream": node.journal.stream, "lines": chosen[-max(limit, 1) :]}
        if stream == node.journal.stream:
            chosen = [line for line in chosen if line["number"] > since]
        chosen.sort(key=lambda line: int(line["number"]))
        return {"stream": node.journal.stream, "lines": chosen[: max(limit, 1)]}

    @app.get("/api/plugins")
    async def show_plugins() -> dict[str, Any]:
        return {"plugins": [plugin.describe() for plugin in node.host.plugins.values()]}

    @app.get("/api/parts")
    async def show_parts() -> dict[str, Any]:
        return {"parts": _simulated(node).parts.snapshot()}

    @app.post("/api/parts")
    async def set_parts(request: Request) -> dict[str, Any]:
        parts = _simulated(node).parts
        body = await _fields(request)
        for name, text in body.items():
            parts.set(name, str(text))
        return {"parts": parts.snapshot()}

    @app.post("/api/nodes/{name}/buzzer")
    async def buzz(name: str, request: Request) -> Response:
        pattern = (await _fields(request)).get("pattern", "once")
        return await command(request, name, {"do": "buzzer", "pattern": pattern})

    @app.post("/api/nodes/{name}/fan")
    async def fan(name: str, request: Request) -> Response:
        return await command(request, name, {"do": "fan", "on": (await _fields(request)).get("on")})

    @app.put("/api/artifacts")
    async def keep_artifact(request: Request) -> dict[str, Any]:
        _hub(node)
        content = bytearray()
        async for part in request.stream():
            content += part
            if len(content) > LIMIT:
                raise HTTPException(413, f"an artifact has at most {LIMIT} bytes")
        return {"digest": await anyio.to_thread.run_sync(node.artifacts.add, bytes(content))}

    @app.post("/api/nodes/{name}/update")
    async def update(name: str, request: Request) -> Response:
        _hub(node)
        wanted = {key: value for key, value in (await _fields(request)).items() if key in _UPDATES}
        return await command(request, name, {"do": "update", **wanted})

    async def command(request: Request, name: str, what: dict[str, Any]) -> Response:
        if name != node.id and name not in node.config.cluster.nodes:
            raise HTTPException(404, f"this cluster has no node {name!r}")
        done = await node.command(name, what)
        if "text/html" in request.headers.get("accept", ""):
            return RedirectResponse("/", 303)
        return JSONResponse(done)

    return _OnlyThisMachine(app)


def cluster_app(node: Node) -> FastAPI:
    """Return what a hub's spokes see."""
    app = FastAPI(title=f"Cluster of {node.id}", docs_url=None, redoc_url=None, openapi_url=None)

    def spoke(request: Request) -> str:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        name = node.credentials.node_of(token) if scheme.lower() == "bearer" else None
        if name is None:
            client = request.client.host if request.client else "?"
            node.journal("warning", "cluster", f"{client} came with a token that no node of ours has")
            raise HTTPException(401, "no node of this cluster has that token")
        return name

    @app.post("/push")
    async def push(request: Request, name: str = Depends(spoke)) -> dict[str, Any]:
        if int(request.headers.get("content-length") or _PUSH_LIMIT + 1) > _PUSH_LIMIT:
            raise HTTPException(413, f"a push has at most {_PUSH_LIMIT} bytes, and says how many")
        body = await request.body()
        accepted = await anyio.to_thread.run_sync(lambda: node.take(name, _push(body)))
        return {"accepted": accepted, "now": node.clock()}

    @app.post("/commands")
    async def commands(wait: Wait, name: str = Depends(spoke)) -> dict[str, Any]:
        return {"command": await node.commands.fetch(name, wait.wait)}

    @app.post("/commands/{number}")
    async def answer(number: int, request: Request, name: str = Depends(spoke)) -> dict[str, Any]:
        body = await request.json()
        return {"taken": isinstance(body, dict) and node.commands.answered(name, number, body)}

    @app.get("/artifacts/{digest}")
    def artifact(digest: str, _name: str = Depends(spoke)) -> Response:
        content = node.artifacts.get(digest)
        if content is None:
            raise HTTPException(404, "there is no such artifact")
        return Response(content, media_type="application/octet-stream")

    @app.post("/lease")
    async def lease(resource: Resource, name: str = Depends(spoke)) -> dict[str, Any]:
        return {"granted": await node.leases.acquire(resource.resource, name)}

    @app.post("/release")
    async def release(resource: Resource, name: str = Depends(spoke)) -> dict[str, Any]:
        node.leases.release(resource.resource, name)
        return {}

    return app


@asynccontextmanager
async def serving(app: ASGIApp, listener: Any, **options: Any) -> AsyncIterator[None]:
    """Answer on a bound socket for as long as the block lasts."""
    server = _Server(
        uvicorn.Config(
            app,
            log_config=None,
            lifespan="off",
            ws="none",
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=1,
            **options,
        )
    )
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: server.serve(sockets=[listener]))
        try:
            yield
        finally:
            server.should_exit = True


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers: the node ends by itself."""

    def capture_signals(self):  # type: ignore[no-untyped-def]
        return nullcontext()


class _OnlyThisMachine:
    """Refuses requests that name another host, and changes that another site's page asks for.

    Others have an id, theirs or a new one, that what is logged on their behalf bears.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what is allowed."""
        if scope["type"] == "http":
            headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}
            host, origin = headers.get("host", ""), headers.get("origin")
            foreign = urlsplit(f"//{host}").hostname not in _LOCAL
            if foreign or (
                scope["method"] != "GET" and origin is not None and urlsplit(origin).netloc != host
            ):
                refusal = JSONResponse({"detail": "this address answers to this machine only"}, 403)
                return await refusal(scope, receive, send)
            with structlog.contextvars.bound_contextvars(request=request_id(headers.get("x-request-id", ""))):
                return await self._app(scope, receive, send)
        return await self._app(scope, receive, send)


def _push(body: bytes) -> Push:
    try:
        return Push.model_validate_json(body)
    except ValueError as error:
        raise HTTPException(422, f"this is no push: {str(error)[:500]}") from None


async def _fields(request: Request) -> dict[str, Any]:
    """Return the fields of a JSON object, or of a form as a browser sends it."""
    kind = request.headers.get("content-type", "").partition(";")[0]
    if kind == "application/x-www-form-urlencoded":
        from urllib.parse import parse_qsl

        return dict(parse_qsl((await request.body()).decode(errors="replace")))
    try:
        body = json.loads(await request.body() or b"{}")
    except ValueError:
        raise HTTPException(422, "the body is no JSON") from None
    if not isinstance(body, dict):
        raise HTTPException(422, "the body is no JSON object")
    return body


def _simulated(node: Node) -> Simulated:
    if not isinstance(node.hardware, Simulated):
        raise HTTPException(404, "this node's parts are not simulated")
    return node.hardware


def _hub(node: Node) -> None:
    if not node.is_hub:
        raise HTTPException(404, "only a hub updates nodes")


def _text(error: object) -> str:
    from html import escape

    return escape(str(error))
