"""Faults on demand: one vocabulary for what can go wrong, and one way to make it happen and end it.

A fault is a row of data: its class below states name, target, engines and parameters with unit and range, and
`known` makes of them the table that `lab fault --known`, the API and docs/faults.md show. `Faults` keeps what
is in force in a lab. A new fault is one class here and its name in `_KINDS`.
"""

from __future__ import annotations

import contextlib
import random
import signal
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import anyio
import structlog
from anyio.abc import TaskGroup
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from lab.device import Device
from lab.engines import OwnProcess
from lab.engines.native import FLASH_FILE, NativeMachine
from lab.errors import LabError, LabTimeoutError, UsageError
from lab.events import Events
from lab.gateway import Gateway
from lab.line import Corrupt, Delay, Disturbance, Drop, Hits, Line, Slow, Way
from lab.peripherals.parts.nor_flash import NorFlash
from lab.waiting import Gate

log = structlog.get_logger()

Json = dict[str, Any]

DEVICE, GATEWAY = "device", "gateway"
ENGINES = ("native", "qemu", "renode", "serial")
LONGEST = 86400.0
"""Seconds a fault may be asked to last; without that it lasts until it is cleared."""
_MOMENT = 10.0  # s


Direction = Literal["up", "down", "both"]
"""Which way of the link, seen from the device."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where a fault happens.

    :param gateway: the lab's.
    :param gate: the way of all devices to it.
    :param device: the device; none if it happens at the gateway.
    """

    gateway: Gateway
    gate: Gate
    device: Device | None

    @property
    def powered(self) -> Device:
        """The device, of a fault that only devices have."""
        assert self.device is not None
        return self.device


@dataclass(frozen=True, slots=True)
class Effect:
    """A fault that lasts.

    :param undo: ends it; called once.
    :param hits: how many bytes it has hit, if it counts them.
    """

    undo: Callable[[], Awaitable[None]]
    hits: Callable[[], int | None] = lambda: None


