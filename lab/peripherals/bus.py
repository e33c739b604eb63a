"""A device's simulated parts, and the simbus they answer on (docs/protocol.md, section 1).

`Peripherals` is all of a device's parts: commands set quantities on it and look at it. `Simbus` serves them
on a stream of bytes. The parts live as long as the device is known, the stream as long as its machine runs.
"""

from __future__ import annotations

import difflib
import importlib
import json
import pkgutil
import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from enum import IntEnum
from pathlib import Path
from struct import Struct
from typing import Any, TypeVar, cast

import anyio
from anyio.abc import ByteStream
from pydantic import TypeAdapter, ValidationError

from lab.errors import UsageError
from lab.link import Deframer, frame
from lab.peripherals import parts as _parts
from lab.peripherals import units
from lab.peripherals.model import (
    AnalogModel,
    Bench,
    BusError,
    Fault,
    FlashModel,
    I2cModel,
    InputModel,
    Json,
    Kept,
    Model,
    OutputModel,
    Settings,
    SingleWireModel,
    Status,
    StripModel,
)
from lab.peripherals.profile import Points
from lab.waiting import Signal

_ANSWER = 0x80
_TRACE_LENGTH = 1000
_UNANSWERED_EDGES = 64
_M = TypeVar("_M", bound=Model)


class Operation(IntEnum):
    """What a simbus frame asks for."""

    I2C = 0x01
    PULSES = 0x02
    STRIP = 0x03
    GPIO_WRITE = 0x04
    GPIO_READ = 0x05
    ADC_READ = 0x06
    FLASH_READ = 0x07
    FLASH_PROGRAM = 0x08
    FLASH_ERASE = 0x09
    RESET = 0x0A
    SENSE = 0x20
    GPIO_CHANGED = 0x40


@dataclass(frozen=True, slots=True)
class Transaction:
    """One transaction on a device's buses, as the trace keeps it.

    :param at: seconds, by the parts' clock.
    :param operation: what was asked; an operation nobody knows is its number.
    :param request: its payload.
    :param status: how it ended.
    :param answer: what came back, after the status.
    """

    at: float
    operation: Operation | int
    request: bytes
    status: Status
    answer: bytes


def kinds() -> list[str]:
    """Return every kind of part there is: the files of `lab.peripherals.parts`."""
    return sorted(module.name for module in pkgutil.iter_modules(_parts.__path__))


def model(kind: str) -> type[Model]:
    """Return the class of the parts of `kind`.

    :raises UsageError: there is no such kind.
    """
    if kind not in kinds():
        raise UsageError(f"there is no part of kind {kind!r}", hint=_guess(kind, kinds()))
    module = importlib.import_module(f"{_parts.__name__}.{kind}")
    return cast(type[Model], module.MODEL)


