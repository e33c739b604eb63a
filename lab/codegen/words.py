"""Names and comments in the styles of the languages that are generated."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

from lab.codegen import wit

BANNER = "Generated from wit/device.wit by `python -m lab.codegen`: change that, then run it again."
WIDTH = 110


def snake(*names: str) -> str:
    """Return ``on_for`` for ``on-for``; several names are joined."""
    return "_".join(name.replace("-", "_") for name in names if name)


def pascal(name: str) -> str:
    """Return ``OnFor`` for ``on-for``."""
    return "".join(part.capitalize() for part in name.split("-"))


def camel(name: str) -> str:
    """Return ``onFor`` for ``on-for``."""
    first, *rest = name.split("-")
    return first + "".join(part.capitalize() for part in rest)


def prefix(definition: wit.Definition) -> tuple[str, ...]:
    """Return what a type's name begins with: its interface, but nothing for the shared ``types``."""
    return () if definition.interface == "types" else (definition.interface,)


def block_comment(docs: str, indent: str = "") -> list[str]:
    """Return `docs` as a C comment of one or several lines."""
    if not docs:
        return []
    lines = textwrap.wrap(" ".join(docs.split()), WIDTH - len(indent) - 6)
    if len(lines) == 1:
        return [f"{indent}/* {lines[0]} */"]
    return [
        f"{indent}/* {lines[0]}",
        *(f"{indent} * {line}" for line in lines[1:-1]),
        f"{indent} * {lines[-1]} */",
    ]


def line_comment(docs: str, mark: str, indent: str = "") -> list[str]:
    """Return `docs` as comment lines that begin with `mark`."""
    if not docs:
        return []
    lines = textwrap.wrap(" ".join(docs.split()), WIDTH - len(indent) - len(mark) - 1)
    return [f"{indent}{mark} {line}" for line in lines]


def preface(paragraphs: Iterable[str], mark: str) -> list[str]:
    """Return a file's first comment: paragraphs, apart from each other; an indented one is left as it is."""
    lines: list[str] = []
    for paragraph in paragraphs:
        code_goes_on = paragraph.startswith(" ") and lines[-1:] and lines[-1].startswith(f"{mark}  ")
        lines += [mark] if lines and not code_goes_on else []
        lines += [f"{mark} {paragraph}"] if paragraph.startswith(" ") else line_comment(paragraph, mark)
    return lines


def joined(lines: Iterable[str]) -> str:
    """Return `lines` as a file's text; those that are too long are broken after a comma in their brackets."""
    return "".join(f"{line}\n" for line in _broken(lines))


def _broken(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        if line.lstrip().startswith(("//", "/*", "*", "#")):
            yield line
            continue
        bracket = line.find("(")
        hanging = " " * (bracket + 1 if 0 < bracket < WIDTH // 2 else 8)
        rest = line
        while len(rest) > WIDTH and (cut := rest.rfind(", ", len(hanging), WIDTH)) > 0:
            yield rest[: cut + 1]
            rest = hanging + rest[cut + 2 :]
        yield rest
