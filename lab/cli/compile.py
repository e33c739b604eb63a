"""`lab compile`: make an app's module and say what it takes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli._output import AsJson, data, emit, size, spinner, talk

if TYPE_CHECKING:
    from lab import sdk


def compile(
    path: Annotated[Path, typer.Argument(help="An app's folder, or one source: .c, .cpp, .rs, .ts, .wat.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="The module; else build/NAME.wasm beside the app.")
    ] = None,
    board: Annotated[str | None, typer.Option(help="Check that it fits into this board.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compile an app to WebAssembly and check that devices will take it."""
    from lab import boards, sdk

    with spinner() as bar:
        task = bar.add_task("compiling")
        app = sdk.compile(
            path,
            output=output,
            board=boards.load(board) if board else None,
            progress=lambda text: bar.update(task, description=text),
        )
    if app.warnings:
        talk.out(app.warnings.rstrip("\n"), highlight=False)
    emit(app.as_json(), as_json, lambda: _show(app))


def _show(app: sdk.Compiled) -> None:
    rows = [
        ("module", str(app.wasm)),
        ("size", size(app.size) + (f" (made smaller by {app.optimiser})" if app.optimiser else "")),
        ("memory", size(app.memory)),
        ("imports", ", ".join(app.imports) or "-"),
        ("exports", ", ".join(app.exports) or "-"),
    ]
    if app.manifest:
        permissions = app.manifest.permissions
        addresses = [f"i2c {address:#04x}" for address in permissions.i2c]
        rows.append(("permits", ", ".join((*permissions.interfaces, *addresses)) or "-"))
    for name, value in rows:
        data.print(f"{name:<9}{value}", highlight=False, markup=False, soft_wrap=True)