class Peripherals:
    """The parts of one device, in physical units. Belongs to the thread of the event loop that serves it.

    :param entries: per part its kind, its name, and the rest of its table in the board's TOML.
    :param folder: the device's folder, for parts that keep something without power.
    :param clock: seconds, never going back; tests bring their own.
    :param seed: of the noise.
    :raises UsageError: a part's kind or settings are wrong, or two parts are at one place.
    """

    def __init__(
        self,
        entries: Iterable[tuple[str, str, Mapping[str, object]]] = (),
        *,
        folder: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
        seed: int = 0,
    ) -> None:
        self._clock = clock
        self._set_back = 0.0
        self._listeners: list[Callable[[str], None]] = []
        self._levels: dict[int, bool] = {}
        self.interrupt: Callable[[int, bool], None] = lambda _pin, _level: None
        """Where an edge of an input pin goes; `Simbus` sets it while it runs."""
        self.trace: deque[Transaction] = deque(maxlen=_TRACE_LENGTH)
        """The last transactions."""
        self.on_transaction: Callable[[Transaction], None] | None = None
        """Called after each transaction, for whoever draws a live trace."""
        self._random = random.Random(seed)
        bench = Bench(
            clock=self._now,
            random=self._random,
            folder=folder,
            changed=self._changed,
            interrupt=lambda pin, level: self.interrupt(pin, level),
        )
        self.parts: dict[str, Model] = {}
        self._kinds: dict[str, str] = {}
        for kind, name, settings in entries:
            cls = model(kind)
            self.parts[name] = cls(name, _settings(cls, name, settings), bench)
            self._kinds[name] = kind
        parts = self.parts.values()
        self._i2c = _unique("address", ((part.address, part) for part in parts if isinstance(part, I2cModel)))
        self._wires = _unique(
            "pin", ((part.pin, part) for part in parts if isinstance(part, SingleWireModel))
        )
        self._outputs = _unique("pin", ((part.pin, part) for part in parts if isinstance(part, OutputModel)))
        self._inputs = _unique("pin", ((part.pin, part) for part in parts if isinstance(part, InputModel)))
        self._strips = _unique(
            "strip", ((part.strip, part) for part in parts if isinstance(part, StripModel))
        )
        self._analog = _unique(
            "channel", ((part.channel, part) for part in parts if isinstance(part, AnalogModel))
        )
        self._flash = next((part for part in parts if isinstance(part, FlashModel)), None)
        self._operations: Mapping[int, Callable[[bytes], bytes]] = {
            Operation.I2C: self._do_i2c,
            Operation.PULSES: self._do_pulses,
            Operation.STRIP: self._do_strip,
            Operation.GPIO_WRITE: self._do_gpio_write,
            Operation.GPIO_READ: self._do_gpio_read,
            Operation.ADC_READ: self._do_adc_read,
            Operation.FLASH_READ: self._do_flash_read,
            Operation.FLASH_PROGRAM: self._do_flash_program,
            Operation.FLASH_ERASE: self._do_flash_erase,
            Operation.RESET: self._do_reset,
            Operation.SENSE: self._do_sense,
        }

    # -- for people and tests

    def set(self, name: str, text: str) -> None:
        """Set ``PART.QUANTITY``, its ``.noise`` or its ``.drift`` (per hour), or ``PART.fault``.

        :param name: what, for example ``dht22.temperature``.
        :param text: the value as a user writes it, with or without a unit.
        :raises UsageError: there is no such thing, or it cannot be that; the hint says what is allowed.
        """
        part, aspect = self._split(name)
        part.set(aspect, text)

    def get(self, name: str) -> float | str:
        """Return what `set` would set: a quantity as it is now (without noise), an amount, or the fault.

        :raises UsageError: there is no such thing.
        """
        part, aspect = self._split(name)
        if aspect not in part.aspects():
            raise UsageError(f"there is no {name}", hint=_guess(name, self.names()))
        if aspect == "fault":
            return str(part.fault)
        key, _, modifier = aspect.partition(".")
        return cast(float, getattr(part.signals[key], modifier or "value"))

    def stand_where(self, before: Peripherals) -> None:
        """Sense from now on what a board's parts sensed before: a power cut leaves the room as it is."""
        for name, part in self.parts.items():
            if type(before.parts.get(name)) is type(part):
                part.signals = before.parts[name].signals

    def play(self, profile: Mapping[str, Points]) -> None:
        """Let quantities follow a profile (`lab.peripherals.profile.read`) from now on.

        :raises UsageError: it names what is no quantity, or leaves a part's range; nothing has changed then.
        """
        playing = []
        for name, points in profile.items():
            part, key = self._split(name)
            if key not in part.signals:
                raise UsageError(f"there is no quantity {name}", hint=_guess(name, self.quantities()))
            if isinstance(part, InputModel):
                raise UsageError(f"{name} cannot follow a profile", hint="A profile drives what is measured.")
            playing.append((part.signals[key], [(at, part.checked(key, value)) for at, value in points]))
        for signal, course in playing:
            signal.play(course)

    def names(self) -> list[str]:
        """Return every name that `set` takes."""
        return [f"{name}.{aspect}" for name, part in self.parts.items() for aspect in part.aspects()]

    def quantities(self) -> list[str]:
        """Return the names of all quantities."""
        return [f"{name}.{key}" for name, part in self.parts.items() for key in part.quantities]

    def describe(self) -> list[dict[str, Json]]:
        """Return each quantity with its unit, its range and its value now, for JSON."""
        return [
            {
                "name": f"{name}.{key}",
                "unit": quantity.unit,
                "low": quantity.low,
                "high": quantity.high,
                "value": part.signals[key].value,
                "shown": units.show(round(part.signals[key].value, 4), quantity.unit),
            }
            for name, part in self.parts.items()
            for key, quantity in part.quantities.items()
        ]

    def snapshot(self) -> dict[str, dict[str, Json]]:
        """Return the parts as they are now, for JSON: kind, fault, quantities, and what they show."""
        return {
            name: {
                "kind": self._kinds[name],
                "fault": str(part.fault),
                "quantities": {key: signal.value for key, signal in part.signals.items()},
                **part.state(),
            }
            for name, part in self.parts.items()
        }

    def save(self) -> Kept:
        """Return the parts as they are, for `load`. Who reads it later finds nothing else changed by it."""
        version, numbers, gauss = self._random.getstate()
        return {
            "at": self._now(),
            "random": [version, list(numbers), gauss],
            "levels": dict(self._levels),
            "kinds": dict(self._kinds),
            "parts": {name: part.save() for name, part in self.parts.items()},
        }

    def load(self, kept: Kept) -> None:
        """Have the parts be, and their clock show, what they were and it did at `save`; faults are none.

        :raises UsageError: it is of other parts.
        """
        if kept["kinds"] != self._kinds:
            raise UsageError(
                f"the board had other parts: {', '.join(kept['kinds']) or 'none'}",
                hint=f"It has now: {', '.join(self._kinds) or 'none'}.",
            )
        self._set_back = self._clock() - kept["at"]
        version, numbers, gauss = kept["random"]
        self._random.setstate((version, tuple(numbers), gauss))
        self._levels = dict(kept["levels"])
        for name, part in self.parts.items():
            part.load(kept["parts"][name])

    def _now(self) -> float:
        return self._clock() - self._set_back

    def pins(self) -> dict[int, bool]:
        """Return the level of every pin that the device has driven."""
        return dict(self._levels)

    def subscribe(self, listener: Callable[[str], None]) -> Callable[[], None]:
        """Call `listener` with a part's name whenever that part changes; returns what ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def _changed(self, name: str) -> None:
        for listener in tuple(self._listeners):
            listener(name)

    def _split(self, name: str) -> tuple[Model, str]:
        part, dot, aspect = name.partition(".")
        if part not in self.parts:
            raise UsageError(f"there is no part {part!r}", hint=_guess(part, self.parts))
        if not dot:
            raise UsageError(f"{name!r} lacks a quantity", hint=_guess("", self.parts[part].aspects()))
        return self.parts[part], aspect

    # -- for the bus

    def transact(self, operation: int, request: bytes) -> bytes:
        """Do what a simbus frame asks; return the payload of its answer, the status first."""
        handler = self._operations.get(operation)
        answer, status = b"", Status.DONE
        try:
            if handler is None:
                raise BusError(Status.UNSUPPORTED)
            answer = handler(request)
        except BusError as error:
            status = error.status
        known = Operation(operation) if handler else operation
        transaction = Transaction(self._now(), known, request, status, answer)
        self.trace.append(transaction)
        if self.on_transaction is not None:
            self.on_transaction(transaction)
        return bytes([status]) + answer

    def _do_i2c(self, request: bytes) -> bytes:
        address, length = _unpack(_I2C, request)
        if any(part.fault is Fault.STUCK for part in self._i2c.values()):
            raise BusError(Status.STUCK)
        part = self._i2c.get(address)
        if part is None:
            raise BusError(Status.NACK)
        return part.respond(request[_I2C.size :], length)

    def _do_pulses(self, request: bytes) -> bytes:
        pin, start_low_us, maximum = _unpack(_PULSES, request)
        part = self._wires.get(pin)
        if part is None:
            raise BusError(Status.TIMEOUT)
        return b"".join(_PULSE.pack(low, high) for low, high in part.pulses(start_low_us)[:maximum])

    def _do_strip(self, request: bytes) -> bytes:
        (number,) = _unpack(_U8, request)
        strip = self._strips.get(number)
        if strip is None:
            raise BusError(Status.UNSUPPORTED)
        strip.shift(request[_U8.size :])
        return b""

    def _do_gpio_write(self, request: bytes) -> bytes:
        pin, level = _unpack(_PIN, request)
        self._levels[pin] = bool(level)
        if pin in self._outputs:
            self._outputs[pin].drive(bool(level))
        return b""

    def _do_gpio_read(self, request: bytes) -> bytes:
        (pin,) = _unpack(_U8, request)
        level = self._inputs[pin].level() if pin in self._inputs else self._levels.get(pin, False)
        return bytes([level])

    def _do_adc_read(self, request: bytes) -> bytes:
        (channel,) = _unpack(_U8, request)
        if channel not in self._analog:
            raise BusError(Status.UNSUPPORTED)
        return _U16.pack(self._analog[channel].convert())

    def _do_flash_read(self, request: bytes) -> bytes:
        address, length = _unpack(_FLASH_READ, request)
        return self._memory().read(address, length)

    def _do_flash_program(self, request: bytes) -> bytes:
        (address,) = _unpack(_U32, request)
        self._memory().program(address, request[_U32.size :])
        return b""

    def _do_flash_erase(self, request: bytes) -> bytes:
        (address,) = _unpack(_U32, request)
        self._memory().erase(address)
        return b""

    def _do_reset(self, _request: bytes) -> bytes:
        self._levels.clear()
        for part in self.parts.values():
            part.reset()
        return b""

    def _do_sense(self, request: bytes) -> bytes:
        """Say what a part senses and what is wrong with it, to a model that has its registers elsewhere."""
        part = self.parts.get(request.decode("utf-8", "replace"))
        if part is None:
            raise BusError(Status.BAD_ARGUMENT)
        sensed = [f"{key}={value:.6f}" for key, value in part.sense().items()]
        return " ".join([f"fault={part.fault}", *sensed]).encode()

    def _memory(self) -> FlashModel:
        if self._flash is None:
            raise BusError(Status.UNSUPPORTED)
        return self._flash


class Simbus:
    """Serves a device's parts on its simbus stream.

    :param peripherals: the parts.
    :param unanswered: what the device has sent already (`Simbus.unanswered`).
    """

    def __init__(self, peripherals: Peripherals, unanswered: bytes = b"") -> None:
        self.peripherals = peripherals
        self._deframer = Deframer()
        self._waiting = unanswered
        self._held = False
        self._released = Signal()

    @property
    def dropped(self) -> int:
        """Frames that were damaged."""
        return self._deframer.dropped

    async def serve(self, stream: ByteStream) -> None:
        """Answer until the stream ends. Edges of input pins are told as they happen.

        :param stream: the machine's simbus; closed by whoever opened it.
        """
        edges: deque[tuple[int, bool]] = deque(maxlen=_UNANSWERED_EDGES)
        wake = anyio.Event()

        def interrupt(pin: int, level: bool) -> None:
            edges.append((pin, level))
            wake.set()

        async def tell() -> None:
            nonlocal wake
            while True:
                await wake.wait()
                wake = anyio.Event()
                while edges:
                    pin, level = edges.popleft()
                    async with sending:
                        await stream.send(frame(bytes([0, Operation.GPIO_CHANGED, pin, level])))

        async def answer_held() -> None:
            while True:
                await self._released.wait()
                await self._answer(stream, sending)

        sending = anyio.Lock()
        self._deframer = Deframer()
        self.peripherals.interrupt = interrupt
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(tell)
                async with sending:
                    await stream.send(b"\0")
                tasks.start_soon(answer_held)
                await self._answer(stream, sending)
                async for data in stream:
                    self._waiting += data
                    await self._answer(stream, sending)
                tasks.cancel_scope.cancel()
        except* (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass  # the machine has stopped
        finally:
            self.peripherals.interrupt = lambda _pin, _level: None

    def hold(self) -> None:
        """Answer nothing more; what the device asks from now on waits."""
        self._held = True

    @property
    def unanswered(self) -> bytes:
        """What the device has sent that had no answer: what waits, and a request that is not whole yet."""
        return self._deframer.rest + self._waiting

    def release(self) -> None:
        """Answer again, first what was asked meanwhile."""
        self._held = False
        self._released.set()

    async def _answer(self, stream: ByteStream, sending: anyio.Lock) -> None:
        if self._held:
            return
        data, self._waiting = self._waiting, b""
        answers = b"".join(
            self._reply(body[0], body[1], body[2:]) for body in self._deframer.feed(data) if len(body) >= 2
        )
        if answers:
            async with sending:
                await stream.send(answers)

    def _reply(self, tag: int, operation: int, request: bytes) -> bytes:
        """Return the frame that answers a request, if any does.

        Where power has failed nothing does: the board must not get as far as to tell anyone before its reset.
        """
        answer = self.peripherals.transact(operation, request)
        if answer[0] == Status.POWER_FAILED:
            return b""
        return frame(bytes([tag, operation | _ANSWER]) + answer)


_U8, _U16, _U32 = Struct("<B"), Struct("<H"), Struct("<I")
_I2C, _PIN, _PULSES, _PULSE, _FLASH_READ = (
    Struct("<BH"),
    Struct("<BB"),
    Struct("<BHB"),
    Struct("<HH"),
    Struct("<IH"),
)


def _unpack(shape: Struct, request: bytes) -> tuple[Any, ...]:
    if len(request) < shape.size:
        raise BusError(Status.BAD_ARGUMENT)
    return shape.unpack_from(request)


def _settings(cls: type[Model], name: str, table: Mapping[str, object]) -> Settings:
    try:
        # JSON because strict mode takes a JSON array for a tuple, but not a list.
        return TypeAdapter(cls.settings_type).validate_json(json.dumps(dict(table)))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(step) for step in first["loc"]) or "its table"
        raise UsageError(
            f"part {name}: {key}: {first['msg']}",
            hint=f"It takes: {', '.join(field.name for field in fields(cls.settings_type)) or 'nothing'}.",
        ) from None


def _unique(what: str, places: Iterable[tuple[int, _M]]) -> dict[int, _M]:
    found: dict[int, _M] = {}
    for place, part in places:
        if place in found:
            raise UsageError(
                f"{found[place].name} and {part.name} are both at {what} {place:#04x}",
                hint="Give one of them a place of its own in the board's TOML.",
            )
        found[place] = part
    return found


def _guess(given: str, names: Iterable[str]) -> str:
    known = list(names)
    close = difflib.get_close_matches(given, known, n=1)
    return (f"Did you mean {close[0]}? " if close else "") + f"There is: {', '.join(known) or 'none'}."
