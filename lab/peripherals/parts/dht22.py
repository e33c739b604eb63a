"""DHT22 (AM2302): temperature and humidity over one wire.

Sections are those of Aosong's "Digital-output relative humidity & temperature sensor AM2302" (DHT22).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from lab.peripherals.model import (
    Bench,
    BusError,
    Fault,
    Json,
    Kept,
    Quantity,
    Settings,
    SingleWireModel,
    Status,
)

RESPONSE = (80, 80)  # µs, section 7.3, "step 2"
BIT_LOW, ZERO_HIGH, ONE_HIGH = 50, 26, 70  # µs, section 7.3, "step 3"
START = range(800, 20_001)  # µs the host must pull low (table of section 7.3)
INTERVAL = 2.0  # s between two measurements (section 4)


def frame(temperature: float, humidity: float) -> bytes:
    """Return the 40 bits of section 7.2.

    They are tenths of % and of °C, big endian, the temperature sign-magnitude; then the sum of these bytes.
    """
    tenths = _round(abs(temperature) * 10)
    sign = 0x8000 if temperature < 0 and tenths else 0
    data = _round(humidity * 10).to_bytes(2, "big") + (sign | tenths).to_bytes(2, "big")
    return data + bytes([sum(data) & 0xFF])


def _round(value: float) -> int:
    return math.floor(value + 0.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dht22Settings(Settings):
    """The part's keys in a board's TOML.

    :param pin: the GPIO its data line is on.
    """

    pin: int


class Dht22(SingleWireModel):
    """A DHT22. Set `temperature` and `humidity`."""

    settings_type = Dht22Settings
    quantities: ClassVar[Mapping[str, Quantity]] = {  # section 4
        "temperature": Quantity("°C", -40, 80, 22),
        "humidity": Quantity("%", 0, 100, 45),
    }
    faults = frozenset({Fault.NACK, Fault.STUCK, Fault.BAD_CHECKSUM, Fault.UNPLUGGED})

    def __init__(self, name: str, settings: Dht22Settings, bench: Bench) -> None:
        super().__init__(name, settings, bench)
        self.pin = settings.pin
        self._measured_at = -math.inf
        self._frame = b""
        self._reads = 0

    def state(self) -> Mapping[str, Json]:
        """Return how often it has been read."""
        return {"reads": self._reads}

    def save(self) -> Kept:
        """Return its last measurement."""
        own = {"measured_at": self._measured_at, "frame": self._frame, "reads": self._reads}
        return super().save() | own

    def load(self, kept: Kept) -> None:
        """Be as it was at `save`."""
        super().load(kept)
        self._measured_at, self._frame, self._reads = kept["measured_at"], kept["frame"], kept["reads"]

    def sense(self) -> Mapping[str, float]:
        """Return what is measured now; whoever asks has seen a start pulse."""
        self._reads += 1
        return super().sense()

    def pulses(self, start_low_us: int) -> Sequence[tuple[int, int]]:
        """Answer with the last measurement; a new one is made when 2 s have passed since."""
        if self.fault is Fault.STUCK:
            raise BusError(Status.STUCK)
        if self.fault in (Fault.NACK, Fault.UNPLUGGED) or start_low_us not in START:
            raise BusError(Status.TIMEOUT)
        self._reads += 1
        now = self.bench.clock()
        if now - self._measured_at >= INTERVAL:
            self._measured_at = now
            self._frame = frame(self.signals["temperature"].sample(), self.signals["humidity"].sample())
        data = bytearray(self._frame)
        if self.fault is Fault.BAD_CHECKSUM:
            data[4] ^= 0x01
        bits = (byte >> shift & 1 for byte in data for shift in range(7, -1, -1))
        return [RESPONSE, *((BIT_LOW, ONE_HIGH if bit else ZERO_HIGH) for bit in bits)]


MODEL = Dht22
