"""`lab remove`: take an app off a device."""

from __future__ import annotations

from typing import Annotated

import typer

from lab.cli._output import DeviceId
from lab.client import Client
from lab.home import Home


def remove(
    device: DeviceId, app: Annotated[str, typer.Argument(metavar="APP", help="The app's name.")]
) -> None:
    """End an app and free its flash. The device keeps its sequence number: no older version comes back."""
    Client.connect(Home.find()).delete("devices", device, "apps", app, remove=True)
