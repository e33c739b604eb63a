"""A voltage on an input of the analogue-digital converter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from lab.peripherals.model import AnalogModel, Bench, Quantity, Settings

REFERENCE = 3.3  # V
_FULL_SCALE = 4095


@dataclass(frozen=True, slots=True, kw_only=True)
class PotentiometerSettings(Settings):
    """The part's keys in a board's TOML.

    :param channel: the converter's input.
    """

    channel: Annotated[int, Field(ge=0, le=255)] = 0


class Potentiometer(AnalogModel):
    """A potentiometer between ground and the reference. Set `voltage`."""

    settings_type = PotentiometerSettings
    quantities: ClassVar[Mapping[str, Quantity]] = {"voltage": Quantity("V", 0, REFERENCE, 0)}

    def __init__(self, name: str, settings: PotentiometerSettings, bench: Bench) -> None:
        super().__init__(name, settings, bench)
        self.channel = settings.channel

    def convert(self) -> int:
        """Return the reading of an ideal 12-bit converter."""
        return round(self.signals["voltage"].sample() / REFERENCE * _FULL_SCALE)


MODEL = Potentiometer
