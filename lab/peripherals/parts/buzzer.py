"""A buzzer on a pin, sounding while the pin is low. Each time it sounds is one beep."""

from __future__ import annotations

from dataclasses import dataclass

from lab.peripherals.parts.relay import Relay, RelaySettings


@dataclass(frozen=True, slots=True, kw_only=True)
class BuzzerSettings(RelaySettings):
    """The part's keys in a board's TOML.

    :param active_low: it sounds while the pin is low.
    """

    active_low: bool = True


class Buzzer(Relay):
    """An active buzzer: `Relay.total` counts the beeps, `Relay.intervals` says when they were."""

    settings_type = BuzzerSettings


MODEL = Buzzer
