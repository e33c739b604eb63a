"""The gateway against clients over real TLS: good devices, bad ones, and who is no device at all."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from lab.errors import DeviceError, LabError, LabTimeoutError, UsageError
from lab.gateway import Config, DeviceState, Gateway
from lab.gateway.tls import Connection
from lab.home import Home
from lab.packages import Package
from lab.pki import Authority, Issued, ec_key
from lab.wire import messages as m

from .device_client import HELLO, DeviceClient, Held, client_context
from .gateway_site import Site, running

pytestmark = pytest.mark.anyio

MODULE = b"\0asm\1\0\0\0" + bytes(range(256)) * 20
DIGEST = hashlib.sha256(MODULE).digest()
PACKAGE = Package.unsigned("app", MODULE)


@pytest.fixture(params=["uvloop", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": request.param == "uvloop"}


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with running(tmp_path) as site:
        yield site


# ---- connecting


async def test_a_device_is_connected_only_after_its_ready(site: Site) -> None:
    await site.gateway.register("dev-1", "native", "native")
    assert site.gateway.device("dev-1").state is DeviceState.REGISTERED
    client = await site.open()
    client.hello(boot_reason=m.BootReason.WATCHDOG, boot_detail="pc=0x1234")
    welcome, _ = await client.expect(m.Welcome)
    assert site.gateway.device("dev-1").state is DeviceState.REGISTERED
    assert welcome.heartbeat == 30_000
    assert abs(welcome.time / 1000 - datetime.now(UTC).timestamp()) < 3600
    client.send(m.Ready(welcome.uuid))
    await site.connected()
    info = site.gateway.device("dev-1")
    assert (info.boot_reason, info.boot_detail, info.firmware) == ("watchdog", "pc=0x1234", "0.1.0")
    assert info.describe()["state"] == "connected"
    assert info.uuid.replace("-", "") == welcome.uuid.hex()


async def test_the_gateway_speaks_tls_1_3_only(site: Site) -> None:
    client = await site.open()
    assert client.writer.get_extra_info("ssl_object").version() == "TLSv1.3"


async def test_each_message_is_one_record(site: Site) -> None:
    """A device takes records of 4096 bytes at most; read what OpenSSL decrypted, record by record."""
    client, firmware = await site.device(max_chunk=3584)
    sizes = []
    feed = client.inbox.feed
    client.inbox.feed = lambda data: (sizes.append(len(data)), feed(data))[1]  # type: ignore[method-assign]
    await site.gateway.deploy("dev-1", PACKAGE)
    assert [len(chunk.data) for chunk in firmware.chunks] == [3584, len(MODULE) - 3584]
    issued = site.authority.issue("dev-1")
    context = client_context(site.authority.certificate_file, issued)
    with socket.create_connection(site.gateway.address) as raw:
        raw.setblocking(False)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_hostname="gateway.lab")
        loop = asyncio.get_running_loop()
        stream = b""

        async def step(work: Any) -> Any:
            nonlocal stream
            while True:
                try:
                    return work()
                except ssl.SSLWantReadError:
                    await loop.sock_sendall(raw, outgoing.read())
                    data = await loop.sock_recv(raw, 65536)
                    stream += data
                    incoming.write(data)

        await step(tls.do_handshake)
        stream = b""
        hello = replace(HELLO, max_chunk=3584)
        tls.write(m.encode(hello))
        data = await step(lambda: tls.read(65536))
        [envelope] = m.Reader().feed(data)
        welcome = m.decode(envelope)
        assert isinstance(welcome, m.Welcome)
        tls.write(m.encode(m.Ready(welcome.uuid)))
        stream = b""
        work = asyncio.create_task(site.gateway.deploy("dev-1", PACKAGE, timeout=5))
        reader = m.Reader()
        seen: list[m.Message] = []
        while len(seen) < 3:
            for envelope in reader.feed(await step(lambda: tls.read(65536))):
                message = m.decode(envelope)
                assert message is not None
                seen.append(message)
                if isinstance(message, m.DeployBegin):
                    tls.write(m.encode(m.Ack(m.ResultCode.DONE, "", 0), envelope.id))
        work.cancel()
    records = []
    while stream:
        assert stream[0] == 23  # application data: type, version, length
        length = int.from_bytes(stream[3:5], "big")
        records.append(length - 17)  # the content type and the tag
        stream = stream[5 + length :]
    assert records == [len(m.encode(message, 2)) for message in seen]
    assert max(records) <= m.FRAME_LIMIT


async def test_reads_may_be_cut_and_joined_anywhere(site: Site) -> None:
    await site.gateway.register("dev-1", "native", "native")
    client = await site.open()
    hello = m.encode(HELLO)
    for byte in hello:
        client.writer.write(bytes([byte]))
        await client.writer.drain()
    welcome, _ = await client.expect(m.Welcome)
    lines = [m.encode(m.LogLine(n, m.LogLevel.INFO, "app", f"line {n}")) for n in range(50)]
    client.writer.write(m.encode(m.Ready(welcome.uuid)) + b"".join(lines))
    await site.connected()
    await site.seen("app.log", text="line 49")
    said = [event async for event in site.events.subscribe(follow=False) if event.kind == "app.log"]
    assert [event.data["text"] for event in said] == [f"line {n}" for n in range(50)]
    assert said[0].device == "dev-1"
    assert said[0].app == "app"


async def test_reports_become_events(site: Site) -> None:
    client, _ = await site.device()
    client.send(m.LogLine(5, m.LogLevel.ERROR, "", "flash is worn"))
    client.send(m.Event(6, "blink", "temperature", b"21.5"))
    client.send(m.Event(7, "blink", "raw", b"\xff\x00"))
    assert (await site.seen("device.log")).data == {"uptime": 5, "level": "error", "text": "flash is worn"}
    assert (await site.seen("app.event", topic="temperature")).data["text"] == "21.5"
    raw = await site.seen("app.event", topic="raw")
    assert raw.data == {"uptime": 7, "topic": "raw", "payload": "ff00"}


# ---- pairing


async def test_an_unknown_device_waits_until_it_is_accepted(site: Site) -> None:
    client = await site.open()
    client.hello(board="nucleo")
    await client.expect(m.Pending)
    [waiting] = site.gateway.devices()
    assert (waiting.state, waiting.paired, waiting.board) == (DeviceState.WAITING, False, "nucleo")
    assert (await site.seen("device.waiting")).device == "dev-1"
    assert await site.store.devices() == []
    with pytest.raises(UsageError, match="waits to be accepted"):
        await site.gateway.deploy("dev-1", PACKAGE)
    await site.gateway.accept("dev-1")
    welcome, _ = await client.expect(m.Welcome)
    client.send(m.Ready(welcome.uuid))
    await site.connected()
    assert [row.id for row in await site.store.devices()] == ["dev-1"]


async def test_a_waiting_device_cannot_report(site: Site) -> None:
    client = await site.open()
    client.hello()
    await client.expect(m.Pending)
    client.send(m.LogLine(1, m.LogLevel.INFO, "", "let me in"))
    client.send(m.Heartbeat(1, 2, 3, 4))
    await client.expect(m.HeartbeatAck)
    client.send(m.Ready(bytes(16)))
    client.send(m.Heartbeat(1, 2, 3, 4))
    await client.expect(m.HeartbeatAck)
    assert site.gateway.device("dev-1").state is DeviceState.WAITING
    kinds = [event.kind async for event in site.events.subscribe(follow=False)]
    assert kinds == ["device.waiting"]


async def test_pairing_takes_in_who_comes_while_it_is_open(site: Site) -> None:
    waiting = await site.open("early")
    waiting.hello()
    await waiting.expect(m.Pending)
    site.gateway.open_pairing(60)
    assert 0 < site.gateway.pairing <= 60
    await waiting.expect(m.Welcome)
    during = await site.open("during")
    await during.connect()
    await site.connected("during")
    site.gateway.open_pairing(0)
    late = await site.open("late")
    late.hello()
    await late.expect(m.Pending)
    assert {info.id: info.paired for info in site.gateway.devices()} == {
        "early": True,
        "during": True,
        "late": False,
    }


async def test_a_waiting_device_that_leaves_is_no_longer_listed(site: Site) -> None:
    client = await site.open()
    client.hello()
    await client.expect(m.Pending)
    await client.close()
    await site.seen("device.disconnected")
    assert site.gateway.devices() == []


async def test_a_forgotten_device_has_to_pair_again(site: Site) -> None:
    await site.device()
    await site.gateway.deploy("dev-1", PACKAGE)
    await site.gateway.forget("dev-1")
    await asyncio.wait_for(site.tasks[0], 10)
    assert await site.store.devices() == []
    assert await site.store.deployments() == []
    again = await site.open()
    again.hello()
    await again.expect(m.Pending)


async def test_accepting_nobody_is_refused(site: Site) -> None:
    with pytest.raises(UsageError, match="no device ghost waits"):
        await site.gateway.accept("ghost")


# ---- sessions


async def test_a_newer_connection_replaces_the_older(site: Site) -> None:
    await site.gateway.register("dev-1", "native", "native")
    older = await site.open()
    await older.connect()
    await site.connected()
    newer = await site.open()
    newer.hello()
    welcome, _ = await newer.expect(m.Welcome)
    assert "newer connection" in await older.goodbye()
    assert site.gateway.device("dev-1").state is DeviceState.DISCONNECTED
    newer.send(m.Ready(welcome.uuid))
    await site.connected()
    await site.seen("device.replaced")
    assert site.gateway.sessions == 1


async def test_silence_makes_a_device_unreachable_and_a_word_connected_again(tmp_path: Path) -> None:
    async with running(tmp_path, heartbeat=0.2) as site:
        client, _ = await site.device()
        event = await site.seen("device.unreachable")
        assert event.data["silent"] >= 0.5
        assert site.gateway.device("dev-1").state is DeviceState.UNREACHABLE
        with pytest.raises(LabError, match="dev-1 is not connected: it is unreachable"):
            await site.gateway.call("dev-1", "a", "f")
        client.send(m.Heartbeat(1000, 40000, 1, 0))
        await site.connected()
        assert (await site.seen("device.heartbeat")).data["memory_free"] == 40000
        assert site.gateway.device("dev-1").memory_free == 40000


async def test_heartbeats_keep_a_device_connected(tmp_path: Path) -> None:
    async with running(tmp_path, heartbeat=0.2) as site:
        await site.gateway.register("dev-1", "native", "native")
        client = await site.open()
        welcome = await client.connect()
        assert welcome.heartbeat == 200
        for n in range(10):
            client.send(m.Heartbeat(n, 0, 0, 0))
            await client.expect(m.HeartbeatAck)
            await asyncio.sleep(0.1)
        kinds = [event.kind async for event in site.events.subscribe(follow=False)]
        assert kinds.count("device.heartbeat") == 10
        assert "device.unreachable" not in kinds


async def test_a_new_heartbeat_interval_is_told_and_remembered(site: Site) -> None:
    _, firmware = await site.device()
    await site.gateway.set_heartbeat(0.2)
    await site.seen("device.unreachable")  # long before the 75 s of the old interval
    assert firmware.configured == [200]
    await site.restart()
    assert site.gateway.heartbeat == 0.2
    with pytest.raises(UsageError):
        await site.gateway.set_heartbeat(0)


async def test_a_device_that_leaves_is_disconnected(site: Site) -> None:
    client, _ = await site.device()
    await client.close()
    assert (await site.seen("device.disconnected")).device == "dev-1"
    assert site.gateway.device("dev-1").state is DeviceState.DISCONNECTED


async def test_a_restarted_gateway_has_lost_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as site:
        _, firmware = await site.device()
        await site.gateway.deploy("dev-1", PACKAGE)
        before = site.gateway.device("dev-1")
        await site.restart()
        after = site.gateway.device("dev-1")
        assert after.state is DeviceState.DISCONNECTED
        assert (after.uuid, after.created, after.apps, after.desired) == (
            before.uuid,
            before.created,
            before.apps,
            before.desired,
        )
        client = await site.open()
        welcome = await client.connect(apps=tuple(firmware.apps.values()))
        assert welcome.uuid == firmware.client.uuid
        await site.connected()


async def test_the_same_gateway_starts_again_on_its_port(site: Site) -> None:
    await site.device()
    address = site.gateway.address
    await site.gateway.stop()
    await asyncio.wait_for(site.tasks[0], 10)
    assert site.gateway.device("dev-1").state is DeviceState.DISCONNECTED
    await site.gateway.start()
    assert site.gateway.address == address
    await site.device()


async def test_a_port_in_use_is_said(site: Site) -> None:
    other = Gateway(site.store, site.events, site.authority, Config(port=site.gateway.address[1]))
    with pytest.raises(LabError, match="cannot listen on 127"):
        await other.start()


async def test_who_does_not_read_is_dropped(site: Site) -> None:
    """What a client leaves unread must not fill the gateway's memory."""
    ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    class Talker:
        def __init__(self, connection: Connection) -> None:
            for _ in range(8192):  # 32 MiB, more than any socket buffer
                connection.send(bytes(4096))
            connection.close("it was sent everything")

        def received(self, data: bytes) -> None: ...

        def lost(self, reason: str) -> None:
            ended.set_result(reason)

    def refuse(address: str, reason: str) -> None:
        ended.set_result(reason)

    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(site.authority.server_context(), Talker, refuse, 10), "127.0.0.1", 0
    )
    context = client_context(site.authority.certificate_file, site.authority.issue("dev-1"))
    client = await DeviceClient.open(server.sockets[0].getsockname(), context, "dev-1")
    assert await asyncio.wait_for(ended, 10) == "it does not read what it is sent"
    await client.close()
    server.close()


