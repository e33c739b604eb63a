"""`/devices/{device}/parts`: a device's simulated sensors, LEDs and buzzers, in physical units."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel

from lab.api.context import TheLab
from lab.api.operations import Lines, line
from lab.device import Device
from lab.lab import Json
from lab.peripherals import profile

router = APIRouter(tags=["parts"])


class PartsRequest(BaseModel):
    """What to set: names like ``dht22.temperature``, values as people write them."""

    set: list[tuple[str, str]]


class ProfileRequest(BaseModel):
    """A course over time: CSV, first column seconds, the others quantities."""

    csv: str


def describe(device: Device) -> Json:
    """Return a device's parts as they are, and what can be set of them."""
    return {"parts": device.peripherals.snapshot(), "quantities": device.peripherals.describe()}


@router.get("/devices/{device}/parts")
async def show_parts(lab: TheLab, request: Request, device: str, follow: bool = False) -> Response:
    """Show a device's parts; with `follow`, one line now and one at every change."""
    power = lab.powered(device)
    if not follow:
        return JSONResponse(describe(power))

    async def lines() -> AsyncIterator[bytes]:
        changed = anyio.Event()

        def note(part: str) -> None:
            changed.set()

        end = power.peripherals.subscribe(note)
        told = b""
        try:
            while not power.ended.is_set():
                changed = anyio.Event()
                if (now := line(describe(power))) != told:
                    yield now
                    told = now
                with anyio.move_on_after(1.0):  # a profile moves without an event of its own
                    await changed.wait()
        finally:
            end()

    return Lines(request, lines())


@router.post("/devices/{device}/parts")
async def set_parts(lab: TheLab, device: str, what: PartsRequest) -> Json:
    """Set quantities, their noise or drift, or faults."""
    await lab.set_parts(device, what.set)
    return describe(lab.powered(device))


@router.post("/devices/{device}/parts/profile")
async def play_profile(lab: TheLab, device: str, what: ProfileRequest) -> Json:
    """Let quantities follow a course over time."""
    power = lab.powered(device)
    power.peripherals.play(profile.parse(what.csv, "the profile"))
    return describe(power)
