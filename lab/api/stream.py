"""`/stream`: one WebSocket on which everything comes that changes, resumable by the events' numbers.

Each message is a JSON array of frames, in order:

| frame | when |
|---|---|
| `{"hello": N}` | first; N is the number of the newest event |
| `{"event": {…}}` | every event after `since`, none left out and none twice |
| `{"device": {…}}` | a device's description, after an event of it |
| `{"parts": {"device": ID, "parts": {…}, "quantities": […]}}` | first, and when a watched device's changed |
| `{"sample": {…}}` | the lab's load, each five seconds, to who asks for it |

It is closed with 4401 when its client's token is revoked, or its session ends.

A client that lost its connection comes back with the number of the last event it saw. Descriptions, parts
and samples are states, not history: the newest comes when it is connected again.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Annotated

import anyio
from fastapi import APIRouter, Query, WebSocket, WebSocketDisconnect

from lab.api import parts
from lab.api.auth import Who, socket_while_admitted
from lab.api.context import TheLab, TheMonitor
from lab.errors import LabError
from lab.events import Event
from lab.lab import Json, Lab

router = APIRouter()

_PAUSE = 0.02  # s between two messages to one client: what happens meanwhile travels together
_SEND_SECONDS = 15.0  # for one message; a client that takes longer is dropped, and may resume
_PARTS_PAUSE = 0.03  # s between two pictures of a device's parts
_MOVING = 1.0  # s; a profile or a drift moves a quantity without telling
_WATCHED = 16  # devices whose parts one client follows
_CLIENTS = 1000
_FRAMES = 2048  # encoded events kept for other clients

DeviceList = Annotated[str, Query(max_length=_WATCHED * 33)]


class Frames:
    """Frames as text, made once and sent to all."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._made: OrderedDict[tuple[str, int], str] = OrderedDict()

    def event(self, event: Event) -> str:
        """Return an event's frame."""
        return self._once(("event", event.sequence), lambda: {"event": event.describe()})

    def device(self, name: str, sequence: int) -> str:
        """Return a device's frame as of event number `sequence`, or nothing if it is gone."""
        return self._once((name, sequence), lambda: {"device": self._describe(name)})

    def _describe(self, name: str) -> Json:
        try:
            return self._lab.device(name)
        except LabError:
            return {"id": name, "state": "forgotten"}

    def _once(self, key: tuple[str, int], make: Callable[[], Json]) -> str:
        found = self._made.get(key)
        if found is None:
            found = self._made[key] = json.dumps(make(), separators=(",", ":"))
            if len(self._made) > _FRAMES:
                self._made.popitem(last=False)
        return found


class Client:
    """One WebSocket, on which several tasks send."""

    def __init__(self, socket: WebSocket, seconds: float = _SEND_SECONDS) -> None:
        self._socket = socket
        self._seconds = seconds
        self._sending = anyio.Lock()

    async def send(self, frames: Iterable[str]) -> None:
        """Send one message.

        :raises WebSocketDisconnect: the client has gone, or takes too long.
        """
        async with self._sending:
            try:
                with anyio.fail_after(self._seconds):
                    await self._socket.send_text(f"[{','.join(frames)}]")
            except TimeoutError:
                raise WebSocketDisconnect(1013, "it reads too slowly") from None


@router.websocket("/stream")
async def stream(
    socket: WebSocket,
    who: Who,
    lab: TheLab,
    monitor: TheMonitor,
    since: Annotated[int | None, Query(ge=0)] = None,
    devices: bool = True,
    watch: DeviceList = "",
    samples: bool = False,
) -> None:
    """Send what changes; `watch` names devices whose parts are sent too, comma between."""
    gauge = socket.app.state.metrics.streams
    if socket.app.state.streams >= _CLIENTS:
        await socket.close(1013, "too many clients follow this lab")
        return
    frames: Frames = socket.app.state.frames
    await socket.accept()
    socket.app.state.streams += 1
    gauge.inc()
    client = Client(socket)
    try:
        async with socket_while_admitted(socket, who) as tasks:

            async def until_gone() -> None:
                while (await socket.receive())["type"] != "websocket.disconnect":
                    pass
                tasks.cancel_scope.cancel()

            async def send_events(start: int) -> None:
                async for page in lab.events.pages(start):
                    out = [frames.event(event) for event in page]
                    if devices:
                        changed = {event.device: event.sequence for event in page if event.device}
                        out += [frames.device(name, sequence) for name, sequence in changed.items()]
                    await client.send(out)
                    await anyio.sleep(_PAUSE)

            async def send_samples() -> None:
                async for sample in monitor.samples():
                    await client.send((json.dumps({"sample": sample}),))

            last = lab.events.last
            await client.send((json.dumps({"hello": last}),))
            tasks.start_soon(until_gone)
            tasks.start_soon(send_events, last if since is None else min(since, last))
            for name in list(dict.fromkeys(filter(None, watch.split(","))))[:_WATCHED]:
                tasks.start_soon(_send_parts, lab, name, client)
            if samples:
                tasks.start_soon(send_samples)
    except* WebSocketDisconnect:
        pass
    finally:
        socket.app.state.streams -= 1
        gauge.dec()


async def _send_parts(lab: Lab, name: str, client: Client) -> None:
    """Send a device's parts whenever they change, over all its power-ons."""
    while True:
        since = lab.events.last
        try:
            device = lab.powered(name)
        except LabError:
            async for event in lab.events.subscribe(since, device=name):
                if event.kind == "device.connected":
                    break
            continue
        changed = anyio.Event()

        def note(_part: str) -> None:
            changed.set()  # noqa: B023 - the newest one is meant

        end = device.peripherals.subscribe(note)
        shown = None
        try:
            while not device.ended.is_set():
                changed = anyio.Event()
                picture = json.dumps({"parts": {"device": name, **parts.describe(device)}})
                if picture != shown:
                    shown = picture
                    await client.send((picture,))
                    await anyio.sleep(_PARTS_PAUSE)
                with anyio.move_on_after(_MOVING):
                    await changed.wait()
        finally:
            end()
