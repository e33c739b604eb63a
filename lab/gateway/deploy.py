"""Sending a module to a device: begin, chunks with two on the way, end, and the device's own word."""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import Callable

from lab.errors import DeviceError
from lab.gateway.session import Session, refusal
from lab.wire import messages as m

Progress = Callable[[int, int], None]
"""Told the bytes the device has taken, and all there are."""

_IN_FLIGHT = 2
_RESENDS = 5


async def transfer(session: Session, name: str, module: bytes, progress: Progress) -> m.AppStatus:
    """Send a module and return the device's word that it runs.

    A device that has part of it already says so, and only the rest is sent.

    :raises DeviceError: the device refused it, or it failed there; in the device's own words.
    :raises SessionEndedError: the session ended; what the device has taken need not be sent again.
    """
    digest = hashlib.sha256(module).digest()
    begun = await session.request(m.DeployBegin(name, len(module), digest), m.Ack)
    _check(session, name, begun)
    await _send_chunks(session, name, module, begun.offset, progress)
    outcome = session.outcome(name, digest)
    _check(session, name, await session.request(m.DeployEnd(), m.Ack))
    status = await outcome
    if status.state is m.AppState.FAILED:
        raise DeviceError(f"{name} failed on {session.device}: {status.reason or 'it does not say why'}")
    return status


async def _send_chunks(session: Session, name: str, module: bytes, start: int, progress: Progress) -> None:
    size = max(1, min(session.hello.max_chunk, m.CHUNK_LIMIT))
    flying: deque[tuple[int, asyncio.Future[m.Message]]] = deque()
    resends = 0
    taken = sent = _within(session, name, module, start)
    while taken < len(module) or flying:
        progress(taken, len(module))
        while sent < len(module) and len(flying) < _IN_FLIGHT:
            chunk = module[sent : sent + size]
            flying.append((sent + len(chunk), session.post(m.DeployChunk(sent, chunk))))
            sent += len(chunk)
        end, future = flying.popleft()
        ack = await _ack(session, future)
        if ack.code is m.ResultCode.DONE and ack.offset == end:
            taken = end
            continue
        if ack.code not in (m.ResultCode.DONE, m.ResultCode.WRONG_OFFSET):
            raise refusal(session.device, name, ack.code, ack.text)
        # The device is elsewhere in the module: let what is on the way arrive, then go on from where it is.
        while flying:
            ack = await _ack(session, flying.popleft()[1])
        taken = sent = _within(session, name, module, ack.offset)
        resends += 1
        if resends > _RESENDS:
            raise refusal(session.device, name, m.ResultCode.WRONG_OFFSET, ack.text)
    progress(len(module), len(module))


def _within(session: Session, name: str, module: bytes, offset: int) -> int:
    if offset > len(module):
        raise DeviceError(f"{session.device} expects byte {offset} of {name}, which has {len(module)}")
    return offset


async def _ack(session: Session, future: asyncio.Future[m.Message]) -> m.Ack:
    answer = await future
    if not isinstance(answer, m.Ack):
        raise DeviceError(f"{session.device} answered deploychunk with {type(answer).__name__}")
    return answer


def _check(session: Session, name: str, ack: m.Ack) -> None:
    if ack.code is not m.ResultCode.DONE:
        raise refusal(session.device, name, ack.code, ack.text)
