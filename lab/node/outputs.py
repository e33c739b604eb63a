"""What a node shows and sounds: LEDs, written once a cycle; the buzzer; the fan."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Literal

from lab.node.hardware import Hardware, Rgb
from lab.plugins.refusal import Refused

Pattern = Literal["once", "triple", "long"]

PATTERNS: dict[Pattern, tuple[int, int, int]] = {
    "once": (1, 200, 0),
    "triple": (3, 200, 200),
    "long": (1, 5000, 0),
}
"""What the buttons sound: how often, ms on, ms off in between."""

_MAX_SECONDS = 60.0  # of one sound, whoever asked for it


class Leds:
    """The colours that plugins have set, until `sync` writes them.

    :param count: of the strip.
    """

    def __init__(self, hardware: Hardware, count: int) -> None:
        self.count = count
        self._hardware = hardware
        self._lock = threading.Lock()
        self._colours: list[Rgb] = [(0, 0, 0)] * count

    def set(self, changes: Sequence[tuple[int, Rgb]], allowed: Sequence[int]) -> bool:
        """Colour all of them or none: false if one does not exist or is not among `allowed` (if any)."""
        if any(not 0 <= index < self.count or (allowed and index not in allowed) for index, _ in changes):
            return False
        with self._lock:
            for index, colour in changes:
                self._colours[index] = colour
        return True

    def colours(self) -> list[Rgb]:
        """Return what the next `sync` writes."""
        with self._lock:
            return list(self._colours)

    def sync(self) -> None:
        """Write every LED, once, whether its colour changed or not: an LED may have lost it."""
        self._hardware.show(self.colours())


class Buzzer:
    """A buzzer. Sounds play by themselves; each replaces the one before.

    :param pin: its GPIO; without one the hardware may have a buzzer of its own.
    :param active_low: it sounds while the pin is low.
    """

    def __init__(self, hardware: Hardware, pin: int | None, active_low: bool) -> None:
        self.pin = pin
        self._hardware = hardware
        self._active_low = active_low
        self._loop = asyncio.get_running_loop()
        self._playing: asyncio.Task[None] | None = None
        self._drive(False)

    def on_for(self, milliseconds: int) -> None:
        """Sound once; from any thread."""
        self.beep(1, milliseconds, 0)

    def beep(self, count: int, duration: int, interval: int) -> None:
        """Sound `count` times for `duration` ms, silent for `interval` ms in between; from any thread."""
        if self.pin is None:
            self._hardware.sound(count, duration, interval)
            return
        self._loop.call_soon_threadsafe(self._play, count, duration / 1000, interval / 1000)

    def off(self) -> None:
        """End the sound; from any thread."""
        self.beep(0, 0, 0)

    def _play(self, count: int, on: float, off: float) -> None:
        if self._playing is not None:
            self._playing.cancel()
        self._playing = self._loop.create_task(self._sound(count, on, off))

    async def _sound(self, count: int, on: float, off: float) -> None:
        try:
            async with asyncio.timeout(_MAX_SECONDS):
                for number in range(count):
                    if number:
                        await asyncio.sleep(off)
                    self._drive(True)
                    await asyncio.sleep(on)
                    self._drive(False)
        except TimeoutError:
            pass
        finally:
            self._drive(False)

    def _drive(self, on: bool) -> None:
        if self.pin is not None:
            self._hardware.gpio_write(self.pin, on != self._active_low)


class Fan:
    """A fan: a plugin decides, until somebody decides for it.

    :param pin: its GPIO; without one the hardware may have a fan of its own.
    """

    def __init__(self, hardware: Hardware, pin: int | None, active_low: bool) -> None:
        self.pin = pin
        self.on = False
        self.manual: bool | None = None
        self._hardware = hardware
        self._active_low = active_low
        self._wanted = False
        self._drive()

    def set(self, on: bool) -> None:
        """What the plugin wants."""
        self._wanted = on
        self._drive()

    def override(self, on: bool | None) -> None:
        """What a person wants; none leaves it to the plugin again."""
        self.manual = on
        self._drive()

    def _drive(self) -> None:
        self.on = self._wanted if self.manual is None else self.manual
        if self.pin is None:
            self._hardware.turn_fan(self.on)
        else:
            self._hardware.gpio_write(self.pin, self.on != self._active_low)


def quietly(action: Callable[[], None]) -> None:
    """Do what has no result to report a failure in: a part that does not answer is left as it is."""
    try:
        action()
    except Refused:
        return
