"""Who may do what: tokens for programs, a cookie for browsers, three roles, and a limit to how often.

A request bears a token (``Authorization: Bearer …``) or a session's cookie. The daemon's own token, which
only the lab's owner can read from its folder, is an administrator's: a lab on loopback needs nothing else.
Other tokens are made by name and role; the store keeps their SHA-256 and never the token (32 random bytes
need no slow hash). A browser comes by its cookie through a link that works once, or by giving a token on the
login page.

Whatever changes something through a cookie must repeat the session's CSRF token in ``X-CSRF-Token``, and its
Origin, if the browser names one, must be this lab.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import secrets
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from functools import partial
from typing import Annotated, Any
from urllib.parse import urlsplit

import anyio
from anyio.abc import TaskGroup
from fastapi import Depends
from starlette.requests import HTTPConnection
from starlette.websockets import WebSocket

from lab.api.context import the_lab
from lab.api.problems import Refused
from lab.audit import REFUSED
from lab.errors import NotFoundError, UsageError
from lab.store import Store

COOKIE = "lab_session"
"""A cookie's name; a lab adds its own mark, as browsers keep one jar for all ports of a machine."""
OWNER = "owner"
"""Who bears the daemon's own token."""
PRINCIPAL = "lab.principal"
"""Where in a request's scope is who sent it."""
CSRF_HEADER = "x-csrf-token"
WITHDRAWN = 4401
"""What a WebSocket is closed with when its client is let in no more (RFC 6455, section 7.4.2)."""
_SETTING = "api-tokens"
_SESSIONS = "browser-sessions"
_LINK_SECONDS = 120.0
_SESSION_SECONDS = 12 * 3600.0
_REMEMBERED = 4096  # clients whose rate is known
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Role(IntEnum):
    """What a token is good for; each role may all that the one before may."""

    VIEWER = 1
    OPERATOR = 2
    ADMIN = 3

    @classmethod
    def of(cls, name: str) -> Role:
        """Return the role called `name`.

        :raises UsageError: there is none.
        """
        try:
            return cls[name.upper()]
        except KeyError as error:
            raise UsageError(
                f"there is no role {name!r}", hint="the roles are viewer, operator and admin"
            ) from error


@dataclass(frozen=True, slots=True)
class Principal:
    """Who sent a request.

    :param name: of the token.
    :param role: what it may.
    :param csrf: the session's CSRF token, if the request came with a browser's cookie.
    :param proof: the digest of the token or cookie that it came with.
    """

    name: str
    role: Role
    csrf: str = ""
    proof: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """How often a client may ask.

    :param rate: requests a second, in the long run.
    :param burst: requests at once.
    :param failures: wrong tokens at once, from one address; one is forgiven every two seconds.
    """

    rate: float = 200.0
    burst: float = 1000.0
    failures: float = 20.0


@dataclass(slots=True)
class _Buckets:
    """Token buckets, one a client; those not seen for longest are forgotten."""

    rate: float
    burst: float
    clock: Callable[[], float]
    _levels: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)

    def take(self, client: str) -> float:
        """Take one; return 0, or the seconds until there is one."""
        now = self.clock()
        level, since = self._levels.pop(client, (self.burst, now))
        level = min(self.burst, level + (now - since) * self.rate)
        wait = 0.0 if level >= 1 else (1 - level) / self.rate
        self._levels[client] = (level if wait else level - 1, now)
        while len(self._levels) > _REMEMBERED:
            self._levels.popitem(last=False)
        return wait


