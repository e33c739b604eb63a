"""`lab versions`: what the lab has kept of an app."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import typer

from lab.cli._output import AsJson, emit, size, table
from lab.client import Client
from lab.errors import UsageError
from lab.home import Home


def versions(
    app: Annotated[str | None, typer.Argument(metavar="[APP]", help="An app; else all.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the kept versions of an app, the newest first, and how many devices run each."""
    found = Client.connect(Home.find()).get("packages", app=app)
    if app is not None and not found["packages"]:
        raise UsageError(f"no version of {app} is kept", hint="see what is: lab versions")
    emit(found, as_json, lambda: _show(found["packages"]))


def _show(rows: list[dict[str, Any]]) -> None:
    table(
        ("APP", "VERSION", "SEQUENCE", "SIGNED BY", "SIZE", "KEPT SINCE", "DEVICES", "PACKAGE"),
        [
            (
                row["name"],
                row["version"] or "-",
                str(row["sequence"] or "-"),
                row["publisher"] or "nobody",
                size(row["size"]),
                datetime.fromtimestamp(row["created"]).isoformat(" ", "seconds"),
                str(len(row["devices"])),
                row["id"][:12],
            )
            for row in rows
        ],
    )
