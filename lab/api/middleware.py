"""What surrounds every request: an id that follows it, a limit to its body, an answer kept for a repetition.

Plain ASGI, so that streams pass through as they are.
"""

from __future__ import annotations

import gzip
import hashlib
import time
from collections import OrderedDict
from dataclasses import dataclass, field

import anyio
import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lab.api.auth import PRINCIPAL, gatekeeper
from lab.api.problems import Refused, answer, document
from lab.errors import ExitCode
from lab.logs import REQUEST_ID, request_id

log = structlog.get_logger()

IDEMPOTENCY_KEY = "idempotency-key"
_KEY_LIMIT = 128
KEY_PARAMETER = {
    "in": "header",
    "name": "Idempotency-Key",
    "required": False,
    "description": "Do this once: a repetition with this key gets the first one's answer.",
    "schema": {"type": "string", "minLength": 1, "maxLength": _KEY_LIMIT},
}
"""What OpenAPI is told of every POST."""
_QUIET = frozenset({"GET", "HEAD", "OPTIONS"})
_JSON_LIMIT = 1 << 20  # bytes of a body
_BINARY_LIMIT = 8 << 20  # of one that is a module or a package
_BODY_SECONDS = 30.0  # from one piece of a body to the next
_COMPRESSED = frozenset({"application/json", "text/javascript", "text/css", "image/svg+xml"})
_COMPRESS_FROM = 1024  # bytes
_COMPRESS_LEVEL = 5
_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",  # "no-referrer" would make the login form's Origin "null"
    "cross-origin-resource-policy": "same-origin",
}


class Compress:
    """Sends what is long, whole and text as gzip, to who takes that.

    Streams pass as they are, so that each line comes when it is said; so do pages, as they hold a secret (the
    CSRF token) beside what an address may choose, and lengths would tell of it (the BREACH attack).
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http" or "gzip" not in Headers(scope=scope).get("accept-encoding", ""):
            await self._app(scope, receive, send)
            return
        start: Message | None = None

        async def sent(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                kind = Headers(raw=message["headers"]).get("content-type", "").partition(";")[0]
                if kind in _COMPRESSED:
                    start = message
                    return
            elif start is not None:
                head, start = start, None
                body = message.get("body", b"")
                headers = MutableHeaders(scope=head)
                if len(body) >= _COMPRESS_FROM and not message.get("more_body", False):
                    body = gzip.compress(body, _COMPRESS_LEVEL, mtime=0)
                    headers["content-encoding"] = "gzip"
                    headers["content-length"] = str(len(body))
                    headers.add_vary_header("accept-encoding")
                    message = {**message, "body": body}
                await send(head)
            await send(message)

        await self._app(scope, receive, sent)


class Correlate:
    """Gives every request an id, taken from its header or made, and logs what it changed and how it ended.

    The id is in the answer's headers, in every line that is logged on behalf of the request and every event.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        request = request_id(Headers(scope=scope).get(REQUEST_ID, ""))
        began = time.monotonic()
        status = 0

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID] = request
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                # Scripts and styles are asked for again by their tag, data is not kept at all.
                static = scope["path"].startswith("/static/")
                headers.setdefault("cache-control", "no-cache" if static else "no-store")
            await send(message)

        with structlog.contextvars.bound_contextvars(request=request):
            try:
                await self._app(scope, receive, sent)
            except Exception:
                log.exception("request failed", path=scope["path"])
                if scope["type"] != "http" or status:
                    raise
                body = document(500, "Internal Error", f"the lab failed; its log has more under {request}")
                await answer(body)(scope, receive, sent)
            finally:
                if scope["type"] == "http" and (scope["method"] not in _QUIET or status >= 500):
                    principal = scope.get(PRINCIPAL)
                    log.info(
                        "request done",
                        method=scope["method"],
                        path=scope["path"],
                        status=status,
                        by=principal.name if principal else "nobody",
                        ms=round((time.monotonic() - began) * 1000, 1),
                    )


