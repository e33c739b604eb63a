"""`lab wait`: block until a device is where a script needs it."""

from __future__ import annotations

from typing import Annotated

import typer

from lab.cli._output import AsJson, DeviceId, emit
from lab.client import Client
from lab.home import Home


def wait(
    device: DeviceId,
    app: Annotated[str | None, typer.Option(help="Wait until this app runs on it, too.")] = None,
    boots: Annotated[
        int, typer.Option(min=1, help="Wait until it has booted this often since power-on.")
    ] = 1,
    timeout: Annotated[float, typer.Option(min=0, help="Seconds.")] = 60.0,
    as_json: AsJson = False,
) -> None:
    """Return when a device is connected (exit 4 after the timeout)."""
    result = Client.connect(Home.find()).operate(
        "devices",
        device,
        "wait",
        progress=lambda step: None,
        body={"app": app, "boots": boots, "timeout": timeout},
    )
    emit(result, as_json, lambda: None)
