"""How every verb speaks: data on stdout, talk on stderr, `--json` on whatever prints data."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress, ProgressColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

talk = Console(stderr=True)
# Where nobody looks at it, nothing is cut to a width: what reads a pipe wants whole words.
data = Console(width=None if sys.stdout.isatty() else 500)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
DeviceId = Annotated[str, typer.Argument(metavar="ID", help="A device's id, as `lab ps` shows it.")]


@dataclass
class Verbosity:
    """What -v sets."""

    traceback: bool = False


verbosity = Verbosity()

_STATE_STYLE = {
    "connected": "green",
    "running": "green",
    "trial": "yellow",
    "confirmed": "green",
    "done": "green",
    "rolled-back": "red",
    "refused": "red",
    "aborted": "red",
    "paused": "yellow",
    "booting": "yellow",
    "waiting": "yellow",
    "unreachable": "red",
    "crashed": "red",
    "failed": "red",
}


def emit(value: Any, as_json: bool, show: Callable[[], None]) -> None:
    """Print `value` as JSON, or let `show` print it for people."""
    if as_json:
        print(json.dumps(value, indent=None))
    else:
        show()


def progress(*columns: ProgressColumn) -> Progress:
    """Return a bar for long work: gone when the work is done, and silent where nobody watches."""
    return Progress(*columns, console=talk, transient=True, disable=not talk.is_terminal)


def spinner() -> Progress:
    """Return a `progress` for work of unknown length: what is being done, and for how long."""
    return progress(SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())


def state(name: str) -> Text:
    """Return a state's name in its colour."""
    return Text(name, style=_STATE_STYLE.get(name, ""))


def table(columns: Sequence[str], rows: Sequence[Sequence[str | Text]]) -> None:
    """Print rows under column heads, without a frame: one line a row, made for `grep` too."""
    grid = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        grid.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in row))
    data.print(grid)


def size(count: int) -> str:
    """Return a number of bytes as people read it, binary units: ``17.5 KiB``."""
    return f"{count} B" if count < 1024 else f"{count / 1024:.1f} KiB"


def milliseconds(value: float | None) -> str:
    """Return a duration in ms, or a dash when it is not known."""
    return "-" if value is None else f"{value:.0f} ms"