class LimitBody:
    """Refuses a body that is too large, or comes too slowly; nothing more of it is read then."""

    def __init__(self, app: ASGIApp, seconds: float = _BODY_SECONDS) -> None:
        self._app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        binary = headers.get("content-type", "").partition(";")[0] == "application/octet-stream"
        limit = _BINARY_LIMIT if binary else _JSON_LIMIT
        announced = headers.get("content-length", "0")
        if not announced.isdecimal() or int(announced) > limit:
            await answer(_too_large(limit).document())(scope, receive, send)
            return
        taken, whole = 0, False

        async def received() -> Message:
            nonlocal taken, whole
            if whole:  # what comes now is the client's leaving, whenever that is
                return await receive()
            try:
                with anyio.fail_after(self._seconds):
                    message = await receive()
            except TimeoutError:
                whole = True
                raise Refused(
                    408, "Request Timeout", f"no more of the body came for {self._seconds:g} s"
                ) from None
            if message["type"] == "http.request":
                taken += len(message.get("body", b""))
                whole = not message.get("more_body", False)
                if taken > limit:
                    raise _too_large(limit)
            return message

        try:
            await self._app(scope, received, send)
        except Refused as refused:  # read by a middleware, where no handler answers
            await answer(refused.document())(scope, receive, send)


def _too_large(limit: int) -> Refused:
    return Refused(
        413, "Content Too Large", f"a body here has at most {limit} bytes", exit_code=ExitCode.USAGE
    )


@dataclass(slots=True)
class _Kept:
    """An answer that may be asked for again."""

    body: str
    done: anyio.Event = field(default_factory=anyio.Event)
    messages: list[Message] = field(default_factory=list)


class Idempotent:
    """Does what a POST with an ``Idempotency-Key`` asks once; a repetition gets the first one's answer.

    A repetition that comes while the first is at work waits for it. Answers are kept in memory, the last 512
    of up to 256 KiB each; an error of the lab itself is not kept, so that it can be tried again.
    """

    _KEPT = 512
    _LARGEST = 256 << 10

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._answers: OrderedDict[str, _Kept] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or its answer back."""
        headers = Headers(scope=scope) if scope["type"] == "http" else Headers()
        key = headers.get(IDEMPOTENCY_KEY)
        if key is None or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        if not 1 <= len(key) <= _KEY_LIMIT:
            await self._refuse(
                scope, receive, send, 422, f"an idempotency key has 1 to {_KEY_LIMIT} characters"
            )
            return
        body = await _read(receive)
        sender = headers.get("authorization", "") + "\0" + headers.get("cookie", "")
        asked = "\0".join((sender, scope["path"], scope["query_string"].decode("latin-1"), key))
        name = hashlib.sha256(asked.encode()).hexdigest()
        fingerprint = hashlib.sha256(body).hexdigest()
        while kept := self._answers.get(name):
            if kept.body != fingerprint:
                await self._refuse(scope, receive, send, 422, "this idempotency key came with another body")
                return
            await kept.done.wait()
            if kept.messages:
                try:  # who asks has been let in once, which says nothing of now
                    await gatekeeper(HTTPConnection(scope)).admit(HTTPConnection(scope))
                except Refused as refused:
                    await answer(refused.document(), dict(refused.headers or {}))(scope, receive, send)
                    return
                for message in kept.messages:
                    await send(message)
                return
        await self._first(name, _Kept(fingerprint), body, scope, receive, send)

    async def _first(
        self, name: str, kept: _Kept, body: bytes, scope: Scope, receive: Receive, send: Send
    ) -> None:
        self._answers[name] = kept
        messages: list[Message] = []
        size = 0
        given = False
        complete = False

        async def received() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def sent(message: Message) -> None:
            nonlocal size, complete
            size += len(message.get("body", b""))
            messages.append(message)
            complete = message["type"] == "http.response.body" and not message.get("more_body", False)
            await send(message)

        try:
            await self._app(scope, received, sent)
        finally:
            status = messages[0]["status"] if messages else 500
            if complete and size <= self._LARGEST and status < 500 and status not in (401, 403, 408, 429):
                kept.messages = messages
            else:
                self._answers.pop(name, None)
            kept.done.set()
            while len(self._answers) > self._KEPT:
                self._answers.popitem(last=False)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, status: int, detail: str) -> None:
        body = document(status, "UsageError", detail, exit_code=ExitCode.USAGE)
        await answer(body)(scope, receive, send)


async def _read(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return bytes(body)
        body += message.get("body", b"")
        if not message.get("more_body", False):
            return bytes(body)
