"""The serial-TCP bridge: joins one device's link to the gateway's TCP port.

A dumb pipe. It knows where a connection begins and ends and how much each side can take, and can read
nothing of what it carries: TLS ends on the device and at the gateway. What is to disturb the line
(lost bytes, delay) wraps the stream that is given to `Bridge` (`lab.line`); what is to make the gateway
unreachable closes a gate on the way to it.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import anyio
import structlog
from anyio.abc import ByteStream, SocketAttribute, SocketStream, TaskGroup

from lab import link as links
from lab.link import HostLink, Reason
from lab.waiting import Gate, Signal

log = structlog.get_logger()

_CONNECT_TIMEOUT = 5.0
_READ_SIZE = 4096
_GONE = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError)


@dataclass(frozen=True, slots=True)
class Counters:
    """What a bridge has carried since it started.

    :param frames_received: link frames from the device.
    :param frames_sent: link frames to the device.
    :param frames_dropped: link frames from the device that could not be read.
    :param bytes_received: bytes that went from the device to the gateway.
    :param bytes_sent: bytes that went from the gateway to the device.
    :param connections: TCP connections opened.
    :param refused: TCP connections that could not be opened.
    """

    frames_received: int
    frames_sent: int
    frames_dropped: int
    bytes_received: int
    bytes_sent: int
    connections: int
    refused: int

    @property
    def reconnects(self) -> int:
        """Connections after the first."""
        return max(0, self.connections - 1)


class _Session:
    """One connection of the device: what has arrived for the gateway, and who to wake."""

    def __init__(self) -> None:
        self.scope = anyio.CancelScope()
        self.inbox: deque[bytes] = deque()
        self.over = False
        self.arrived = Signal()
        self.credited = Signal()


class Bridge:
    """Carries the connections of one device to the gateway, one after the other.

    :param stream: the device's link.
    :param connect: the gateway's host and port.
    :param console: far end of the console of a board with one UART (`lab.engines.Machine.carried`).
    :param trace: a file to append every link frame to, one JSON object a line: ``t`` (Unix time, s),
        ``from`` (``device`` or ``host``), ``type``, ``connection``, ``sequence``, ``payload`` (hex).
    :param window: bytes the device may send ahead of the gateway.
    :param gates: while one of them is closed nothing passes between bridge and gateway; nothing is lost.
    :param in_session: the device has not just started: it may hold a connection of another time, which has
        to end. The gateway's end of it is gone, and TLS counts its records, so it cannot be taken up again.
    """

    def __init__(
        self,
        stream: ByteStream,
        connect: tuple[str, int],
        *,
        console: ByteStream | None = None,
        trace: Path | None = None,
        window: int = 32768,
        gates: Sequence[Gate] = (),
        in_session: bool = False,
    ) -> None:
        self.connect = connect
        self.local_port: int | None = None
        """TCP source port of the connection that is up: the gateway sees it as its peer's."""
        self._stream = stream
        self._console = console
        self._gates = gates
        self._in_session = in_session
        self._trace_path = trace
        self._trace: TextIO | None = None
        self._link = HostLink(window, self._write_trace if trace else None)
        self._session: _Session | None = None
        self._output = Signal()
        self._timer = Signal()
        self._planned: float | None = None
        self._held = False
        self._bytes_received = 0
        self._bytes_sent = 0
        self._connections = 0
        self._refused = 0

    @property
    def counters(self) -> Counters:
        """What it has carried so far."""
        return Counters(
            frames_received=self._link.frames_received,
            frames_sent=self._link.frames_sent,
            frames_dropped=self._link.dropped,
            bytes_received=self._bytes_received,
            bytes_sent=self._bytes_sent,
            connections=self._connections,
            refused=self._refused,
        )

    @contextmanager
    def exchange(self, device: str, asked: str) -> Iterator[None]:
        """Log what it carries during the block, on behalf of the request that the block is for.

        It cannot tell by itself: all it sees are TLS records.
        """
        before = self.counters
        try:
            yield
        finally:
            now = self.counters
            log.info(
                "carried",
                device=device,
                asked=asked,
                to_device=now.bytes_sent - before.bytes_sent,
                from_device=now.bytes_received - before.bytes_received,
                dropped=now.frames_dropped - before.frames_dropped,
            )

    def hold(self) -> None:
        """Expect no answers: the device's clock has been stopped, so its silence means nothing."""
        self._held = True

    def release(self) -> None:
        """Expect answers again."""
        self._held = False
        self._timer.set()

    async def run(self) -> None:
        """Carry until the device's link ends. Ends the connection to the gateway when cancelled."""
        with ExitStack() as stack:
            if self._trace_path:
                self._trace = stack.enter_context(self._trace_path.open("a", buffering=1))
            self._link.attach(anyio.current_time(), in_session=self._in_session)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._write)
                tasks.start_soon(self._tick)
                if self._console:
                    tasks.start_soon(self._carry_console, self._console)
                await self._read(tasks)
                tasks.cancel_scope.cancel()

    # -- the device's side

    async def _read(self, tasks: TaskGroup) -> None:
        while True:
            try:
                data = await self._stream.receive()
            except _GONE:
                return
            spoken = b""
            # No await between the link's new state and what its events make of the session.
            for event in self._link.receive(data, anyio.current_time()):
                match event:
                    case links.Opened():
                        self._open(tasks)
                    case links.Data(payload) if self._session:
                        self._session.inbox.append(payload)
                        self._session.arrived.set()
                    case links.ConsoleText(payload):
                        spoken += payload
                    case _:
                        self._note_closed(event)
            self._changed()
            if self._session:
                self._session.credited.set()
            if self._console and spoken:
                await self._console.send(spoken)

    async def _write(self) -> None:
        while True:
            output = self._link.take_output()
            if not output:
                await self._output.wait()
                continue
            try:
                await self._stream.send(output)
            except _GONE:
                return  # _read sees the end too, and ends the bridge

    async def _tick(self) -> None:
        while True:
            self._planned = None if self._held else self._link.deadline
            if self._planned is None:
                await self._timer.wait()
                continue
            with anyio.move_on_after(self._planned - anyio.current_time()):
                await self._timer.wait()
                continue
            for event in self._link.tick(anyio.current_time()):
                self._note_closed(event)
            self._output.set()

    def _changed(self) -> None:
        """Wake who depends on the link, which has just been told something."""
        self._output.set()
        deadline = self._link.deadline
        if deadline is not None and (self._planned is None or deadline < self._planned):
            self._timer.set()

    async def _carry_console(self, console: ByteStream) -> None:
        try:
            async for data in console:
                self._link.write_console(data)
                self._output.set()
        except _GONE:
            return

    def _open(self, tasks: TaskGroup) -> None:
        if self._session:
            self._session.scope.cancel()
        self._session = _Session()
        tasks.start_soon(self._serve, self._session)

    def _note_closed(self, event: links.Event) -> None:
        if isinstance(event, links.Closed) and self._session:
            self._session.over = True
            self._session.arrived.set()

    # -- the gateway's side

    async def _serve(self, session: _Session) -> None:
        with session.scope:
            try:
                with anyio.fail_after(_CONNECT_TIMEOUT):
                    await self._passage()
                    gateway = await anyio.connect_tcp(*self.connect)
            except (OSError, TimeoutError) as error:
                self._refused += 1
                if self._is_current(session):
                    self._link.refuse(_words(error))
                    self._output.set()
                return
            async with gateway:
                await self._carry(session, gateway)

    async def _carry(self, session: _Session, gateway: SocketStream) -> None:
        if not self._is_current(session):
            return
        raw: socket.socket = gateway.extra(SocketAttribute.raw_socket)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.local_port = port = gateway.extra(SocketAttribute.local_port)
        self._connections += 1
        self._link.accept(anyio.current_time())
        self._changed()
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._to_device, session, gateway)
                await self._to_gateway(session, gateway)
                tasks.cancel_scope.cancel()
        finally:
            if self.local_port == port:
                self.local_port = None

    async def _to_gateway(self, session: _Session, gateway: SocketStream) -> None:
        """Pass on what has arrived; return when the connection is over and nothing is left."""
        while True:
            while session.inbox:
                data = b"".join(session.inbox)
                session.inbox.clear()
                await self._passage()
                self._bytes_received += len(data)  # first: when the gateway has it, it is counted
                try:
                    await gateway.send(data)
                except _GONE:
                    self._close(session)
                    return
                if self._is_current(session):
                    self._link.consumed(len(data))
                    self._output.set()
            if session.over:
                return
            await session.arrived.wait()

    async def _to_device(self, session: _Session, gateway: SocketStream) -> None:
        """Pass on what the gateway sends, never more than the device has room for."""
        while True:
            room = self._link.sendable
            if not self._is_current(session):
                return
            if room == 0:
                await session.credited.wait()
                continue
            try:
                data = await gateway.receive(min(room, _READ_SIZE))
            except _GONE:
                await self._passage()
                self._close(session)
                return
            await self._passage()
            if not self._is_current(session):
                return
            self._link.send(data, anyio.current_time())
            self._bytes_sent += len(data)
            self._changed()

    async def _passage(self) -> None:
        for gate in self._gates:
            if not gate.is_open:
                await gate.passage()

    def _is_current(self, session: _Session) -> bool:
        return self._session is session and not session.over

    def _close(self, session: _Session) -> None:
        """Tell the device that the gateway has ended the connection."""
        if self._is_current(session):
            self._link.close(Reason.DONE, "the gateway closed the connection")
            self._output.set()
        session.over = True
        session.arrived.set()

    def _write_trace(self, direction: str, body: bytes) -> None:
        assert self._trace is not None
        sender = "device" if direction == "received" else "host"
        entry = {"t": round(time.time(), 6), "from": sender, **links.describe(body)}
        self._trace.write(json.dumps(entry) + "\n")


def _words(error: BaseException) -> str:
    """Say an exception in a CLOSE frame's 64 bytes."""
    if isinstance(error, TimeoutError):
        return "the gateway does not answer"
    for each in (error, error.__cause__):  # anyio hides why behind "all attempts failed"
        if isinstance(each, OSError) and each.errno:
            return os.strerror(each.errno)
    return str(error) or type(error).__name__
