"""`lab deploy`: push an app to devices and wait for their word."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, TextColumn

from lab.cli import apps
from lab.cli._output import AsJson, emit, progress, spinner
from lab.cli.sign import Key
from lab.client import Client
from lab.errors import ExitCode, UsageError
from lab.home import Home

if TYPE_CHECKING:
    from lab.modules import App
    from lab.packages import Package


def deploy(
    file: Annotated[
        Path,
        typer.Argument(
            help="An app's folder, a source, a .wasm module, a .lab package, or a template's name."
        ),
    ],
    to: Annotated[list[str] | None, typer.Option(metavar="ID", help="A device; may be repeated.")] = None,
    to_all: Annotated[bool, typer.Option("--all", help="Every device that is connected.")] = False,
    app: Annotated[str | None, typer.Option(help="The app's name; else its folder's or file's.")] = None,
    key: Key = None,
    unsigned: Annotated[
        bool, typer.Option("--unsigned", help="Sign nothing: for devices of `lab up --development`.")
    ] = False,
    confirmed: Annotated[
        bool, typer.Option("--confirmed", help="Return only when the trial is over, too.")
    ] = False,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Return at once; a device that is away gets it when it is back.")
    ] = False,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds for each device.")] = 60.0,
    as_json: AsJson = False,
) -> None:
    """Sign an app and push it to devices; return when each says that it runs (on trial), or why not."""
    if bool(to) == to_all:
        raise UsageError("say which devices: --to ID (may be repeated), or --all")
    if unsigned and key:
        raise UsageError("--unsigned and --key exclude each other")
    if no_wait and confirmed:
        raise UsageError("--no-wait and --confirmed exclude each other")
    home = Home.find()
    found = _read(file)
    client = Client.connect(home)
    package = _package(found, app, home, key, unsigned)
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
            body=package.write(),
            name=package.name,
            to=",".join(to or []),
            timeout=timeout,
            confirmed=confirmed,
            wait=not no_wait,
        )
    emit(result, as_json, lambda: apps.show(result["apps"]))
    if any(row["state"] == "failed" for row in result["apps"]):
        raise typer.Exit(ExitCode.FAILED)


def package_at(file: Path, home: Home, *, key: Path | None, unsigned: bool, name: str | None) -> Package:
    """Return what is at `file` as a package: a package file as it is, all else compiled and signed.

    :param key: the publisher's; else the lab's own.
    :param unsigned: sign nothing.
    :param name: the app's, if not what its folder or file says.
    """
    return _package(_read(file), name, home, key, unsigned)


def _read(file: Path) -> App | Package:
    from lab.modules import read_app
    from lab.packages import SUFFIX, Package

    if file.suffix == SUFFIX and not file.is_dir():
        return Package.load(file)
    with spinner() as bar:
        task = bar.add_task(f"reading {file}")
        return read_app(file, progress=lambda text: bar.update(task, description=text))


def _package(found: App | Package, name: str | None, home: Home, key: Path | None, unsigned: bool) -> Package:
    from lab.packages import Package
    from lab.publisher import Publisher

    if isinstance(found, Package):
        if (name or found.name) != found.name:
            raise UsageError(f"it is signed as {found.name}, not {name}", hint="leave out --app")
        return found
    if unsigned:
        return Package.unsigned(name or found.name, found.module)
    publisher = Publisher(key) if key else Publisher.own(home)
    return publisher.sign(name or found.name, found.module, version=found.version)
