"""Long work: plain JSON when it is done or, to ``Accept: application/x-ndjson``, one line a step."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable

import anyio
from fastapi import Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from lab.api.context import entry_of
from lab.api.problems import problem
from lab.errors import LabError
from lab.lab import Json, Progress, ignore

NDJSON = "application/x-ndjson"
_STEPS = 1024  # that a slow client may be behind before it misses some


def line(item: Json) -> bytes:
    """Return one line of an NDJSON stream."""
    return json.dumps(item).encode() + b"\n"


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
                await send.send(item)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            async for item in receive:
                yield line(item)

    return StreamingResponse(lines(), media_type=NDJSON)
