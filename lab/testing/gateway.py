"""The gateway of a `Bench`, as tests see it."""

from __future__ import annotations

import contextlib
import socket
import ssl
from typing import TYPE_CHECKING

from lab.pki import GATEWAY
from lab.testing.faults import Faults

if TYPE_CHECKING:
    from lab.testing.bench import Bench


class Gateway:
    """One lab's gateway.

    :param bench: its lab.
    """

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._gateway = bench.lab.gateway
        self.faults = Faults(bench, GATEWAY)

    @property
    def address(self) -> tuple[str, int]:
        """Where devices connect."""
        return self._gateway.address

    @property
    def sessions(self) -> int:
        """How many devices have a session now."""
        return self._gateway.sessions

    @property
    def heartbeat(self) -> float:
        """The interval devices are told, s. May be set."""
        return self._gateway.heartbeat

    @heartbeat.setter
    def heartbeat(self, seconds: float) -> None:
        self._bench.call(lambda: self._gateway.set_heartbeat(seconds))

    def down(self) -> None:
        """Let it crash: every session is cut without a goodbye, and nobody can connect, until `up`."""
        self._bench.mark()
        self.faults.set("gateway.down")

    def up(self) -> None:
        """Listen again, on the same port; devices come back by themselves."""
        self._bench.mark()
        self.faults.clear("gateway.down")

    def restart(self) -> None:
        """End every session and start anew, on the same port; devices come back by themselves."""
        self._bench.mark()
        self._bench.call(self._bench.lab.restart_gateway)

    def admits(self, client: ssl.SSLContext, *, timeout: float = 10.0) -> bool:
        """Tell whether the gateway accepts a client's side of TLS.

        In TLS 1.3 a client sees its own handshake succeed before it is judged (RFC 8446, section 4.4.2): only
        what the gateway does next tells. It waits for a word from those it admits, and hangs up on others.

        :param timeout: seconds, after which one who is still connected counts as admitted.
        """
        with contextlib.closing(socket.create_connection(self.address, timeout)) as plain:
            try:
                with client.wrap_socket(plain, server_hostname=GATEWAY) as connection:
                    connection.settimeout(timeout)
                    return bool(connection.recv(1))
            except TimeoutError:
                return True
            except (ssl.SSLError, ConnectionError):
                return False
