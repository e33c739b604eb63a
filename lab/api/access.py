"""`/session`, `/tokens`, `/certificates`: who may reach the lab, people and devices."""

from __future__ import annotations

from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, Field

from lab.api.auth import Gatekeeper, Role, Who, gatekeeper, needs
from lab.api.context import TheLab
from lab.api.paging import ByName
from lab.lab import Json, Lab
from lab.pki import Issued

router = APIRouter(tags=["access"])

TheGate = Annotated[Gatekeeper, Depends(gatekeeper)]
TokenName = Annotated[str, Path(pattern="^[A-Za-z0-9._-]{1,32}$")]


class TokenRequest(BaseModel):
    """A token to be made."""

    name: str = Field(pattern="^[A-Za-z0-9._-]{1,32}$")
    role: str = Field("viewer", pattern="^(viewer|operator|admin)$")


@router.get("/session")
async def show_session(who: Who) -> Json:
    """Say as whom this request came, and what that one may."""
    return {"name": who.name, "role": who.role.name.lower(), "browser": bool(who.csrf)}


@router.post("/session/links", status_code=201)
async def make_link(gate: TheGate, who: Who) -> Json:
    """Return the path of a page that logs a browser in, once, within two minutes, as whoever asks."""
    return {"path": f"/login?code={gate.make_link(who)}"}


@router.get("/tokens", dependencies=[needs(Role.ADMIN)])
async def list_tokens(gate: TheGate, page: ByName) -> Json:
    """List tokens by name and role; what they are is known to their owners alone."""
    return page.of("tokens", await gate.tokens(), lambda row: str(row["name"]))


@router.post("/tokens", status_code=201, dependencies=[needs(Role.ADMIN)])
async def make_token(gate: TheGate, what: TokenRequest) -> Json:
    """Make a token. This answer is the only place where it is ever told."""
    token = await gate.make_token(what.name, Role.of(what.role))
    return {"name": what.name, "role": what.role, "token": token}


@router.delete("/tokens/{name}", dependencies=[needs(Role.ADMIN)])
async def revoke_token(gate: TheGate, name: TokenName) -> Json:
    """Revoke a token and the browser sessions it began; they end at once."""
    await gate.drop_token(name)
    return {}


def _describe(lab: Lab, issued: Issued) -> Json:
    return {
        "device": issued.name,
        "serial": f"{issued.serial:x}",
        "expires": issued.expires.timestamp(),
        "revoked": lab.authority.is_revoked(issued),
    }


@router.get("/certificates")
async def list_certificates(lab: TheLab, page: ByName) -> Json:
    """List the devices' certificates."""
    issued = await to_thread.run_sync(lab.authority.issued)
    rows = [_describe(lab, each) for each in issued]
    return page.of("certificates", rows, lambda row: str(row["device"]))


@router.post("/certificates/{device}", status_code=201, dependencies=[needs(Role.ADMIN)])
async def issue_certificate(lab: TheLab, device: str) -> Json:
    """Issue a device's certificate: its first, or one in place of a revoked one. It takes it at power-on."""
    return _describe(lab, lab.authority.issue(device, renew=True))


@router.delete("/certificates/{device}", dependencies=[needs(Role.ADMIN)])
async def revoke_certificate(lab: TheLab, device: str) -> Json:
    """Revoke a device's certificate; its session ends at once and it cannot begin another."""
    return _describe(lab, lab.revoke(device))
