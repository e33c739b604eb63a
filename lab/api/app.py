"""Puts the resources together to one application, and the panel beside them."""

from __future__ import annotations

import secrets
from typing import Any

from fastapi import APIRouter, Depends, FastAPI

from lab._version import __version__
from lab.api import (
    access,
    apps,
    audit,
    auth,
    catalogue,
    devices,
    events,
    faults,
    gateway,
    history,
    listener,
    metrics,
    monitoring,
    parts,
    problems,
    process,
    publishers,
    rollouts,
    snapshots,
    stream,
    terminal,
    vault,
)
from lab.api.middleware import KEY_PARAMETER, Compress, Correlate, Idempotent, LimitBody
from lab.lab import Lab
from lab.monitor import Monitor
from lab.panel import pages
from lab.readings import Readings

# What is under /api/v1 and takes a token.
ROUTERS = (
    process.router,
    devices.router,
    history.router,
    apps.router,
    rollouts.router,
    audit.router,
    parts.router,
    faults.router,
    snapshots.router,
    catalogue.router,
    gateway.router,
    events.router,
    stream.router,
    monitoring.router,
    access.router,
    publishers.router,
    vault.router,
    listener.router,
    terminal.router,
)


def create_api(lab: Lab, token: str = "", *, limits: auth.Limits | None = None) -> FastAPI:
    """Make the API and the panel of `lab`.

    :param token: the owner's, an administrator's; a new one, which nobody knows, unless said.
    :param limits: how often one client may ask.
    """
    api = FastAPI(
        title="lab",
        version=__version__,
        description="Boots boards, deploys apps to them, shows what they do. Errors are RFC 9457 problems.",
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
        responses=problems.REFUSAL,
        redirect_slashes=False,
    )
    state = api.state
    state.lab = lab
    state.monitor = Monitor(lab)
    state.readings = Readings(lab)
    state.gate = auth.Gatekeeper(
        lab.store, token or secrets.token_urlsafe(32), limits, mark=str(lab.home.root)
    )
    state.listener = listener.Listener(api, lab.store, state.gate)
    state.metrics = metrics.Metrics(lab, state.monitor)
    state.frames = stream.Frames(lab)
    state.streams = 0
    problems.install(api)
    # The last one added is the outermost.
    api.add_middleware(Compress)
    api.add_middleware(metrics.Measure, metrics=state.metrics)
    api.add_middleware(Idempotent)
    api.add_middleware(LimitBody)
    api.add_middleware(Correlate)
    routes = APIRouter(prefix="/api/v1", dependencies=[Depends(auth.authorize), Depends(audit.audited)])
    for router in ROUTERS:
        routes.include_router(router)
    api.include_router(routes)
    api.include_router(metrics.router, dependencies=[Depends(auth.authorize)])
    api.include_router(monitoring.public)
    pages.install(api)
    _describe(api)
    return api


def _describe(api: FastAPI) -> None:
    """Add to the OpenAPI document what FastAPI does not see: how one authenticates, and what errors are."""
    plain = api.openapi

    def openapi() -> dict[str, Any]:
        if api.openapi_schema is None:
            document = plain()
            components = document.setdefault("components", {})
            components.setdefault("schemas", {})["Problem"] = problems.Problem.model_json_schema()
            components["securitySchemes"] = {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": auth.COOKIE},
            }
            document["security"] = [{"token": []}, {"session": []}]
            for operations in document["paths"].values():
                if "post" in operations:
                    operations["post"].setdefault("parameters", []).append(dict(KEY_PARAMETER))
            for path in ("/health", "/ready"):
                document["paths"][path]["get"]["security"] = []
            api.openapi_schema = document
        return api.openapi_schema

    api.openapi = openapi  # type: ignore[method-assign]