@dataclass(frozen=True, kw_only=True)
class Fault(ABC):
    """Something that goes wrong. Its fields are its parameters; its docstring is what users read.

    :cvar name: what users call it.
    :cvar targets: what can have it.
    :cvar cannot: engines that cannot have it, and why.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    name: ClassVar[str]
    targets: ClassVar[Sequence[str]] = (DEVICE,)
    cannot: ClassVar[Mapping[str, str]] = {}

    @property
    def key(self) -> str:
        """A target has one fault of each key; another one takes its place."""
        return self.name

    @abstractmethod
    async def begin(self, site: Site, spent: Callable[[], None]) -> Effect | None:
        """Make it happen; return what lasts, or nothing if it is over at once.

        :param spent: to be called when it ends by itself.
        :raises LabError: it cannot be, here and now.
        """


# -- the link


@dataclass(frozen=True, kw_only=True)
class LinkFault(Fault):
    """What they all have in common."""

    direction: Annotated[Direction, Field(description="which way, seen from the device")] = "both"

    @property
    def random_seed(self) -> int:
        """What its randomness depends on, if it has any."""
        return 0

    @property
    def ways(self) -> Sequence[Way]:
        """Which ways it disturbs."""
        return tuple(Way) if self.direction == "both" else (Way(self.direction),)

    @abstractmethod
    def make(self, source: random.Random, spent: Callable[[], None]) -> Disturbance:
        """Return what disturbs one way."""

    async def begin(self, site: Site, spent: Callable[[], None]) -> Effect:
        """Disturb the line."""
        line: Line = site.powered.line
        unspent = set(self.ways)

        def note(way: Way) -> None:
            unspent.discard(way)
            if not unspent:
                spent()

        def disturbance(way: Way) -> Disturbance:
            return self.make(random.Random(f"{self.random_seed} {way}"), lambda: note(way))

        disturbing = {way: disturbance(way) for way in self.ways}
        for way, each in disturbing.items():
            line.disturb(way, each)

        async def undo() -> None:
            for way, each in disturbing.items():
                line.settle(way, each)

        return Effect(undo, lambda: sum(each.hits for each in disturbing.values()))


@dataclass(frozen=True, kw_only=True)
class _Seeded(LinkFault):
    """A fault of chance."""

    seed: Annotated[int, Field(ge=0, le=2**32, description="of the chance: same bytes, same hits")] = 0

    @property
    def random_seed(self) -> int:
        return self.seed


@dataclass(frozen=True, kw_only=True)
class _SomeBytes(_Seeded):
    """Hits each byte with a probability, or the next ones for certain."""

    rate: Annotated[float | None, Field(gt=0, le=1, description="probability of each byte")] = None
    next: Annotated[
        int | None, Field(ge=1, le=1 << 30, description="instead of rate: so many bytes from now on")
    ] = None

    def __post_init__(self) -> None:
        if (self.rate is None) == (self.next is None):
            raise ValueError("give either rate or next")

    def hits(self, source: random.Random, spent: Callable[[], None]) -> Hits:
        """Return which bytes it hits."""
        return Hits(self.rate or 0, self.next, source, spent)


class LinkDrop(_SomeBytes):
    """Bytes get lost."""

    name = "link.drop"

    def make(self, source: random.Random, spent: Callable[[], None]) -> Disturbance:  # noqa: D102
        return Drop(self.hits(source, spent))


class LinkCorrupt(_SomeBytes):
    """One bit of a byte flips."""

    name = "link.corrupt"

    def make(self, source: random.Random, spent: Callable[[], None]) -> Disturbance:  # noqa: D102
        return Corrupt(self.hits(source, spent), source)


class LinkCut(LinkFault):
    """The line is cut: no byte arrives."""

    name = "link.cut"

    def make(self, source: random.Random, spent: Callable[[], None]) -> Disturbance:  # noqa: D102
        return Drop(Hits(1, None, source, spent))


@dataclass(frozen=True, kw_only=True)
class LinkDelay(_Seeded):
    """Bytes arrive late, in order."""

    name = "link.delay"
    seconds: Annotated[float, Field(ge=0, le=60, description="by how much", json_schema_extra={"unit": "s"})]
    jitter: Annotated[
        float, Field(ge=0, le=60, description="and by up to so much more", json_schema_extra={"unit": "s"})
    ] = 0

    def make(self, source: random.Random, spent: Callable[[], None]) -> Disturbance:  # noqa: D102
        return Delay(self.seconds, self.jitter, source)


@dataclass(frozen=True, kw_only=True)
class LinkSlow(LinkFault):
    """The UART is slow: ten bits a byte, one after the other."""

    name = "link.slow"
    baud: Annotated[int, Field(ge=300, le=4_000_000, json_schema_extra={"unit": "bit/s"})]

    def make(self, source: random.Random, spent: Callable[[], None]) -> Disturbance:  # noqa: D102
        return Slow(self.baud)


# -- the gateway


class GatewayDown(Fault):
    """The gateway has crashed: every session is cut without a goodbye, connections are refused."""

    name = "gateway.down"
    targets = (GATEWAY,)

    async def begin(self, site: Site, spent: Callable[[], None]) -> Effect:
        """Stop it; keep its port from others until it listens again."""
        gateway = site.gateway
        await gateway.stop(goodbye=False)
        reserved = socket.socket()
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):  # lost to a program quicker than this: start() says so
            reserved.bind(gateway.address)

        async def undo() -> None:
            with reserved:
                await gateway.start()

        return Effect(undo)


class GatewayUnreachable(Fault):
    """Nothing passes between device and gateway; neither is told. What was sent arrives afterwards."""

    name = "gateway.unreachable"
    targets = (DEVICE, GATEWAY)

    async def begin(self, site: Site, spent: Callable[[], None]) -> Effect:
        """Close the way to it: of one device or, at the gateway, of all that this lab runs."""
        gate = site.device.gate if site.device else site.gate
        gate.close()

        async def undo() -> None:
            gate.open()

        return Effect(undo)


@dataclass(frozen=True, kw_only=True)
class ClockOffset(Fault):
    """The gateway tells a wrong time (welcome, heartbeat-ack), by which devices check certificates."""

    name = "clock.offset"
    targets = (DEVICE, GATEWAY)
    seconds: Annotated[
        float,
        Field(ge=-3.2e9, le=3.2e9, description="ahead of the host's clock", json_schema_extra={"unit": "s"}),
    ]

    async def begin(self, site: Site, spent: Callable[[], None]) -> Effect:
        """Have the gateway tell it, to one device or to all; connected ones are told at once."""
        device = site.device.id if site.device else None
        site.gateway.set_clock(self.seconds, device)

        async def undo() -> None:
            site.gateway.set_clock(0, device)

        return Effect(undo)


# -- the machine

_NO_PROCESS = {
    "renode": "boards share one Renode process: it would end or stop its neighbours too",
    "serial": "the board is real, there is no process",
}


class MachineKill(Fault):
    """The emulator, or the native process, is killed (SIGKILL). The device is then `crashed`."""

    name = "machine.kill"
    cannot = _NO_PROCESS

    async def begin(self, site: Site, spent: Callable[[], None]) -> None:
        """Kill it, and return when the lab has noticed."""
        _process(site).send_signal(signal.SIGKILL)
        with _at_once(f"{site.powered.id} did not end"):
            await site.powered.ended.wait()


class MachineHang(Fault):
    """The emulator, or the native process, hangs (SIGSTOP); the lab is not told, as it is by `lab pause`."""

    name = "machine.hang"
    cannot = _NO_PROCESS

    async def begin(self, site: Site, spent: Callable[[], None]) -> Effect:
        """Stop it."""
        process = _process(site)
        process.send_signal(signal.SIGSTOP)

        async def undo() -> None:
            process.send_signal(signal.SIGCONT)

        return Effect(undo)


@contextlib.contextmanager
def _at_once(complaint: str) -> Iterator[None]:
    """Bound what takes a moment: nothing else can be done to a lab's faults meanwhile.

    :raises LabTimeoutError: it takes longer.
    """
    try:
        with anyio.fail_after(_MOMENT):
            yield
    except TimeoutError as error:
        raise LabTimeoutError(f"{complaint} within {_MOMENT:g} s", hint="see if it hangs: lab ps") from error


def _process(site: Site) -> OwnProcess:
    machine = site.powered.machine
    assert isinstance(machine, OwnProcess)
    return machine


# -- simulated parts

_REAL_PARTS = {"serial": "its parts are real"}


@dataclass(frozen=True, kw_only=True)
class SensorFail(Fault):
    """A simulated part fails. Which parts a device has, and what is wrong with each, says `lab sensor`."""

    name = "sensor.fail"
    cannot = _REAL_PARTS
    part: Annotated[str, Field(min_length=1, max_length=64, description="its name on the board, as dht22")]
    how: Annotated[
        Literal["nack", "stuck", "bad-checksum", "unplugged"],
        Field(description="no acknowledge, holds its bus down, sends a wrong checksum, is not there"),
    ]

    @property
    def key(self) -> str:
        """Every part can fail at the same time."""
        return f"{self.name} {self.part}"

    async def begin(self, site: Site, spent: Callable[[], None]) -> Effect:
        """Set it on the part's model."""
        parts = site.powered.peripherals
        parts.set(f"{self.part}.fault", self.how)

        async def undo() -> None:
            parts.set(f"{self.part}.fault", "none")

        return Effect(undo)


