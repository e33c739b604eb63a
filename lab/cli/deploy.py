"""`lab deploy`: push a module to devices and wait for their word."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, TextColumn

from lab.cli import apps
from lab.cli._output import AsJson, emit, progress, spinner
from lab.client import Client
from lab.errors import ExitCode, UsageError
from lab.home import Home
from lab.modules import read_module


def deploy(
    file: Annotated[Path, typer.Argument(help="An app's folder, a source, or a .wasm module.")],
    to: Annotated[list[str] | None, typer.Option(metavar="ID", help="A device; may be repeated.")] = None,
    to_all: Annotated[bool, typer.Option("--all", help="Every device that is connected.")] = False,
    app: Annotated[str | None, typer.Option(help="The app's name; else its folder's or file's.")] = None,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds for each device.")] = 60.0,
    as_json: AsJson = False,
) -> None:
    """Push an app to devices; return when each says that it runs, or why not."""
    if bool(to) == to_all:
        raise UsageError("say which devices: --to ID (may be repeated), or --all")
    with spinner() as bar:
        task = bar.add_task(f"reading {file}")
        name, module = read_module(file, progress=lambda text: bar.update(task, description=text))
    client = Client.connect(Home.find())
    bars: dict[str, Any] = {}
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:.0f} %"))
    with progress(*columns) as bar:

        def step(news: dict[str, Any]) -> None:
            device = news["device"]
            if device not in bars:
                bars[device] = bar.add_task(device, total=news["total"])
            bar.update(bars[device], completed=news["sent"])

        result = client.operate(
            "deployments",
            progress=step,
            body=module,
            name=app or name,
            to=",".join(to or []),
            timeout=timeout,
        )
    emit(result, as_json, lambda: apps.show(result["apps"]))
    if any(row["state"] not in ("trial", "running") for row in result["apps"]):
        raise typer.Exit(ExitCode.FAILED)
