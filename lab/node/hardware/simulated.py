"""Simulated parts (`lab.peripherals`): a node on a machine that has none."""

from __future__ import annotations

import struct
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from lab.node.hardware import Edge, I2cHardware, Rgb
from lab.peripherals.bus import Operation, Peripherals
from lab.peripherals.model import Status
from lab.plugins.refusal import Error, Refused

if TYPE_CHECKING:
    from lab.node.config import Config

_START_LOW_US = 1000  # the DHT22 wants 0.8 to 20 ms
_BITS = 40
_ONE_US = 50  # a high pulse of 26-28 µs is a 0, one of 70 µs a 1

_ERRORS = {
    Status.NACK: Error.NO_ANSWER,
    Status.STUCK: Error.BUS_STUCK,
    Status.TIMEOUT: Error.TIMEOUT,
    Status.UNSUPPORTED: Error.UNSUPPORTED,
    Status.BAD_ARGUMENT: Error.BAD_ARGUMENT,
    Status.POWER_FAILED: Error.POWER_FAILED,
}


class Simulated(I2cHardware):
    """A node's simulated parts, made as its configuration says.

    :param parts: those of another node, to share a bus with it.
    """

    def __init__(self, config: Config, parts: Peripherals | None = None) -> None:
        sensors = config.sensors
        super().__init__(sensors.bme680.address if sensors.bme680 else None)
        self._dht22_pin = sensors.dht22.pin if sensors.dht22 else None
        self._lock = threading.Lock()
        self._watched: dict[int, tuple[Edge, int]] = {}
        self.parts = parts or Peripherals(_entries(config))
        self.parts.interrupt = self._edge

    def dht22(self) -> tuple[float, float]:
        """Send the start pulse and decode what comes back (Aosong AM2302, section 7)."""
        if self._dht22_pin is None:
            raise Refused(Error.UNSUPPORTED)
        request = struct.pack("<BHB", self._dht22_pin, _START_LOW_US, _BITS + 1)
        answer = self._transact(Operation.PULSES, request)
        highs = [high for _low, high in struct.iter_unpack("<HH", answer)][1:]  # the first is the response
        if len(highs) != _BITS:
            raise Refused(Error.TIMEOUT)
        value = 0
        for high in highs:
            value = value << 1 | (high > _ONE_US)
        data = value.to_bytes(_BITS // 8, "big")
        if sum(data[:4]) & 0xFF != data[4]:
            raise Refused(Error.CHECKSUM)
        tenths = int.from_bytes(data[2:4], "big")
        sign = -1 if tenths & 0x8000 else 1
        return sign * (tenths & 0x7FFF) / 10, int.from_bytes(data[:2], "big") / 10

    def i2c(self, address: int, out: bytes, read_length: int) -> bytes:
        """Do one transaction."""
        with self.exclusive():
            return self._transact(Operation.I2C, struct.pack("<BH", address, read_length) + out)

    def gpio_read(self, pin: int) -> bool:
        """Return a pin's level."""
        return bool(self._transact(Operation.GPIO_READ, bytes([pin]))[0])

    def gpio_write(self, pin: int, level: bool) -> None:
        """Drive a pin."""
        self._transact(Operation.GPIO_WRITE, bytes([pin, level]))

    def gpio_watch(self, pin: int, edge: Edge) -> None:
        """Count edges that an input part makes."""
        with self._lock:
            self._watched[pin] = edge, 0

    def gpio_edges(self, pin: int) -> int:
        """Return and forget the edges counted."""
        with self._lock:
            if pin not in self._watched:
                raise Refused(Error.BAD_ARGUMENT)
            edge, count = self._watched[pin]
            self._watched[pin] = edge, 0
            return count

    def show(self, colours: Sequence[Rgb]) -> None:
        """Shift the colours out, green first as WS2812 take them."""
        if colours:
            data = bytes(byte for red, green, blue in colours for byte in (green, red, blue))
            self._transact(Operation.STRIP, b"\0" + data)

    def _edge(self, pin: int, level: bool) -> None:
        with self._lock:
            if pin in self._watched:
                edge, count = self._watched[pin]
                self._watched[pin] = edge, count + (edge == "both" or (edge == "rising") == level)

    def _transact(self, operation: Operation, request: bytes) -> bytes:
        with self._lock:
            answer = self.parts.transact(operation, request)
        if answer[0] != Status.DONE:
            raise Refused(_ERRORS.get(Status(answer[0]), Error.NO_ANSWER))
        return answer[1:]


def _entries(config: Config) -> list[tuple[str, str, Mapping[str, object]]]:
    """Return the parts: kind, name and settings of each."""
    entries: list[tuple[str, str, Mapping[str, object]]] = []
    if config.sensors.dht22:
        entries.append(("dht22", "dht22", {"pin": config.sensors.dht22.pin}))
    if config.sensors.bme680:
        entries.append(("bme680", "bme680", {"address": config.sensors.bme680.address}))
    if config.leds.count:
        entries.append(("ws2812", "leds", {"count": config.leds.count}))
    for kind, name, switch in (("buzzer", "buzzer", config.buzzer), ("relay", "fan", config.fan)):
        if switch.pin is not None:
            entries.append((kind, name, {"pin": switch.pin, "active_low": switch.active_low}))
    return entries
