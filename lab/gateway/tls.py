"""TLS on a TCP connection, over memory BIOs.

asyncio's own TLS hides why a handshake failed, splits and joins records as it likes and costs 294 KB a
connection (uvloop's 39 KB). Here a refused client has a reason, a write is a record, and an idle connection
is an OpenSSL session and little more, on either event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from typing import Protocol, cast

from lab.errors import LabError

_SLICE = 16384  # bytes given to OpenSSL at a time, which bounds what its buffers grow to
_UNREAD_LIMIT = 65536  # bytes a client may leave unread before it is dropped
_CLOSE_TIMEOUT = 5.0  # s for the last bytes to leave

_WORDS = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "it sent no certificate",
    "UNSUPPORTED_PROTOCOL": "it does not speak TLS 1.3",
    "HTTP_REQUEST": "it speaks HTTP, not TLS",
    "WRONG_VERSION_NUMBER": "it does not speak TLS",
}


class Handler(Protocol):
    """What serves a client once its certificate is verified."""

    def received(self, data: bytes) -> None:
        """Take plaintext, cut anywhere."""

    def lost(self, reason: str) -> None:
        """The connection is over; called once."""


class Connection(asyncio.Protocol):
    """The server's end of one connection.

    :param context: the TLS configuration.
    :param accept: makes the handler, when the handshake is done; a `LabError` from it refuses the client.
    :param refuse: told the client's address and why, if it never is.
    :param timeout: seconds for the handshake.
    """

    def __init__(
        self,
        context: ssl.SSLContext,
        accept: Callable[[Connection], Handler],
        refuse: Callable[[str, str], None],
        timeout: float,
    ) -> None:
        self._accept = accept
        self._refuse: Callable[[str, str], None] | None = refuse
        self._timeout = timeout
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._handler: Handler | None = None
        self._reason = ""
        self.closing = False
        self.address = ""
        self._transport: asyncio.Transport
        self._timer: asyncio.TimerHandle

    @property
    def certificate(self) -> bytes:
        """The client's verified certificate, DER."""
        return cast(bytes, self._tls.getpeercert(binary_form=True))

    def send(self, data: bytes) -> None:
        """Send bytes as one TLS record (16 KiB at most). After `close`, nothing is sent."""
        if self.closing:
            return
        try:
            self._tls.write(data)
        except ssl.SSLError as error:
            self._fail(_words(error))
            return
        self._flush()
        if self._transport.get_write_buffer_size() > _UNREAD_LIMIT:
            self.abort("it does not read what it is sent")

    def close(self, reason: str) -> None:
        """End the connection once everything sent has left. `reason` is what `Handler.lost` is told."""
        if self.closing:
            return
        self.closing = True
        self._reason = reason
        if self._handler is not None:
            with contextlib.suppress(ssl.SSLError):  # writes close_notify; the client's is not waited for
                self._tls.unwrap()
        self._flush()
        self._transport.close()
        self._timer = asyncio.get_running_loop().call_later(_CLOSE_TIMEOUT, self._transport.abort)

    def abort(self, reason: str) -> None:
        """Cut the connection; what has not left is lost. `reason` is what `Handler.lost` is told."""
        if self.closing:
            return
        self.closing = True
        self._reason = reason
        self._transport.abort()

    def pause(self, seconds: float) -> None:
        """Read nothing for a while."""
        if self.closing or not self._transport.is_reading():
            return
        self._transport.pause_reading()
        asyncio.get_running_loop().call_later(seconds, self._resume)

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the handshake's clock."""
        self._transport = cast(asyncio.Transport, transport)
        self.address = "{}:{}".format(*transport.get_extra_info("peername"))
        self._timer = asyncio.get_running_loop().call_later(
            self._timeout, self._fail, f"no TLS handshake within {self._timeout:g} s"
        )

    def data_received(self, data: bytes) -> None:
        """Decrypt."""
        for start in range(0, len(data), _SLICE):
            if self.closing:
                return
            self._incoming.write(data[start : start + _SLICE])
            self._advance()

    def connection_lost(self, error: Exception | None) -> None:
        """Tell whoever still needs to know."""
        self.closing = True
        self._timer.cancel()
        reason = self._reason or (str(error) if error else "the connection was closed")
        if self._handler is not None:
            handler, self._handler = self._handler, None
            handler.lost(reason)
        else:
            self._tell_refused(self._reason or "it left before the handshake was done")

    def _advance(self) -> None:
        try:
            if self._handler is None:
                self._tls.do_handshake()
                self._handler = self._accept(self)
                self._timer.cancel()
                self._refuse = None
            while not self.closing:
                data = self._tls.read(_SLICE)
                if not data:
                    self.close("it closed the connection")
                    return
                self._handler.received(data)
        except ssl.SSLWantReadError:
            self._flush()
        except ssl.SSLZeroReturnError:
            self.close("it closed the connection")
        except ssl.SSLError as error:
            self._fail(_words(error))
        except LabError as error:
            self._fail(error.message)

    def _fail(self, reason: str) -> None:
        self._tell_refused(reason)
        self.close(reason)

    def _tell_refused(self, reason: str) -> None:
        if self._refuse is not None:
            refuse, self._refuse = self._refuse, None
            refuse(self.address, reason)

    def _resume(self) -> None:
        if not self.closing:
            self._transport.resume_reading()

    def _flush(self) -> None:
        data = self._outgoing.read()
        if data and not self._transport.is_closing():
            self._transport.write(data)


def _words(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is refused: {error.verify_message}"
    return _WORDS.get(error.reason, f"TLS failed: {error.reason.replace('_', ' ').lower()}")