class Gatekeeper:
    """Knows tokens and sessions of one lab.

    :param store: where tokens are kept.
    :param token: the daemon's own, an administrator's.
    :param mark: what tells this lab from others of this machine.
    """

    def __init__(
        self,
        store: Store,
        token: str,
        limits: Limits | None = None,
        *,
        mark: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        limits = limits or Limits()
        self.cookie = f"{COOKIE}_{_digest(mark)[:8]}"
        self._store = store
        self._own = _digest(token)
        self._clock = clock
        self._tokens: dict[str, dict[str, Any]] | None = None
        self._links: dict[str, tuple[Principal, float]] = {}
        self._sessions: dict[str, dict[str, Any]] | None = None
        self._withdrawn = anyio.Event()
        self._requests = _Buckets(limits.rate, limits.burst, clock)
        self._failures = _Buckets(0.5, limits.failures, clock)

    # -- tokens

    async def tokens(self) -> list[dict[str, Any]]:
        """Return every token that was made, without the token itself."""
        known = await self._load()
        return [
            {"name": name, "role": entry["role"], "created": entry["created"]}
            for name, entry in known.items()
        ]

    async def make_token(self, name: str, role: Role) -> str:
        """Make a token; this is the only time it is told.

        :raises UsageError: one of that name is there already.
        """
        known = await self._load()
        if name in known:
            raise UsageError(
                f"there is a token {name!r} already", hint=f"drop it first: lab token revoke {name}"
            )
        token = secrets.token_urlsafe(32)
        known[name] = {"role": role.name.lower(), "digest": _digest(token), "created": time.time()}
        await self._store.save_setting(_SETTING, known)
        return token

    async def drop_token(self, name: str) -> None:
        """Revoke a token, and the browser sessions it began, at once.

        :raises NotFoundError: there is none of that name.
        """
        known = await self._load()
        if known.pop(name, None) is None:
            raise NotFoundError(f"there is no token {name!r}", hint="see which there are: lab token list")
        await self._store.save_setting(_SETTING, known)
        sessions = await self._load_sessions()
        await self._keep_sessions({key: kept for key, kept in sessions.items() if kept["name"] != name})
        self._note_withdrawal()

    async def of_token(self, token: str) -> Principal | None:
        """Return whose token this is."""
        digest = _digest(token)
        found = None
        # All are compared, each in constant time: how long it takes tells nothing.
        if hmac.compare_digest(digest, self._own):
            found = Principal(OWNER, Role.ADMIN, proof=digest)
        for name, entry in (await self._load()).items():
            if hmac.compare_digest(digest, entry["digest"]):
                found = Principal(name, Role.of(entry["role"]), proof=digest)
        return found

    # -- browsers

    def make_link(self, principal: Principal) -> str:
        """Return the code of a link that begins a session as `principal`, once, within two minutes."""
        now = self._clock()
        self._links = {code: entry for code, entry in self._links.items() if entry[1] > now}
        code = secrets.token_urlsafe(24)
        self._links[_digest(code)] = (principal, now + _LINK_SECONDS)
        return code

    async def follow_link(self, code: str) -> str | None:
        """Return the cookie of a new session, or nothing: the code was used, is too old, or is none."""
        principal, ends = self._links.pop(_digest(code), (None, 0.0))
        return await self.begin(principal) if principal and ends > self._clock() else None

    async def begin(self, principal: Principal) -> str:
        """Begin a browser's session, which outlives this process; return its cookie, which nobody keeps."""
        cookie = secrets.token_urlsafe(32)
        ends = time.time() + _SESSION_SECONDS
        session = {"name": principal.name, "role": principal.role.name.lower(), "ends": ends}
        await self._keep_sessions({**await self._load_sessions(), _digest(cookie): session})
        return cookie

    async def end(self, cookie: str) -> None:
        """End a browser's session."""
        sessions, ended = await self._load_sessions(), _digest(cookie)
        await self._keep_sessions({key: kept for key, kept in sessions.items() if key != ended})
        self._note_withdrawal()

    async def of_cookie(self, cookie: str) -> Principal | None:
        """Return whose session this is."""
        proof = _digest(cookie)
        session = (await self._load_sessions()).get(proof)
        if session is None or session["ends"] <= time.time():
            return None
        # Only who has the cookie can make its CSRF token, which leads to no cookie.
        return Principal(session["name"], Role.of(session["role"]), _digest(f"csrf {cookie}"), proof)

    async def _load_sessions(self) -> dict[str, dict[str, Any]]:
        if self._sessions is None:
            self._sessions = await self._store.setting(_SESSIONS, {})
        return self._sessions

    async def _keep_sessions(self, sessions: dict[str, dict[str, Any]]) -> None:
        now = time.time()
        self._sessions = {key: kept for key, kept in sessions.items() if kept["ends"] > now}
        await self._store.save_setting(_SESSIONS, self._sessions)

    async def until_withdrawn(self, principal: Principal) -> None:
        """Return once what a principal came with is good no more: a token revoked, a session over."""
        while True:
            withdrawn = self._withdrawn
            left = await self._left(principal)
            if left <= 0:
                return
            with anyio.move_on_after(left):
                await withdrawn.wait()

    async def _left(self, principal: Principal) -> float:
        """Return for how many seconds a principal's proof is good."""
        if principal.csrf:
            session = (await self._load_sessions()).get(principal.proof)
            return session["ends"] - time.time() if session else 0.0
        known = {self._own, *(entry["digest"] for entry in (await self._load()).values())}
        return math.inf if principal.proof in known else 0.0

    def _note_withdrawal(self) -> None:
        self._withdrawn.set()
        self._withdrawn = anyio.Event()

    # -- requests

    async def admit(self, connection: HTTPConnection) -> Principal:
        """Return who sent a request.

        :raises Refused: nobody the lab knows, or made by another site's page, or too often.
        """
        principal = await self._identify(connection)
        if wait := self._requests.take(principal.name):
            raise _too_often(wait)
        return principal

    async def _identify(self, connection: HTTPConnection) -> Principal:
        scheme, _, token = connection.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            if principal := await self.of_token(token):
                return principal
        elif principal := await self.of_cookie(connection.cookies.get(self.cookie, "")):
            _check_origin(connection, principal)
            return principal
        self.note_failure(connection)
        raise Refused(
            401,
            "Unauthorized",
            "a token of this lab is missing or wrong",
            headers={"WWW-Authenticate": "Bearer"},
        )

    def note_failure(self, connection: HTTPConnection) -> None:
        """Count a wrong token.

        :raises Refused: that was one too many.
        """
        if wait := self._failures.take(connection.client.host if connection.client else ""):
            raise _too_often(wait)

    async def _load(self) -> dict[str, dict[str, Any]]:
        if self._tokens is None:
            self._tokens = await self._store.setting(_SETTING, {})
        return self._tokens


def same_origin(connection: HTTPConnection) -> bool:
    """Tell whether the page that made a browser send this is one of this lab's."""
    origin = connection.headers.get("origin")
    return origin is not None and urlsplit(origin).netloc == connection.headers.get("host", "")


def _check_origin(connection: HTTPConnection, principal: Principal) -> None:
    if connection.scope["type"] == "websocket":
        if not same_origin(connection):
            raise Refused(403, "Forbidden", "another site's page asked for this")
    elif connection.scope["method"] not in _SAFE:
        given = connection.headers.get(CSRF_HEADER, "")
        foreign = "origin" in connection.headers and not same_origin(connection)
        if foreign or not hmac.compare_digest(given.encode(), principal.csrf.encode()):
            raise Refused(403, "Forbidden", f"a page of this lab sends its {CSRF_HEADER} along")


def _too_often(wait: float) -> Refused:
    seconds = max(1, round(wait))
    return Refused(
        429,
        "Too Many Requests",
        f"too many requests; again in {seconds} s",
        headers={"Retry-After": str(seconds)},
    )


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


# -- for routes


def gatekeeper(connection: HTTPConnection) -> Gatekeeper:
    """Return the gatekeeper of the application that got this request."""
    gate: Gatekeeper = connection.app.state.gate
    return gate


async def authorize(connection: HTTPConnection) -> Principal:
    """Let a request pass whose sender may do it: look as a viewer, change things as an operator.

    :raises Refused: it may not.
    """
    principal = await gatekeeper(connection).admit(connection)
    looks = connection.scope["type"] == "websocket" or connection.scope["method"] in _SAFE
    try:
        _require(principal, Role.VIEWER if looks else Role.OPERATOR)
    except Refused as error:
        await the_lab(connection).audit.note(
            principal.name,
            connection.scope["route"].name,
            " ".join(map(str, connection.path_params.values())),
            role=principal.role.name.lower(),
            result=REFUSED,
            reason=str(error.detail),
        )
        raise
    connection.scope[PRINCIPAL] = principal
    return principal


def principal_of(connection: HTTPConnection) -> Principal:
    """Return who sent a request that was let pass."""
    principal: Principal = connection.scope[PRINCIPAL]
    return principal


Who = Annotated[Principal, Depends(authorize)]
"""Annotate a route's parameter with this to be told who asks."""


@asynccontextmanager
async def while_admitted(
    gate: Gatekeeper, who: Principal, end: Callable[[str], Awaitable[None]]
) -> AsyncIterator[TaskGroup]:
    """Group the tasks that serve an open connection; end them when `who` is let in no more.

    :param end: tells the client why, then.
    """
    withdrawn = False
    async with anyio.create_task_group() as tasks:

        async def watch() -> None:
            nonlocal withdrawn
            await gate.until_withdrawn(who)
            withdrawn = True
            tasks.cancel_scope.cancel()

        tasks.start_soon(watch)
        yield tasks
    if withdrawn:
        await end("its token was revoked, or its session has ended")


def socket_while_admitted(socket: WebSocket, who: Principal) -> AbstractAsyncContextManager[TaskGroup]:
    """Group the tasks that serve a WebSocket; it is closed with 4401 when `who` is let in no more."""
    return while_admitted(gatekeeper(socket), who, partial(socket.close, WITHDRAWN))


def needs(role: Role) -> Any:
    """Return the dependency of a route that takes more than its method says."""

    def check(who: Who) -> None:
        _require(who, role)

    return Depends(check)


def _require(principal: Principal, role: Role) -> None:
    if principal.role < role:
        raise Refused(
            403,
            "Forbidden",
            f"this takes the role {role.name.lower()}; {principal.name} is {principal.role.name.lower()}",
        )
