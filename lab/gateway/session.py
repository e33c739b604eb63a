"""One device's session: the messages of docs/protocol.md, section 3, from hello to goodbye."""

from __future__ import annotations

import asyncio
import itertools
import time
from contextlib import AbstractContextManager
from enum import Enum, auto
from typing import Protocol, TypeVar

import structlog

from lab.errors import DeviceError, LabError, LabTimeoutError
from lab.gateway.tls import Connection
from lab.wire import messages as m

log = structlog.get_logger()

A = TypeVar("A", bound=m.Message)
T = TypeVar("T")


class SessionEndedError(LabError):
    """The session ended before the device answered."""


class Judge(Protocol):
    """Who can tell whether a device's word on an app is about the package it was sent."""

    def verdict(self, status: m.AppStatus) -> object:
        """Return what is said of it; nothing if it is not spoken of."""


class Phase(Enum):
    """How far a session is."""

    HELLO = auto()
    WAITING = auto()
    WELCOMED = auto()
    CONNECTED = auto()
    OVER = auto()


class Owner(Protocol):
    """What a session tells the gateway, and asks it. Nothing here may wait."""

    def unix_ms(self, device: str) -> int:
        """Return the time as `device` is to be told it, by the protocol's clock."""

    def on_hello(self, session: Session) -> None:
        """The device has said who it is, and its certificate agrees: welcome it or have it wait."""

    def on_ready(self, session: Session) -> None:
        """The device has taken the welcome: it is connected."""

    def on_heard(self, session: Session) -> None:
        """Something came from the device."""

    def on_message(self, session: Session, message: m.Message) -> None:
        """The device reported something."""

    def exchange(self, session: Session, asked: str) -> AbstractContextManager[None]:
        """Surround a request to the device and its answer."""

    def on_refused(self, session: Session, reason: str) -> None:
        """The session ends before a good hello."""

    def on_over(self, session: Session, reason: str) -> None:
        """The session is over, however far it was."""


