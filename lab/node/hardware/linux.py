"""The buses of a Linux board, a Raspberry Pi for one.

I2C through ``/dev/i2c-N``, GPIO through libgpiod, WS2812 on an SPI port's data line, and the DHT22 through
the kernel's driver (``dtoverlay=dht11,gpiopin=4``), which meets its µs where a process cannot.
"""

from __future__ import annotations

import errno
import fcntl
import importlib
import os
import struct
import threading
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.errors import MissingError
from lab.node.hardware import Edge, I2cHardware, Rgb
from lab.plugins.refusal import Error, Refused

if TYPE_CHECKING:
    from lab.node.config import Config

_IIO = Path("/sys/bus/iio/devices")
_SPI_IOC_WR_MAX_SPEED_HZ = 0x40046B04  # linux/spi/spidev.h
_SPI_HZ = 2_400_000  # three SPI bits a WS2812 bit of 1.25 µs
_RESET_BYTES = 90  # > 280 µs low latches the colours (WS2812B datasheet, "data transfer time")

_ERRORS = {
    errno.ENXIO: Error.NO_ANSWER,
    errno.EREMOTEIO: Error.NO_ANSWER,
    errno.ENODEV: Error.NO_ANSWER,
    errno.ETIMEDOUT: Error.TIMEOUT,
    errno.EIO: Error.CHECKSUM,
    errno.EBUSY: Error.BUS_STUCK,
    errno.EAGAIN: Error.BUS_STUCK,
}


class LinuxI2c(I2cHardware):
    """An I2C bus alone, which is all the native agent has.

    :param bus: N of ``/dev/i2c-N``.
    :raises MissingError: the library for it is not installed.
    """

    def __init__(self, bus: int, bme680_address: int | None) -> None:
        super().__init__(bme680_address)
        self._smbus = _library("smbus2")
        self._number = bus

    def i2c(self, address: int, out: bytes, read_length: int) -> bytes:
        """Do one combined transaction."""
        messages = [self._smbus.i2c_msg.write(address, out)] if out else []
        if read_length:
            messages.append(self._smbus.i2c_msg.read(address, read_length))
        try:
            with self.exclusive(), self._smbus.SMBus(self._number) as bus:
                bus.i2c_rdwr(*messages)
        except OSError as error:
            raise _refused(error) from error
        return bytes(messages[-1]) if read_length else b""


class Linux(LinuxI2c):
    """The board this process runs on.

    :raises MissingError: a library that its buses need is not installed.
    """

    def __init__(self, config: Config) -> None:
        sensors = config.sensors
        super().__init__(config.hardware.i2c_bus, sensors.bme680.address if sensors.bme680 else None)
        self._gpiod = _library("gpiod")
        self._settings = config.hardware
        self._lines: dict[tuple[int, str], Any] = {}
        self._lock = threading.Lock()

    def dht22(self) -> tuple[float, float]:
        """Read the kernel's driver, which gives m°C and m%."""
        for device in sorted(_IIO.glob("iio:device*")):
            try:
                if (device / "name").read_text().split("@")[0].strip() in ("dht11", "dht22"):
                    values = (device / name for name in ("in_temp_input", "in_humidityrelative_input"))
                    temperature, humidity = (int(file.read_text()) / 1000 for file in values)
                    return temperature, humidity
            except OSError as error:
                raise _refused(error) from error
        raise Refused(Error.NO_ANSWER)

    def gpio_read(self, pin: int) -> bool:
        """Return a pin's level."""
        line = self._gpiod.line
        value = self._line(pin, "in", direction=line.Direction.INPUT).get_value(pin)
        return bool(value is line.Value.ACTIVE)

    def gpio_write(self, pin: int, level: bool) -> None:
        """Drive a pin."""
        line = self._gpiod.line
        value = line.Value.ACTIVE if level else line.Value.INACTIVE
        self._line(pin, "out", direction=line.Direction.OUTPUT, output_value=value).set_value(pin, value)

    def gpio_watch(self, pin: int, edge: Edge) -> None:
        """Let the kernel keep the edges."""
        self._line(pin, f"edge-{edge}", edge_detection=self._gpiod.line.Edge[edge.upper()])

    def gpio_edges(self, pin: int) -> int:
        """Return and forget the edges that the kernel kept."""
        with self._lock:
            watched = [line for (p, use), line in self._lines.items() if p == pin and use.startswith("edge")]
        if not watched:
            raise Refused(Error.BAD_ARGUMENT)
        count = 0
        while watched[0].wait_edge_events(timedelta()):
            count += len(watched[0].read_edge_events())
        return count

    def show(self, colours: Sequence[Rgb]) -> None:
        """Send the colours as SPI bits."""
        if not colours:
            return
        try:
            port = os.open(self._settings.spi, os.O_WRONLY)
            try:
                fcntl.ioctl(port, _SPI_IOC_WR_MAX_SPEED_HZ, struct.pack("I", _SPI_HZ))
                os.write(port, spi_bits(colours))
            finally:
                os.close(port)
        except OSError as error:
            raise _refused(error) from error

    def close(self) -> None:
        """Release the pins."""
        with self._lock:
            for line in self._lines.values():
                line.release()
            self._lines.clear()

    def _line(self, pin: int, use: str, **settings: Any) -> Any:
        """Return the pin, requested for one use; another use takes it over."""
        with self._lock:
            if (pin, use) not in self._lines:
                for key in [key for key in self._lines if key[0] == pin]:
                    self._lines.pop(key).release()
                try:
                    self._lines[pin, use] = self._gpiod.request_lines(
                        self._settings.gpio_chip,
                        consumer="lab-node",
                        config={pin: self._gpiod.LineSettings(**settings)},
                    )
                except OSError as error:
                    raise _refused(error) from error
            return self._lines[pin, use]


def spi_bits(colours: Sequence[Rgb]) -> bytes:
    """Return what makes an SPI port a WS2812 data line: 100 for a 0, 110 for a 1, then the latching gap."""
    out = 0
    for red, green, blue in colours:
        for byte in (green, red, blue):
            for shift in range(7, -1, -1):
                out = out << 3 | (0b110 if byte >> shift & 1 else 0b100)
    return out.to_bytes(9 * len(colours), "big") + bytes(_RESET_BYTES)


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingError(
            f"{name} is not installed", hint="install it with: pip install 'wasm-mcu-lab[node]'"
        ) from error


def _refused(error: OSError) -> Refused:
    if error.errno in (errno.ENOENT, errno.EACCES):
        return Refused(Error.UNSUPPORTED)
    return Refused(_ERRORS.get(error.errno or 0, Error.NO_ANSWER))
