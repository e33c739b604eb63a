"""What compilers say, as places in a source: for whoever shows an error at its line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_LIMIT = 200


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One thing a compiler says.

    :param file: the source, as the compiler names it.
    :param line: from 1.
    :param column: from 1.
    :param severity: ``error`` or ``warning``.
    :param message: what is wrong there.
    """

    file: str
    line: int
    column: int
    severity: str
    message: str


# clang: src/main.c:3:5: error: use of undeclared identifier 'x'
_CLANG = re.compile(
    r"^(?P<file>[^\s:][^:\n]*):(?P<line>\d+):(?P<column>\d+): (?P<severity>(?:fatal )?error|warning): "
    r"(?P<message>.+)$",
    re.M,
)
# rustc: error[E0425]: cannot find value `x` in this scope
#         --> src/main.rs:3:5
_RUSTC = re.compile(
    r"^(?P<severity>error|warning)(?:\[\w+\])?: (?P<message>.+)\n\s*--> (?P<file>[^:\n]+):(?P<line>\d+)"
    r":(?P<column>\d+)$",
    re.M,
)
# asc: ERROR TS2304: Cannot find name 'x'.
#         :
#       3 │ x
#         │ ~
#         └─ in src/main.ts(3,5)
_ASC = re.compile(
    r"^(?P<severity>ERROR|WARNING) \w+: (?P<message>.+)\n(?:.*\n)*?.*in (?P<file>[^\s(]+)"
    r"\((?P<line>\d+),(?P<column>\d+)\)",
    re.M,
)
# wasmtime: main.wat: expected …
#                --> <anon>:3:5
_WAT = re.compile(
    r"^(?P<file>[^\s:]+\.wat): (?P<message>.+)\n\s*--> [^:\n]+:(?P<line>\d+):(?P<column>\d+)$", re.M
)


def diagnostics(said: str) -> list[Diagnostic]:
    """Return the places that a compiler's output names, in its order; the first 200."""
    found = sorted(_found(said), key=lambda entry: entry[0])
    return [diagnostic for _at, diagnostic in found[:_LIMIT]]


def _found(said: str) -> Iterator[tuple[int, Diagnostic]]:
    for pattern in (_CLANG, _RUSTC, _ASC, _WAT):
        for match in pattern.finditer(said):
            parts = match.groupdict()
            severity = "warning" if parts.get("severity", "").lower() == "warning" else "error"
            yield (
                match.start(),
                Diagnostic(
                    parts["file"], int(parts["line"]), int(parts["column"]), severity, parts["message"]
                ),
            )