# ---- what a device must not say


async def send_raw(site: Site, data: bytes) -> str:
    client, _ = await site.device()
    for task in site.tasks:
        task.cancel()
    await asyncio.gather(*site.tasks, return_exceptions=True)
    client.writer.write(data)
    return await client.goodbye()


def frame(item: bytes) -> bytes:
    return len(item).to_bytes(2, "big") + item


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (frame(b"\xff" * 40), "malformed"),
        (frame(b"\x81" * 4000), "deeper"),
        (b"\x10\x01", "message of 4097 bytes"),
        (frame(cbor2.dumps([1, 2])), "kind, id, body"),
        (m.encode(HELLO), "hello was said before"),
    ],
    ids=["garbage", "too deep", "too large", "no envelope", "second hello"],
)
async def test_a_broken_stream_ends_the_session_with_its_reason(site: Site, data: bytes, why: str) -> None:
    assert why in await send_raw(site, data)
    assert why in (await site.seen("device.disconnected")).data["reason"]
    await site.device()  # the rest works


async def test_unknown_kinds_and_malformed_bodies_are_dropped_and_the_session_goes_on(site: Site) -> None:
    client, _ = await site.device()
    client.writer.write(frame(cbor2.dumps([999, 0, b"?"])))
    client.writer.write(frame(cbor2.dumps([int(m.Welcome.KIND), 7, b"?"])))
    client.writer.write(frame(cbor2.dumps([int(m.Heartbeat.KIND), 0, b"\xa0"])))
    client.send(m.Ack(m.ResultCode.DONE, "", 0), 4711)
    assert await site.gateway.call("dev-1", "a", "f", [1, 2.5]) == (1, 2.5)


