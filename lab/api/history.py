"""`/devices/{device}/history`: what a page about a device begins with, before the stream goes on."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Query

from lab.api.context import TheLab, TheReadings
from lab.lab import Json
from lab.readings import SECONDS

router = APIRouter(tags=["devices"])

_KINDS = ("device.heartbeat", "app.use", "app.event")
_EVENTS = 1000


@router.get("/devices/{device}/history")
async def show_history(
    lab: TheLab,
    readings: TheReadings,
    device: str,
    seconds: Annotated[int, Query(ge=1, le=SECONDS)] = SECONDS,
) -> Json:
    """Show how a device's last minutes went, oldest first.

    `quantities` is what its simulated parts had, each as pairs of Unix time and the value from then on;
    `events` is what it reported itself: heartbeats, what its apps used and published, the newest 1000.
    """
    since = time.time() - seconds
    lab.device(device)
    await lab.events.written()
    found = await lab.store.find_events(limit=_EVENTS, kinds=_KINDS, device=device)
    return {
        "quantities": readings.of(device, since),
        "events": [event.model_dump() for event in reversed(found) if event.time >= since],
    }
