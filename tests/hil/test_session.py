"""The firmware against a gateway that says what a test tells it to: the native board, under the sanitizers.

Between the two are the real bridge and real TLS. What the real gateway makes of devices:
tests/unit/test_gateway.py.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import signal
import ssl
import struct
import time
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import anyio
import cbor2
import pytest
from anyio.abc import ByteStream
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from wasmtime import wat2wasm

from lab import boards, build
from lab.bridge import Bridge
from lab.engines import Launch
from lab.engines.native import NativeEngine
from lab.engines.qemu import QemuEngine
from lab.home import Home
from lab.peripherals import Peripherals, Simbus
from lab.pki import GATEWAY, Authority
from lab.wire import messages as m
from tests.unit.packages import Publisher

pytestmark = [pytest.mark.hil, pytest.mark.native, pytest.mark.anyio]

UUID = bytes(range(16))


def add(padding: int = 0) -> bytes:
    return bytes(
        wat2wasm(f"""(module (@custom "padding" "{"x" * padding}")
            (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))))""")
    )


ADD = add()
TALKER = bytes(
    wat2wasm("""(module
        (import "lab:device/log@0.1.0" "write" (func $log (param i32 i32 i32)))
        (import "lab:device/publish@0.1.0" "send" (func $send (param i32 i32 i32 i32)))
        (memory 1) (data (i32.const 0) "lines") (global $n (mut i32) (i32.const 48))
        (func (export "say") (param i32) (loop
            (i32.store8 (i32.const 4) (global.get $n))
            (global.set $n (i32.add (global.get $n) (i32.const 1)))
            (call $log (i32.const 1) (i32.const 0) (i32.const 5))
            (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))
        (func (export "long") (call $log (i32.const 3) (i32.const 0) (i32.const 60000)))
        (func (export "publish") (param i32)
            (call $send (i32.const 0) (i32.const 4) (i32.const 0) (local.get 0))))""")
)

M = TypeVar("M", bound=m.Message)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Session:
    """One connection of the device, seen by the gateway."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._inbox = m.Reader()
        self._unread: list[m.Envelope] = []
        self._id = 0

    def raw(self, data: bytes) -> None:
        self.writer.write(data)

    def send(self, message: m.Message, id: int = 0) -> None:
        self.writer.write(m.encode(message, id))

    async def receive(self) -> tuple[m.Message, int]:
        async with asyncio.timeout(20):
            while not self._unread:
                data = await self.reader.read(65536)
                if not data:
                    raise EOFError
                self._unread += self._inbox.feed(data)
        envelope = self._unread.pop(0)
        message = m.decode(envelope)
        assert message is not None, envelope
        return message, envelope.id

    async def expect(self, type_: type[M], matches: Callable[[M], bool] = lambda _: True) -> M:
        """Return the next such message, whatever else comes before it."""
        while True:
            message, _ = await self.receive()
            if isinstance(message, type_) and matches(message):
                return message

    async def ask(self, message: m.Message, type_: type[M]) -> M:
        """Send a request and return its answer."""
        self._id += 1
        self.send(message, self._id)
        while True:
            answer, id = await self.receive()
            if id == self._id:
                assert isinstance(answer, type_), answer
                return answer

    async def welcome(self, heartbeat: int = 60000) -> m.Hello:
        hello = await self.expect(m.Hello)
        self.send(m.Welcome(UUID, int(time.time() * 1000), heartbeat))
        assert (await self.expect(m.Ready)).uuid == UUID
        return hello

    async def deploy(self, name: str, module: bytes, envelope: bytes = b"") -> m.Ack:
        ack = await self.ask(
            m.DeployBegin(name, len(module), hashlib.sha256(module).digest(), envelope), m.Ack
        )
        if ack.code is not m.ResultCode.DONE:
            return ack
        for at in range(ack.offset, len(module), m.CHUNK_LIMIT):
            ack = await self.ask(m.DeployChunk(at, module[at : at + m.CHUNK_LIMIT]), m.Ack)
            assert ack.code is m.ResultCode.DONE
        return await self.ask(m.DeployEnd(), m.Ack)

    async def call(self, app: str, function: str, *arguments: int | float) -> m.CallResult:
        return await self.ask(m.Call(app, function, arguments), m.CallResult)

    async def ended(self) -> None:
        """Return when the device has ended the connection."""
        with pytest.raises((EOFError, ConnectionError)):
            while True:
                await self.receive()

    def close(self) -> None:
        self.writer.transport.abort()


class Bench:
    """A native board, its bridge and the gateway's side of it."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(Home(folder))
        self.sessions: asyncio.Queue[Session] = asyncio.Queue()
        self.console = ""
        self._printed = asyncio.Event()

    async def start(
        self, folder: Path, context: ssl.SSLContext, identity: bytes | None, line: Line, board_name: str
    ) -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.sessions.put_nowait(Session(reader, writer))

        self.server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        port = self.server.sockets[0].getsockname()[1]
        if identity is None:
            identity = self.authority.identity(
                "dev-1", seed=secrets.token_bytes(32), now=int(time.time()), development=True
            )
        board = boards.load(board_name)
        self.peripherals = Peripherals(
            ((part.kind, part.name, part.settings) for part in board.parts), folder=folder
        )
        target = "native-asan" if board_name == "native" else board_name
        launch = Launch("dev-1", board, build.build(target).image, identity, folder)
        engine = QemuEngine() if board.engine == "qemu" else NativeEngine()
        self.machine = await engine.start(launch)
        self.line = line
        line.stream = self.machine.link
        self.bridge = Bridge(line, ("127.0.0.1", port))

    async def read_console(self) -> None:
        while True:
            try:
                self.console += (await self.machine.console.receive()).decode()
            except anyio.EndOfStream:
                self.console += "\n[the firmware has ended]\n"
                return
            finally:
                self._printed.set()

    async def printed(self, words: str, times: int = 1) -> None:
        """Return when the console has said `words`."""
        try:
            async with asyncio.timeout(20):
                while self.console.count(words) < times:
                    self._printed.clear()
                    await self._printed.wait()
        except TimeoutError:
            pytest.fail(f"the console never said {words!r}; it said:\n{self.console}")

    async def session(self) -> Session:
        """Return the next connection."""
        try:
            async with asyncio.timeout(20):
                return await self.sessions.get()
        except TimeoutError:
            pytest.fail(f"the device did not connect; its console:\n{self.console}")


class Line(ByteStream):
    """The UART; `disturb` changes what passes to the device."""

    stream: ByteStream
    disturb: Callable[[bytes], bytes] = staticmethod(lambda data: data)

    async def receive(self, max_bytes: int = 65536) -> bytes:
        return await self.stream.receive(max_bytes)

    async def send(self, item: bytes) -> None:
        await self.stream.send(self.disturb(item))

    async def send_eof(self) -> None:
        await self.stream.send_eof()

    async def aclose(self) -> None:
        await self.stream.aclose()


@asynccontextmanager
async def running(
    folder: Path,
    *,
    context: ssl.SSLContext | None = None,
    identity: bytes | None = None,
    board: str = "native",
) -> AsyncIterator[Bench]:
    bench = Bench(folder / "lab")
    await bench.start(folder, context or bench.authority.server_context(), identity, Line(), board)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bench.bridge.run)
        tasks.start_soon(bench.read_console)
        tasks.start_soon(Simbus(bench.peripherals).serve, bench.machine.simbus)
        yield bench
        assert "ERROR: AddressSanitizer" not in bench.console
        await bench.machine.stop()
        bench.server.close()
        tasks.cancel_scope.cancel()
    log = (folder / "engine.log").read_text()
    assert "Sanitizer" not in log and "runtime error" not in log, log


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with running(tmp_path) as bench:
        yield bench


# -- a session's life


async def test_hello_welcome_ready_heartbeats(bench: Bench) -> None:
    session = await bench.session()
    hello = await session.welcome(heartbeat=100)
    assert (hello.version, hello.device, hello.board) == (1, "dev-1", "native")
    assert hello.boot_reason is m.BootReason.POWER_ON
    assert (hello.boots, hello.apps) == (1, ())
    assert 0 < hello.memory_free <= hello.memory
    assert len(set(hello.build_id)) > 4
    for _ in range(3):
        beat = await session.expect(m.Heartbeat)
        assert (beat.apps_running, beat.frames_dropped) == (0, 0)
        session.send(m.HeartbeatAck(int(time.time() * 1000)))
    assert (await session.ask(m.Configure(50), m.Ack)).code is m.ResultCode.BAD_ARGUMENTS
    assert (await session.ask(m.Configure(3600000), m.Ack)).code is m.ResultCode.DONE
    await bench.printed("connected: welcomed by the gateway")


async def test_pending_until_welcomed(bench: Bench) -> None:
    session = await bench.session()
    await session.expect(m.Hello)
    session.send(m.Pending("wait for a human"))
    await bench.printed("pending: wait for a human")
    ack = await session.ask(m.Stop("app"), m.Ack)
    assert (ack.code, ack.text) == (m.ResultCode.REFUSED, "the device has not been welcomed")
    session.send(m.Welcome(UUID, int(time.time() * 1000), 60000))
    await session.expect(m.Ready)


async def test_silence_of_the_gateway_ends_the_session(bench: Bench) -> None:
    session = await bench.session()
    await session.welcome(heartbeat=100)
    await session.ended()
    await bench.printed("offline: the gateway has fallen silent")
    await (await bench.session()).welcome()


async def test_goodbye_is_said_and_taken(bench: Bench) -> None:
    session = await bench.session()
    await session.welcome()
    session.send(m.Goodbye("maintenance"))
    await session.ended()
    await bench.printed("offline: the gateway says goodbye: maintenance")
    await (await bench.session()).welcome()


async def test_reset_on_request(bench: Bench) -> None:
    session = await bench.session()
    await session.welcome()
    assert (await session.ask(m.Reset(), m.Ack)).code is m.ResultCode.DONE
    hello = await (await bench.session()).welcome()
    assert (hello.boots, hello.boot_reason, hello.boot_detail) == (
        2,
        m.BootReason.REQUESTED,
        "by the gateway",
    )


async def test_the_reset_button(bench: Bench) -> None:
    await (await bench.session()).welcome()
    os.kill(bench.machine.pid, signal.SIGHUP)
    hello = await (await bench.session()).welcome()
    assert (hello.boots, hello.boot_reason) == (2, m.BootReason.RESET)


async def test_a_hard_fault_is_the_next_boots_reason(bench: Bench) -> None:
    await (await bench.session()).welcome()
    await bench.machine.console.send(b"fault hard\n")
    hello = await (await bench.session()).welcome()
    assert hello.boot_reason is m.BootReason.HARD_FAULT
    assert "SIGILL pc=0x" in hello.boot_detail
    await bench.printed("lab-firmware", times=2)


# -- apps over the wire


async def test_deploy_call_list_stop(bench: Bench) -> None:
    session = await bench.session()
    await session.welcome()
    large = add(padding=10_000)
    assert (await session.deploy("add", large)).code is m.ResultCode.DONE
    status = (await session.expect(m.AppStatusChanged)).status
    assert (status.name, status.state, status.size) == ("add", m.AppState.TRIAL, len(large))
    assert status.digest == hashlib.sha256(large).digest()
    result = await session.call("add", "add", 40, 2)
    assert (result.code, result.values) == (m.ResultCode.DONE, (42,))
    listed = (await session.ask(m.ListApps(), m.AppList)).apps
    assert [(app.name, app.state) for app in listed] == [("add", m.AppState.TRIAL)]
    assert (await session.ask(m.Stop("add"), m.Ack)).code is m.ResultCode.DONE
    assert (await session.call("add", "add", 1, 2)).code is m.ResultCode.NO_SUCH_APP


async def test_a_refused_app_says_why(bench: Bench) -> None:
    session = await bench.session()
    await session.welcome()
    foreign = bytes(wat2wasm('(module (import "wasi_snapshot_preview1" "fd_write" (func)))'))
    ack = await session.deploy("app", foreign)
    assert ack.code is m.ResultCode.IMPORT_REFUSED
    assert "import wasi_snapshot_preview1.fd_write is outside the contract" in ack.text
    status = (await session.expect(m.AppStatusChanged)).status
    assert (status.state, status.reason) == (m.AppState.FAILED, ack.text)


async def test_a_transfer_goes_on_after_a_lost_connection(bench: Bench) -> None:
    session = await bench.session()
    await session.welcome()
    begin = m.DeployBegin("add", len(ADD), hashlib.sha256(ADD).digest())
    await session.ask(begin, m.Ack)
    assert (await session.ask(m.DeployChunk(0, ADD[:10]), m.Ack)).offset == 10
    session.close()
    session = await bench.session()
    hello = await session.welcome()
    assert [app.state for app in hello.apps] == [m.AppState.RECEIVING]
    assert (await session.ask(begin, m.Ack)).offset == 10
    assert (await session.deploy("add", ADD)).code is m.ResultCode.DONE


async def test_logs_and_events_arrive_whole_and_in_order(bench: Bench) -> None:
    session = await bench.session()
    await session.welcome()
    await session.deploy("app", TALKER)
    await session.call("app", "say", 3)
    lines = [await session.expect(m.LogLine) for _ in range(3)]
    assert [(line.app, line.text) for line in lines] == [("app", f"line{i}") for i in range(3)]
    assert lines[0].level is m.LogLevel.INFO
    await session.call("app", "long")
    assert len((await session.expect(m.LogLine)).text) == 512
    await session.call("app", "publish", 1024)
    event = await session.expect(m.Event)
    assert (event.app, event.topic, len(event.data)) == ("app", "line", 1024)


async def test_what_apps_say_meanwhile_is_kept_and_what_not_is_counted(bench: Bench) -> None:
    poller = bytes(
        wat2wasm("""(module (import "lab:device/log@0.1.0" "write" (func $log (param i32 i32 i32))) (memory 1)
            (global $left (mut i32) (i32.const 0)) (data (i32.const 0) "polled")
            (func (export "init") (result i32) (i32.const 20))
            (func (export "arm") (param i32) (global.set $left (local.get 0)))
            (func (export "poll") (if (global.get $left) (then
              (global.set $left (i32.sub (global.get $left) (i32.const 1)))
              (call $log (i32.const 1) (i32.const 0) (i32.const 400))))))""")
    )
    session = await bench.session()
    await session.welcome()
    await session.deploy("app", poller)
    bench.server.close()  # nobody answers until all lines have been logged
    await session.call("app", "arm", 9)
    session.close()
    await bench.printed("app: info: polled", times=9)
    address = bench.bridge.connect

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        bench.sessions.put_nowait(Session(reader, writer))

    bench.server = await asyncio.start_server(serve, *address, ssl=bench.authority.server_context())
    session = await bench.session()
    hello = await session.welcome()
    assert [(app.name, app.state) for app in hello.apps] == [("app", m.AppState.TRIAL)]
    report = await session.expect(m.LogLine, lambda line: not line.app)
    dropped = int(report.text.split(" ")[0])
    kept = [await session.expect(m.LogLine) for _ in range(9 - dropped)]
    assert 0 < dropped < 9
    assert {line.text[:6] for line in kept} == {"polled"}
    assert (await session.ask(m.ListApps(), m.AppList)).apps[0].state is m.AppState.RUNNING


async def test_a_device_takes_what_a_publisher_it_knows_has_signed(tmp_path: Path) -> None:
    publisher = Publisher()
    identity = Authority(Home(tmp_path / "lab")).identity(
        "dev-1", seed=secrets.token_bytes(32), now=int(time.time()), publishers=[publisher.public]
    )
    async with running(tmp_path, identity=identity) as bench:
        session = await bench.session()
        assert (await session.welcome()).development == 0
        ack = await session.deploy("app", ADD)
        assert (ack.code, ack.text[:11]) == (m.ResultCode.UNSIGNED, "not signed:")
        ack = await session.deploy("app", ADD, Publisher().envelope("app", ADD, 1))
        assert (ack.code, ack.text[:14]) == (m.ResultCode.BAD_SIGNATURE, "signed by key ")
        ack = await session.deploy("app", ADD, publisher.envelope("app", ADD, 1))
        assert ack.code is m.ResultCode.DONE, ack
        status = (await session.expect(m.AppStatusChanged)).status
        assert (status.sequence, status.version) == (1, "1.0")


# -- what nobody should send


async def test_later_versions_are_understood_as_far_as_possible(bench: Bench) -> None:
    session = await bench.session()
    await session.welcome()

    def item(kind: int, id: int, body: object) -> bytes:
        content = cbor2.dumps([kind, id, cbor2.dumps(body)])
        return len(content).to_bytes(2, "big") + content

    session.raw(item(999, 0, {0: 1}))
    session.raw(item(999, 7, {0: 1}))
    answer, id = await session.receive()
    assert isinstance(answer, m.Ack)
    assert (id, answer.code) == (7, m.ResultCode.UNKNOWN_KIND)
    session.raw(item(m.Stop.KIND, 8, {0: "nobody", 5: "new", 90: [1, {7: None}]}))
    answer, id = await session.receive()
    assert isinstance(answer, m.Ack)
    assert (id, answer.code) == (8, m.ResultCode.NO_SUCH_APP)


@pytest.mark.parametrize(
    "body", [b"", b"\xff", b"\xa1", cbor2.dumps({}), cbor2.dumps({0: 5}), cbor2.dumps([1]), b"\x9f" * 3000]
)
async def test_a_malformed_body_is_answered(bench: Bench, body: bytes) -> None:
    session = await bench.session()
    await session.welcome()
    for id in (0, 9):
        content = cbor2.dumps([m.Stop.KIND, id, body])
        session.raw(len(content).to_bytes(2, "big") + content)
    answer, id = await session.receive()
    assert isinstance(answer, m.Ack)
    assert (id, answer.code) == (9, m.ResultCode.MALFORMED)
    assert (await session.deploy("add", ADD)).code is m.ResultCode.DONE


@pytest.mark.parametrize(
    "data",
    [
        b"\0\0",
        b"\x10\x01" + bytes(4097),
        b"\xff\xff",
        b"\0\x01\xff",
        b"\0\x04\x83\x01\x02\x03",
        b"\0\x05\x83\x01\x02\x40\x00",
        b"\x0f\xff" + b"\x81" * 4095,
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
async def test_what_is_no_message_ends_the_session_and_no_more(bench: Bench, data: bytes) -> None:
    session = await bench.session()
    await session.welcome()
    await session.deploy("add", ADD)
    session.raw(data)
    if len(data) > 2 and data[0] == 0x47:
        session.raw(bytes(0x4745))  # as long as it claims to be
    goodbye = await session.expect(m.Goodbye)
    assert "message" in goodbye.text
    await session.ended()
    session = await bench.session()
    hello = await session.welcome()
    assert [app.state for app in hello.apps] == [m.AppState.TRIAL]


async def test_messages_split_and_merged(bench: Bench) -> None:
    session = await bench.session()
    await session.welcome()
    await session.deploy("add", ADD)
    data = b"".join(m.encode(m.Call("add", "add", (i, i)), i) for i in range(1, 40))
    for at in range(0, 300):
        session.raw(data[at : at + 1])
        if at % 50 == 0:
            await session.writer.drain()
    session.raw(data[300:])
    for i in range(1, 40):
        answer, id = await session.receive()
        while id == 0:
            answer, id = await session.receive()
        assert isinstance(answer, m.CallResult)
        assert (id, answer.values) == (i, (2 * i,))


# -- the line


@pytest.mark.parametrize("damage", ["lost", "flipped", "garbage"])
async def test_a_disturbed_line_costs_a_reconnect_and_nothing_else(bench: Bench, damage: str) -> None:
    session = await bench.session()
    await session.welcome()
    await session.deploy("add", ADD)

    def once(data: bytes) -> bytes:
        if len(data) < 40:
            return data
        bench.line.disturb = lambda data: data
        middle = len(data) // 2
        if damage == "lost":
            return data[:middle] + data[middle + 1 :]
        if damage == "flipped":
            return data[:middle] + bytes([data[middle] ^ 0x10]) + data[middle + 1 :]
        return data[:middle] + secrets.token_bytes(300) + data[middle:]

    bench.line.disturb = once
    session.send(m.Call("add", "add", (1, 1)), 5)
    await session.ended()
    session = await bench.session()
    hello = await session.welcome()
    assert [app.state for app in hello.apps] == [m.AppState.TRIAL]
    assert (await session.call("add", "add", 2, 3)).values == (5,)


# -- who it does not speak to


def certificate(
    authority: Authority | None, name: str, usage: x509.ObjectIdentifier, days: tuple[int, int]
) -> tuple[bytes, bytes]:
    """Return a certificate and its key, PEM, from the lab's authority or (None) one that claims to be it."""
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stranger")])
    issuer_key = ec.generate_private_key(ec.SECP256R1())
    if authority is not None:
        issuer, issuer_key = authority._certificate.subject, authority._key
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=days[0]))
        .not_valid_after(now + timedelta(days=days[1]))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )
    return signed.public_bytes(Encoding.PEM), key.private_bytes(
        Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
    )


SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH


@pytest.mark.parametrize(
    ("ours", "name", "usage", "days", "words"),
    [
        (False, GATEWAY, SERVER, (-1, 9), "is not from the lab's CA"),
        (True, "other.lab", SERVER, (-1, 9), "is for another name"),
        (True, GATEWAY, CLIENT, (-1, 9), "is not a server's"),
        (True, GATEWAY, SERVER, (-9, -1), "has expired"),
        (True, GATEWAY, SERVER, (2, 9), "is not valid yet"),
    ],
)
async def test_a_gateway_it_cannot_trust(
    tmp_path: Path,
    ours: bool,
    name: str,
    usage: x509.ObjectIdentifier,
    days: tuple[int, int],
    words: str,
) -> None:
    authority = Authority(Home(tmp_path / "lab"))
    chain, key = certificate(authority if ours else None, name, usage, days)
    (tmp_path / "chain.pem").write_bytes(chain + key)
    context = authority.server_context()
    context.load_cert_chain(tmp_path / "chain.pem")
    async with running(tmp_path, context=context) as bench:
        await bench.printed(f"offline: the gateway's certificate {words}")
        assert bench.sessions.empty()


async def test_nothing_older_than_tls_1_3(tmp_path: Path) -> None:
    context = Authority(Home(tmp_path / "lab")).server_context()
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with running(tmp_path, context=context) as bench:
        await bench.printed("offline: ")
        assert bench.sessions.empty()


@pytest.mark.parametrize("damage", ["none", "flipped", "key"])
async def test_without_a_good_identity_it_halts_and_says_so(tmp_path: Path, damage: str) -> None:
    authority = Authority(Home(tmp_path / "other"))
    identity = bytearray(authority.identity("dev-1", seed=bytes(32), now=int(time.time())))
    words = "the identity is damaged"
    if damage == "none":
        identity, words = bytearray(b"\xff" * 64), "no identity is provisioned"
    elif damage == "flipped":
        identity[200] ^= 1
    else:
        record = m.unpack(m.Identity, bytes(identity[8:-4]))
        other = m.unpack(m.Identity, authority.identity("dev-2", seed=bytes(32), now=0)[8:-4])
        body = m.pack(m.Identity(**{**vars(record), "key": other.key}))
        identity = bytearray(struct.pack("<4sI", b"LABI", len(body)) + body)
        identity += struct.pack("<I", zlib.crc32(body))
        words = "private key does not belong to its certificate"
    async with running(tmp_path, identity=bytes(identity)) as bench:
        await bench.printed(words)
        await bench.machine.console.send(b"apps\nstatus\n")
        await bench.printed("halted: ", times=2)
        assert bench.sessions.empty()
