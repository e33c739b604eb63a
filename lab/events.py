"""What happens in a lab, as one numbered stream that nobody who reads it in time misses a part of.

| kind | published when | data |
|---|---|---|
| `device.connected` | it answered the welcome | `address`, `boot_reason`, `boot_detail`, `boots`, `uptime` |
| | or broke its silence | `address`, `resumed` |
| `device.disconnected` | its session ended | `reason` |
| `device.unreachable` | it has been silent for 2.5 heartbeats | `silent` (s) |
| `device.waiting` | an unknown device waits to be accepted | `board`, `address` |
| `device.paired`, `device.forgotten` | it was taken in, or dropped from the registry | `board` |
| `device.labelled` | its labels were changed | `labels` |
| `device.replaced` | a newer connection of it took the place of the older one | `address` (the older) |
| `device.revoked` | its certificate was revoked | `serial` (hex) |
| `device.exited` | its machine has ended | `reason`, `asked` (whether the lab ended it) |
| `snapshot.saved`, `snapshot.loaded` | it was kept as it is, or had again (`lab.snapshots`) | `snapshot` |
| `device.failed` | it had power when the last daemon was killed, and could not be booted again | `reason` |
| `device.heartbeat` | | `uptime` (ms), `memory_free`, `apps_running`, `frames_dropped` |
| `device.log`, `app.log` | the firmware or an app logged a line | `uptime` (ms), `level`, `text` |
| `app.state` | a device reported an app's state | `state`, `digest`, `size`, `memory`, `reason` |
| | or no longer has an app | `state` (`absent`), `digest` |
| `app.not-restored` | a device came back without an app and did not get it again | `reason` |
| `app.use` | WASM instructions that its calls took | `instructions` in all, `peak` and `budget` of one call |
| `app.event` | an app published | `uptime` (ms), `topic`, `payload` (hex), `text` if it is UTF-8 |
| `rollout.started`, `.paused`, `.resumed`, `.done`, `.failed` | | `rollout`, `state`, `reason` |
| `rollout.aborted`, `rollout.ended` | by hand; and the last device under way was seen to its end | the same |
| `rollout.device` | a device of a rollout has got further | `rollout`, `arm`, `state`, `reason` |
| `gateway.refused` | a client was refused | `reason`, `address` |
| `fault.set` | a fault of a device or the gateway began (`lab.faults`) | `fault`, `parameters`, `duration` |
| `fault.cleared` | and ended | `fault`, `parameters`, `why` |
| `lab.log` | a part of the lab logged a line (`lab.logs`) | `level`, `component`, `text`, fields of its own |
| `node.log` | a part of a gateway node logged a line (`lab.monitor`) | as above, and `node`, `source`, `at` |
| `alert.raised`, `alert.cleared` | something wants attention, or no more (`lab.monitor`) | `alert`, `text` |

Others may publish kinds of their own. What happens on behalf of a request to the API bears its id, `request`.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import structlog

from lab.errors import LabError
from lab.logs import current_request
from lab.store import Store

log = structlog.get_logger()

_FLUSH_DELAY = 0.05  # s; events younger than this are lost if the process is killed
_RING = 4096  # events that a reader gets from memory
_PAGE = 500
_RESTART_GAP = 10_000  # more numbers than can have been given out and not be written yet
REPORTS = ("device.heartbeat", "app.use")
"""Kinds that devices send all the time, and that tell of nothing that has changed for others."""
BACKLOG_LIMIT = 4096
"""Events not written yet at which whoever can should publish less (`Events.backlog`)."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened.

    :param sequence: its number; ascends, also across restarts, with gaps.
    :param time: Unix time, s.
    :param kind: what happened; see the table above.
    :param device: the device it happened to.
    :param app: the app it happened to.
    :param data: what else belongs to it; JSON.
    """

    sequence: int
    time: float
    kind: str
    device: str | None
    app: str | None
    data: dict[str, Any]

    def describe(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "sequence": self.sequence,
            "time": self.time,
            "kind": self.kind,
            "device": self.device,
            "app": self.app,
            "data": self.data,
        }


class Events:
    """The stream of one lab. An async context manager; to be used on one event loop.

    :param store: where events are kept.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._ring: deque[Event] = deque(maxlen=_RING)
        self._unwritten: list[Event] = []
        self._writing: list[Event] = []
        self._last = 0
        self._news = asyncio.Event()
        self._kept = asyncio.Event()
        self._flusher: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        last = await self._store.last_sequence()
        self._last = last + _RESTART_GAP if last else 0
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._flusher is not None:
            await self._flusher

    @property
    def last(self) -> int:
        """The highest number given out; `subscribe(events.last)` yields only what happens from now on."""
        return self._last

    @property
    def backlog(self) -> int:
        """How many events are not written yet."""
        return len(self._writing) + len(self._unwritten)

    def publish(self, kind: str, device: str | None = None, app: str | None = None, **data: Any) -> Event:
        """Say that something happened; return the event with its number.

        :param data: JSON values.
        """
        if (request := current_request()) is not None:
            data.setdefault("request", request)
        self._last += 1
        event = Event(self._last, time.time(), kind, device, app, data)
        self._ring.append(event)
        self._unwritten.append(event)
        self._news.set()
        self._news = asyncio.Event()
        if self._flusher is None:
            self._flusher = asyncio.get_running_loop().create_task(self._flush())
        return event

    async def subscribe(
        self, since: int = 0, *, device: str | None = None, follow: bool = True
    ) -> AsyncIterator[Event]:
        """Yield every event with a number above `since`, in order; a slow reader misses none.

        :param device: only this device's.
        :param follow: go on for ever; else end with the last one there is.
        """
        async for page in self.pages(since, follow=follow):
            for event in page:
                if device is None or event.device == device:
                    yield event

    async def pages(self, since: int = 0, *, follow: bool = True) -> AsyncIterator[list[Event]]:
        """Yield what `subscribe` does, as many at a time as there are."""
        while True:
            news = self._news
            page = await self._after(since)
            if page:
                since = page[-1].sequence
                yield page
            elif follow:
                await news.wait()
            else:
                return

    async def written(self) -> None:
        """Return once everything published so far is in the store, or was given up."""
        last = self._last
        while (waiting := self._writing or self._unwritten) and waiting[0].sequence <= last:
            await self._kept.wait()

    async def _after(self, since: int) -> list[Event]:
        if since >= self._last:
            return []
        if self._ring and since >= self._ring[0].sequence - 1:
            skip = since - self._ring[0].sequence + 1
            return [self._ring[index] for index in range(skip, min(len(self._ring), skip + _PAGE))]
        memory = [*self._writing, *self._unwritten]
        rows = await self._store.events(since, _PAGE)
        older = [Event(row.sequence, row.time, row.kind, row.device, row.app, row.data) for row in rows]
        return older or [event for event in memory if event.sequence > since][:_PAGE]

    async def _flush(self) -> None:
        while self._unwritten:
            await asyncio.sleep(_FLUSH_DELAY)
            self._writing, self._unwritten = self._unwritten, []
            try:
                await self._store.append([event.describe() for event in self._writing])
            except LabError as error:
                log.error("events not kept", count=len(self._writing), error=error.message)
            self._writing = []
            self._kept.set()
            self._kept = asyncio.Event()
        self._flusher = None
