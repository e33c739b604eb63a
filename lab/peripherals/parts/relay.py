"""An output that is on at one level of a pin: a relay, a fan, a lamp. It keeps when it was on."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from lab.peripherals.model import Bench, Fault, Json, Kept, OutputModel, Settings

_KEPT = 256
"""How many of the last intervals are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelaySettings(Settings):
    """The part's keys in a board's TOML.

    :param pin: the GPIO that drives it.
    :param active_low: it is on while the pin is low.
    """

    pin: int
    active_low: bool = False


class Relay(OutputModel):
    """A switched output, off at power-on."""

    settings_type = RelaySettings
    faults = frozenset({Fault.UNPLUGGED})

    def __init__(self, name: str, settings: RelaySettings, bench: Bench) -> None:
        super().__init__(name, settings, bench)
        self.pin = settings.pin
        self._on_level = not settings.active_low
        self._on_since: float | None = None
        self.intervals: deque[tuple[float, float]] = deque(maxlen=_KEPT)
        self.total = 0

    @property
    def on(self) -> bool:
        """Whether it is on now."""
        return self._on_since is not None

    def drive(self, level: bool) -> None:
        """Switch, and note for how long it was on."""
        on = level == self._on_level and self.fault is Fault.NONE
        if on == self.on:
            return
        now = self.bench.clock()
        if self._on_since is None:
            self._on_since = now
            self.total += 1
        else:
            self.intervals.append((self._on_since, now))
            self._on_since = None
        self.bench.changed(self.name)

    def reset(self) -> None:
        """A board's pins float until its firmware drives them: the output goes off."""
        self.drive(not self._on_level)

    def save(self) -> Kept:
        """Return whether it is on, and when it was."""
        own = {"on_since": self._on_since, "intervals": list(self.intervals), "total": self.total}
        return super().save() | own

    def load(self, kept: Kept) -> None:
        """Be as it was at `save`."""
        super().load(kept)
        self._on_since, self.total = kept["on_since"], kept["total"]
        self.intervals = deque(((start, end) for start, end in kept["intervals"]), maxlen=_KEPT)

    def state(self) -> Mapping[str, Json]:
        """Return whether it is on, how often it went on, and the last intervals (start, end) in seconds."""
        return {
            "on": self.on,
            "total": self.total,
            "intervals": [list(interval) for interval in self.intervals],
        }


MODEL = Relay