async def test_a_malformed_answer_fails_its_request_only(site: Site) -> None:
    client, firmware = await site.device()
    answer = firmware.answer

    def garble(message: m.Message, id: int) -> None:
        if isinstance(message, m.Call) and message.app == "bad":
            client.writer.write(frame(cbor2.dumps([m.CallResult.KIND, id, cbor2.dumps({0: "no"})])))
        else:
            answer(message, id)

    firmware.answer = garble  # type: ignore[method-assign]
    with pytest.raises(DeviceError, match="makes no sense"):
        await site.gateway.call("dev-1", "bad", "f")
    assert await site.gateway.call("dev-1", "good", "f", [7]) == (7,)


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (m.Heartbeat(1, 2, 3, 4), "hello expected, not heartbeat"),
        (replace(HELLO, device="dev-2"), "the certificate is dev-1's, the hello dev-2's"),
        (replace(HELLO, version=2), "protocol version 2"),
    ],
    ids=["no hello", "another's id", "version"],
)
async def test_a_bad_hello_is_refused(site: Site, message: m.Message, why: str) -> None:
    client = await site.open()
    client.send(message)
    assert why in await client.goodbye()
    event = await site.seen("gateway.refused")
    assert event.device == "dev-1"
    assert why in event.data["reason"]
    assert site.gateway.devices() == []
    assert site.gateway.sessions == 0


