"""The course of quantities over time, from a CSV file.

    time,dht22.temperature,bme680.gas
    0,22,50000
    60,31.5,
    90,,120000

`time` is in seconds from the start and grows. An empty cell says nothing about that quantity; between two
values it moves in a straight line, after the last it stays.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from lab.errors import UsageError

Points = Sequence[tuple[float, float]]


def read(file: Path) -> Mapping[str, Points]:
    """Return the points of each quantity that `file` names; see `parse`.

    :raises UsageError: it cannot be read, or a line is wrong.
    """
    try:
        return parse(file.read_text(encoding="utf-8-sig"), str(file))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the profile {file}: {error}") from error


def parse(text: str, file: str) -> Mapping[str, Points]:
    """Return the points (seconds, value) of each quantity that `text` names.

    :param file: what to call it in a message.
    :raises UsageError: a line is wrong; the message says which and how.
    """
    try:
        rows = list(csv.reader(text.splitlines()))
    except csv.Error as error:
        raise UsageError(f"cannot read the profile {file}: {error}") from error
    if not rows or [cell.strip() for cell in rows[0]][:1] != ["time"] or len(rows[0]) < 2:
        raise UsageError(
            f"{file}: line 1 must name the columns", hint="For example: time,dht22.temperature,bme680.gas"
        )
    names = [cell.strip() for cell in rows[0][1:]]
    if len(set(names)) < len(names):
        raise UsageError(f"{file}: line 1 names a quantity twice")
    columns: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    before = -math.inf
    for number, row in enumerate(rows[1:], start=2):
        if not any(cell.strip() for cell in row):
            continue
        if len(row) > len(rows[0]):
            raise UsageError(f"{file}: line {number} has {len(row)} cells, line 1 only {len(rows[0])}")
        time = _number(row[0], file, number)
        if time <= before or time < 0:
            raise UsageError(f"{file}: line {number}: time {row[0]} does not grow")
        before = time
        for name, cell in zip(names, row[1:], strict=False):
            if cell.strip():
                columns[name].append((time, _number(cell, file, number)))
    for name, points in columns.items():
        if not points:
            raise UsageError(f"{file}: there is no value for {name}")
    return columns


def _number(cell: str, file: str, line: int) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UsageError(f"{file}: line {line}: {cell!r} is not a number", hint="Units are left out here.")
    return value
