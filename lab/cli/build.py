"""`lab build`: make a board's firmware and say what it takes."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

import typer
from rich.progress import Progress, TaskID

from lab.cli._output import AsJson, emit, size, spinner, table, talk
from lab.errors import UsageError


def build(
    board: Annotated[
        list[str] | None, typer.Option(help="Boards to build for; else all the lab builds.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Build firmware, fetching pinned third-party sources first; print flash and RAM by component."""
    from lab import boards, zephyr
    from lab.build import build as build_target

    chosen = [boards.load(name) for name in board] if board else boards.boards()
    targets = dict.fromkeys(kind.firmware for kind in chosen if kind.firmware)
    if not board and (lacking := zephyr.lacking()):
        left_out = sorted(targets.keys() & zephyr.targets().keys())
        talk.print(f"left out {', '.join(left_out)}: {lacking[0]}", style="dim", highlight=False)
        targets = {target: None for target in targets if target not in left_out}
    if not targets:
        raise UsageError(
            f"nothing to build: {', '.join(kind.name for kind in chosen)} has its firmware already"
        )
    rows: list[dict[str, Any]] = []
    with spinner() as bar:
        for target in targets:
            task = bar.add_task(target)
            result = build_target(target, progress=partial(_tell, bar, task))
            bar.remove_task(task)
            rows.append(result.as_json())
    emit({"builds": rows}, as_json, lambda: _show(rows))


def _tell(bar: Progress, task: TaskID, text: str) -> None:
    bar.update(task, description=text)


def _show(rows: list[dict[str, Any]]) -> None:
    table(
        ("TARGET", "FLASH", "RAM", "SECONDS", "IMAGE"),
        [
            (row["target"], size(row["flash"]), size(row["ram"]), f"{row['seconds']:.1f}", row["image"])
            for row in rows
        ],
    )
    for row in rows:
        parts = ", ".join(f"{name} {size(part['flash'])}" for name, part in row["components"].items())
        talk.print(f"{row['target']}: {parts}", style="dim", highlight=False)