async def test_a_malformed_hello_is_refused(site: Site) -> None:
    client = await site.open()
    client.writer.write(frame(cbor2.dumps([m.Hello.KIND, 0, b"\xa0"])))
    assert "version (key 0) is missing" in await client.goodbye()


async def test_who_says_nothing_is_dropped(tmp_path: Path) -> None:
    async with running(tmp_path, handshake_timeout=0.2) as site:
        client = await site.open()
        assert await client.goodbye() == "no hello within 0.2 s"
        await site.gateway.register("dev-1", "native", "native")
        client = await site.open()
        client.hello()
        assert await client.goodbye() == "no ready within 0.2 s"
        reader, writer = await asyncio.open_connection(*site.gateway.address)
        assert await reader.read() == b""
        writer.close()
        await site.seen("gateway.refused", reason="no TLS handshake within 0.2 s")


async def test_a_ready_with_another_uuid_is_refused(site: Site) -> None:
    await site.gateway.register("dev-1", "native", "native")
    client = await site.open()
    client.hello()
    await client.expect(m.Welcome)
    client.send(m.Ready(bytes(16)))
    assert "another uuid" in await client.goodbye()
    assert site.gateway.device("dev-1").state is DeviceState.REGISTERED


# ---- who is refused by TLS


async def refused(site: Site, context: ssl.SSLContext) -> str:
    """Connect as far as it goes, as a device would; return the gateway's reason."""
    with pytest.raises((ssl.SSLError, ConnectionError, EOFError)):
        client = await DeviceClient.open(site.gateway.address, context, "dev-1")
        site.clients.append(client)
        client.hello()
        await client.receive()
    event = await site.seen("gateway.refused")
    assert site.gateway.sessions == 0
    await site.device("healthy")  # the rest works
    return str(event.data["reason"])


