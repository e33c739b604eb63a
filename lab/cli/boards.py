"""`lab boards`: the board catalogue."""

from __future__ import annotations

from lab.cli._output import AsJson, emit, table


def boards(as_json: AsJson = False) -> None:
    """List the boards the lab knows: its own, and those in the lab folder's `platforms/`."""
    from lab.boards import boards as known

    rows = [{"name": board.name, "engine": board.engine, "title": board.title} for board in known()]
    emit(
        {"boards": rows},
        as_json,
        lambda: table(("BOARD", "ENGINE", "WHAT"), [(r["name"], r["engine"], r["title"]) for r in rows]),
    )
