"""Every template in every language that this machine compiles: its bounds, and what it does to the world."""

from __future__ import annotations

import random

import pytest

from lab import sdk
from tests.unit.sdk_host import LANGUAGES, App, Host, build

# Bytes of module and linear memory, with wasm-opt or without. AssemblyScript brings a memory manager and
# UTF-16 texts; its memory holds a heap of 2 KiB where one is used.
BOUNDS = {"c": (1536, 1280), "rust": (2560, 2048), "assemblyscript": (5120, 5120), "wat": (1280, 256)}

GREEN, ORANGE, RED, BLUE = (0, 255, 0), (255, 120, 0), (255, 0, 0), (0, 0, 255)
LIME, YELLOW, PURPLE, OFF = (128, 255, 0), (255, 255, 0), (128, 0, 128), (0, 0, 0)
BEEPS = ("beep", 3, 200, 200)
LONG = ("on-for", 1000)

each_language = pytest.mark.parametrize("language", LANGUAGES)


def start(template: str, language: str, host: Host, interval: int) -> App:
    app = App(build(template, language), host)
    assert app.init() == interval
    return app


@each_language
@pytest.mark.parametrize("template", sdk.templates())
def test_a_template_compiles_within_its_bounds(template: str, language: str) -> None:
    made = build(template, language)
    size, memory = BOUNDS[language]
    assert made.language == language
    assert made.size == made.wasm.stat().st_size <= size
    assert made.memory <= memory
    assert {"init", "poll"} <= set(made.exports)


@each_language
def test_hello_says_hello_and_goes_on(language: str) -> None:
    host = Host()
    app = start("hello", language, host, 1000)
    app.poll()
    assert host.log == [(1, "hello from WebAssembly"), (1, "still here")]


@each_language
def test_blinker_blinks(language: str) -> None:
    host = Host()
    app = start("blinker", language, host, 500)
    seen = []
    for _ in range(4):
        app.poll()
        seen.append(host.leds[0])
    assert seen == [(255, 255, 255), OFF, (255, 255, 255), OFF]


@each_language
def test_sensor_logs_what_the_sensor_says(language: str) -> None:
    host = Host()
    app = start("sensor", language, host, 2000)
    # A full run fills AssemblyScript's heap several times over.
    for temperature, humidity, line in [
        (31.5, 40.0, "31.5 °C, 40.0 %"),
        (-0.4, 99.9, "-0.4 °C, 99.9 %"),
        (-40.0, 0.0, "-40.0 °C, 0.0 %"),
        (85.3, 100.0, "85.3 °C, 100.0 %"),
    ] * 50:
        host.room = (temperature, humidity)
        app.poll()
        assert host.log.pop() == (1, line)
    host.room = None
    app.poll()
    assert host.log == [(2, "the DHT22 does not answer")]


@each_language
def test_network_publishes_and_answers(language: str) -> None:
    host = Host()
    app = start("network", language, host, 5000)
    for now, published in [
        (0, b"0"),
        (5999, b"5"),
        (86_400_000, b"86400"),
        (2**63, b"9223372036854775"),
    ] * 50:
        host.now = now
        app.poll()
        assert host.published.pop() == ("uptime", published)
    for _ in range(100):
        assert app.command(b"on") == b"on"
        assert host.leds[0] == GREEN
        assert app.command(b"off") == b"off"
        assert host.leds[0] == OFF
        for other in (b"", b"o", b"onn", b"ON", b"offf"):
            assert app.command(other) == b"say on or off"
    assert host.leds[0] == OFF


