"""The Python ends that read bytes from outside, each as a function of such bytes that must not raise.

hypothesis calls them in the tests, atheris in the long run (`atheris_driver.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import cbor2

from lab import link, packages, paths, sdk
from lab.codegen import wit
from lab.errors import LabError
from lab.gateway.session import Phase, Session
from lab.modules import CORE_VERSION, MAGIC
from lab.wire import messages as m
from tests.fuzz import corpus, targets

_UUID = bytes(16)


def link_end(data: bytes) -> None:
    """The bridge's side of the link, on whatever a UART brings; the first byte says how the bytes are cut."""
    end, host, now = link.HostLink(window=4096), link.Deframer(), 0.0
    step = data[0] % 64 + 1 if data else 1
    for at in range(1, len(data), step):
        for event in end.receive(data[at : at + step], now):
            if isinstance(event, link.Opened):
                end.accept(now)
            if isinstance(event, link.Data):
                end.consumed(len(event.payload))
        if end.credit:
            end.send(bytes(min(end.credit, 100)), now)
        now += 0.1
        end.tick(now)
        host.feed(end.take_output())
        assert host.dropped == 0 and end.credit >= 0


def stream_end(data: bytes) -> None:
    """The reader of a TLS stream: a `FrameError` ends it, a `BodyError` is one message's."""
    reader = m.Reader()
    with contextlib.suppress(m.FrameError):
        for envelope in reader.feed(data):
            with contextlib.suppress(m.BodyError):
                m.decode(envelope)


class _Gateway:
    """An owner that takes in whoever says a good hello; what it is told else does not matter here."""

    def unix_ms(self, device: str) -> int:
        return 0

    def on_hello(self, session: Session) -> None:
        session.welcome(_UUID, 1.0)

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: None


class _Wire:
    """A connection that reads what is sent, as the device would."""

    address = "here"

    def __init__(self) -> None:
        self.reader = m.Reader()

    def send(self, data: bytes) -> None:
        for envelope in self.reader.feed(data):
            assert m.decode(envelope) is not None

    def close(self, reason: str) -> None:
        pass


def session_end(data: bytes) -> None:
    """A gateway's session: messages as kind, id, size and body; kind 0 is anything in the stream."""

    async def talk() -> None:
        session = Session(_Gateway(), _Wire(), "app", 60)  # type: ignore[arg-type]
        session.received(m.encode(_HELLO))
        pending = [session.post(m.ListApps()), session.post(m.Call("a", "f", ()))]
        at = 0
        while at + 4 <= len(data):
            kind, id, size = struct.unpack_from("<BBH", data, at)
            body = data[at + 4 : at + 4 + size]
            at += 4 + size
            item = cbor2.dumps([kind, id, body])
            session.received(body if kind == 0 else len(item).to_bytes(2, "big") + item)
        session.lost("the input is over")
        assert session.phase is Phase.OVER
        for answer in pending:
            assert answer.done() and (answer.exception() is None or isinstance(answer.exception(), LabError))

    asyncio.run(talk())


_HELLO = m.Hello(1, "app", "native", "0", bytes(20), m.BootReason.POWER_ON, "", 1, 0, 1, 1, 1, 1, ())


def module_end(data: bytes) -> None:
    """What judges a module before it goes to a device."""
    with contextlib.suppress(LabError):
        sdk.check(data, "it")


def package_end(data: bytes) -> None:
    """What opens a package."""
    with contextlib.suppress(LabError):
        packages.Package.read(data, "it")


def wit_end(data: bytes) -> None:
    """The reader of WIT."""
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(data)
        with contextlib.suppress(LabError):
            wit.read(Path(file.name))


ENDS: dict[str, Callable[[bytes], None]] = {
    "link": link_end,
    "stream": stream_end,
    "session": session_end,
    "module": module_end,
    "package": package_end,
    "wit": wit_end,
}


def seeds(end: str, seed: int = 0, per_rule: int = 10) -> Iterator[bytes]:
    """Yield inputs that an end takes, most of them."""
    match end:
        case "link":
            opened = link.frame(struct.pack("<BHHBI", link.Type.OPEN, 7, 0, 1, 4096))
            for sample in corpus.samples(seed, per_rule, ["heartbeat", "event"]):
                data = link.frame(struct.pack("<BHH", link.Type.DATA, 7, 0) + sample.body[: link.MAX_PAYLOAD])
                other = struct.pack("<BHH", len(sample.body) % 9, 7, 1) + sample.body[:5]
                yield b"\x30" + opened + data + link.frame(other)
        case "stream":
            for sample in corpus.samples(seed, per_rule, ["envelope"]):
                yield len(sample.body).to_bytes(2, "big") + sample.body
        case "session":
            ready = struct.pack("<BBH", 2, 0, 19) + m.pack(m.Ready(_UUID))
            for sample in corpus.samples(seed, per_rule):
                if sample.kind < 250:
                    yield ready + struct.pack("<BBH", sample.kind, 1, len(sample.body)) + sample.body
        case "module":
            yield from targets.seeds("module", seed, per_rule)
        case "package":
            head = bytes.fromhex("d2844da2012604480000000000000000a0")
            for sample in corpus.samples(seed, per_rule, ["package"]):
                yield head + b"".join(map(cbor2.dumps, (sample.body, bytes(64), MAGIC + CORE_VERSION)))
        case "wit":
            for file in sorted(paths.data("wit").glob("*.wit")):
                yield from (file.read_bytes(), file.read_bytes()[:1500])
            yield b"package a:b@0.1.0; interface c { f: func(x: %su8%s); }" % (b"list<" * 3000, b">" * 3000)