# -- flash

_NO_FLASH = {
    "renode": "the board's flash is inside Renode",
    "serial": "the flash is real",
}
_ONLY_PARTS = _NO_FLASH | {"native": "the firmware keeps its flash in a file itself"}


@dataclass(frozen=True, kw_only=True)
class FlashFlip(Fault):
    """Bits of the flash flip, at random. What a device has read before, it reads again when it restarts."""

    name = "flash.flip"
    cannot = _NO_FLASH
    bits: Annotated[int, Field(ge=1, le=1 << 16, description="how many")] = 1
    start: Annotated[int, Field(ge=0, le=1 << 28, description="first address, from the flash's own 0")] = 0
    length: Annotated[
        int | None,
        Field(ge=1, le=1 << 28, description="to the end unless said", json_schema_extra={"unit": "B"}),
    ] = None
    seed: Annotated[int, Field(ge=0, le=2**32, description="of the chance: same bits")] = 0

    async def begin(self, site: Site, spent: Callable[[], None]) -> None:
        """Flip them in the part's model, or in the file that is the flash of the machine."""
        device = site.powered
        part = _flash_part(device)
        size = part.settings.size if part else _flash_file(device).stat().st_size
        end = min(size, self.start + self.length) if self.length else size
        bits = range(self.start * 8, end * 8)
        if len(bits) < self.bits:
            raise UsageError(
                f"there are no {self.bits} bits from {self.start:#x} to {end:#x}",
                hint=f"The flash of {device.id} has {size} bytes.",
            )
        chosen = random.Random(self.seed).sample(bits, self.bits)
        if part:
            for bit in chosen:
                part.flip(*divmod(bit, 8))
            return
        with _flash_file(device).open("r+b", buffering=0) as file:
            for address, bit in (divmod(each, 8) for each in chosen):
                file.seek(address)
                (byte,) = file.read(1)
                file.seek(address)
                file.write(bytes([byte ^ 1 << bit]))