class Session:
    """A device's session, on a connection whose certificate says which device it is.

    :param owner: the gateway.
    :param connection: the connection.
    :param device: the certificate's device id.
    :param timeout: seconds for hello, and for ready after the welcome.
    """

    def __init__(self, owner: Owner, connection: Connection, device: str, timeout: float) -> None:
        self.device = device
        self.address = connection.address
        self.phase = Phase.HELLO
        self.hello: m.Hello
        self.heard = time.monotonic()
        self._owner = owner
        self._connection = connection
        self._timeout = timeout
        self._uuid = b""
        self._reader = m.Reader()
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[m.Message]] = {}
        self._outcomes: dict[str, tuple[Judge, asyncio.Future[m.AppStatus]]] = {}
        self._timer = self._expect("hello")

    # -- what the gateway does with it

    def send(self, message: m.Message, id: int = 0) -> None:
        """Send a message that needs no answer."""
        self._connection.send(m.encode(message, id))

    def post(self, message: m.Message) -> asyncio.Future[m.Message]:
        """Send a request; return the future of its answer.

        The future fails with `SessionEndedError` if the session ends first, and with `DeviceError` if the
        answer is malformed.
        """
        future: asyncio.Future[m.Message] = asyncio.get_running_loop().create_future()
        if self.phase is Phase.OVER:
            future.set_exception(SessionEndedError(f"{self.device} is no longer connected"))
            return future
        id = next(self._ids) & 0xFFFFFFFF
        self._answers[id] = future
        future.add_done_callback(lambda _: self._answers.pop(id, None))
        self.send(message, id)
        return future

    async def request(self, message: m.Message, answer: type[A], timeout: float | None = None) -> A:
        """Send a request and return its answer.

        :param answer: the kind of answer; an `Ack` that says why not may come instead.
        :param timeout: seconds; none is the caller's business.
        :raises DeviceError: the device refused, in its own words, or answered nonsense.
        :raises LabTimeoutError: it did not answer in time.
        :raises SessionEndedError: the session ended first.
        """
        began = time.monotonic()
        future = self.post(message)
        what = type(message).__name__.lower()
        try:
            with self._owner.exchange(self, what):
                async with asyncio.timeout(timeout):
                    found = await future
        except TimeoutError as error:
            raise LabTimeoutError(
                f"{self.device} did not answer {what} within {timeout:g} s",
                hint=f"see what it says: lab console {self.device}",
            ) from error
        # In the context of whoever asked: the line carries the id of the API's request.
        log.info(
            "device answered",
            device=self.device,
            asked=what,
            answer=type(found).__name__.lower(),
            ms=round((time.monotonic() - began) * 1000, 1),
        )
        if isinstance(found, answer):
            return found
        if isinstance(found, m.Ack):
            raise refusal(self.device, what, found.code, found.text)
        raise DeviceError(f"{self.device} answered {what} with {type(found).__name__}")

    def outcome(self, app: str, judge: Judge) -> asyncio.Future[m.AppStatus]:
        """Return the future of the device's word on a package it was sent: it runs, or was given up."""
        future: asyncio.Future[m.AppStatus] = asyncio.get_running_loop().create_future()
        self._outcomes[app] = judge, future
        future.add_done_callback(lambda _: self._outcomes.pop(app, None))
        return future

    def wait(self, why: str) -> None:
        """Have the device wait to be accepted."""
        self.send(m.Pending(why))

    def welcome(self, uuid: bytes, heartbeat: float) -> None:
        """Take the device in; its `Ready` makes it connected.

        :param heartbeat: interval in s.
        """
        self.phase = Phase.WELCOMED
        self._uuid = uuid
        self.send(m.Welcome(uuid, self._owner.unix_ms(self.device), round(heartbeat * 1000)))
        self._timer = self._expect("ready")

    def end(self, reason: str) -> None:
        """Say goodbye, and why."""
        if self.phase is Phase.OVER:
            return
        if self.phase is Phase.HELLO:
            self._owner.on_refused(self, reason)
        self.send(m.Goodbye(reason.encode()[:200].decode(errors="ignore")))
        self._connection.close(reason)
        self._over(reason)

    def cut(self, reason: str) -> None:
        """End it without a word to the device."""
        self._connection.abort(reason)
        self._over(reason)

    # -- tls.Handler

    def received(self, data: bytes) -> None:
        """Take what the device sent."""
        try:
            for envelope in self._reader.feed(data):
                self._take(envelope)
                if self.phase is Phase.OVER:
                    return
        except m.FrameError as error:
            log.warning("session ended", device=self.device, reason=error.message)
            self.end(error.message)

    def lost(self, reason: str) -> None:
        """Note that the connection is gone."""
        self._over(reason)

    def throttle(self, seconds: float) -> None:
        """Read nothing from the device for a while."""
        self._connection.pause(seconds)

    # -- inside

    def _take(self, envelope: m.Envelope) -> None:
        self.heard = time.monotonic()
        if envelope.kind >= m.FIRST_GATEWAY_KIND or envelope.kind not in m.MESSAGES:
            log.info("message of unknown kind ignored", device=self.device, kind=envelope.kind)
            return
        try:
            message = m.decode(envelope)
        except m.BodyError as error:
            self._take_malformed(envelope, error)
            return
        assert message is not None
        if self.phase is Phase.HELLO:
            self._take_hello(message)
            return
        self._owner.on_heard(self)
        match message:
            case m.Hello():
                self.end("hello was said before")
            case m.Heartbeat():
                self.send(m.HeartbeatAck(self._owner.unix_ms(self.device)))
                self._owner.on_message(self, message)
            case _ if self.phase is Phase.WAITING:
                log.info("message of a device that waits ignored", device=self.device)
            case m.Ready():
                self._take_ready(message)
            case m.Ack() | m.CallResult() | m.CommandResult() | m.AppList():
                self._take_answer(envelope.id, message)
            case m.AppStatusChanged(status):
                self._owner.on_message(self, message)
                self._take_outcome(status)
            case _:
                self._owner.on_message(self, message)

    def _take_hello(self, message: m.Message) -> None:
        if not isinstance(message, m.Hello):
            self.end(f"hello expected, not {type(message).__name__.lower()}")
        elif message.device != self.device:
            self.end(f"the certificate is {self.device}'s, the hello {message.device}'s")
        elif message.version != m.PROTOCOL_VERSION:
            self.end(f"protocol version {message.version} is not spoken here, only {m.PROTOCOL_VERSION}")
        else:
            self._timer.cancel()
            self.phase = Phase.WAITING
            self.hello = message
            self._owner.on_hello(self)

    def _take_malformed(self, envelope: m.Envelope, error: m.BodyError) -> None:
        log.warning("message dropped", device=self.device, kind=envelope.kind, reason=error.message)
        if self.phase is Phase.HELLO:
            self.end(error.message)
        elif envelope.id in self._answers:
            _fail(
                self._answers[envelope.id],
                DeviceError(f"{self.device} gave an answer that makes no sense: {error.message}"),
            )

    def _take_ready(self, ready: m.Ready) -> None:
        if self.phase is Phase.CONNECTED:
            return
        if ready.uuid != self._uuid:
            self.end("ready names another uuid than the welcome")
            return
        self._timer.cancel()
        self.phase = Phase.CONNECTED
        self._owner.on_ready(self)

    def _take_answer(self, id: int, message: m.Message) -> None:
        future = self._answers.get(id)
        if future is None or future.done():
            log.info("answer to no request ignored", device=self.device, kind=message.KIND, id=id)
            return
        future.set_result(message)

    def _take_outcome(self, status: m.AppStatus) -> None:
        judge, future = self._outcomes.get(status.name, (None, None))
        if judge is not None and future is not None and not future.done() and judge.verdict(status):
            future.set_result(status)

    def _expect(self, what: str) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(
            self._timeout, self.end, f"no {what} within {self._timeout:g} s"
        )

    def _over(self, reason: str) -> None:
        if self.phase is Phase.OVER:
            return
        self._timer.cancel()
        self.phase = Phase.OVER
        ended = SessionEndedError(f"{self.device} is no longer connected: {reason}")
        for answer in list(self._answers.values()):
            _fail(answer, ended)
        for _, outcome in list(self._outcomes.values()):
            _fail(outcome, ended)
        self._owner.on_over(self, reason)


def refusal(device: str, what: str, code: m.ResultCode, text: str) -> DeviceError:
    """Return the error for a device's no: its own words, or at least its code."""
    return DeviceError(f"{device} refused {what}: {text or code.name.lower().replace('_', ' ')}")


def _fail(future: asyncio.Future[T], error: LabError) -> None:
    if not future.done():
        future.set_exception(error)
        future.exception()  # whoever waited may be gone, which is no error
