"""`/gateway`: its settings, and a restart."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, Field

from lab.api.auth import Role, needs
from lab.api.context import TheLab
from lab.lab import Json, Lab

router = APIRouter(tags=["gateway"])


class GatewayRequest(BaseModel):
    """Settings of the gateway."""

    heartbeat: float = Field(ge=0.1, le=86400)


def status(lab: Lab) -> Json:
    """Return where the gateway listens, how it is set, and how many sessions it has."""
    host, port = lab.gateway.address
    return {
        "host": host,
        "port": port,
        "heartbeat": lab.gateway.heartbeat,
        "pairing": lab.gateway.pairing,
        "sessions": lab.gateway.sessions,
    }


@router.get("/gateway")
async def show_gateway(lab: TheLab) -> Json:
    """Show the gateway's settings and load."""
    return status(lab)


@router.post("/gateway", dependencies=[needs(Role.ADMIN)])
async def set_gateway(lab: TheLab, what: GatewayRequest) -> Json:
    """Change the gateway's settings; connected devices are told at once."""
    await lab.gateway.set_heartbeat(what.heartbeat)
    return status(lab)


@router.post("/gateway/restart", dependencies=[needs(Role.ADMIN)])
async def restart_gateway(lab: TheLab) -> Json:
    """End every session and start the gateway anew; devices reconnect by themselves."""
    await lab.restart_gateway()
    return status(lab)
