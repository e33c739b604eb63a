"""The messages of docs/protocol.md, section 3, as frozen dataclasses; a test holds them to `wire.cddl`.

A class is the whole declaration of its message: a field's place is its CBOR key, its annotation its type and
limits.

    frame = encode(Heartbeat(uptime=1500, memory_free=40960, apps_running=1, frames_dropped=0))
    [envelope] = Reader().feed(frame)
    decode(envelope)  # Heartbeat(uptime=1500, …), or None for a kind this version does not know

Two errors: `FrameError` ends a session (the stream cannot be trusted any more), `BodyError` is one message's.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Annotated, Any, ClassVar, Protocol, TypeVar, get_type_hints

import cbor2

from lab.errors import LabError

PROTOCOL_VERSION = 1
FRAME_LIMIT = 4096
"""Longest CBOR item taken, and longest frame sent: a device takes TLS records of this many bytes."""
CHUNK_LIMIT = 4032
"""Most module bytes in one `DeployChunk`."""
ENVELOPE_LIMIT = 1024
"""Longest COSE_Sign1 of a package."""
APPS_LIMIT = 8
DEPTH_LIMIT = 8
"""Deepest nesting taken, in an envelope and in a body."""
EXTRA_LIMIT = 8
"""Most keys of a later version in one map; the C codec is generated with this number."""
FIRST_GATEWAY_KIND = 64

_HEADER = struct.Struct(">H")
_NAME = re.compile(r"[A-Za-z0-9._-]{1,32}")


class FrameError(LabError):
    """The stream holds something that is not a message: the session has to end."""


class BodyError(LabError):
    """One message does not match its kind; the stream itself is sound."""


class Shape(Protocol):
    """How one field looks in CBOR. Both directions raise `ValueError` for what the schema does not allow."""

    def read(self, plain: Any) -> Any:
        """Return the field's value for what CBOR holds."""

    def write(self, value: Any) -> Any:
        """Return what CBOR holds for the field's value."""


@dataclass(frozen=True, slots=True)
class _Uint:
    bits: int

    def read(self, plain: Any) -> int:
        if type(plain) is not int or not 0 <= plain < 1 << self.bits:
            raise ValueError(f"an integer from 0 to 2^{self.bits}-1 expected, not {plain!r:.40}")
        return plain

    write = read


@dataclass(frozen=True, slots=True)
class _Sized:
    """Bytes, or text, whose size counts the bytes of its UTF-8 (RFC 8610, section 3.8.1)."""

    type: type[str] | type[bytes]
    low: int
    high: int
    pattern: re.Pattern[str] | None = None

    def read(self, plain: Any) -> Any:
        if type(plain) is not self.type:
            raise ValueError(f"{self.type.__name__} expected, not {type(plain).__name__}")
        size = len(plain.encode() if isinstance(plain, str) else plain)
        if not self.low <= size <= self.high:
            raise ValueError(f"{size} bytes, where {self.low} to {self.high} are allowed")
        if self.pattern and not self.pattern.fullmatch(str(plain)):
            raise ValueError(f"{plain!r}, where only A-Z a-z 0-9 . _ - are allowed")
        return plain

    write = read


@dataclass(frozen=True, slots=True)
class _Enum:
    type: type[IntEnum]

    def read(self, plain: Any) -> IntEnum:
        if type(plain) is not int:
            raise ValueError(f"a number of {self.type.__name__} expected, not {type(plain).__name__}")
        return self.type(plain)

    def write(self, value: Any) -> int:
        return int(self.type(value))


class _Number:
    def read(self, plain: Any) -> int | float:
        if type(plain) is float or (type(plain) is int and -(1 << 63) <= plain < 1 << 63):
            return plain
        raise ValueError(f"a 64-bit integer or a float expected, not {plain!r:.40}")

    write = read


@dataclass(frozen=True, slots=True)
class _List:
    item: Shape
    high: int

    def read(self, plain: Any) -> tuple[Any, ...]:
        if type(plain) is not list:
            raise ValueError(f"a list expected, not {type(plain).__name__}")
        if len(plain) > self.high:
            raise ValueError(f"{len(plain)} items, where at most {self.high} are allowed")
        return tuple(self.item.read(item) for item in plain)

    def write(self, value: Any) -> list[Any]:
        items = [self.item.write(item) for item in value]
        if len(items) > self.high:
            raise ValueError(f"{len(items)} items, where at most {self.high} are allowed")
        return items


