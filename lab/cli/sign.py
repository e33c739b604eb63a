"""`lab sign`: make the file that devices take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lab.cli._output import AsJson, data, emit, size, spinner

Key = Annotated[
    Path | None, typer.Option(metavar="PEM", help="The publisher's private key; else the lab's own.")
]


def sign(
    app: Annotated[Path, typer.Argument(help="A .wasm module, a source, or an app's folder.")],
    key: Key = None,
    name: Annotated[str | None, typer.Option(help="The app's name; else its folder's or file's.")] = None,
    version: Annotated[
        str | None, typer.Option(help="For people, at most 24 bytes; else the one in app.toml.")
    ] = None,
    sequence: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=(1 << 32) - 1,
            help="Devices take only a higher one than theirs. Else the Unix time, which goes up by itself.",
        ),
    ] = None,
    vendor: Annotated[str, typer.Option(help="Whose devices it is for.")] = "lab",
    classes: Annotated[
        list[str] | None,
        typer.Option("--class", metavar="BOARD", help="A board it is for; may be repeated. Else any."),
    ] = None,
    trial_polls: Annotated[
        int, typer.Option(min=0, max=0xFFFF, help="Polls that must pass before a device keeps it.")
    ] = 3,
    trial_seconds: Annotated[float, typer.Option(min=0.1, max=86400, help="In which they must.")] = 10.0,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="The package; else NAME.lab beside the app.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Sign an app: one file with the module, what it may do, and who says so. `lab deploy` takes it."""
    from lab.errors import UsageError
    from lab.home import Home
    from lab.modules import read_app
    from lab.packages import SUFFIX
    from lab.publisher import Publisher

    publisher = Publisher(key) if key else Publisher.own(Home.find())
    with spinner() as bar:
        task = bar.add_task(f"reading {app}")
        found = read_app(app, progress=lambda text: bar.update(task, description=text))
    package = publisher.sign(
        name or found.name,
        found.module,
        version=found.version if version is None else version,
        sequence=sequence,
        vendor=vendor,
        classes=classes or (),
        trial_polls=trial_polls,
        trial_seconds=trial_seconds,
    )
    file = out or (app if app.is_dir() else app.parent) / f"{package.name}{SUFFIX}"
    content = package.write()
    try:
        file.write_bytes(content)
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error.strerror}") from error
    result = {"file": str(file), "bytes": len(content), **package.describe()}
    emit(result, as_json, lambda: _show(result))


def _show(package: dict[str, Any]) -> None:
    boards = ", ".join(package["classes"]) or "any board"
    for name, value in (
        ("package", f"{package['file']}, {size(package['bytes'])}"),
        ("app", f"{package['name']} {package['version']}".rstrip()),
        ("sequence", str(package["sequence"])),
        ("signed by", package["publisher"]),
        ("for", f"{boards} of {package['vendor']}"),
    ):
        data.print(f"{name:<10}{value}", highlight=False, markup=False, soft_wrap=True)