@dataclass(frozen=True, kw_only=True)
class FlashFail(Fault):
    """Programming and erasing fail from an address on; what is there can still be read."""

    name = "flash.fail"
    cannot = _NO_FLASH
    start: Annotated[int, Field(ge=0, le=1 << 28, description="first address that fails")] = 0

    async def begin(self, site: Site, spent: Callable[[], None]) -> Effect:
        """Have the part's model refuse or, on a native board, the kernel, which lets it write no further."""
        device, part = site.powered, _flash_part(site.powered)

        def limit(start: int | None) -> None:
            if part:
                part.fails_from = start
            elif isinstance(device.machine, NativeMachine):
                device.machine.limit_files(start)
            else:
                raise _inside(device, "takes every write")

        limit(self.start)

        async def undo() -> None:
            limit(None)

        return Effect(undo)


@dataclass(frozen=True, kw_only=True)
class FlashWorn(Fault):
    """A sector is worn: after each erase some of its bits stay 0."""

    name = "flash.worn"
    cannot = _ONLY_PARTS
    sector: Annotated[int, Field(ge=0, le=1 << 20, description="its number, from 0")]
    bits: Annotated[int, Field(ge=1, le=1 << 16, description="how many stay 0")] = 1

    async def begin(self, site: Site, spent: Callable[[], None]) -> Effect:
        """Tell the part's model."""
        device = site.powered
        part = _flash_part(device)
        if part is None:
            raise _inside(device, "does not wear")
        if self.sector >= len(part.erases):
            raise UsageError(f"the flash of {device.id} has {len(part.erases)} sectors, counted from 0")
        part.weak[self.sector] = self.bits

        async def undo() -> None:
            del part.weak[self.sector]

        return Effect(undo)


@dataclass(frozen=True, kw_only=True)
class FlashPowerCut(Fault):
    """Power fails amid a flash operation: half of it is done. The board then starts again."""

    name = "flash.power-cut"
    cannot = _ONLY_PARTS
    operation: Annotated[
        int, Field(ge=1, le=1 << 20, description="amid which program or erase from now on")
    ] = 1

    async def begin(self, site: Site, spent: Callable[[], None]) -> Effect:
        """Have the part's model count, and press reset when it is dead."""
        device = site.powered
        part = _flash_part(device)
        if part is None:
            raise _inside(device, "is written in one go; kill the machine at any moment instead")
        before, left = part.power_cut, self.operation

        def lasts(length: int) -> int:
            nonlocal left
            left -= 1
            if left:
                return length
            spent()
            return length // 2

        async def undo() -> None:
            part.power_cut = before
            if not left and device.exit is None:
                with _at_once(f"{device.id} did not take its reset"):
                    await device.machine.reset()
                device.console.mark_boot()

        part.power_cut = lasts
        return Effect(undo)


def _flash_part(device: Device) -> NorFlash | None:
    """Return the part that is the device's flash, if it is one."""
    return next((part for part in device.peripherals.parts.values() if isinstance(part, NorFlash)), None)


def _flash_file(device: Device) -> Path:
    """Return the file that is the flash of a machine.

    :raises UsageError: it has none.
    """
    board = device.board
    names = [memory.file for memory in board.memory.values() if memory.file]
    if board.engine == "native":
        names = [FLASH_FILE]
    file = device.folder / names[0] if names else None
    if file is None or not file.exists():
        raise UsageError(f"{device.id} has no flash that the lab could reach")
    return file


