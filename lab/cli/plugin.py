"""`lab plugin`: build the plugins of a gateway's node."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lab.cli._output import AsJson, emit, size, table, talk

plugin = typer.Typer(help="Build and list the plugins of a gateway's node.", no_args_is_help=True)


@plugin.command()
def build(
    sources: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FOLDER]...", help="Folders that hold a plugin.py; all the lab ships if none."
        ),
    ] = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder for the .wasm files.", file_okay=False)
    ] = Path("build/plugins"),
    world: Annotated[
        str | None, typer.Option(help="World of wit/plugin.wit; else plugin.toml's, or the folder's name.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Build Python plugins to WebAssembly components. A node that watches the output folder swaps them in."""
    from lab import paths
    from lab.plugins.build import build as build_one

    folders = sources or sorted(file.parent for file in paths.data("plugins").glob("*/plugin.py"))
    built: list[Path] = []
    for folder in folders:
        with talk.status(f"building {folder.name}"):
            built.append(build_one(folder, output / f"{folder.resolve().name}.wasm", world))
    sizes = {file: file.stat().st_size for file in built}
    emit(
        {"plugins": [{"name": f.stem, "file": str(f), "bytes": n} for f, n in sizes.items()]},
        as_json,
        lambda: table(("PLUGIN", "FILE", "SIZE"), [(f.stem, str(f), size(n)) for f, n in sizes.items()]),
    )


@plugin.command()
def worlds(as_json: AsJson = False) -> None:
    """List the worlds a plugin can be of, and what each grants."""
    from lab.plugins.worlds import worlds as known

    grants = {world.name: sorted(world.imports) for world in known().values()}
    emit(
        {"worlds": grants},
        as_json,
        lambda: table(("WORLD", "GRANTS"), [(name, _short(grant)) for name, grant in grants.items()]),
    )


def _short(interfaces: list[str]) -> str:
    return ", ".join(name.partition("/")[2].partition("@")[0] for name in interfaces)
