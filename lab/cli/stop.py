"""`lab stop`: end an app."""

from __future__ import annotations

from typing import Annotated

import typer

from lab.cli._output import DeviceId
from lab.client import Client
from lab.home import Home


def stop(device: DeviceId, app: Annotated[str, typer.Argument(metavar="APP")]) -> None:
    """End an app on a device and free its memory."""
    Client.connect(Home.find()).delete("devices", device, "apps", app)
