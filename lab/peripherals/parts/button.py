"""A push button between a pin and ground, with a pull-up: low while it is pressed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from lab.peripherals.model import Bench, InputModel, Quantity, Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class ButtonSettings(Settings):
    """The part's keys in a board's TOML.

    :param pin: the GPIO it is on.
    """

    pin: int


class Button(InputModel):
    """A button. Set `pressed` to 1 or 0; the board is told of the edge."""

    settings_type = ButtonSettings
    quantities: ClassVar[Mapping[str, Quantity]] = {"pressed": Quantity("", 0, 1, 0)}

    def __init__(self, name: str, settings: ButtonSettings, bench: Bench) -> None:
        super().__init__(name, settings, bench)
        self.pin = settings.pin

    def set(self, aspect: str, text: str) -> None:
        """Press or release it."""
        before = self.level()
        super().set(aspect, text)
        if self.level() != before:
            self.bench.interrupt(self.pin, self.level())

    def level(self) -> bool:
        """Return the pin's level."""
        return self.signals["pressed"].value < 0.5


MODEL = Button
