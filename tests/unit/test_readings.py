"""The course of what boards sense, as a page begins its plots with it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from lab.peripherals import Peripherals
from lab.readings import Readings


def test_a_value_is_told_from_when_on_it_was_so() -> None:
    parts = Peripherals([("dht22", "dht22", {"pin": 2})])
    on: list[Any] = [SimpleNamespace(id="desk", peripherals=parts)]
    readings = Readings(SimpleNamespace(under_power=lambda: on))  # type: ignore[arg-type]
    for at, temperature in ((100, "20"), (105, "20"), (110, "30"), (115, "30"), (120, "25")):
        parts.set("dht22.temperature", temperature)
        readings.take(at)
    humidity = parts.get("dht22.humidity")
    courses = readings.of("desk", since=0)
    assert courses["dht22.temperature"] == [(100, 20), (110, 30), (120, 25)]
    assert courses["dht22.humidity"] == [(100, humidity)]
    # What began before is as it was then.
    assert readings.of("desk", since=112)["dht22.temperature"] == [(112, 30), (120, 25)]
    assert readings.of("desk", since=200)["dht22.temperature"] == [(200, 25)]
    assert readings.of("nobody", since=0) == {}
    on.clear()
    readings.take(125)
    assert readings.of("desk", since=0) == {}, "it has no power"