@dataclass(frozen=True, slots=True)
class _Map:
    """A record: a map whose key n is the class's field n."""

    type: type[Record]

    def read(self, plain: Any) -> Record:
        if type(plain) is not dict:
            raise ValueError(f"a map expected, not {type(plain).__name__}")
        shapes = self.type.shapes()
        if len(plain) > len(shapes) + EXTRA_LIMIT:
            raise ValueError(f"{len(plain)} keys, where at most {len(shapes) + EXTRA_LIMIT} are allowed")
        values = {}
        for key, (name, shape) in enumerate(shapes.items()):
            if key not in plain:
                raise ValueError(f"{name} (key {key}) is missing")
            try:
                values[name] = shape.read(plain[key])
            except ValueError as error:
                raise ValueError(f"{name} (key {key}): {error}") from None
        return self.type(**values)

    def write(self, value: Any) -> dict[int, Any]:
        plain = {}
        for key, (name, shape) in enumerate(self.type.shapes().items()):
            try:
                plain[key] = shape.write(getattr(value, name))
            except ValueError as error:
                raise ValueError(f"{name} (key {key}): {error}") from None
        return plain


class Record:
    """A CBOR map with integer keys. Subclasses are frozen dataclasses whose annotations carry a `Shape`."""

    _shapes: ClassVar[Mapping[str, Shape]]

    @classmethod
    def shapes(cls) -> Mapping[str, Shape]:
        """Return the shape of each field, in the order of their keys."""
        if "_shapes" not in cls.__dict__:
            hints = get_type_hints(cls, include_extras=True)
            cls._shapes = {field.name: hints[field.name].__metadata__[0] for field in fields(cls)}  # type: ignore[arg-type]
        return cls._shapes


class Message(Record):
    """A record that travels in an envelope, under its own kind."""

    KIND: ClassVar[int]


class AppState(IntEnum):
    """What a device says of an app."""

    RECEIVING = 0
    RUNNING = 1
    STOPPED = 2
    FAILED = 3
    TRIAL = 4


class BootReason(IntEnum):
    """Why a device started."""

    POWER_ON = 0
    RESET = 1
    WATCHDOG = 2
    HARD_FAULT = 3
    STACK_OVERFLOW = 4
    REQUESTED = 5
    PANIC = 6
    UNKNOWN = 7


class ResultCode(IntEnum):
    """How a device answers a request."""

    DONE = 0
    MALFORMED = 1
    UNKNOWN_KIND = 2
    NO_SUCH_APP = 3
    NO_SUCH_FUNCTION = 4
    BAD_ARGUMENTS = 5
    TOO_LARGE = 6
    OUT_OF_MEMORY = 7
    DIGEST_MISMATCH = 8
    WRONG_OFFSET = 9
    NOT_WASM = 10
    IMPORT_REFUSED = 11
    TRAP = 12
    BUSY = 13
    TOO_MANY_APPS = 14
    BUDGET_EXCEEDED = 15
    REFUSED = 16
    IO_ERROR = 17
    BAD_SIGNATURE = 18
    UNSIGNED = 19
    WRONG_CLASS = 20
    OLD_SEQUENCE = 21
    FLASH_FULL = 22


class LogLevel(IntEnum):
    """How much a log line matters."""

    DEBUG = 0
    INFO = 1
    WARNING = 2
    ERROR = 3


Uint = Annotated[int, _Uint(32)]
Uint64 = Annotated[int, _Uint(64)]
Name = Annotated[str, _Sized(str, 1, 32, _NAME)]
Words = Annotated[str, _Sized(str, 0, 200)]
Digest = Annotated[bytes, _Sized(bytes, 32, 32)]
Uuid = Annotated[bytes, _Sized(bytes, 16, 16)]
AppVersion = Annotated[str, _Sized(str, 0, 24)]
Flag = Annotated[int, _Uint(1)]


@dataclass(frozen=True)
class AppStatus(Record):
    """The device's own word on one app."""

    name: Name
    state: Annotated[AppState, _Enum(AppState)]
    digest: Digest
    size: Uint
    memory: Uint
    reason: Words
    sequence: Uint = 0
    version: AppVersion = ""
    rejected: Annotated[bytes, _Sized(bytes, 0, 32)] = b""


_Apps = Annotated[tuple[AppStatus, ...], _List(_Map(AppStatus), APPS_LIMIT)]

# ---- device to gateway