async def test_a_foreign_certificate(site: Site, tmp_path: Path) -> None:
    foreign = Authority(Home(tmp_path / "other").create())
    reason = await refused(site, client_context(site.authority.certificate_file, foreign.issue("dev-1")))
    assert "unable to get local issuer certificate" in reason


def issue_by_hand(site: Site, folder: Path, **changes: Any) -> Issued:
    """A certificate of the lab's own authority that it would not issue."""
    ca = x509.load_pem_x509_certificate(site.authority.certificate_file.read_bytes())
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(ca.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=9))
        .not_valid_after(changes.get("until", now + timedelta(days=1)))
    )
    usage = x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH
    names = changes.get("names", ["dev-1"])
    builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    builder = builder.add_extension(
        x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=True
    )
    certificate = builder.sign(ec_key(site.home.root / "pki" / "ca.key"), hashes.SHA256())
    issued = Issued("dev-1", 0, now, folder / "by-hand.pem", folder / "by-hand.key")
    issued.certificate.write_bytes(certificate.public_bytes(Encoding.PEM))
    issued.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
    return issued


async def test_an_expired_certificate(site: Site, tmp_path: Path) -> None:
    issued = issue_by_hand(site, tmp_path, until=datetime.now(UTC) - timedelta(days=1))
    reason = await refused(site, client_context(site.authority.certificate_file, issued))
    assert reason == "its certificate is refused: certificate has expired"


@pytest.mark.parametrize("names", [["dev-1", "dev-2"], ["../../etc"], ["*"]], ids=repr)
async def test_a_certificate_that_names_no_one_device(site: Site, tmp_path: Path, names: list[str]) -> None:
    issued = issue_by_hand(site, tmp_path, names=names)
    reason = await refused(site, client_context(site.authority.certificate_file, issued))
    assert reason == "the certificate does not name exactly one device"


async def test_the_gateway_s_own_certificate_is_no_client_s(site: Site) -> None:
    reason = await refused(site, client_context(site.authority.certificate_file, site.authority.gateway()))
    assert "unsuitable certificate purpose" in reason


@pytest.mark.parametrize("data", [b"\0" * 100, b"GET / HTTP/1.1\r\n\r\n", bytes(range(255, -1, -1)) * 40])
async def test_garbage_on_the_port(site: Site, data: bytes) -> None:
    reader, writer = await asyncio.open_connection(*site.gateway.address)
    writer.write(data)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await reader.readexactly(1000)
    writer.close()
    await site.seen("gateway.refused")
    await site.device("healthy")


