"""`lab new`: an app's folder from a template."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lab.cli._output import talk


def new(
    name: Annotated[Path, typer.Argument(metavar="NAME", help="The folder to make; its name is the app's.")],
    template: Annotated[
        str, typer.Option("--template", "-t", help="hello, blinker, sensor, alarm or network.")
    ] = "hello",
    language: Annotated[str, typer.Option("--lang", "-l", help="c, rust, assemblyscript or wat.")] = "c",
) -> None:
    """Make a new app: a manifest, a README and one source."""
    from lab import sdk

    source = sdk.new(name, template=template, language=language)
    talk.print(
        f"made {source}\nnext: lab compile {name} && lab deploy {name} --all", highlight=False, markup=False
    )