@dataclass(frozen=True)
class Hello(Message):
    """Who a device is, why it started, what it can take and what it runs. Sizes in bytes, uptime in ms."""

    KIND = 1
    version: Annotated[int, _Uint(8)]
    device: Name
    board: Name
    firmware: Words
    build_id: Annotated[bytes, _Sized(bytes, 20, 20)]
    boot_reason: Annotated[BootReason, _Enum(BootReason)]
    boot_detail: Words
    boots: Uint
    uptime: Uint64
    memory: Uint
    memory_free: Uint
    max_module: Uint
    max_chunk: Uint
    apps: _Apps
    development: Flag = 0


@dataclass(frozen=True)
class Ready(Message):
    """The answer to `Welcome`: from here on the device is connected."""

    KIND = 2
    uuid: Uuid


@dataclass(frozen=True)
class Heartbeat(Message):
    """A sign of life. Uptime in ms, memory in bytes."""

    KIND = 3
    uptime: Uint64
    memory_free: Uint
    apps_running: Uint
    frames_dropped: Uint


@dataclass(frozen=True)
class Ack(Message):
    """The answer to a request; `offset` is where a deployment goes on."""

    KIND = 4
    code: Annotated[ResultCode, _Enum(ResultCode)]
    text: Words
    offset: Uint


@dataclass(frozen=True)
class AppStatusChanged(Message):
    """An app started, stopped or failed."""

    KIND = 5
    status: Annotated[AppStatus, _Map(AppStatus)]


@dataclass(frozen=True)
class LogLine(Message):
    """A line logged by an app, or by the firmware itself (`app` empty). Uptime in ms."""

    KIND = 6
    uptime: Uint64
    level: Annotated[LogLevel, _Enum(LogLevel)]
    app: Annotated[str, _Sized(str, 0, 32)]
    text: Annotated[str, _Sized(str, 0, 512)]


@dataclass(frozen=True)
class Event(Message):
    """What an app published. Uptime in ms."""

    KIND = 7
    uptime: Uint64
    app: Name
    topic: Annotated[str, _Sized(str, 1, 64)]
    data: Annotated[bytes, _Sized(bytes, 0, 1024)]


@dataclass(frozen=True)
class CallResult(Message):
    """What a called function returned, and how long it ran on the device, in µs."""

    KIND = 8
    code: Annotated[ResultCode, _Enum(ResultCode)]
    text: Words
    values: Annotated[tuple[int | float, ...], _List(_Number(), 4)]
    duration: Uint64


@dataclass(frozen=True)
class CommandResult(Message):
    """What an app answered to a `Command`, and how long that took on the device, in µs."""

    KIND = 10
    code: Annotated[ResultCode, _Enum(ResultCode)]
    text: Words
    answer: Annotated[bytes, _Sized(bytes, 0, 256)]
    duration: Uint64


@dataclass(frozen=True)
class AppUse(Message):
    """WASM instructions that an app's calls took since it was loaded, and that one call took and may take."""

    KIND = 11
    app: Name
    instructions: Uint64
    peak: Uint
    budget: Uint


@dataclass(frozen=True)
class AppList(Message):
    """The answer to `ListApps`."""

    KIND = 9
    apps: _Apps


# ---- gateway to device


@dataclass(frozen=True)
class Welcome(Message):
    """The device is taken in. Unix time and heartbeat interval in ms."""

    KIND = 64
    uuid: Uuid
    time: Uint64
    heartbeat: Uint


@dataclass(frozen=True)
class Pending(Message):
    """The device is unknown and waits to be accepted."""

    KIND = 65
    text: Words


@dataclass(frozen=True)
class Goodbye(Message):
    """Why the session ends."""

    KIND = 66
    text: Words


@dataclass(frozen=True)
class HeartbeatAck(Message):
    """A heartbeat arrived. Unix time in ms."""

    KIND = 67
    time: Uint64


@dataclass(frozen=True)
class Configure(Message):
    """A new heartbeat interval, in ms."""

    KIND = 68
    heartbeat: Uint


@dataclass(frozen=True)
class DeployBegin(Message):
    """A module of `size` bytes is coming. Acked with the offset to start from.

    :param envelope: the COSE_Sign1 of its package; empty for an unsigned module.
    """

    KIND = 69
    name: Name
    size: Uint
    digest: Digest
    envelope: Annotated[bytes, _Sized(bytes, 0, ENVELOPE_LIMIT)] = b""


