"""One app, two hosts: a core module under WAMR on a device, and as a component under wasmtime here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import wasmtime
from wasmtime import component as wc

from lab import sdk
from lab.codegen import component, wit
from lab.paths import data
from tests.e2e.conftest import Cli
from tests.e2e.parts import beeps, eventually, led, reads

pytestmark = pytest.mark.hil

PACKAGE = wit.read(data("wit") / "device.wit")
WORLD = PACKAGE.worlds["device-app"]

PROFILE = (20.0, 31.5, 29.0, 27.0, 14.0)  # °C


class Here:
    """Runs the component with a DHT22 that shows `room`, and no BME680."""

    def __init__(self, module: bytes) -> None:
        self.room = PROFILE[0]
        self.led = [0, 0, 0]
        self.beeps = 0
        engine = wasmtime.Engine()
        self._store = wasmtime.Store(engine)
        linker = wc.Linker(engine)
        functions: dict[str, dict[str, Any]] = {
            "log": {"write": lambda _store, level, text: None},
            "dht22": {"read": lambda _store: self._reading()},
            "bme680": {"read": lambda _store: "no-answer"},
            "led-controller": {"set": lambda _store, index, colour: self._set(index, colour)},
            "buzzer-controller": {
                "beep": lambda _store, count, duration, interval: self._beep(count),
                "on-for": lambda _store, milliseconds: self._beep(1),
            },
        }
        with linker.root() as root:
            for interface, named in functions.items():
                with root.add_instance(PACKAGE.interfaces[interface].full_name) as instance:
                    for name, function in named.items():
                        instance.add_func(name, function)
        wrapped = component.wrap(module, PACKAGE, WORLD)
        self._instance = linker.instantiate(self._store, wc.Component(engine, wrapped))
        self.call("init")

    def call(self, name: str) -> None:
        function = self._instance.get_func(self._store, name)
        assert function is not None
        function(self._store)
        function.post_return(self._store)

    def _reading(self) -> wc.Record:
        reading = wc.Record()
        reading.__dict__.update(temperature=self.room, humidity=45.0)
        return reading

    def _set(self, index: int, colour: wc.Record) -> bool:
        if index == 1:
            self.led = [colour.red, colour.green, colour.blue]
        return True

    def _beep(self, count: int) -> None:
        self.beeps += count


def test_the_alarm_does_the_same_on_a_device_and_as_a_component(lab: Cli, tmp_path: Path) -> None:
    sdk.new(tmp_path / "alarm", template="alarm", language="c")
    wasm = sdk.compile(tmp_path / "alarm").wasm
    here = Here(wasm.read_bytes())
    lab.ok("up", "--board", "native", "--name", "device")
    lab.ok("sensor", "device", f"dht22.temperature={PROFILE[0]}", "bme680.fault=unplugged")
    lab.ok("deploy", str(wasm), "--all")
    for temperature in PROFILE:
        here.room = temperature
        here.call("poll")
        lab.ok("sensor", "device", f"dht22.temperature={temperature}")
        # The sensor measures every 2 s, the app asks once a second: by the fourth time it has the new value.
        before = reads(lab)
        eventually(lambda before=before: reads(lab) >= before + 4, True)
        assert led(lab, "device", 1) == here.led, temperature
    assert beeps(lab, "device") == here.beeps
