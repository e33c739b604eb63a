"""What every simulated part is made of: quantities in physical units, faults, and where it sits.

A part is one file in `lab.peripherals.parts`. It derives from the class for its kind of bus below, states
its quantities and settings, and answers transactions as its datasheet says. Models never sleep: they look at
`Bench.clock` when they are asked, as a chip's state is what time made of it.
"""

from __future__ import annotations

import bisect
import enum
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from pydantic import ConfigDict

from lab.errors import UsageError
from lab.peripherals import units

Json = bool | int | float | str | None | Sequence["Json"] | Mapping[str, "Json"]

Kept = dict[str, Any]
"""What a snapshot holds of a part: whatever CBOR can say (RFC 8949)."""


class Status(enum.IntEnum):
    """First byte of a simbus answer (docs/protocol.md, section 1)."""

    DONE = 0
    NACK = 1
    STUCK = 2
    TIMEOUT = 3
    UNSUPPORTED = 4
    BAD_ARGUMENT = 5
    POWER_FAILED = 6


class BusError(Exception):
    """A transaction failed; the device is told `status`."""

    def __init__(self, status: Status) -> None:
        super().__init__(status.name)
        self.status = status


class Fault(enum.StrEnum):
    """What can be wrong with a part as a whole. Noise and drift belong to one of its quantities."""

    NONE = "none"
    NACK = "nack"
    """It does not acknowledge; its neighbours do."""
    STUCK = "stuck"
    """It holds its line down, and with it the whole bus."""
    BAD_CHECKSUM = "bad-checksum"
    """It answers, with a checksum that does not fit."""
    UNPLUGGED = "unplugged"
    """It is not there."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """Something of the physical world that a part senses.

    :param unit: one that `lab.peripherals.units` knows; empty for a plain number.
    :param low: least value the part can report.
    :param high: greatest.
    :param initial: value until one is set.
    """

    unit: str
    low: float
    high: float
    initial: float


@dataclass(frozen=True, slots=True)
class Bench:
    """What a part finds around it.

    :param clock: seconds, never going back.
    :param random: where noise comes from; seeded, so that a run can be repeated.
    :param folder: the device's folder, for parts that keep something without power; none if none does.
    :param changed: called with the part's name when something it shows has changed (a colour, a sound).
    :param interrupt: called with pin and level when an input pin changes by itself.
    """

    clock: Callable[[], float]
    random: random.Random = field(default_factory=lambda: random.Random(0))
    folder: Path | None = None
    changed: Callable[[str], None] = lambda _name: None
    interrupt: Callable[[int, bool], None] = lambda _pin, _level: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The keys of a part's table in a board's TOML, besides kind and name. Unknown ones are refused."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)


class Signal:
    """The course of one quantity: a value or a profile over time, plus drift, plus noise.

    :param quantity: what it is.
    :param bench: for clock and random numbers.
    """

    def __init__(self, quantity: Quantity, bench: Bench) -> None:
        self.quantity = quantity
        self._bench = bench
        self._since = bench.clock()
        self._points: Sequence[tuple[float, float]] = ((0.0, quantity.initial),)
        self.noise = 0.0
        self._drift = 0.0
        self._drift_since = self._since

    def set(self, value: float) -> None:
        """Hold `value` from now on."""
        self.play(((0.0, value),))

    def play(self, points: Sequence[tuple[float, float]]) -> None:
        """Follow `points` (seconds from now, value) with straight lines in between; the last is held."""
        self._points, self._since = tuple(points), self._bench.clock()

    @property
    def drift(self) -> float:
        """Units per hour that the value wanders from where it was when drift was set."""
        return self._drift

    @drift.setter
    def drift(self, per_hour: float) -> None:
        self._drift, self._drift_since = per_hour, self._bench.clock()

    @property
    def value(self) -> float:
        """What is true now: with drift, without noise, within the part's range."""
        elapsed = self._bench.clock() - self._since
        after = bisect.bisect_right(self._points, elapsed, key=lambda point: point[0])
        if after == 0:
            value = self._points[0][1]
        elif after == len(self._points):
            value = self._points[-1][1]
        else:
            (start, first), (end, last) = self._points[after - 1], self._points[after]
            value = first + (last - first) * (elapsed - start) / (end - start)
        return self._clip(value + self._drift * (self._bench.clock() - self._drift_since) / 3600)

    def save(self) -> Kept:
        """Return it for a snapshot."""
        now = self._bench.clock()
        return {
            "points": self._points,
            "elapsed": now - self._since,
            "noise": self.noise,
            "drift": self._drift,
            "drifting": now - self._drift_since,
        }

    def load(self, kept: Kept) -> None:
        """Go on as it was at `save`."""
        now = self._bench.clock()
        self._points = tuple((at, value) for at, value in kept["points"])
        self._since, self.noise = now - kept["elapsed"], kept["noise"]
        self._drift, self._drift_since = kept["drift"], now - kept["drifting"]

    def sample(self) -> float:
        """What a measurement now would see."""
        return self._clip(self._bench.random.gauss(self.value, self.noise) if self.noise else self.value)

    def _clip(self, value: float) -> float:
        return min(max(value, self.quantity.low), self.quantity.high)


