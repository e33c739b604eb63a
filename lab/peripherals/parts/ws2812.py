"""WS2812B: a strip of LEDs that each take 24 bits and pass on the rest (Worldsemi WS2812B datasheet)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from lab.peripherals.model import Bench, Fault, Json, Kept, Settings, StripModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Ws2812Settings(Settings):
    """The part's keys in a board's TOML.

    :param strip: number of the strip output it hangs on.
    :param count: LEDs.
    """

    strip: int = 0
    count: Annotated[int, Field(ge=1, le=1024)] = 11


class Ws2812(StripModel):
    """A strip of WS2812B, dark at power-on."""

    settings_type = Ws2812Settings
    faults = frozenset({Fault.UNPLUGGED})

    def __init__(self, name: str, settings: Ws2812Settings, bench: Bench) -> None:
        super().__init__(name, settings, bench)
        self.strip = settings.strip
        self.colours: list[tuple[int, int, int]] = [(0, 0, 0)] * settings.count
        self.writes = 0

    def shift(self, data: bytes) -> None:
        """Light the LEDs: 24 bits each, in the order green, red, blue ("composition of 24 bit data").

        An LED that got no whole 24 bits keeps its colour; bits past the last LED leave the strip.
        """
        if self.fault is Fault.UNPLUGGED:
            return
        self.writes += 1
        for index in range(min(len(data) // 3, len(self.colours))):
            green, red, blue = data[3 * index : 3 * index + 3]
            self.colours[index] = (red, green, blue)
        self.bench.changed(self.name)

    def save(self) -> Kept:
        """Return its colours."""
        return super().save() | {"colours": self.colours, "writes": self.writes}

    def load(self, kept: Kept) -> None:
        """Show what it showed at `save`."""
        super().load(kept)
        self.colours = [(red, green, blue) for red, green, blue in kept["colours"]]
        self.writes = kept["writes"]

    def state(self) -> Mapping[str, Json]:
        """Return the colours (red, green, blue) and how often the strip was written."""
        return {"leds": self.colours, "writes": self.writes}


MODEL = Ws2812