@pytest.mark.parametrize(
    ("options", "reason"),
    [(["-tls1_2"], "it does not speak TLS 1.3"), (["-tls1_3"], "it sent no certificate")],
)
async def test_openssl_s_client_is_refused(site: Site, options: list[str], reason: str) -> None:
    host, port = site.gateway.address
    process = await asyncio.create_subprocess_exec(
        *("openssl", "s_client", "-connect", f"{host}:{port}", "-quiet", "-no_ign_eof", *options),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    event = await site.seen("gateway.refused")
    assert event.data["reason"] == reason
    assert process.stdin is not None
    process.stdin.close()
    async with asyncio.timeout(10):
        await process.wait()


# ---- apps


async def test_deploy_waits_for_the_device_s_word(site: Site) -> None:
    _, firmware = await site.device()
    steps: list[tuple[int, int]] = []
    app = await site.gateway.deploy(
        "dev-1", PACKAGE, progress=lambda taken, total: steps.append((taken, total))
    )
    assert (app.name, app.state, app.digest) == ("app", "running", DIGEST.hex())
    assert bytes(firmware.module) == MODULE
    assert max(len(chunk.data) for chunk in firmware.chunks) == 1024
    assert steps[0] == (0, len(MODULE))
    assert steps[-1] == (len(MODULE), len(MODULE))
    assert steps == sorted(steps)
    assert site.gateway.device("dev-1").apps == (app,)
    assert (await site.seen("app.state", state="running")).app == "app"


async def test_two_chunks_are_on_the_way(site: Site) -> None:
    client, firmware = await site.device()
    held = Held(firmware, lambda message: isinstance(message, m.DeployChunk))
    deploying = asyncio.create_task(site.gateway.deploy("dev-1", PACKAGE))
    await held.until(2)
    client.send(m.Heartbeat(1, 2, 3, 4))
    await site.seen("device.heartbeat")
    assert len(held.requests) == 2
    held.release()
    assert (await deploying).state == "running"


async def test_a_failed_app_is_said_in_the_device_s_words(site: Site) -> None:
    _, firmware = await site.device()
    firmware.outcome = (m.AppState.FAILED, "import env.launch is not offered")
    with pytest.raises(DeviceError, match=r"app failed on dev-1: import env\.launch is not offered"):
        await site.gateway.deploy("dev-1", PACKAGE)
    assert site.gateway.device("dev-1").apps[0].state == "failed"
    assert site.gateway.device("dev-1").desired == {}
    assert await site.store.deployments() == []


async def test_a_refused_update_leaves_the_old_app_wanted(site: Site) -> None:
    _, firmware = await site.device()
    await site.gateway.deploy("dev-1", PACKAGE)
    firmware.on_end = lambda module: m.Ack(m.ResultCode.OUT_OF_MEMORY, "the pool is full", 0)
    with pytest.raises(DeviceError, match="dev-1 refused app: the pool is full"):
        await site.gateway.deploy("dev-1", Package.unsigned("app", MODULE + b"\0"))
    assert site.gateway.device("dev-1").desired == {"app": DIGEST.hex()}


@pytest.mark.parametrize(
    ("code", "text", "said"),
    [(m.ResultCode.DIGEST_MISMATCH, "", "digest mismatch"), (m.ResultCode.NOT_WASM, "no magic", "no magic")],
)
async def test_the_device_s_refusal_at_the_end(site: Site, code: m.ResultCode, text: str, said: str) -> None:
    _, firmware = await site.device()
    firmware.on_end = lambda module: m.Ack(code, text, 0)
    with pytest.raises(DeviceError, match=f"dev-1 refused app: {said}"):
        await site.gateway.deploy("dev-1", PACKAGE)


async def test_a_truncated_chunk_is_found_by_the_device_s_digest(site: Site) -> None:
    _, firmware = await site.device()

    def truncate(chunk: m.DeployChunk, expected: int) -> m.Ack | None:
        if chunk.offset != 1024:
            return None
        firmware.module += chunk.data[:-1] + b"?"
        return m.Ack(m.ResultCode.DONE, "", expected + len(chunk.data))

    firmware.on_chunk = truncate
    with pytest.raises(DeviceError, match="the digest differs"):
        await site.gateway.deploy("dev-1", PACKAGE)


async def test_a_device_that_is_elsewhere_in_the_module_gets_what_it_lacks(site: Site) -> None:
    _, firmware = await site.device()
    lost = [2048]

    def lose(chunk: m.DeployChunk, expected: int) -> m.Ack | None:
        if chunk.offset in lost:
            lost.remove(chunk.offset)
            return m.Ack(m.ResultCode.WRONG_OFFSET, "lost", expected)
        return None

    firmware.on_chunk = lose
    assert (await site.gateway.deploy("dev-1", PACKAGE)).state == "running"
    assert bytes(firmware.module) == MODULE


@pytest.mark.parametrize("offset", [0, 1 << 20])
async def test_a_device_that_never_agrees_on_the_offset_is_given_up(site: Site, offset: int) -> None:
    _, firmware = await site.device()
    firmware.on_chunk = lambda chunk, expected: m.Ack(m.ResultCode.WRONG_OFFSET, "no", offset)
    with pytest.raises(DeviceError, match=r"no$|which has"):
        await site.gateway.deploy("dev-1", PACKAGE)


async def test_a_deployment_goes_on_after_a_reconnect(site: Site) -> None:
    client, firmware = await site.device()
    broken = asyncio.Event()

    def breaks(chunk: m.DeployChunk, expected: int) -> m.Ack | None:
        if chunk.offset == 3072:
            client.writer.transport.abort()
            broken.set()
        return None

    firmware.on_chunk = breaks
    deploying = asyncio.create_task(site.gateway.deploy("dev-1", PACKAGE))
    await asyncio.wait_for(broken.wait(), 10)
    await site.until(DeviceState.DISCONNECTED)
    again = await site.open()
    await again.connect()
    taken = len(firmware.module)
    firmware.client, firmware.on_chunk = again, lambda chunk, expected: None
    site.tasks.append(asyncio.create_task(firmware.run()))
    assert (await asyncio.wait_for(deploying, 10)).state == "running"
    assert bytes(firmware.module) == MODULE
    assert [begun.digest for begun in firmware.begun] == [DIGEST, DIGEST]
    assert taken >= 3072
    assert sum(chunk.offset == 0 for chunk in firmware.chunks) == 1


async def test_a_deployment_times_out_and_is_made_up_for(site: Site) -> None:
    client, firmware = await site.device()
    firmware.answer = lambda message, id: None  # type: ignore[method-assign]
    with pytest.raises(LabTimeoutError, match=r"within 0\.2 s that app runs"):
        await site.gateway.deploy("dev-1", PACKAGE, timeout=0.2)
    await client.close()
    await site.until(DeviceState.DISCONNECTED)
    _, fresh = await site.device()
    await site.seen("app.state", state="running")
    assert bytes(fresh.module) == MODULE


async def test_a_device_that_was_reset_gets_its_apps_back(site: Site) -> None:
    client, firmware = await site.device()
    await site.gateway.deploy("dev-1", Package.unsigned("one", MODULE))
    await site.gateway.deploy("dev-1", Package.unsigned("two", MODULE + b"\0"))
    two = firmware.apps["two"]
    await client.close()
    await site.until(DeviceState.DISCONNECTED)
    mark = site.events.last
    _, fresh = await site.device(apps=(two,), boot_reason=m.BootReason.RESET)
    event = await site.seen("app.state", mark, state="running")
    assert event.app == "one"
    assert [begun.name for begun in fresh.begun] == ["one"]
    gone = await site.seen("app.state", mark, state="absent")
    assert gone.app == "one"


async def test_an_app_that_failed_is_not_sent_again_and_again(site: Site) -> None:
    client, _ = await site.device()
    await site.gateway.deploy("dev-1", PACKAGE)
    failed = m.AppStatus("app", m.AppState.FAILED, DIGEST, len(MODULE), 0, "trap")
    client.send(m.AppStatusChanged(failed))
    await site.seen("app.state", state="failed")
    await client.close()
    await site.until(DeviceState.DISCONNECTED)
    _, fresh = await site.device(apps=(failed,))
    await site.gateway.call("dev-1", "app", "f")  # comes after what reconciling would have sent
    assert fresh.begun == []


async def test_an_app_that_cannot_be_restored_is_said(site: Site) -> None:
    client, _ = await site.device()
    await site.gateway.deploy("dev-1", PACKAGE)
    await client.close()
    await site.until(DeviceState.DISCONNECTED)
    (site.home.root / "modules" / f"{DIGEST.hex()}.wasm").write_bytes(b"damaged")
    await site.device()
    event = await site.seen("app.not-restored")
    assert "damaged" in event.data["reason"]


@pytest.mark.parametrize(
    ("name", "module", "why"),
    [
        ("app", b"\x7fELF" + bytes(100), "app is not WebAssembly"),
        ("app", b"\0asm\x0d\0\1\0", "component"),
        ("a/b", MODULE, "cannot be an app's name"),
        ("", MODULE, "cannot be an app's name"),
        ("app", MODULE + bytes(65536), "dev-1 takes modules of up to 65536"),
    ],
)
async def test_what_cannot_be_deployed_is_not_even_sent(
    site: Site, name: str, module: bytes, why: str
) -> None:
    _, firmware = await site.device()
    with pytest.raises(UsageError, match=why):
        await site.gateway.deploy("dev-1", Package.unsigned(name, module))
    assert firmware.begun == []
    assert await site.store.deployments() == []


async def test_nobody_to_deploy_to(site: Site) -> None:
    with pytest.raises(UsageError, match="the device ghost is not known"):
        await site.gateway.deploy("ghost", PACKAGE)
    await site.gateway.register("off", "native", "native")
    with pytest.raises(LabError, match="off is not connected: it is registered"):
        await site.gateway.deploy("off", PACKAGE)


async def test_call(site: Site) -> None:
    await site.device()
    assert await site.gateway.call("dev-1", "fib", "fib", [20, -1, 2.5]) == (20, -1, 2.5)
    with pytest.raises(DeviceError, match=r"fib\.trap failed on dev-1: unreachable executed"):
        await site.gateway.call("dev-1", "fib", "trap")
    with pytest.raises(UsageError, match="cannot be called"):
        await site.gateway.call("dev-1", "fib", "fib", [1 << 64])


async def test_an_unanswered_call_times_out(site: Site) -> None:
    client, firmware = await site.device()
    answer, firmware.answer = firmware.answer, lambda message, id: None  # type: ignore[method-assign]
    with pytest.raises(LabTimeoutError, match=r"dev-1 did not answer call within 0\.1 s"):
        await site.gateway.call("dev-1", "fib", "fib", timeout=0.1)
    client.send(m.CallResult(m.ResultCode.DONE, "", (1,), 1), 1)  # too late
    firmware.answer = answer  # type: ignore[method-assign]
    assert await site.gateway.call("dev-1", "fib", "fib", [2]) == (2,)


async def test_a_call_fails_when_the_device_leaves(site: Site) -> None:
    client, firmware = await site.device()
    firmware.answer = lambda message, id: client.writer.transport.abort()  # type: ignore[method-assign]
    with pytest.raises(LabError, match="dev-1 is no longer connected"):
        await site.gateway.call("dev-1", "fib", "fib")


async def test_stop_app(site: Site) -> None:
    client, firmware = await site.device()
    await site.gateway.deploy("dev-1", PACKAGE)
    await site.gateway.stop_app("dev-1", "app")
    assert firmware.stopped == ["app"]
    assert await site.gateway.list_apps("dev-1") == []
    assert site.gateway.device("dev-1").apps == ()
    with pytest.raises(DeviceError, match="no app app"):
        await site.gateway.stop_app("dev-1", "app")
    await client.close()
    await site.until(DeviceState.DISCONNECTED)
    _, fresh = await site.device()
    await site.gateway.call("dev-1", "a", "f")
    assert fresh.begun == []


async def test_reset(site: Site) -> None:
    _, firmware = await site.device()
    await site.gateway.reset("dev-1")
    firmware.answer = lambda message, id: firmware.client.send(  # type: ignore[method-assign]
        m.Ack(m.ResultCode.BUSY, "updating", 0), id
    )
    with pytest.raises(DeviceError, match="dev-1 refused to restart: updating"):
        await site.gateway.reset("dev-1")
