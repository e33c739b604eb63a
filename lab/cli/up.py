"""`lab up`: boot boards and wait until each is connected."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from lab.cli._output import AsJson, emit, milliseconds, spinner, state, table, talk
from lab.cli.label import read_labels
from lab.client import Client
from lab.errors import UsageError
from lab.home import Home


def up(
    board: Annotated[str | None, typer.Option(help="The board, as `lab boards` lists it.")] = None,
    count: Annotated[int, typer.Option(min=1, max=1000, help="How many of it.")] = 1,
    name: Annotated[
        str | None, typer.Option(help="The device's id; a number is added when COUNT > 1.")
    ] = None,
    serial: Annotated[
        str | None,
        typer.Option(metavar="URL", help="A board on a real port: /dev/ttyACM0, rfc2217://…, socket://…"),
    ] = None,
    label: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="A label for them; may be repeated.")
    ] = None,
    development: Annotated[
        bool, typer.Option("--development", help="Have them take unsigned apps, too. Not for a fleet.")
    ] = False,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds until all are connected.")] = 60.0,
    as_json: AsJson = False,
) -> None:
    """Boot boards; return when every one is connected to the gateway over mutual TLS.

    Starts the lab's daemon if none runs. Ctrl-C, an error or the timeout takes down the boards of this call.
    """
    if serial and (board or count != 1):
        raise UsageError("--serial takes one board as it is: leave out --board and --count")
    client = Client.start(Home.find())
    with spinner() as bar:
        task = bar.add_task("starting")

        def step(progress: dict[str, Any]) -> None:
            bar.update(task, description=str(progress["text"]))

        result = client.operate(
            "devices",
            progress=step,
            body={
                "board": board or ("serial" if serial else "mps2-an385"),
                "count": count,
                "name": name,
                "serial": serial,
                "development": development,
                "labels": read_labels(label or []),
                "timeout": timeout,
            },
        )
    if development:
        talk.print("[yellow]development devices:[/] they run whatever they are sent, signed or not")
    emit(result, as_json, lambda: _show(result["devices"]))


def _show(devices: list[dict[str, Any]]) -> None:
    table(
        ("DEVICE", "BOARD", "ENGINE", "STATE", "BOOT", "CONNECTED AFTER"),
        [
            (
                device["id"],
                device["board"],
                device["engine"],
                state(device["state"]),
                milliseconds(device["boot_ms"]),
                milliseconds(device["connect_ms"]),
            )
            for device in devices
        ],
    )
