"""Renode's own Robot keywords, for Robot's library `Remote`.

Renode's server for them listens on every interface and lets anybody in. This one stands in its place: it
listens on the loopback interface, on a port that the kernel chooses, answers only who knows its path, and
hands each request to Renode through the connection that the engine has anyway.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from lab.errors import LabError

_LARGEST = 1 << 20  # bytes of a request
_PATIENCE = 10.0  # s for a request to arrive


class KeywordServer:
    """Serves the keywords of one Renode process, in threads of its own, until it is closed.

    :param ask: answers one XML-RPC request.
    """

    def __init__(self, ask: Callable[[str], str]) -> None:
        path = f"/{secrets.token_urlsafe(16)}"

        class Handler(BaseHTTPRequestHandler):
            timeout = _PATIENCE

            def do_POST(self) -> None:
                size = self.headers.get("Content-Length", "")
                if not secrets.compare_digest(self.path.encode(), path.encode()):
                    self.send_error(HTTPStatus.NOT_FOUND)
                elif not size.isdecimal() or int(size) > _LARGEST:
                    self.send_error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
                else:
                    self._answer(int(size))

            def _answer(self, size: int) -> None:
                try:
                    body = ask(self.rfile.read(size).decode()).encode()
                except (LabError, UnicodeDecodeError) as error:
                    self.send_error(HTTPStatus.BAD_GATEWAY, explain=str(error))
                    return
                self.send_response(HTTPStatus.OK)
                self.send_header("Content-Type", "text/xml")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *arguments: object) -> None:
                """Say nothing: stderr is Robot's."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.uri = f"http://127.0.0.1:{self._server.server_port}{path}"
        """Where `Remote` finds them. Who knows it can do with Renode what the user can who runs it."""
        Thread(target=self._server.serve_forever, daemon=True, name="Renode's keywords").start()

    def close(self) -> None:
        """Answer nobody any more."""
        self._server.shutdown()
        self._server.server_close()
