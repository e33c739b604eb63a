"""A device's host for apps under test: Python functions behind the contract's imports, under wasmtime."""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import wasmtime

from lab import contract, sdk
from lab.errors import MissingError
from lab.sdk.compiler import Compiled

LANGUAGES = ("c", "rust", "assemblyscript", "wat")

NO_ANSWER = 1  # of the contract's errors


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="lab-sdk-")


@cache
def _build(template: str, language: str) -> Compiled | MissingError:
    folder = Path(_folder().name) / f"{template}-{language}"
    sdk.new(folder, template=template, language=language)
    try:
        return sdk.compile(folder)
    except MissingError as error:
        return error


def build(template: str, language: str) -> Compiled:
    """Return a template compiled, once a process; skip what this machine has no compiler for."""
    made = _build(template, language)
    if isinstance(made, MissingError):
        pytest.skip(str(made))
    return made


@dataclass
class Host:
    """What an app sees of the world, and what it did to it.

    :param room: the DHT22's temperature and humidity; none if it is unplugged.
    :param air: the BME680's temperature, humidity, pressure and gas resistance; none if it is unplugged.
    :param now: ms since the start.
    """

    room: tuple[float, float] | None = (20.0, 40.0)
    air: tuple[float, float, float, float] | None = (20.0, 40.0, 1013.0, 100_000.0)
    now: int = 0
    leds: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    sounds: list[tuple[Any, ...]] = field(default_factory=list)
    log: list[tuple[int, str]] = field(default_factory=list)
    published: list[tuple[str, bytes]] = field(default_factory=list)


class App:
    """An app that runs; each call stands for one of the device's."""

    def __init__(self, compiled: Compiled, host: Host) -> None:
        self.host = host
        engine = wasmtime.Engine()
        self.store = wasmtime.Store(engine)
        linker = wasmtime.Linker(engine)
        functions = self._functions()
        for module, names in contract.IMPORTS.items():
            short = module.partition("/")[2].partition("@")[0]
            for name, signature in names.items():
                kind = wasmtime.FuncType(*([_value(each) for each in side] for side in signature))
                linker.define(
                    self.store,
                    module,
                    name,
                    wasmtime.Func(self.store, kind, functions.get(f"{short}.{name}", _unexpected)),
                )
        self.instance = linker.instantiate(self.store, wasmtime.Module(engine, compiled.wasm.read_bytes()))

    def call(self, name: str, *arguments: int) -> Any:
        function = self.instance.exports(self.store)[name]
        assert isinstance(function, wasmtime.Func)
        return function(self.store, *arguments)

    def init(self) -> int:
        if self.instance.exports(self.store).get("_initialize"):
            self.call("_initialize")
        return int(self.call("init"))

    def poll(self) -> None:
        self.call("poll")

    def command(self, text: bytes) -> bytes:
        at = self.call("cabi_realloc", 0, 0, 1, len(text))
        self.memory.write(self.store, text, at)
        result = self.call("on-command", at, len(text))
        address, size = struct.unpack("<II", self.memory.read(self.store, result, result + 8))
        return bytes(self.memory.read(self.store, address, address + size))

    @property
    def memory(self) -> wasmtime.Memory:
        memory = self.instance.exports(self.store)["memory"]
        assert isinstance(memory, wasmtime.Memory)
        return memory

    def _functions(self) -> dict[str, Callable[..., Any]]:
        host = self.host

        def text(at: int, size: int) -> bytes:
            return bytes(self.memory.read(self.store, at, at + size))

        def reading(values: tuple[float, ...] | None, result: int) -> None:
            done = struct.pack("<B3x", values is None)
            payload = struct.pack(f"<{len(values)}f", *values) if values else bytes([NO_ANSWER])
            self.memory.write(self.store, done + payload, result)

        def set_led(index: int, red: int, green: int, blue: int) -> int:
            host.leds[index] = (red, green, blue)
            return 1

        return {
            "log.write": lambda level, at, size: host.log.append((level, text(at, size).decode())),
            "clock.now": lambda: host.now,
            "publish.send": lambda topic, topic_size, at, size: host.published.append(
                (text(topic, topic_size).decode(), text(at, size))
            ),
            "led-controller.set": set_led,
            "buzzer-controller.on-for": lambda ms: host.sounds.append(("on-for", ms)),
            "buzzer-controller.beep": lambda *beep: host.sounds.append(("beep", *beep)),
            "dht22.read": lambda result: reading(host.room, result),
            "bme680.read": lambda result: reading(host.air, result),
        }


def _value(name: str) -> wasmtime.ValType:
    kind: wasmtime.ValType = getattr(wasmtime.ValType, name)()
    return kind


def _unexpected(*_: Any) -> None:
    raise AssertionError("the app called what it should not need")
