"""Puts the resources together to one application."""

from __future__ import annotations

from fastapi import APIRouter, Depends, FastAPI

from lab._version import __version__
from lab.api import apps, auth, devices, events, gateway, parts, problems, process
from lab.lab import Lab

ROUTERS = (process.router, devices.router, apps.router, parts.router, gateway.router, events.router)


def create_api(lab: Lab, token: str) -> FastAPI:
    """Make the API of `lab`; every request must bear `token`."""
    api = FastAPI(
        title="lab", version=__version__, docs_url=None, redoc_url=None, openapi_url="/api/v1/openapi.json"
    )
    api.state.lab = lab
    api.state.token = token
    problems.install(api)
    routes = APIRouter(prefix="/api/v1", dependencies=[Depends(auth.authorize)])
    for router in ROUTERS:
        routes.include_router(router)
    api.include_router(routes)
    return api
