"""`/audit`: who did what. Everything under `/api/v1` that changes something is written down on its way."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import StreamingResponse
from starlette.requests import HTTPConnection

from lab.api.auth import OWNER, Principal, Role, Who, needs
from lab.api.context import ENTRY, SEQUENCE_LIMIT, TheLab, the_lab
from lab.api.operations import Lines, line
from lab.api.problems import words
from lab.audit import local_user
from lab.lab import Json

router = APIRouter(tags=["audit"])

_LOOKS = frozenset({"GET", "HEAD", "OPTIONS"})
_HARMLESS = frozenset({"wait", "wait_for_rollout", "stream"})  # routes that are no GET and only look
_TELLING = frozenset({"show_secret"})  # routes that only look, at what is worth writing down
_SECRET = frozenset({"secret", "token", "password", "value"})
_DETAIL_LIMIT = 4096  # bytes of a body that is written down


@router.get("/audit", dependencies=[needs(Role.ADMIN)])
async def find_audit(
    lab: TheLab,
    who: str | None = None,
    action: str | None = None,
    target: str | None = None,
    result: str | None = None,
    before: Annotated[int | None, Query(ge=0, le=SEQUENCE_LIMIT)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Json:
    """List who did what, the newest first. For the next page ask for what is `before` the answer's `next`."""
    rows = await lab.audit.rows(
        limit=limit, before=before, who=who, action=action, target=target, result=result
    )
    next_ = rows[-1].id if len(rows) == limit else None
    return {"rows": [row.model_dump() for row in rows], "next": next_}


@router.get("/audit/export", dependencies=[needs(Role.ADMIN)], response_class=StreamingResponse)
async def export_audit(lab: TheLab, request: Request) -> Lines:
    """Stream the whole log, one JSON object a line, the oldest first."""

    async def lines() -> AsyncIterator[bytes]:
        async for row in lab.audit.export():
            yield line(row.model_dump())

    return Lines(request, lines())


async def audited(connection: HTTPConnection, who: Who) -> AsyncIterator[None]:
    """Write down what a request does, unless it only looks, once before and once with the result.

    Looking at a secret is written down too.
    """
    route = connection.scope["route"]
    looks = connection.scope["type"] == "http" and connection.scope["method"] in _LOOKS
    if (looks and route.name not in _TELLING) or route.name in _HARMLESS:
        yield
        return
    name = local_user() if who.name == OWNER else who.name
    target = " ".join(str(value) for value in connection.path_params.values())
    detail = await _detail(connection)
    audit = the_lab(connection).audit
    async with audit.entry(name, route.name, target, role=_role(who), detail=detail) as entry:
        connection.scope[ENTRY] = entry
        try:
            yield
        except RequestValidationError as error:  # its text holds what was sent, and that may be a secret
            entry.reason = words(error)
            raise


def _role(who: Principal) -> str:
    return OWNER if who.name == OWNER else who.role.name.lower()


async def _detail(connection: HTTPConnection) -> dict[str, Any]:
    detail: dict[str, Any] = dict(connection.query_params)
    # Whatever the route is declared to take as JSON has been read by now; packages are streamed later.
    if isinstance(connection, Request) and connection.headers.get("content-type") == "application/json":
        body = await connection.body()
        if len(body) <= _DETAIL_LIMIT:
            detail |= _plain(body)
    return {key: value for key, value in detail.items() if key not in _SECRET}


def _plain(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