# Temperature (none: unplugged), LED 1, whether it beeps.
ROOM = [
    (20.0, GREEN, False),
    (25.0, GREEN, False),
    (25.1, ORANGE, False),
    (30.0, ORANGE, False),
    (31.5, RED, True),
    (29.0, RED, False),
    (28.0, RED, False),
    (30.5, RED, False),
    (27.9, ORANGE, False),
    (30.0, ORANGE, False),
    (30.1, RED, True),
    (24.0, ORANGE, False),
    (23.0, ORANGE, False),
    (22.9, GREEN, False),
    (25.0, GREEN, False),
    (15.0, GREEN, False),
    (14.0, BLUE, False),
    (15.5, BLUE, False),
    (17.0, BLUE, False),
    (17.1, GREEN, False),
    (15.0, GREEN, False),
    (-20.0, BLUE, False),
    (None, OFF, False),
    (16.0, BLUE, False),
    (31.5, RED, True),
    (None, OFF, False),
    (29.0, RED, False),
    (10.0, BLUE, False),
]

# Gas resistance (none: unplugged; 0: heater not stable), humidity, LED 2, whether it sounds.
AIR = [
    *[(100_000.0, 40.0, PURPLE, False)] * 4,
    (0.0, 40.0, PURPLE, False),
    *[(99_000.0, 40.0, PURPLE, False), (101_000.0, 40.0, PURPLE, False)] * 3,
    (100_000.0, 40.0, GREEN, False),
    (90_000.0, 40.0, GREEN, False),
    (80_000.0, 40.0, LIME, False),
    (70_000.0, 40.0, YELLOW, False),
    (100_000.0, 100.0, YELLOW, False),
    (100_000.0, 0.0, YELLOW, False),
    (55_000.0, 40.0, ORANGE, False),
    (48_000.0, 40.0, ORANGE, False),
    (40_000.0, 40.0, RED, True),
    (48_000.0, 40.0, RED, False),
    (52_500.0, 40.0, ORANGE, False),
    (48_000.0, 40.0, ORANGE, False),
    (40_000.0, 40.0, RED, True),
    (None, 40.0, OFF, False),
    (48_000.0, 40.0, RED, False),
    (120_000.0, 40.0, GREEN, False),
    (100_000.0, 40.0, LIME, False),
]


@each_language
def test_alarm_shows_the_room(language: str) -> None:
    host = Host(air=None)
    app = start("alarm", language, host, 1000)
    for temperature, colour, beeps in ROOM:
        host.room = None if temperature is None else (temperature, 40.0)
        app.poll()
        assert (temperature, host.leds[1]) == (temperature, colour)
        assert host.sounds == ([BEEPS] if beeps else [])
        assert host.log == ([(2, "the room is too hot")] if beeps else [])
        host.sounds.clear()
        host.log.clear()


@each_language
def test_alarm_shows_the_air(language: str) -> None:
    host = Host()
    app = start("alarm", language, host, 1000)
    for gas, humidity, colour, sounds in AIR:
        host.air = None if gas is None else (20.0, humidity, 1013.0, gas)
        app.poll()
        assert (gas, host.leds[2]) == (gas, colour)
        assert host.sounds == ([LONG] if sounds else [])
        assert host.log == ([(2, "the air is bad")] if sounds else [])
        host.sounds.clear()
        host.log.clear()


@pytest.mark.parametrize("language", [language for language in LANGUAGES if language != "wat"])
def test_alarm_is_the_same_in_each_language(language: str) -> None:
    """A random walk through rooms and airs leaves the same trace as the one in WAT, bit for bit."""
    source = random.Random(20)
    here, there = Host(), Host()
    app, reference = (
        start("alarm", language, here, 1000),
        start("alarm", "wat", there, 1000),
    )
    temperature, gas = 20.0, 100_000.0
    for _ in range(500):
        temperature = min(max(temperature + source.uniform(-8, 8), 5), 40)
        gas = min(max(gas * source.uniform(0.8, 1.25), 1_000), 500_000)
        air = (temperature, source.uniform(0, 100), 1013.0, gas)
        room = (round(temperature, 1), 40.0)
        here.room = there.room = None if source.random() < 0.02 else room
        here.air = there.air = None if source.random() < 0.02 else air
        app.poll()
        reference.poll()
        assert here.leds == there.leds
    assert here.sounds == there.sounds
    assert {BEEPS, LONG} == set(here.sounds)
    assert here.log == there.log
