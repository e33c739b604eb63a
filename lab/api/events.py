"""`/events`: what happens, as one numbered stream."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from lab.api.context import TheLab
from lab.api.operations import NDJSON, line

router = APIRouter(tags=["events"])


@router.get("/events")
async def list_events(
    lab: TheLab, since: Annotated[int, Query(ge=0)] = 0, device: str | None = None, follow: bool = False
) -> StreamingResponse:
    """Stream events after number `since`, one JSON object a line; with `follow`, for ever."""

    async def lines() -> AsyncIterator[bytes]:
        async for event in lab.events.subscribe(since, device=device, follow=follow):
            yield line(event.describe())

    return StreamingResponse(lines(), media_type=NDJSON)
