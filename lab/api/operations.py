"""Long work: plain JSON when it is done or, to ``Accept: application/x-ndjson``, one line a step."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable

import anyio
from fastapi import Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Send

from lab.api.auth import gatekeeper, principal_of, while_admitted
from lab.api.context import entry_of
from lab.api.problems import document, problem
from lab.errors import LabError
from lab.lab import Json, Progress, ignore

NDJSON = "application/x-ndjson"
_STEPS = 1024  # that a slow client may be behind before it misses some


def line(item: Json) -> bytes:
    """Return one line of an NDJSON stream."""
    return json.dumps(item).encode() + b"\n"


class Lines(StreamingResponse):
    """An NDJSON stream; it ends, with an `error` as its last line, when who asked is let in no more."""

    def __init__(self, request: Request, lines: AsyncIterator[bytes]) -> None:
        super().__init__(lines, media_type=NDJSON)
        self._gate = gatekeeper(request)
        self._who = principal_of(request)

    async def stream_response(self, send: Send) -> None:
        """Send the lines."""

        async def end(why: str) -> None:
            last = line({"error": document(401, "Unauthorized", why)})
            await send({"type": "http.response.body", "body": last, "more_body": False})

        async with while_admitted(self._gate, self._who, end) as tasks:
            await super().stream_response(send)
            tasks.cancel_scope.cancel()


async def operate(request: Request, work: Callable[[Progress], Awaitable[Json]]) -> Response:
    """Answer with the result of `work`, or with its steps as they happen; a client that leaves cancels it."""
    if NDJSON not in request.headers.get("accept", ""):
        return JSONResponse(await work(ignore))

    async def lines() -> AsyncIterator[bytes]:
        send, receive = anyio.create_memory_object_stream[Json](_STEPS)

        def step(progress: Json) -> None:
            with contextlib.suppress(anyio.WouldBlock):  # a step is news; only the result waits for room
                send.send_nowait({"progress": progress})

        async def run() -> None:
            async with send:
                try:
                    item = {"result": await work(step)}
                except LabError as error:
                    entry_of(request).reason = error.message
                    item = {"error": problem(error)}
                except anyio.get_cancelled_exc_class():
                    entry_of(request).reason = "who asked for it has left, or was cut off"
                    raise
                await send.send(item)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            async for item in receive:
                yield line(item)

    return Lines(request, lines())
