"""`/faults`, `/devices/{device}/faults`, `/gateway/faults`: what goes wrong on demand."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from lab import faults
from lab.api.auth import Role, needs
from lab.api.context import TheLab
from lab.lab import Json
from lab.pki import GATEWAY

router = APIRouter(tags=["faults"])


class FaultRequest(BaseModel):
    """A fault, its parameters as `/faults` lists them, and how many seconds it lasts; none: until cleared."""

    fault: str
    parameters: dict[str, str | int | float] = Field(default_factory=dict, max_length=16)
    duration: float | None = Field(None, gt=0, le=faults.LONGEST)


def _device(lab: TheLab, device: str) -> str:
    """Return a device's id; the gateway is none: its faults ask for another role."""
    return str(lab.device(device)["id"])


DeviceId = Annotated[str, Depends(_device)]


@router.get("/faults")
async def list_known(lab: TheLab) -> Json:
    """List the faults there are, with targets, engines and parameters."""
    return {"faults": faults.known()}


@router.get("/devices/{device}/faults")
async def list_faults(lab: TheLab, device: DeviceId) -> Json:
    """List the faults in force on a device."""
    return {"faults": lab.faults(device)}


@router.post("/devices/{device}/faults", dependencies=[needs(Role.OPERATOR)])
async def set_fault(lab: TheLab, device: DeviceId, what: FaultRequest) -> Json:
    """Make something go wrong on a device; another fault of its kind ends first."""
    return await lab.fault(device, what.fault, duration=what.duration, **what.parameters)


@router.delete("/devices/{device}/faults", dependencies=[needs(Role.OPERATOR)])
async def clear_faults(lab: TheLab, device: DeviceId, fault: str | None = None) -> Json:
    """End the faults in force on a device, or those called `fault`; answers with them."""
    return {"faults": await lab.clear_faults(device, fault)}


@router.get("/gateway/faults")
async def list_gateway_faults(lab: TheLab) -> Json:
    """List the faults in force at the gateway."""
    return {"faults": lab.faults(GATEWAY)}


@router.post("/gateway/faults", dependencies=[needs(Role.ADMIN)])
async def set_gateway_fault(lab: TheLab, what: FaultRequest) -> Json:
    """Make something go wrong at the gateway; another fault of its kind ends first."""
    return await lab.fault(GATEWAY, what.fault, duration=what.duration, **what.parameters)


@router.delete("/gateway/faults", dependencies=[needs(Role.ADMIN)])
async def clear_gateway_faults(lab: TheLab, fault: str | None = None) -> Json:
    """End the faults in force at the gateway, or those called `fault`; answers with them."""
    return {"faults": await lab.clear_faults(GATEWAY, fault)}
