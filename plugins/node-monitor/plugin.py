"""The node itself: CPU temperature (shown, with beeps and the fan), load, memory, uptime, network."""

import math

from wit_world import exports
from wit_world.exports.sensor import Reading, State
from wit_world.imports import (
    buzzer_controller,
    fan_controller,
    led_controller,
    network,
    settings,
    system_info,
)
from wit_world.imports.types import Rgb

WARM, HOT, ALARM = 50.0, 70.0, 75.0  # °C
FAN_OFF = 60.0  # °C at which the fan stops again; it starts at HOT
LEDS = "0,3"

GREEN, ORANGE, RED, OFF = Rgb(0, 255, 0), Rgb(255, 120, 0), Rgb(255, 0, 0), Rgb(0, 0, 0)


def judge(temperature: float) -> tuple[Rgb, State, str]:
    """Return the colour, the state and the word for a CPU temperature."""
    if math.isnan(temperature):
        return OFF, State.NORMAL, ""
    if temperature > ALARM:
        return RED, State.ALARM, "too hot"
    if temperature > HOT:
        return RED, State.WARNING, "hot"
    if temperature >= WARM:
        return ORANGE, State.WARNING, "warm"
    return GREEN, State.NORMAL, ""


class Sensor(exports.Sensor):
    """Implements `lab:plugin/sensor`."""

    def poll(self) -> list[Reading]:
        """Measure, judge, show."""
        info = system_info.get()
        colour, state, note = judge(info.cpu_temperature)
        for led in (settings.get("led") or LEDS).split(","):
            led_controller.set(int(led), colour)
        if state is State.ALARM:
            buzzer_controller.beep(2, 100, 100)
        if info.cpu_temperature > HOT:
            fan_controller.set(True)
        elif info.cpu_temperature < FAN_OFF:
            fan_controller.set(False)
        used = info.memory_total - info.memory_free
        readings = [
            Reading("node", "cpu-load", round(info.cpu_load, 1), "%", State.NORMAL, ""),
            Reading("node", "memory-used", used, "B", State.NORMAL, ""),
            Reading("node", "memory-total", info.memory_total, "B", State.NORMAL, ""),
            Reading("node", "uptime", info.uptime / 1000, "s", State.NORMAL, ""),
        ]
        if not math.isnan(info.cpu_temperature):
            readings.append(
                Reading("node", "cpu-temperature", round(info.cpu_temperature, 1), "°C", state, note)
            )
        for target in network.targets():
            readings.append(
                Reading("network", target.name, round(target.latency, 2), "ms", State.NORMAL, "online")
                if target.online
                else Reading("network", target.name, 0.0, "ms", State.WARNING, "offline")
            )
        return readings
