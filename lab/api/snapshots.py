"""`/devices/{device}/snapshots`: devices kept as they were, to be had again."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from lab.api.context import TheLab
from lab.api.operations import operate
from lab.lab import Json

router = APIRouter(tags=["snapshots"])


class SaveRequest(BaseModel):
    """What to call a snapshot; one of that name is replaced."""

    name: str = Field(max_length=64)


class LoadRequest(BaseModel):
    """How many seconds the device has to be connected again."""

    timeout: float = Field(60.0, gt=0)


@router.get("/devices/{device}/snapshots")
async def list_snapshots(lab: TheLab, device: str) -> Json:
    """List a device's snapshots, the oldest first."""
    return {"snapshots": lab.snapshots(device)}


@router.post("/devices/{device}/snapshots")
async def save_snapshot(lab: TheLab, device: str, what: SaveRequest) -> Json:
    """Keep a device as it is now: machine, memories, clock, parts. It stands still meanwhile."""
    return await lab.save_snapshot(device, what.name)


@router.post("/devices/{device}/snapshots/{snapshot}/load")
async def load_snapshot(
    lab: TheLab, request: Request, device: str, snapshot: str, what: LoadRequest
) -> Response:
    """Have a device be as it was; answers when it is connected again."""
    return await operate(request, lambda progress: lab.load_snapshot(device, snapshot, timeout=what.timeout))


@router.delete("/devices/{device}/snapshots/{snapshot}")
async def remove_snapshot(lab: TheLab, device: str, snapshot: str) -> Json:
    """Erase a snapshot."""
    lab.remove_snapshot(device, snapshot)
    return {}