def _inside(device: Device, why: str) -> UsageError:
    return UsageError(
        f"the flash of {device.id} is a file of its machine, which {why}",
        hint="Boards whose flash is a part of kind nor_flash can do it: netduinoplus2.",
    )


_KINDS: Mapping[str, type[Fault]] = {
    kind.name: kind
    for kind in (
        LinkDrop,
        LinkCorrupt,
        LinkCut,
        LinkDelay,
        LinkSlow,
        GatewayDown,
        GatewayUnreachable,
        ClockOffset,
        MachineKill,
        MachineHang,
        SensorFail,
        FlashFlip,
        FlashFail,
        FlashWorn,
        FlashPowerCut,
    )
}


# -- the vocabulary


def parse(name: str, parameters: Mapping[str, object]) -> Fault:
    """Return the fault that a user means; values may be text.

    :raises UsageError: there is no such fault, or its parameters are wrong; the hint says what is right.
    """
    kind = _kind(name)
    try:
        return TypeAdapter(kind).validate_python(dict(parameters))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(step) for step in first["loc"])
        raise UsageError(
            f"{name}: {key}{': ' if key else ''}{first['msg'].removeprefix('Value error, ')}",
            hint=f"It takes: {', '.join(_words(row) for row in _parameters(kind)) or 'nothing'}.",
        ) from None


def why_not(name: str, engine: str) -> str | None:
    """Return why boards of an engine cannot have a fault; None if they can.

    :raises UsageError: there is no such fault.
    """
    why = _kind(name).cannot.get(engine)
    return why and f"engine {engine!r} cannot do {name}: {why}"


def _kind(name: str) -> type[Fault]:
    kind = _KINDS.get(name)
    if kind is None:
        raise UsageError(f"there is no fault {name!r}", hint=f"There is: {', '.join(_KINDS)}.")
    return kind


def known() -> list[Json]:
    """Return the vocabulary, for JSON: per fault its name, meaning, targets, engines, and parameters."""
    return [
        {
            "fault": kind.name,
            "meaning": (kind.__doc__ or "").strip(),
            "targets": list(kind.targets),
            "engines": [engine for engine in ENGINES if engine not in kind.cannot],
            "parameters": _parameters(kind),
            "usage": [_words(row) for row in _parameters(kind)],
        }
        for kind in _KINDS.values()
    ]


def _parameters(kind: type[Fault]) -> list[Json]:
    """Return what the JSON schema of a fault says of each parameter, without its nesting."""
    schema = TypeAdapter(kind).json_schema()
    rows = []
    for name, entry in schema.get("properties", {}).items():
        flat = {**entry, **entry.get("anyOf", [{}])[0]}
        rows.append(
            {
                "name": name,
                "type": flat["type"],
                "unit": flat.get("unit", ""),
                "low": flat.get("minimum", flat.get("exclusiveMinimum")),
                "high": flat.get("maximum"),
                "choices": flat.get("enum", []),
                "default": flat.get("default"),
                "required": name in schema.get("required", []),
                "meaning": flat.get("description", ""),
            }
        )
    return rows


def _words(row: Json) -> str:
    """Say a parameter in a few words: name, default, and what it may be."""
    if row["choices"]:
        allowed = ", ".join(row["choices"])
    elif row["high"] is None:
        allowed = "a name"
    else:
        shape = "d" if row["type"] == "integer" else "g"
        allowed = f"{row['low']:{shape}} to {row['high']:{shape}} {row['unit']}".rstrip()
    default = "" if row["default"] is None else f"={row['default']}"
    return f"{row['name']}{default} ({allowed})"


# -- what is in force


@dataclass(eq=False)
class _Active:
    """A fault that lasts, while it does."""

    fault: Fault
    effect: Effect
    since: float
    ends: float | None
    timer: anyio.CancelScope = field(default_factory=anyio.CancelScope)

    def describe(self) -> Json:
        """Return it as JSON. Times are Unix time, s."""
        return {
            **_describe(self.fault),
            "since": self.since,
            "ends": self.ends,
            "hits": self.effect.hits(),
        }


