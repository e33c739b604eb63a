"""Label selectors: which devices are meant. ``role=test,site!=berlin,canary,!old`` means all of these."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from lab.errors import UsageError

_WORD = re.compile(r"[A-Za-z0-9._/-]{1,63}")
_HINT = "name=value, name!=value, name (has it) or !name (has it not), comma between"
LABELS_LIMIT = 32
"""Most labels of one device."""


@dataclass(frozen=True, slots=True)
class Term:
    """One condition: the label `name` is `value` (of any value where that is none), or it is not."""

    name: str
    value: str | None
    wanted: bool

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether it holds for a device with these labels."""
        found = self.name in labels if self.value is None else labels.get(self.name) == self.value
        return found is self.wanted


def parse(text: str) -> tuple[Term, ...]:
    """Return the conditions of a selector.

    :raises UsageError: it is none.
    """
    return tuple(_term(part.strip(), text) for part in text.split(","))


def check_labels(labels: Mapping[str, str]) -> None:
    """Refuse labels that no selector could name.

    :raises UsageError: says which.
    """
    for word in (*labels, *labels.values()):
        if not _WORD.fullmatch(word):
            raise UsageError(
                f"{word!r} cannot be a label's name or value",
                hint="1 to 63 of A-Z a-z 0-9 . _ / - are allowed",
            )


def _term(part: str, text: str) -> Term:
    name, sign, value = part.partition("=")
    wanted = not name.endswith("!") if sign else not name.startswith("!")
    name = name.removesuffix("!") if sign else name.removeprefix("!")
    if not _WORD.fullmatch(name) or (sign and not _WORD.fullmatch(value)):
        raise UsageError(f"{text!r} is no selector", hint=_HINT)
    return Term(name, value if sign else None, wanted)
