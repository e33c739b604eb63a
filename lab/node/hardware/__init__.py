"""What a node's plugins measure with and act on: the same calls, whatever is behind them."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from lab.plugins.refusal import Error, Refused

if TYPE_CHECKING:
    from lab.node.config import Config

_STATUS, _MEASURING = 0x1D, 0x20  # BST-BME680-DS001, section 5.3.5
_MEASURE_SECONDS = 1.0
_POLL_SECONDS = 0.01

Rgb = tuple[int, int, int]
Edge = Literal["rising", "falling", "both"]


@dataclass(frozen=True, slots=True)
class Air:
    """What a BME680 measures: °C, % relative, hPa, and Ω (0 while the heater is not stable)."""

    temperature: float
    humidity: float
    pressure: float
    gas_resistance: float


class Hardware:
    """A node's parts. Calls block, come from several threads, raise `Refused`; this one has no parts."""

    complain: Callable[[str], None] = staticmethod(lambda _why: None)
    """Takes what goes wrong where no caller waits to hear it; the node sets it."""

    def dht22(self) -> tuple[float, float]:
        """Return °C and % relative."""
        raise Refused(Error.UNSUPPORTED)

    def bme680(self) -> Air:
        """Measure; takes up to half a second."""
        raise Refused(Error.UNSUPPORTED)

    def i2c(self, address: int, out: bytes, read_length: int) -> bytes:
        """Write, then after a repeated start read."""
        raise Refused(Error.UNSUPPORTED)

    def gpio_read(self, pin: int) -> bool:
        """Return a pin's level."""
        raise Refused(Error.UNSUPPORTED)

    def gpio_write(self, pin: int, level: bool) -> None:
        """Drive a pin."""
        raise Refused(Error.UNSUPPORTED)

    def gpio_watch(self, pin: int, edge: Edge) -> None:
        """Count edges of a pin from now on."""
        raise Refused(Error.UNSUPPORTED)

    def gpio_edges(self, pin: int) -> int:
        """Return the edges since `gpio_watch` or the last call."""
        raise Refused(Error.UNSUPPORTED)

    def show(self, colours: Sequence[Rgb]) -> None:
        """Write the LED strip, all of it, once."""

    def sound(self, count: int, duration: int, interval: int) -> None:
        """Sound a buzzer that is on no pin of this node, ms; does not wait."""

    def turn_fan(self, on: bool) -> None:
        """Switch a fan that is on no pin of this node; does not wait."""

    def close(self) -> None:
        """Let go of what was opened."""


class I2cHardware(Hardware):
    """Hardware with an I2C bus; the BME680 on it is read with its driver.

    :param bme680_address: of the sensor, none if there is none.
    """

    def __init__(self, bme680_address: int | None) -> None:
        self.arbiter: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext
        """Takes turns with other nodes on the same bus (`lab.node.leases`)."""
        self._bus = threading.RLock()
        self._depth = 0
        self._address = bme680_address
        self._driver: _Bme680 | None = None

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keep the bus for several transactions that belong together."""
        with self._bus, contextlib.nullcontext() if self._depth else self.arbiter():
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1

    def bme680(self) -> Air:
        """Measure with Pimoroni's driver, made anew after an error: the sensor may be another."""
        if self._address is None:
            raise Refused(Error.UNSUPPORTED)
        with self.exclusive():
            try:
                if self._driver is None:
                    self._driver = _Bme680(self, self._address)
                return self._driver.read()
            except BaseException:
                self._driver = None
                raise


class _Bme680:
    """The driver, on the bus of a node."""

    def __init__(self, hardware: I2cHardware, address: int) -> None:
        import bme680  # type: ignore[import-untyped]

        smbus = _Smbus(hardware)

        class Sensor(bme680.BME680):  # type: ignore[misc]
            """Waits for the end of a measurement: the flag "new data" may still be that of the last one."""

            def set_power_mode(self, value: int, blocking: bool = True) -> None:
                super().set_power_mode(value, blocking)
                ends = time.monotonic() + _MEASURE_SECONDS
                while value == bme680.FORCED_MODE and smbus.read_byte_data(address, _STATUS) & _MEASURING:
                    if time.monotonic() > ends:
                        raise Refused(Error.TIMEOUT)
                    time.sleep(_POLL_SECONDS)

        try:
            self._sensor = Sensor(address, smbus)
            self._sensor.set_gas_heater_temperature(320)
            self._sensor.set_gas_heater_duration(150)
            self._sensor.select_gas_heater_profile(0)
        except RuntimeError:
            raise smbus.failure or Refused(Error.NO_ANSWER) from None

    def read(self) -> Air:
        if not self._sensor.get_sensor_data():
            raise Refused(Error.TIMEOUT)
        data = self._sensor.data
        gas = data.gas_resistance if data.heat_stable else 0.0
        return Air(float(data.temperature), float(data.humidity), float(data.pressure), float(gas))


class _Smbus:
    """The bus with the names that drivers written for smbus call."""

    def __init__(self, hardware: Hardware) -> None:
        self._hardware = hardware
        self.failure: Refused | None = None

    def read_byte_data(self, address: int, register: int) -> int:
        return self.read_i2c_block_data(address, register, 1)[0]

    def read_i2c_block_data(self, address: int, register: int, length: int) -> list[int]:
        return list(self._transfer(address, bytes([register]), length))

    def write_byte_data(self, address: int, register: int, value: int) -> None:
        self._transfer(address, bytes([register, value]), 0)

    def write_i2c_block_data(self, address: int, register: int, values: Sequence[int]) -> None:
        # The sensor takes pairs of register and value (BST-BME680-DS001, section 6.2.1).
        pairs = ((register + offset, value) for offset, value in enumerate(values))
        self._transfer(address, bytes(byte for pair in pairs for byte in pair), 0)

    def _transfer(self, address: int, out: bytes, read_length: int) -> bytes:
        try:
            return self._hardware.i2c(address, out, read_length)
        except Refused as refused:
            self.failure = refused
            raise


def open_hardware(config: Config) -> Hardware:
    """Return the hardware that a configuration names.

    :raises LabError: it is not there.
    """
    if config.hardware.kind == "simulated":
        from lab.node.hardware.simulated import Simulated

        return Simulated(config)
    if config.hardware.kind == "linux":
        from lab.node.hardware.linux import Linux

        return Linux(config)
    if config.hardware.kind == "device":
        from lab.node.hardware.device import Device

        return Device(config)
    return Hardware()
