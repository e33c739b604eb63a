"""The Python codec against the schema, against itself, and against what nobody should send."""

from __future__ import annotations

import contextlib
import json
import re
from enum import IntEnum
from pathlib import Path
from typing import Any

import cbor2
import pytest
import zcbor
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lab.wire import messages as m

CDDL = (Path(m.__file__).parent / "wire.cddl").read_text()
VECTORS = Path(__file__).parents[1] / "vectors" / "wire.txt"
TYPES = zcbor.DataTranslator.from_cddl(CDDL, 1000).my_types
RECORDS: list[type[m.Record]] = [*m.MESSAGES.values(), m.AppStatus, m.Identity, m.Manifest, m.Package]

# zcbor's checker takes milliseconds a message, and there are two cores.
some = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def rule(type_: type[m.Record]) -> str:
    """The schema's name of a record: AppStatusChanged is app-status-changed."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", type_.__name__).lower()


def shape_strategy(shape: Any) -> st.SearchStrategy[Any]:
    match shape:
        case m._Uint(bits):
            return st.integers(0, (1 << bits) - 1)
        case m._Sized(type_, low, high, pattern) if pattern:
            return st.from_regex(pattern, fullmatch=True)
        case m._Sized(type_, low, high) if type_ is bytes:
            return st.binary(min_size=low, max_size=high)
        case m._Sized(_, low, high):
            return st.text(st.characters(codec="utf-8"), min_size=low, max_size=high).filter(
                lambda text: low <= len(text.encode()) <= high
            )
        case m._Enum(type_):
            return st.sampled_from(list(type_))
        case m._Number():
            return st.integers(-(1 << 63), (1 << 63) - 1) | st.floats(allow_nan=False)
        case m._List(item, high):
            return st.lists(shape_strategy(item), max_size=high).map(tuple)
        case m._Map(type_):
            return record_strategy(type_)
    raise AssertionError(shape)


def record_strategy(type_: type[m.Record]) -> st.SearchStrategy[Any]:
    return st.builds(type_, **{name: shape_strategy(shape) for name, shape in type_.shapes().items()})


records = st.sampled_from(RECORDS).flatmap(record_strategy)
sent = st.sampled_from([*m.MESSAGES.values()]).flatmap(record_strategy)


@some
@given(records)
def test_what_is_packed_is_what_the_schema_allows(record: m.Record) -> None:
    TYPES[rule(type(record))].validate_str(m.pack(record))


@some
@given(records)
def test_round_trip(record: m.Record) -> None:
    assert m.unpack(type(record), m.pack(record)) == record


@some
@given(records, st.data())
def test_codec_and_schema_refuse_the_same(record: m.Record, data: st.DataObject) -> None:
    """One value of a good map is replaced by anything; both must agree on the outcome."""
    plain = cbor2.loads(m.pack(record))
    if not plain:
        return
    key = data.draw(st.sampled_from(sorted(plain)))
    shape = list(type(record).shapes().values())[key]
    plain[key] = data.draw(
        st.integers(-(1 << 63), (1 << 64) - 1)
        | st.booleans()
        | st.none()
        | st.floats(allow_nan=False)
        | st.binary(max_size=40)
        | st.text(st.sampled_from("ab-"), max_size=40)
        | st.lists(st.integers(0, 3), max_size=10)
        | st.just({0: 0})
    )
    body = cbor2.dumps(plain)
    try:
        TYPES[rule(type(record))].validate_str(body)
        allowed = not (isinstance(shape, m._Uint) and plain[key] < 0)  # which zcbor's Python overlooks
    except zcbor.CddlValidationError:
        allowed = False
    try:
        m.unpack(type(record), body)
        accepted = True
    except m.BodyError:
        accepted = False
    assert accepted == allowed


def test_every_message_of_the_schema_has_a_class_and_a_kind() -> None:
    kinds = {
        name: int(number)
        for name, number in re.findall(r"^([a-z-]+) = \{(?:[^}]*?)(?:\}\s*)?; kind (\d+)", CDDL, re.MULTILINE)
    }
    assert kinds == {rule(type_): kind for kind, type_ in m.MESSAGES.items()}


@pytest.mark.parametrize(
    ("name", "type_", "comment"),
    [
        ("app-state", m.AppState, r"app-state = 0\.\.\d+\s*; (.*)"),
        ("boot-reason", m.BootReason, r"; (power-on.*)\nboot-reason"),
        ("result-code", m.ResultCode, r"; (done,.*,)\n; (.*,)\n; (.*)\nresult-code"),
        ("log-level", m.LogLevel, r"log-level = 0\.\.\d+\s*; (.*)"),
    ],
)
def test_enumerations_are_the_schema_s(name: str, type_: type[IntEnum], comment: str) -> None:
    found = re.search(comment, CDDL)
    assert found
    names = re.findall(r"[a-z-]+", " ".join(found.groups()))
    assert [member.name.lower().replace("_", "-") for member in type_] == names
    assert [member.value for member in type_] == list(range(len(names)))
    assert f"{name} = 0..{len(names) - 1}" in CDDL


@some
@given(st.lists(st.tuples(sent, st.integers(0, (1 << 32) - 1)), max_size=5), st.data())
def test_reader_finds_messages_however_they_are_cut(
    messages: list[tuple[m.Message, int]], data: st.DataObject
) -> None:
    stream = b"".join(m.encode(message, id) for message, id in messages)
    reader = m.Reader()
    found = []
    at = 0
    while at < len(stream):
        step = data.draw(st.sampled_from([1, 2, 3, 100, 4096]))
        found += reader.feed(stream[at : at + step])
        at += step
    assert [(m.decode(envelope), envelope.id) for envelope in found] == messages


@some
@given(st.binary(max_size=200))
def test_garbage_raises_only_frame_errors(noise: bytes) -> None:
    reader = m.Reader()
    try:
        for envelope in reader.feed(noise):
            assert isinstance(envelope, m.Envelope)
    except m.FrameError:
        pass


@some
@given(st.binary(max_size=200), st.sampled_from(RECORDS))
def test_garbage_bodies_raise_only_body_errors(noise: bytes, type_: type[m.Record]) -> None:
    with contextlib.suppress(m.BodyError):
        m.unpack(type_, noise)


def frame(item: bytes) -> bytes:
    return len(item).to_bytes(2, "big") + item


BAD_FRAMES = {
    "empty": frame(b""),
    "longer than allowed": b"\x10\x01",
    "no list": frame(b"\x00"),
    "two items": frame(b"\x82\x01\x00"),
    "four items": frame(b"\x84\x01\x00\x40\x00"),
    "kind above 16 bits": frame(cbor2.dumps([1 << 16, 0, b""])),
    "negative id": frame(cbor2.dumps([1, -1, b""])),
    "id above 32 bits": frame(cbor2.dumps([1, 1 << 32, b""])),
    "kind is true": frame(cbor2.dumps([True, 0, b""])),
    "body is text": frame(cbor2.dumps([1, 0, ""])),
    "bytes follow": frame(cbor2.dumps([1, 0, b""]) + b"\x00"),
    "body cut short": frame(b"\x83\x01\x00\x45ab"),
    "length cut short": frame(b"\x83\x01\x00\x5a\x00"),
    "too deep": frame(b"\x81" * 4000 + b"\x00"),
    "endless list": frame(b"\x9f\x01\x00\x40\xff"),
    "a billion items": frame(b"\x9b" + b"\xff" * 8),
    "bignum": frame(b"\x83\xc2\x41\x01\x00\x40"),
    "shared reference": frame(b"\xd8\x1c\x83\x01\x00\x40"),
}


@pytest.mark.parametrize("data", BAD_FRAMES.values(), ids=BAD_FRAMES)
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(m.FrameError):
        list(m.Reader().feed(data))


@pytest.mark.parametrize("name", ["bignum", "shared reference"])
def test_tags_are_refused_as_tags(name: str) -> None:
    with pytest.raises(m.FrameError, match="it holds a tag"):
        list(m.Reader().feed(BAD_FRAMES[name]))


BAD_BODIES = {
    "empty": b"",
    "no map": b"\x80",
    "a key is missing": cbor2.dumps({0: 1, 1: 2, 2: 3}),
    "keys descend": bytes.fromhex("a4 03 00 02 00 01 00 00 00"),
    "a key twice": bytes.fromhex("a5 00 00 00 00 01 00 02 00 03 00"),
    "a text key": cbor2.dumps({0: 1, 1: 2, 2: 3, 3: 4, "x": 1}),
    "a list as key": bytes.fromhex("a5 00 00 01 00 02 00 03 00 80 00"),
    "negative": cbor2.dumps({0: -1, 1: 2, 2: 3, 3: 4}),
    "above 32 bits": cbor2.dumps({0: 1, 1: 1 << 32, 2: 3, 3: 4}),
    "a decimal with a monstrous exponent": bytes.fromhex("a1 00 c4 82 1b 7fffffffffffffff 01"),
    "bad UTF-8": bytes.fromhex("a1 00 61 ff"),
}


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES)
def test_what_is_no_body_is_refused(body: bytes) -> None:
    with pytest.raises(m.BodyError):
        m.unpack(m.Heartbeat, body)


def test_unknown_keys_and_kinds_are_ignored() -> None:
    body = cbor2.dumps({0: 1, 1: 2, 2: 3, 3: 4, 4: "new", 9: [[["deep"]]]})
    assert m.unpack(m.Heartbeat, body) == m.Heartbeat(1, 2, 3, 4)
    assert m.decode(m.Envelope(999, 0, b"not even CBOR")) is None


@pytest.mark.parametrize(
    "message",
    [
        m.Stop("a/b"),
        m.Stop("ü"),
        m.Stop("x" * 33),
        m.Goodbye("ü" * 101),
        m.DeployChunk(0, bytes(m.CHUNK_LIMIT + 1)),
        m.DeployChunk(1 << 32, b""),
        m.Call("a", "f", tuple(range(9))),
        m.Call("a", "f", (1 << 63,)),
        m.Call("a", "f", (True,)),
        m.DeployBegin("a", 1, bytes(31)),
    ],
    ids=repr,
)
def test_what_the_schema_forbids_is_not_sent(message: m.Message) -> None:
    with pytest.raises(m.BodyError):
        m.encode(message)


def test_the_longest_message_to_a_device_fits_one_record() -> None:
    chunk = m.encode(m.DeployChunk((1 << 32) - 1, bytes(m.CHUNK_LIMIT)), (1 << 32) - 1)
    call = m.encode(m.Call("a" * 32, "f" * 64, (-1.5,) * 8), (1 << 32) - 1)
    assert max(len(chunk), len(call)) <= m.FRAME_LIMIT


# ---- golden vectors: what the C codec is tested with, too


def plain_json(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value


def read_vectors() -> list[list[str]]:
    lines = VECTORS.read_text().splitlines()
    return [line.split("\t") for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize("line", read_vectors(), ids=lambda line: " ".join(line[:2]))
def test_golden_vectors(line: list[str]) -> None:
    verdict, name, kind, id, frame_hex, fields = line
    data = bytes.fromhex(frame_hex)
    if verdict == "malformed":
        with pytest.raises((m.FrameError, m.BodyError)):
            for envelope in m.Reader().feed(data):
                m.decode(envelope)
        return
    [envelope] = m.Reader().feed(data)
    assert (envelope.kind, envelope.id) == (int(kind), int(id))
    message = m.decode(envelope)
    assert rule(type(message)) == name
    assert json.dumps(m._Map(type(message)).write(message), default=plain_json) == fields
    if verdict == "exact":
        assert m.encode(message, envelope.id) == data
        TYPES[name].validate_str(envelope.body)


def test_every_message_has_a_golden_vector() -> None:
    named = {name for verdict, name, *_ in read_vectors() if verdict == "exact"}
    assert named == {rule(type_) for type_ in m.MESSAGES.values()}
