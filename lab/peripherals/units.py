"""Physical units as users write them: ``31.5``, ``31.5C``, ``120 kΩ``, ``1013.25hPa``."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from types import MappingProxyType

from lab.errors import UsageError

_NUMBER = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(\S*)\s*\Z")

# Per unit of the lab: its spellings, each with the factor and offset that lead to the lab's own, the first.
_SPELLINGS: Mapping[str, Mapping[str, tuple[float, float]]] = MappingProxyType(
    {
        "°C": {
            "°C": (1, 0),
            "C": (1, 0),
            "degC": (1, 0),
            "K": (1, -273.15),
            "°F": (5 / 9, -160 / 9),
            "F": (5 / 9, -160 / 9),
        },
        "%": {"%": (1, 0), "%RH": (1, 0)},
        "hPa": {"hPa": (1, 0), "mbar": (1, 0), "kPa": (10, 0), "Pa": (0.01, 0)},
        "Ω": {"Ω": (1, 0), "ohm": (1, 0), "kΩ": (1e3, 0), "kohm": (1e3, 0), "MΩ": (1e6, 0), "Mohm": (1e6, 0)},
        "V": {"V": (1, 0), "mV": (1e-3, 0)},
        "": {},
    }
)


def parse(text: str, unit: str, what: str) -> float:
    """Return the number in `text`, converted to `unit`; a bare number is in `unit` already.

    :param what: how to name it in an error.
    :raises UsageError: it is not a number, or its unit is not one of `unit`'s spellings.
    """
    spellings = _SPELLINGS[unit]
    match = _NUMBER.match(text)
    allowed = f"a number, in {unit}" + f" or with one of {', '.join(spellings)}" if unit else "a number"
    if match is None:
        raise UsageError(f"{what} = {text!r} is not a number", hint=f"Give {allowed}.")
    number, spelling = float(match[1]), match[2]
    if spelling and spelling not in spellings:
        raise UsageError(f"{what} = {text!r}: there is no unit {spelling!r} here", hint=f"Give {allowed}.")
    factor, offset = spellings[spelling] if spelling else (1, 0)
    value = number * factor + offset
    if not math.isfinite(value):
        raise UsageError(f"{what} = {text!r} is too large", hint=f"Give {allowed}.")
    return value


def show(value: float, unit: str) -> str:
    """Return `value` with its unit, for people."""
    return f"{value:g}{' ' if unit and unit != '%' else ''}{unit}"
