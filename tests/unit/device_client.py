"""The device's end of the protocol, over asyncio's own TLS: what the gateway is tested against."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import ssl
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self, TypeVar

import cbor2

from lab.pki import GATEWAY, Issued
from lab.wire import messages as m

M = TypeVar("M", bound=m.Message)

HELLO = m.Hello(
    version=1,
    device="dev-1",
    board="native",
    firmware="0.1.0",
    build_id=bytes(range(20)),
    boot_reason=m.BootReason.POWER_ON,
    boot_detail="",
    boots=1,
    uptime=120,
    memory=49152,
    memory_free=49152,
    max_module=65536,
    max_chunk=1024,
    apps=(),
)


def client_context(ca: Path, issued: Issued | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(ca)
    if issued is not None:
        context.load_cert_chain(issued.certificate, issued.key)
    return context


class DeviceClient:
    """One connection of a device; a test says what it sends, or has a `Firmware` answer."""

    def __init__(self, device: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.device = device
        self.reader = reader
        self.writer = writer
        self.inbox = m.Reader()
        self.unread: list[m.Envelope] = []
        self.uuid = b""

    @classmethod
    async def open(cls, address: tuple[str, int], context: ssl.SSLContext, device: str) -> Self:
        reader, writer = await asyncio.open_connection(*address, ssl=context, server_hostname=GATEWAY)
        return cls(device, reader, writer)

    def send(self, message: m.Message, id: int = 0) -> None:
        self.writer.write(m.encode(message, id))

    async def receive(self) -> tuple[m.Message, int]:
        """Return the next message; EOFError when the gateway has closed."""
        async with asyncio.timeout(10):
            while not self.unread:
                data = await self.reader.read(65536)
                if not data:
                    raise EOFError
                self.unread += self.inbox.feed(data)
        envelope = self.unread.pop(0)
        message = m.decode(envelope)
        assert message is not None
        return message, envelope.id

    async def expect(self, type_: type[M]) -> tuple[M, int]:
        message, id = await self.receive()
        assert isinstance(message, type_), message
        return message, id

    async def goodbye(self) -> str:
        """Return why the gateway ends the session; anything it says before is skipped."""
        while True:
            message, _ = await self.receive()
            if isinstance(message, m.Goodbye):
                with_end = await self.reader.read()
                assert with_end == b""
                return message.text

    def hello(self, **changes: Any) -> None:
        self.send(replace(HELLO, **{"device": self.device, **changes}))

    async def connect(self, **changes: Any) -> m.Welcome:
        self.hello(**changes)
        welcome, _ = await self.expect(m.Welcome)
        self.uuid = welcome.uuid
        self.send(m.Ready(welcome.uuid))
        return welcome

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await self.writer.wait_closed()


@dataclass
class Firmware:
    """How a device answers; a test replaces what it wants to go wrong.

    :param client: its connection.
    :param apps: what it runs, by name.
    """

    client: DeviceClient
    apps: dict[str, m.AppStatus]
    on_chunk: Callable[[m.DeployChunk, int], m.Ack | None] = lambda chunk, expected: None
    on_end: Callable[[bytes], m.Ack | None] = lambda module: None
    outcome: tuple[m.AppState, str] = (m.AppState.RUNNING, "")
    trial: str = ""
    """What becomes of a trial: "confirm", "fail", or "hold" until a test decides; without, there is none."""

    def __post_init__(self) -> None:
        self.before: dict[str, m.AppStatus | None] = {}
        self.module = bytearray()
        self.partial = b""  # digest of the module it has part of
        self.begun: list[m.DeployBegin] = []
        self.chunks: list[m.DeployChunk] = []
        self.stopped: list[str] = []
        self.configured: list[int] = []

    async def run(self) -> None:
        """Answer until the gateway closes."""
        try:
            while True:
                message, id = await self.client.receive()
                self.answer(message, id)
        except EOFError:
            return

    def answer(self, message: m.Message, id: int) -> None:
        send = self.client.send
        done = m.Ack(m.ResultCode.DONE, "", len(self.module))
        match message:
            case m.DeployBegin(name, _, digest, envelope):
                known = self.apps.get(name)
                if known and envelope and known.sequence > sequence_of(envelope):
                    send(m.Ack(m.ResultCode.OLD_SEQUENCE, f"it has had {known.sequence}", 0), id)
                    return
                if self.partial != digest:
                    self.module.clear()
                self.partial = digest
                self.begun.append(message)
                send(m.Ack(m.ResultCode.DONE, "", len(self.module)), id)
            case m.DeployChunk(offset, data):
                self.chunks.append(message)
                ack = self.on_chunk(message, len(self.module))
                if ack is None and offset != len(self.module):
                    ack = m.Ack(m.ResultCode.WRONG_OFFSET, f"expected {len(self.module)}", len(self.module))
                if ack is None:
                    self.module += data
                    ack = m.Ack(m.ResultCode.DONE, "", len(self.module))
                send(ack, id)
            case m.DeployEnd():
                self.end(id)
            case m.Stop(name) | m.Remove(name):
                self.stopped.append(name)
                known = self.apps.pop(name, None)
                send(done if known else m.Ack(m.ResultCode.NO_SUCH_APP, f"no app {name}", 0), id)
            case m.Call(_, function, arguments):
                if function == "trap":
                    send(m.CallResult(m.ResultCode.TRAP, "unreachable executed", (), 1), id)
                else:
                    send(m.CallResult(m.ResultCode.DONE, "", arguments[:4], 17), id)
            case m.ListApps():
                send(m.AppList(tuple(self.apps.values())), id)
            case m.Reset():
                send(done, id)
            case m.Configure(heartbeat):
                self.configured.append(heartbeat)

    def end(self, id: int) -> None:
        begun = self.begun[-1]
        module = bytes(self.module)
        ack = self.on_end(module)
        if ack is None and hashlib.sha256(module).digest() != begun.digest:
            ack = m.Ack(m.ResultCode.DIGEST_MISMATCH, "the digest differs", 0)
        self.client.send(ack or m.Ack(m.ResultCode.DONE, "", len(module)), id)
        if ack is not None:
            return
        state, reason = self.outcome
        sequence = sequence_of(begun.envelope) if begun.envelope else 0
        status = m.AppStatus(begun.name, state, begun.digest, len(module), 8192, reason, sequence)
        self.partial = b""
        if self.trial:
            self.before[begun.name] = self.apps.get(begun.name)
            status = replace(status, state=m.AppState.TRIAL)
        self.say(status)
        if self.trial == "confirm":
            self.confirm(begun.name)
        elif self.trial == "fail":
            self.give_up(begun.name, "unreachable executed")

    def confirm(self, name: str) -> None:
        """Let a trial pass."""
        self.say(replace(self.apps[name], state=m.AppState.RUNNING))

    def give_up(self, name: str, why: str) -> None:
        """Let a trial fail."""
        failed, before = self.apps[name], self.before.pop(name, None)
        if before is None:
            self.say(replace(failed, state=m.AppState.FAILED, reason=why))
        else:
            self.say(replace(before, rejected=failed.digest, reason=why))

    def say(self, status: m.AppStatus) -> None:
        """Have an app be in a state, and report it."""
        self.apps[status.name] = status
        self.client.send(m.AppStatusChanged(status))


def sequence_of(envelope: bytes) -> int:
    """Return the sequence number in a COSE_Sign1."""
    return m.unpack(m.Package, cbor2.loads(envelope).value[2]).sequence


class Held:
    """Requests that a device does not answer until it is let.

    :param wanted: tells which.
    """

    def __init__(self, firmware: Firmware, wanted: Callable[[m.Message], bool]) -> None:
        self.requests: list[tuple[m.Message, int]] = []
        self._firmware = firmware
        self._wanted = wanted
        self._answer = firmware.answer
        self._came = asyncio.Event()
        firmware.answer = self._take  # type: ignore[method-assign]

    async def until(self, count: int) -> None:
        """Return once so many have come."""
        async with asyncio.timeout(10):
            while len(self.requests) < count:
                await self._came.wait()

    def release(self) -> None:
        """Answer them, and whatever comes from now on."""
        self._firmware.answer = self._answer  # type: ignore[method-assign]
        for message, id in self.requests:
            self._answer(message, id)

    def _take(self, message: m.Message, id: int) -> None:
        if not self._wanted(message):
            self._answer(message, id)
            return
        self.requests.append((message, id))
        self._came.set()
        self._came = asyncio.Event()
