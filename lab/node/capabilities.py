"""What a node's plugins can call: the interfaces of wit/ over its parts, within a plugin's permissions."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from lab.node.config import Plugin
from lab.node.hardware import Hardware
from lab.node.outputs import Buzzer, Fan, Leds, quietly
from lab.node.system import System
from lab.plugins.guest import Functions, record
from lab.plugins.host import Journal
from lab.plugins.refusal import Error, Refused

_LOG_LIMIT = 512  # bytes, wit/device.wit
_I2C_LIMIT = 256  # bytes, wit/device.wit


@dataclass(frozen=True, slots=True)
class Target:
    """How far another node is; ms of the last round trip, NaN while it is offline."""

    name: str
    online: bool
    latency: float


@dataclass(frozen=True, slots=True)
class Parts:
    """What the plugins of a node share."""

    hardware: Hardware
    leds: Leds
    buzzer: Buzzer
    fan: Fan
    system: System
    journal: Journal
    targets: Callable[[], Iterable[Target]]


def functions(name: str, plugin: Plugin, parts: Parts) -> Functions:
    """Return every interface's functions for one plugin; its world chooses among them.

    :param name: the plugin's.
    :param plugin: its table of the configuration: the LEDs, addresses and pins it may use.
    """
    began = time.monotonic()
    hardware, leds = parts.hardware, parts.leds

    def device(interface: str) -> str:
        return f"lab:device/{interface}@0.1.0"

    def pin(number: int) -> int:
        if number not in plugin.gpio:
            raise Refused(Error.DENIED)
        return number

    def i2c_transfer(address: int, out: bytes, read_length: int) -> bytes:
        if address not in plugin.i2c:
            raise Refused(Error.DENIED)
        if len(out) > _I2C_LIMIT or read_length > _I2C_LIMIT or not (out or read_length):
            raise Refused(Error.BAD_ARGUMENT)
        return hardware.i2c(address, out, read_length)

    def dht22_read() -> Any:
        temperature, humidity = hardware.dht22()
        return record(temperature=temperature, humidity=humidity)

    def bme680_read() -> Any:
        air = hardware.bme680()
        return record(
            temperature=air.temperature,
            humidity=air.humidity,
            pressure=air.pressure,
            gas_resistance=air.gas_resistance,
        )

    def info() -> Any:
        found = parts.system.info()
        return record(**{key: getattr(found, key) for key in found.__slots__})

    def rgb(colour: Any) -> tuple[int, int, int]:
        return colour.red, colour.green, colour.blue

    def set_all(colour: tuple[int, int, int]) -> None:
        leds.set([(index, colour) for index in plugin.led or range(leds.count)], plugin.led)

    return {
        device("log"): {
            "write": lambda level, text: parts.journal(
                level, name, text.encode()[:_LOG_LIMIT].decode(errors="ignore")
            )
        },
        device("clock"): {"now": lambda: int((time.monotonic() - began) * 1000)},
        device("dht22"): {"read": dht22_read},
        device("bme680"): {"read": bme680_read},
        device("i2c"): {"transfer": i2c_transfer},
        device("gpio-provider"): {
            "read": lambda number: hardware.gpio_read(pin(number)),
            "write": lambda number, level: hardware.gpio_write(pin(number), level),
            "watch": lambda number, edge: hardware.gpio_watch(pin(number), edge),
            "edges": lambda number: hardware.gpio_edges(pin(number)),
        },
        device("led-controller"): {
            "length": lambda: leds.count,
            "set": lambda index, colour: leds.set([(index, rgb(colour))], plugin.led),
            "set-two": lambda first, one, second, other: leds.set(
                [(first, rgb(one)), (second, rgb(other))], plugin.led
            ),
            "set-all": lambda colour: set_all(rgb(colour)),
            "clear": lambda: set_all((0, 0, 0)),
        },
        device("buzzer-controller"): {
            "on-for": parts.buzzer.on_for,
            "beep": parts.buzzer.beep,
            "off": parts.buzzer.off,
        },
        device("fan-controller"): {
            "set": lambda on: quietly(lambda: parts.fan.set(on)),
            "is-on": lambda: parts.fan.on,
        },
        device("system-info"): {"get": info},
        "lab:plugin/settings@0.1.0": {"get": plugin.settings.get},
        "lab:plugin/network@0.1.0": {
            "targets": lambda: [
                record(name=target.name, online=target.online, latency=target.latency)
                for target in parts.targets()
            ]
        },
    }
