"""`lab down`: end devices, or the whole lab."""

from __future__ import annotations

from typing import Annotated

import typer

from lab.cli._output import talk
from lab.client import Client
from lab.errors import UsageError
from lab.home import Home


def down(
    devices: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="These devices only; else the whole lab.")
    ] = None,
    forget: Annotated[
        bool, typer.Option("--forget", help="Drop them from the registry too, and erase their flash.")
    ] = False,
) -> None:
    """Cut the power of devices; without an ID, of all, and end the lab's daemon. State on disk stays."""
    home = Home.find()
    if forget and not devices:
        raise UsageError("--forget takes the IDs of the devices to drop")
    if devices:
        client = Client.connect(home)
        for device in devices:  # of a list with one that is not there, none is ended
            client.get("devices", device)
        for device in devices:
            client.delete("devices", device, forget=forget)
        return
    running = Client.running(home)
    if running is None:
        talk.print(f"no lab runs in {home.root}", highlight=False)
        return
    running.shut_down()
