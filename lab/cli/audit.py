"""`lab audit`: who did what in this lab."""

from __future__ import annotations

import enum
import json
from datetime import datetime
from typing import Annotated, Any

import typer

from lab.cli._output import AsJson, emit, state, table
from lab.client import Client
from lab.home import Home


class Result(enum.StrEnum):
    """What came of an action."""

    BEGUN = "begun"
    DONE = "done"
    FAILED = "failed"
    REFUSED = "refused"


def audit(
    who: Annotated[str | None, typer.Option(help="Only what this user or token did.")] = None,
    action: Annotated[str | None, typer.Option(help="Only this action, such as deploy.")] = None,
    target: Annotated[str | None, typer.Option(help="Only what was done to this.")] = None,
    result: Annotated[Result | None, typer.Option(help="Only what came to this.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many rows.")] = 50,
    export: Annotated[
        bool, typer.Option("--export", help="Print the whole log, one JSON object a line, the oldest first.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show who did what, when, and what came of it; the newest first. Rows can only be added to this log."""
    client = Client.connect(Home.find())
    if export:
        for row in client.stream("audit", "export"):
            print(json.dumps(row))
        return
    found = client.get("audit", who=who, action=action, target=target, result=result, limit=limit)
    emit(found, as_json, lambda: _show(found["rows"]))


def _show(rows: list[dict[str, Any]]) -> None:
    table(
        ("TIME", "WHO", "ROLE", "ACTION", "TARGET", "RESULT", "WHY"),
        [
            (
                datetime.fromtimestamp(row["time"]).isoformat(" ", "seconds"),
                row["who"],
                row["role"] or "-",
                row["action"],
                row["target"] or "-",
                state(row["result"]),
                row["reason"],
            )
            for row in rows
        ],
    )