def _describe(fault: Fault) -> Json:
    given = {name: value for name, value in asdict(fault).items() if value is not None}
    return {"fault": fault.name, "parameters": given}


class Faults:
    """The faults of one lab.

    :param gateway: the lab's gateway.
    :param gate: the way of all devices to it.
    :param events: told of every fault that begins (`fault.set`) and ends (`fault.cleared`).
    """

    def __init__(self, gateway: Gateway, gate: Gate, events: Events) -> None:
        self._gateway = gateway
        self._gate = gate
        self._events = events
        self._active: dict[Device | None, dict[str, _Active]] = {}
        self._changing = anyio.Lock()

    def active(self, device: Device | None) -> list[Json]:
        """Return what is in force on a device or, with none, at the gateway."""
        return [each.describe() for each in self._active.get(device, {}).values()]

    async def set(
        self, device: Device | None, fault: Fault, duration: float | None, tasks: TaskGroup
    ) -> Json:
        """Make a fault happen; return it as `active` does. Another one of its key ends first.

        :param device: where; none is the gateway.
        :param duration: seconds it lasts; none means until it is cleared.
        :param tasks: where what ends it in time runs.
        :raises UsageError: it cannot be there; says why.
        """
        _check(device, fault, duration)
        key = fault.key
        begun = anyio.Event()

        async def end(why: str) -> None:
            await begun.wait()
            try:
                await self._end(device, [key], why, only=active)
            except LabError as error:
                log.error("a fault could not be ended", fault=key, reason=str(error))

        async def end_in_time(seconds: float, timer: anyio.CancelScope) -> None:
            with timer:
                await anyio.sleep(seconds)
                await end("its time is over")

        def spent() -> None:
            tasks.start_soon(end, "it is spent")

        active: _Active | None = None
        async with self._changing:
            await self._undo(device, [key], "another one takes its place")
            site = Site(self._gateway, self._gate, device)
            effect = await fault.begin(site, spent)
            now = time.time()
            what = _describe(fault)
            self._events.publish("fault.set", device.id if device else None, duration=duration, **what)
            if effect is None:
                return {**what, "since": now, "ends": now, "hits": None}
            active = _Active(fault, effect, now, now + duration if duration else None)
            self._active.setdefault(device, {})[key] = active
            begun.set()
            if duration:
                tasks.start_soon(end_in_time, duration, active.timer)
            return active.describe()

    async def clear(
        self, device: Device | None, name: str | None = None, *, key: str | None = None, why: str = "asked"
    ) -> list[Json]:
        """End what is in force; return it.

        :param name: only faults of this name.
        :param key: only the one of this key.
        """
        keys = [
            each.fault.key
            for each in self._active.get(device, {}).values()
            if name in (None, each.fault.name) and key in (None, each.fault.key)
        ]
        return await self._end(device, keys, why)

    async def _end(
        self, device: Device | None, keys: Sequence[str], why: str, only: _Active | None = None
    ) -> list[Json]:
        async with self._changing:
            return await self._undo(device, keys, why, only)

    async def _undo(
        self, device: Device | None, keys: Sequence[str], why: str, only: _Active | None = None
    ) -> list[Json]:
        ended = []
        here = self._active.get(device, {})
        for key in keys:
            active = here.get(key)
            if active is None or only not in (None, active):
                continue
            ended.append(active.describe())
            await active.effect.undo()
            del here[key]
            active.timer.cancel()
            what = _describe(active.fault)
            self._events.publish("fault.cleared", device.id if device else None, why=why, **what)
        if not here:
            self._active.pop(device, None)
        return ended


def _check(device: Device | None, fault: Fault, duration: float | None) -> None:
    """Raise `UsageError` if this fault cannot be there."""
    target = DEVICE if device else GATEWAY
    if target not in fault.targets:
        raise UsageError(
            f"{fault.name} is nothing a {target} can have", hint=f"It is for a {' or '.join(fault.targets)}."
        )
    if device and (why := why_not(fault.name, device.board.engine)):
        raise UsageError(why)
    if duration is not None and not 0 < duration <= LONGEST:
        raise UsageError(f"a fault cannot last {duration:g} s", hint=f"More than 0, at most {LONGEST:g} s.")
