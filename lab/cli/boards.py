"""`lab boards`: the board catalogue."""

from __future__ import annotations

from lab.cli._output import AsJson, emit, table
from lab.home import Home


def boards(as_json: AsJson = False) -> None:
    """List the boards the lab knows: its own, and those in the lab folder's `platforms/`."""
    from lab.boards import catalogue

    known = catalogue(Home.find().root / "platforms")
    rows = [{"name": board.name, "engine": board.engine, "title": board.title} for board in known.values()]
    emit(
        {"boards": rows},
        as_json,
        lambda: table(("BOARD", "ENGINE", "WHAT"), [(r["name"], r["engine"], r["title"]) for r in rows]),
    )