@dataclass(frozen=True)
class DeployChunk(Message):
    """Bytes of the module from `offset`."""

    KIND = 70
    offset: Uint
    data: Annotated[bytes, _Sized(bytes, 0, CHUNK_LIMIT)]


@dataclass(frozen=True)
class DeployEnd(Message):
    """All of the module was sent: verify, load and start it."""

    KIND = 71


@dataclass(frozen=True)
class Stop(Message):
    """End an app and free its memory."""

    KIND = 72
    name: Name


@dataclass(frozen=True)
class Call(Message):
    """Run a function that an app exports."""

    KIND = 73
    app: Name
    function: Annotated[str, _Sized(str, 1, 64)]
    arguments: Annotated[tuple[int | float, ...], _List(_Number(), 8)]


@dataclass(frozen=True)
class Command(Message):
    """Give bytes to an app's ``on-command``."""

    KIND = 76
    app: Name
    payload: Annotated[bytes, _Sized(bytes, 0, 256)]


@dataclass(frozen=True)
class ListApps(Message):
    """Ask for every app on the device."""

    KIND = 74


@dataclass(frozen=True)
class Reset(Message):
    """Restart; acked before it happens."""

    KIND = 75


@dataclass(frozen=True)
class Remove(Message):
    """End an app and forget it, except for the sequence number it reached."""

    KIND = 77
    name: Name


MESSAGES: Mapping[int, type[Message]] = {message.KIND: message for message in Message.__subclasses__()}

# ---- provisioning


@dataclass(frozen=True)
class Identity(Record):
    """What makes a device that device (docs/protocol.md, section 4). DER; Unix time in seconds."""

    version: Annotated[int, _Uint(8)]
    device: Name
    ca: Annotated[bytes, _Sized(bytes, 1, 1024)]
    certificate: Annotated[bytes, _Sized(bytes, 1, 1024)]
    key: Annotated[bytes, _Sized(bytes, 1, 256)]
    gateway: Annotated[str, _Sized(str, 1, 64)]
    seed: Annotated[bytes, _Sized(bytes, 32, 32)]
    time: Uint64
    publishers: Annotated[tuple[bytes, ...], _List(_Sized(bytes, 65, 65), 4)] = ()
    vendor: Name = "lab"
    board_class: Name = "lab"
    development: Flag = 0


@dataclass(frozen=True, slots=True)
class Manifest(Record):
    """What an app may import and use up: the custom section `lab:manifest`. 0: the device's own limit."""

    version: Annotated[int, _Uint(8)]
    interfaces: Annotated[tuple[str, ...], _List(_Sized(str, 1, 32, _NAME), 24)]
    i2c: Annotated[tuple[int, ...], _List(_Uint(8), 16)]
    memory: Uint
    instructions: Uint


@dataclass(frozen=True, slots=True)
class Package(Record):
    """What a publisher signs of an app (docs/protocol.md, section 5). Size in bytes, trial time in ms."""

    format: Annotated[int, _Uint(8)]
    name: Name
    version: AppVersion
    sequence: Uint
    vendor: Name
    classes: Annotated[tuple[str, ...], _List(_Sized(str, 1, 32, _NAME), 8)]
    size: Uint
    digest: Digest
    manifest: Annotated[Manifest, _Map(Manifest)]
    trial_polls: Annotated[int, _Uint(16)]
    trial_time: Uint


# ---- encoding


@dataclass(frozen=True, slots=True)
class Envelope:
    """What the stream holds: a kind, the id of the request it belongs to or 0, and a body still in CBOR."""

    kind: int
    id: int
    body: bytes


R = TypeVar("R", bound=Record)


def pack(record: Record) -> bytes:
    """Return the CBOR map of a record. Raises `BodyError` for a value the schema does not allow."""
    try:
        return cbor2.dumps(_Map(type(record)).write(record))
    except ValueError as error:
        raise BodyError(f"{type(record).__name__} cannot be sent: {error}") from error


def unpack(type_: type[R], data: bytes) -> R:
    """Return the record a CBOR map holds; keys it does not know are ignored. Raises `BodyError`."""
    try:
        return _Map(type_).read(_loads(data))  # type: ignore[return-value]
    except ValueError as error:
        raise BodyError(f"{type_.__name__} is malformed: {error}") from error


def encode(message: Message, id: int = 0) -> bytes:
    """Return the bytes that send a message, its length in front. Raises `BodyError` if it may not be sent."""
    item = cbor2.dumps([message.KIND, id, pack(message)])
    frame = _HEADER.pack(len(item)) + item
    if len(frame) > FRAME_LIMIT:
        raise BodyError(
            f"{type(message).__name__} of {len(frame)} bytes is longer than a record ({FRAME_LIMIT})"
        )
    return frame


