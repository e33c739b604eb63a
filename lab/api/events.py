"""`/events`: what happens, as one numbered stream; `/logs`: one query over all that was said."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse

from lab.api.context import SEQUENCE_LIMIT, TheLab, TheMonitor
from lab.api.operations import Lines, line
from lab.events import REPORTS
from lab.lab import Json
from lab.store.tables import Event

router = APIRouter(tags=["events"])

_LEVELS = ("debug", "info", "warning", "error", "critical")
_LOGS = ("lab.log", "device.log", "app.log", "node.log")
_OWN = frozenset({"level", "component", "text", "request", "uptime", "at"})

Sequence = Annotated[int, Query(ge=0, le=SEQUENCE_LIMIT)]
Level = Annotated[str, Query(pattern=f"^({'|'.join(_LEVELS)})$")]


@router.get("/events", response_class=StreamingResponse)
async def list_events(
    lab: TheLab, request: Request, since: Sequence = 0, device: str | None = None, follow: bool = False
) -> Lines:
    """Stream events after number `since`, one JSON object a line; with `follow`, for ever."""

    async def lines() -> AsyncIterator[bytes]:
        async for event in lab.events.subscribe(since, device=device, follow=follow):
            yield line(event.describe())

    return Lines(request, lines())


@router.get("/logs")
async def find_logs(
    lab: TheLab,
    monitor: TheMonitor,
    request: Annotated[str | None, Query(max_length=64)] = None,
    device: Annotated[str | None, Query(max_length=64)] = None,
    component: Annotated[str | None, Query(max_length=64)] = None,
    level: Level | None = None,
    text: Annotated[str, Query(max_length=200)] = "",
    events: bool = True,
    before: Sequence | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> Json:
    """Find what devices, apps, nodes, plugins and the lab's own parts said, and what happened to them.

    The newest come first.

    `request` is the id that an answer of this API bore (``X-Request-Id``): everything said on its behalf, up
    to the device's answer. `level` is the lowest. `events=false` leaves out what is no log line. For the next
    page ask for what is `before` the answer's `next`.
    """
    fields: dict[str, list[str]] = {}
    if request is not None:
        fields["request"] = [request]
    if component is not None:
        fields["component"] = [component]
    if level is not None:
        fields["level"] = list(_LEVELS[_LEVELS.index(level) :])
    await monitor.hear_nodes()
    await lab.events.written()
    kinds = _LOGS if not events or level is not None else ()
    found = await lab.store.find_events(
        limit=limit,
        before=before,
        kinds=kinds,
        without=() if text else REPORTS,
        device=device,
        fields=fields,
        text=text,
    )
    following = found[-1].sequence if len(found) == limit else None
    return {"lines": [_line(event) for event in found], "next": following}


def _line(event: Event) -> Json:
    data: dict[str, Any] = event.data
    if event.kind in _LOGS:
        text = data["text"]
        rest = {key: value for key, value in data.items() if key not in _OWN}
    else:
        text = event.kind
        rest = {key: value for key, value in data.items() if key != "request" and value not in (None, "")}
    owner = {"device.log": "firmware", "app.log": "app"}.get(event.kind, "gateway")
    return {
        "sequence": event.sequence,
        "time": data.get("at", event.time),
        "kind": event.kind,
        "level": data.get("level", "info") if event.kind in _LOGS else "info",
        "component": data.get("component", owner),
        "device": event.device,
        "app": event.app,
        "request": data.get("request"),
        "text": text,
        "fields": rest,
    }
