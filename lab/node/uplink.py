"""A spoke's side of the cluster: HTTPS to the hub, authenticated both ways.

The hub proves itself with a certificate of its own authority, the spoke with its token; both come in the
credentials file the hub wrote. Imported by the native agent: standard library only, and it blocks.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

HUB_NAME = "gateway.lab"
"""The dNSName in the hub's certificate (`lab.pki`)."""


class UplinkError(Exception):
    """The hub was not reached or did not take what it was sent.

    :param refused: the hub answered, and trying again will not help.
    """

    def __init__(self, message: str, *, refused: bool = False) -> None:
        super().__init__(message)
        self.refused = refused


class Uplink:
    """One connection to the hub, opened when needed and kept. For one thread at a time.

    :param url: ``https://host:port``.
    :param credentials: the file that the hub wrote for this node; read at each connect, as it may come later.
    :param timeout: seconds for each step on the network.
    """

    def __init__(self, url: str, credentials: Path, *, timeout: float = 10.0) -> None:
        split = urlsplit(url)
        self._host, self._port = split.hostname or "", split.port or 443
        self._credentials = credentials
        self._timeout = timeout
        self._connection: http.client.HTTPSConnection | None = None
        self._token = ""

    def post(self, path: str, body: object, *, wait: float = 0.0) -> dict[str, Any]:
        """POST JSON, return the JSON of the answer.

        :param wait: seconds the hub may take to answer, beyond the timeout.
        :raises UplinkError: it failed; the next call connects anew.
        """
        data = self.request("POST", path, json.dumps(body).encode(), wait=wait)
        try:
            answer = json.loads(data)
        except ValueError as error:
            raise UplinkError(f"the hub did not answer in JSON: {error}") from error
        if not isinstance(answer, dict):
            raise UplinkError("the hub answered with something else than an object")
        return answer

    def push(self, body: object) -> int:
        """Push batches; return the number of the last that need not come again.

        :raises UplinkError: it failed, or what answered is no hub.
        """
        accepted = self.post("/push", body).get("accepted")
        if not isinstance(accepted, int):
            raise UplinkError("the hub does not say which batches it has taken")
        return accepted

    def request(self, method: str, path: str, body: bytes | None = None, *, wait: float = 0.0) -> bytes:
        """Send a request, return the body of the answer.

        :raises UplinkError: it failed; the next call connects anew.
        """
        try:
            connection = self._connected()
            if connection.sock is not None:
                connection.sock.settimeout(self._timeout + wait)
            headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            data = response.read()
        except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
            self.close()
            raise UplinkError(f"the hub was not reached: {error or type(error).__name__}") from error
        if response.status >= 400:
            self.close()
            detail = data[:200].decode(errors="replace")
            raise UplinkError(
                f"the hub refused ({response.status}): {detail}", refused=response.status in (401, 403, 422)
            )
        return data

    def close(self) -> None:
        """Close the connection; a later request opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connected(self) -> http.client.HTTPSConnection:
        if self._connection is None:
            given = json.loads(self._credentials.read_text())
            self._token = given["token"]
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.minimum_version = ssl.TLSVersion.TLSv1_3
            context.load_verify_locations(cadata=given["ca"])
            self._connection = _Connection(self._host, self._port, timeout=self._timeout, context=context)
        return self._connection


class _Connection(http.client.HTTPSConnection):
    """Checks the hub's own name, whatever address it has."""

    def connect(self) -> None:
        plain = socket.create_connection((self.host, self.port), self.timeout)
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            context: ssl.SSLContext = self._context  # type: ignore[attr-defined]
            self.sock = context.wrap_socket(plain, server_hostname=HUB_NAME)
        except BaseException:
            plain.close()
            raise