def decode(envelope: Envelope) -> Message | None:
    """Return the message in an envelope, or None if its kind is not known. Raises `BodyError`."""
    type_ = MESSAGES.get(envelope.kind)
    return unpack(type_, envelope.body) if type_ else None


class Reader:
    """Cuts a stream into envelopes, however it was split or merged on its way."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Envelope]:
        """Yield each envelope that is complete now. Raises `FrameError`, after which nothing can follow."""
        self._buffer += data
        while len(self._buffer) >= _HEADER.size:
            (length,) = _HEADER.unpack_from(self._buffer)
            if not 0 < length <= FRAME_LIMIT:
                raise FrameError(f"message of {length} bytes: 1 to {FRAME_LIMIT} are allowed")
            end = _HEADER.size + length
            if len(self._buffer) < end:
                return
            item = bytes(self._buffer[_HEADER.size : end])
            del self._buffer[:end]
            yield _envelope(item)


def _envelope(item: bytes) -> Envelope:
    try:
        plain = _loads(item)
        if type(plain) is not list or len(plain) != 3:
            raise ValueError("[kind, id, body] expected")
        kind, id, body = plain
        return Envelope(_Uint(16).read(kind), _Uint(32).read(id), _Sized(bytes, 0, FRAME_LIMIT).read(body))
    except ValueError as error:
        raise FrameError(f"message is malformed: {error}") from error


def _loads(data: bytes) -> Any:
    """Decode one CBOR item that fills `data`. Raises `ValueError`."""
    _inspect(data)
    try:
        return cbor2.loads(data)
    except cbor2.CBORDecodeError as error:  # text that is no UTF-8
        raise ValueError(str(error)) from error


def _inspect(data: bytes) -> None:
    """Refuse what this protocol never sends, before anything is built from it: twin of firmware/core/cbor.c.

    That is deep nesting, indefinite lengths, tags, heads longer than they need be, and maps whose keys are
    not ascending integers: a general decoder recurses as deep as the sender likes, follows a tag into a
    bignum, a date or a shared reference, and keeps the last of two equal keys. RFC 8949, section 3, is the
    format.
    """
    at = 0
    open_items = [1]  # how many items each container we are in still lacks
    least_keys = [-1]  # what the next key of each may be, -1 in a list
    while open_items:
        if open_items[-1] == 0:
            open_items.pop()
            least_keys.pop()
            continue
        is_key = least_keys[-1] >= 0 and open_items[-1] % 2 == 0
        open_items[-1] -= 1
        if at >= len(data):
            raise ValueError("it is cut short")
        major, info = data[at] >> 5, data[at] & 0x1F
        argument, at = _argument(data, at)
        if is_key:
            if major != 0 or argument >> 32:
                raise ValueError("a key is no unsigned integer of 32 bits")
            if argument < least_keys[-1]:
                raise ValueError("keys do not ascend")
            least_keys[-1] = argument + 1
        elif major in (2, 3):
            at += argument
        elif major in (4, 5):
            open_items.append(argument * (major - 3))
            least_keys.append(0 if major == 5 else -1)
            if len(open_items) > DEPTH_LIMIT + 1:
                raise ValueError(f"it nests deeper than {DEPTH_LIMIT}")
        elif major == 6:
            raise ValueError("it holds a tag")
        elif major == 7 and (info < 20 or info == 24):
            raise ValueError("it holds a simple value without a meaning")
    if at != len(data):
        raise ValueError("it is cut short" if at > len(data) else f"{len(data) - at} bytes follow it")


def _argument(data: bytes, at: int) -> tuple[int, int]:
    """Return the argument of the CBOR head at `at`, and where its content starts."""
    info = data[at] & 0x1F
    if info < 24:
        return info, at + 1
    if info > 27:
        raise ValueError("it holds an indefinite length or a reserved value")
    size = 1 << (info - 24)
    end = at + 1 + size
    if end > len(data):
        raise ValueError("it is cut short")
    argument = int.from_bytes(data[at + 1 : end], "big")
    # A float is as long as it is.
    if data[at] < 0xE0 and argument < (24 if size == 1 else 1 << 4 * size):
        raise ValueError("it holds a number or length that is not in its shortest form")
    return argument, end
