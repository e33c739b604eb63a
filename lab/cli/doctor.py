"""`lab doctor`: what this machine has, what it lacks, and the command that gets it."""

from __future__ import annotations

import typer

from lab.cli._output import AsJson, emit, table
from lab.errors import ExitCode


def doctor(as_json: AsJson = False) -> None:
    """Check this machine; exit 3 if something the default boards need is missing."""
    from rich.text import Text

    from lab.doctor import examine

    rows = examine()
    emit(
        {"checks": [row.as_json() for row in rows]},
        as_json,
        lambda: table(
            ("", "WHAT", "FOUND", "NEEDED FOR", "GET IT WITH"),
            [
                (
                    Text("ok", "green")
                    if row.found
                    else Text("missing", "red" if row.required else "yellow"),
                    row.what,
                    row.found or "-",
                    row.needed_for,
                    "" if row.found else row.install,
                )
                for row in rows
            ],
        ),
    )
    if any(row.required and not row.found for row in rows):
        raise typer.Exit(ExitCode.MISSING)
