"""Sending a package to a device: begin, chunks with two on the way, end, and the device's own word."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from lab.errors import DeviceError
from lab.gateway.registry import Verdict, Wanted
from lab.gateway.session import Session, refusal
from lab.packages import Package
from lab.wire import messages as m

Progress = Callable[[int, int], None]
"""Told the bytes the device has taken, and all there are."""

_IN_FLIGHT = 2
_RESENDS = 5


class RolledBackError(DeviceError):
    """The device gave a package up, and runs the version before it."""


async def transfer(session: Session, package: Package, progress: Progress) -> m.AppStatus:
    """Send a package and return the device's word that it runs, on trial or for good.

    A device that has part of it already says so, and only the rest is sent.

    :raises DeviceError: the device refused it, or it failed there; in the device's own words.
    :raises SessionEndedError: the session ended; what the device has taken need not be sent again.
    """
    name, module = package.name, package.module
    begin = m.DeployBegin(name, len(module), package.digest, package.envelope)
    begun = await session.request(begin, m.Ack)
    _check(session, name, begun)
    await _send_chunks(session, name, module, begun.offset, progress)
    outcome = session.outcome(name, wanted(package))
    _check(session, name, await session.request(m.DeployEnd(), m.Ack))
    status = await outcome
    if failure := why_not(session.device, wanted(package), status):
        raise failure
    return status


def wanted(package: Package) -> Wanted:
    """Return what tells a package from others in a device's words."""
    return Wanted(package.id, package.digest, package.sequence)


def why_not(device: str, wanted: Wanted, status: m.AppStatus) -> DeviceError | None:
    """Return the error for a package that a device does not run any more; none if it does."""
    said = status.reason or "it does not say why"
    match wanted.verdict(status):
        case Verdict.FAILED:
            return DeviceError(f"{status.name} failed on {device}: {said}")
        case Verdict.ROLLED_BACK:
            return RolledBackError(
                f"{device} gave {status.name} up and runs the version before it: {said}",
                hint=f"see what it says: lab logs {device}",
            )
    return None


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
