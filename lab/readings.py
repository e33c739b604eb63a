"""How what boards can sense went in the last quarter of an hour: what a page begins its plots with.

One sample each five seconds, kept only where something has changed. What devices themselves reported is in
the stream of events.
"""

from __future__ import annotations

import time
from collections import deque

import anyio

from lab.lab import Lab

SECONDS = 900
"""How far back it goes."""

_SAMPLE_SECONDS = 5.0
_SAMPLES = int(SECONDS / _SAMPLE_SECONDS)

_Sample = tuple[float, dict[str, float]]


class Readings:
    """Watches the simulated parts of one lab's boards while `run` runs."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._samples: dict[str, deque[_Sample]] = {}

    async def run(self) -> None:
        """Take samples until cancelled."""
        while True:
            self.take(time.time())
            await anyio.sleep(_SAMPLE_SECONDS)

    def take(self, now: float) -> None:
        """Take a sample of every board that has power."""
        boards = {device.id: device.peripherals for device in self._lab.under_power()}
        for gone in self._samples.keys() - boards.keys():
            del self._samples[gone]
        for id, peripherals in boards.items():
            values = {
                f"{name}.{key}": signal.value
                for name, part in peripherals.parts.items()
                for key, signal in part.signals.items()
            }
            samples = self._samples.setdefault(id, deque(maxlen=_SAMPLES))
            if values and (not samples or samples[-1][1] != values):
                samples.append((now, values))

    def of(self, device: str, since: float) -> dict[str, list[tuple[float, float]]]:
        """Return the course of each quantity since then: Unix time, and its value from then on."""
        courses: dict[str, list[tuple[float, float]]] = {}
        for at, values in self._samples.get(device, ()):
            at = max(at, since)
            for name, value in values.items():
                course = courses.setdefault(name, [])
                if course and course[-1][0] == at:  # both are older than what is asked for
                    course.pop()
                if not course or course[-1][1] != value:
                    course.append((at, value))
        return courses
