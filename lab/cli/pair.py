"""`lab pair`: take in devices this lab did not make."""

from __future__ import annotations

from typing import Annotated

import typer

from lab.cli._output import talk
from lab.client import Client
from lab.home import Home


def pair(
    device: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="A waiting device; else whoever comes.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=0, help="How long pairing stays open; 0 closes it.")] = 60.0,
) -> None:
    """Take in a waiting device, or open pairing for every device with a certificate of this lab."""
    client = Client.connect(Home.find())
    if device:
        client.post("devices", device, "accept")
    else:
        client.post("pairing", body={"seconds": seconds})
        talk.print(f"pairing is open for {seconds:g} s" if seconds else "pairing is closed", highlight=False)
