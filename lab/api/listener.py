"""`/listener`: reaching the lab from other machines. Off unless asked for, and then never without TLS."""

from __future__ import annotations

import socket
import ssl
from contextlib import nullcontext
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import anyio
import uvicorn
from fastapi import APIRouter
from fastapi import Request as HttpRequest
from pydantic import BaseModel, Field
from starlette.types import ASGIApp

from lab.api.auth import Gatekeeper, Role, needs
from lab.errors import UsageError
from lab.lab import Json
from lab.store import Store

router = APIRouter(tags=["access"])

_SETTING = "listener"


class Server(uvicorn.Server):
    """uvicorn without its own signal handlers: the daemon ends the lab first, then its servers."""

    def capture_signals(self):  # type: ignore[no-untyped-def]
        """Leave signals alone."""
        return nullcontext()


def server(app: ASGIApp, **options: Any) -> Server:
    """Return a server of `app`, as this lab runs them."""
    return Server(
        uvicorn.Config(
            app,
            log_config=None,
            lifespan="off",
            ws="websockets-sansio",
            ws_max_size=64 << 10,
            server_header=False,
            timeout_graceful_shutdown=2,
            **options,
        )
    )


class ListenRequest(BaseModel):
    """Where to listen, and the certificate to show, as files (PEM) that the daemon can read."""

    host: str = Field(min_length=1, max_length=255)
    port: int = Field(0, ge=0, le=65535)
    certificate: str = Field("", max_length=4096)
    key: str = Field("", max_length=4096)


class Listener:
    """A second address of the API, besides the daemon's own on loopback.

    :param app: the API.
    """

    def __init__(self, app: ASGIApp, store: Store, gate: Gatekeeper) -> None:
        self._app = app
        self._store = store
        self._gate = gate
        self._wanted = anyio.Event()
        self._next: tuple[socket.socket, dict[str, Any]] | None = None
        self._server: Server | None = None
        self._bound: tuple[tuple[str, int], socket.socket] | None = None
        self.address: tuple[str, int] | None = None

    async def open(self, what: ListenRequest) -> tuple[str, int]:
        """Listen there from now on, also after a restart; what listened before ends.

        :raises UsageError: it is beyond loopback without a certificate, or there is no token for anyone; or
            the address or the certificate cannot be used.
        """
        options: dict[str, Any] = {}
        if what.certificate:
            options = _certificate(Path(what.certificate), Path(what.key))
        if not _loopback(what.host):
            if not options:
                raise UsageError(
                    f"{what.host} is beyond loopback: without TLS the lab does not listen there",
                    hint="give --tls-certificate FILE --tls-key FILE",
                )
            if not await self._gate.tokens():
                raise UsageError(
                    f"{what.host} is beyond loopback, and there is no token that anyone could come with",
                    hint="make one first: lab token create NAME --role viewer",
                )
        bound = self._bind(what.host, what.port)
        await self._store.save_setting(_SETTING, what.model_dump())
        self.address = bound.getsockname()[:2]
        self._bound = (what.host, self.address[1]), bound
        self._stop()
        self._next = bound, options
        self._wanted.set()
        return self.address

    async def close(self) -> None:
        """Listen on loopback alone again."""
        await self._store.save_setting(_SETTING, None)
        self.address = self._bound = None
        self._stop()

    async def restore(self) -> None:
        """Listen where the daemon before this one did.

        :raises UsageError: that cannot be any more.
        """
        kept = await self._store.setting(_SETTING, None)
        if kept is not None:
            await self.open(ListenRequest(**kept))

    async def run(self) -> None:
        """Serve until cancelled."""
        try:
            while True:
                await self._wanted.wait()
                self._wanted = anyio.Event()
                while self._next is not None:
                    (bound, options), self._next = self._next, None
                    with bound:
                        self._server = server(self._app, **options)
                        await self._server.serve(sockets=[bound])
        finally:
            if self._next is not None:
                self._next[0].close()

    def _bind(self, host: str, port: int) -> socket.socket:
        if self._bound is not None:
            address, bound = self._bound
            if address == (host, port) and bound.fileno() >= 0:
                return bound.dup()  # what listens there is to end, and holds the address until it has
        try:
            return socket.create_server((host, port), family=_family(host))
        except OSError as error:
            raise UsageError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error

    def _stop(self) -> None:
        """Take no further connection, and begin with nothing that was to be next."""
        if self._next is not None:
            self._next[0].close()
            self._next = None
        if self._server is not None:
            self._server.should_exit = True  # looked at ten times a second; what is asked is answered first
            for each in getattr(self._server, "servers", ()):  # it has none before it has started
                each.close()


def _certificate(certificate: Path, key: Path) -> dict[str, Any]:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(
            f"the certificate {certificate} with the key {key} cannot be used: {error}",
            hint="both are PEM files, and belong together",
        ) from error
    return {"ssl_certfile": str(certificate), "ssl_keyfile": str(key)}


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _of(request: HttpRequest) -> Listener:
    listener: Listener = request.app.state.listener
    return listener


def _describe(listener: Listener) -> Json:
    host, port = listener.address or (None, None)
    return {"host": host, "port": port}


@router.get("/listener")
async def show_listener(request: HttpRequest) -> Json:
    """Show where else than on loopback the lab can be reached."""
    return _describe(_of(request))


@router.put("/listener", dependencies=[needs(Role.ADMIN)])
async def open_listener(request: HttpRequest, what: ListenRequest) -> Json:
    """Let the lab be reached at another address; beyond loopback that takes TLS and at least one token."""
    await _of(request).open(what)
    return _describe(_of(request))


@router.delete("/listener", dependencies=[needs(Role.ADMIN)])
async def close_listener(request: HttpRequest) -> Json:
    """Let the lab be reached on loopback alone."""
    await _of(request).close()
    return {}
