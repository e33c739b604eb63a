"""`lab snapshot`: keep a device as it is, and have it again."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import typer

from lab.cli._output import AsJson, DeviceId, emit, size, table
from lab.client import Client
from lab.home import Home

snapshot = typer.Typer(
    no_args_is_help=True, help="Keep a device as it is, memory and clock included, and have it again."
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The snapshot's name.")]


@snapshot.command()
def save(device: DeviceId, name: Name, as_json: AsJson = False) -> None:
    """Keep a device as it is now; one that has the name already is replaced."""
    result = Client.connect(Home.find()).post("devices", device, "snapshots", body={"name": name})
    emit(result, as_json, lambda: _show([result]))


@snapshot.command()
def load(
    device: DeviceId,
    name: Name,
    timeout: Annotated[float, typer.Option(min=0.001, help="Seconds until it is connected again.")] = 60.0,
    as_json: AsJson = False,
) -> None:
    """Have a device be as it was, and wait until it is connected; one that is off is switched on by it."""
    result = Client.connect(Home.find()).operate(
        "devices",
        device,
        "snapshots",
        name,
        "load",
        progress=lambda step: None,
        body={"timeout": timeout},
    )
    emit(result, as_json, lambda: None)


@snapshot.command("list")
def list_(device: DeviceId, as_json: AsJson = False) -> None:
    """List a device's snapshots, the oldest first."""
    found = Client.connect(Home.find()).get("devices", device, "snapshots")
    emit(found, as_json, lambda: _show(found["snapshots"]))


@snapshot.command()
def remove(device: DeviceId, name: Name) -> None:
    """Erase a snapshot."""
    Client.connect(Home.find()).delete("devices", device, "snapshots", name)


def _show(rows: list[dict[str, Any]]) -> None:
    table(
        ("SNAPSHOT", "SAVED", "BOARD", "SIZE", "DAMAGE"),
        [
            (
                row["name"],
                "-" if row["saved"] is None else datetime.fromtimestamp(row["saved"]).strftime("%F %T"),
                row["board"] or "-",
                size(row["size"]),
                row["damage"] or "-",
            )
            for row in rows
        ],
    )
