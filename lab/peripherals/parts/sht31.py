"""SHT31: temperature and humidity on I2C (Sensirion, "Datasheet SHT3x-DIS", version 7)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from lab.peripherals.model import Bench, BusError, Fault, I2cModel, Kept, Quantity, Settings, Status

# Single-shot commands (table 9) with the longest time the measurement takes (table 4), in seconds.
_MEASURE = {
    **{0x2400: 0.0155, 0x240B: 0.0065, 0x2416: 0.0045},
    **{0x2C06: 0.0155, 0x2C0D: 0.0065, 0x2C10: 0.0045},
}
_STRETCHING = 0x2C
SOFT_RESET, READ_STATUS, CLEAR_STATUS = 0x30A2, 0xF32D, 0x3041  # tables 14, 16 and 18
_STATUS_RESET = 0x0010  # "system reset detected", table 17


def crc8(data: bytes) -> int:
    """Return the checksum of a word: polynomial 0x31, initial value 0xff (table 20); of 0xbeef it is 0x92."""
    crc = 0xFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x31 if crc & 0x80 else crc << 1) & 0xFF
    return crc


@dataclass(frozen=True, slots=True, kw_only=True)
class Sht31Settings(Settings):
    """The part's keys in a board's TOML.

    :param bus: the bus it is on.
    :param address: 0x44, or 0x45 with its ADDR pin high (table 8).
    """

    bus: Literal["i2c0"] = "i2c0"
    address: Literal[0x44, 0x45] = 0x44


class Sht31(I2cModel):
    """An SHT31 in single-shot mode. Set `temperature` and `humidity`."""

    settings_type = Sht31Settings
    quantities: ClassVar[Mapping[str, Quantity]] = {  # tables 1 and 2
        "temperature": Quantity("°C", -40, 125, 22),
        "humidity": Quantity("%", 0, 100, 45),
    }
    faults = I2cModel.faults | {Fault.BAD_CHECKSUM}

    def __init__(self, name: str, settings: Sht31Settings, bench: Bench) -> None:
        super().__init__(name, settings, bench)
        self.address = settings.address
        self._soft_reset()

    def _soft_reset(self) -> None:
        self._status = _STATUS_RESET
        self._words: tuple[int, ...] = ()
        self._ready = -math.inf

    def save(self) -> Kept:
        """Return its status and the measurement that waits to be read."""
        return super().save() | {"status": self._status, "words": self._words, "ready": self._ready}

    def load(self, kept: Kept) -> None:
        """Be as it was at `save`."""
        super().load(kept)
        self._status, self._words, self._ready = kept["status"], tuple(kept["words"]), kept["ready"]

    def transfer(self, out: bytes, read_length: int) -> bytes:
        """Section 4: a 16-bit command; then words, each with its checksum. Nothing to read yet is a NACK."""
        if out:
            if len(out) != 2:
                raise BusError(Status.NACK)
            self._command(int.from_bytes(out, "big"))
        if read_length == 0:
            return b""
        if not self._words or self.bench.clock() < self._ready:
            raise BusError(Status.NACK)
        flaw = 0x01 if self.fault is Fault.BAD_CHECKSUM else 0
        answer = b""
        for word in self._words:
            data = word.to_bytes(2, "big")
            answer += data + bytes([crc8(data) ^ flaw])
        self._words = ()
        return answer[:read_length].ljust(read_length, b"\xff")

    def _command(self, command: int) -> None:
        if command == SOFT_RESET:
            self._soft_reset()
        elif command == READ_STATUS:
            self._words, self._ready = (self._status,), -math.inf
        elif command == CLEAR_STATUS:
            self._status = 0
        elif command in _MEASURE:
            # Section 4.13: S_T = (T + 45) / 175 and S_RH = RH / 100, of 2^16 - 1.
            temperature = round((self.signals["temperature"].sample() + 45) / 175 * 65535)
            humidity = round(self.signals["humidity"].sample() / 100 * 65535)
            self._words = (min(temperature, 65535), humidity)
            # With clock stretching the sensor holds the clock until it is done; the host sees no difference.
            stretched = command >> 8 == _STRETCHING
            self._ready = -math.inf if stretched else self.bench.clock() + _MEASURE[command]
        else:
            raise BusError(Status.NACK)


MODEL = Sht31