class Model:
    """A simulated part.

    :param name: what commands call it.
    :param settings: an instance of its `settings_type`, from the part's table in the board's TOML.
    :param bench: what is around it.
    """

    settings_type: ClassVar[type[Settings]] = Settings
    quantities: ClassVar[Mapping[str, Quantity]] = {}
    faults: ClassVar[frozenset[Fault]] = frozenset()

    def __init__(self, name: str, settings: Any, bench: Bench) -> None:
        self.name = name
        self.bench = bench
        self.fault = Fault.NONE
        self.signals = {key: Signal(quantity, bench) for key, quantity in self.quantities.items()}

    def reset(self) -> None:
        """Forget what a transaction left behind; the device has restarted."""

    def state(self) -> Mapping[str, Json]:
        """Return what the part shows to someone who looks at it (colours, sounds), for JSON."""
        return {}

    def save(self) -> Kept:
        """Return what `load` needs. Faults are none of it: they are the lab's, and end with a power-on.

        Times are the bench's, which `Peripherals.load` sets back.
        """
        return {"signals": {key: signal.save() for key, signal in self.signals.items()}}

    def load(self, kept: Kept) -> None:
        """Be as it was at `save`, of a part with the same settings."""
        for key, signal in self.signals.items():
            signal.load(kept["signals"][key])

    def sense(self) -> Mapping[str, float]:
        """Return what a measurement now would see, for an emulator that has the part's registers itself."""
        return {key: signal.sample() for key, signal in self.signals.items()}

    def set(self, aspect: str, text: str) -> None:
        """Set quantity, ``QUANTITY.noise``, ``QUANTITY.drift`` or ``fault``, as a user wrote it.

        :raises UsageError: there is no such aspect, or it cannot be that; the hint says what is allowed.
        """
        what = f"{self.name}.{aspect}"
        if aspect == "fault" and self.faults:
            self._set_fault(text)
            return
        key, _, modifier = aspect.partition(".")
        if key not in self.signals or modifier not in ("", "noise", "drift"):
            raise UsageError(
                f"there is no {what}", hint=f"{self.name} has: {', '.join(self.aspects()) or 'nothing'}."
            )
        signal, quantity = self.signals[key], self.quantities[key]
        if modifier == "":
            signal.set(self.checked(key, units.parse(text, quantity.unit, what)))
            self.bench.changed(self.name)
            return
        # An amount is a difference, so an offset (as between K and °C) has no place in it.
        amount = units.parse(text, "", what)
        if modifier == "noise" and amount < 0:
            raise UsageError(f"{what} = {text} is negative", hint="Noise is a standard deviation.")
        setattr(signal, modifier, amount)

    def checked(self, key: str, value: float) -> float:
        """Return `value` if quantity `key` can have it.

        :raises UsageError: it is outside the part's range.
        """
        quantity = self.quantities[key]
        if not quantity.low <= value <= quantity.high:
            raise UsageError(
                f"{self.name}.{key} = {units.show(value, quantity.unit)} is outside the part's range",
                hint=f"It reports {quantity.low:g} to {units.show(quantity.high, quantity.unit)}.",
            )
        return value

    def aspects(self) -> list[str]:
        """Return every name that `set` takes."""
        own = [key + modifier for key in self.quantities for modifier in ("", ".noise", ".drift")]
        return [*own, "fault"] if self.faults else own

    def _set_fault(self, text: str) -> None:
        allowed = sorted(self.faults | {Fault.NONE})
        if text not in allowed:
            raise UsageError(
                f"{self.name} cannot have the fault {text!r}",
                hint=f"It takes: {', '.join(allowed)}; and noise or drift on each quantity.",
            )
        self.fault = Fault(text)
        self.bench.changed(self.name)


class I2cModel(Model, ABC):
    """A part on an I2C bus. `address` is the 7-bit one."""

    address: int
    faults = frozenset({Fault.NACK, Fault.STUCK, Fault.UNPLUGGED})

    def respond(self, out: bytes, read_length: int) -> bytes:
        """Answer one transaction, or fail as the part's fault says.

        :raises BusError: it does not acknowledge.
        """
        if self.fault in (Fault.NACK, Fault.UNPLUGGED):
            raise BusError(Status.NACK)
        return self.transfer(out, read_length)

    @abstractmethod
    def transfer(self, out: bytes, read_length: int) -> bytes:
        """Take the bytes written, then return the `read_length` bytes read after a repeated start."""


class SingleWireModel(Model, ABC):
    """A sensor that answers a start pulse on one wire with pulses (low µs, high µs)."""

    pin: int

    @abstractmethod
    def pulses(self, start_low_us: int) -> Sequence[tuple[int, int]]:
        """Return the answer to a start pulse of that length; none if it is not understood."""


class StripModel(Model, ABC):
    """Addressable LEDs behind one data pin."""

    strip: int

    @abstractmethod
    def shift(self, data: bytes) -> None:
        """Take the bytes of one write, which ends with the strip's reset gap."""


class OutputModel(Model, ABC):
    """A part that a GPIO of the board drives."""

    pin: int

    @abstractmethod
    def drive(self, level: bool) -> None:
        """The pin has this level now."""


class InputModel(Model, ABC):
    """A part that drives a GPIO of the board."""

    pin: int

    @abstractmethod
    def level(self) -> bool:
        """Return the level it gives the pin."""


class AnalogModel(Model, ABC):
    """A part on an input of the board's analogue-digital converter."""

    channel: int

    @abstractmethod
    def convert(self) -> int:
        """Return what the converter reads, 0 to 4095."""


class FlashModel(Model, ABC):
    """A memory that keeps its contents without power. Addresses count from 0."""

    @abstractmethod
    def read(self, address: int, length: int) -> bytes:
        """Return `length` bytes."""

    @abstractmethod
    def program(self, address: int, data: bytes) -> None:
        """Write `data`."""

    @abstractmethod
    def erase(self, address: int) -> None:
        """Erase the sector that begins at `address`."""
