"""`lab boards`: the board catalogue."""

from __future__ import annotations

from lab.cli._output import AsJson, emit, table


def boards(as_json: AsJson = False) -> None:
    """List the boards the lab knows: its own, and those in the lab folder's `platforms/`."""
    from lab.boards import boards as known
    from lab.engines.renode import chosen_control

    control = chosen_control()
    rows = [
        {
            "name": board.name,
            "engine": board.engine,
            "control": control if board.engine == "renode" else None,
            "title": board.title,
        }
        for board in known()
    ]

    def engine(row: dict[str, str | None]) -> str:
        return f"{row['engine']} ({row['control']})" if row["control"] else str(row["engine"])

    emit(
        {"boards": rows},
        as_json,
        lambda: table(
            ("BOARD", "ENGINE", "WHAT"), [(str(r["name"]), engine(r), str(r["title"])) for r in rows]
        ),
    )
