"""`lab reset`, `lab pause`, `lab resume`: a device's buttons."""

from __future__ import annotations

from lab.cli._output import DeviceId
from lab.client import Client
from lab.home import Home


def reset(device: DeviceId) -> None:
    """Press a device's reset button; it boots again and reconnects by itself."""
    Client.connect(Home.find()).post("devices", device, "reset")


def pause(device: DeviceId) -> None:
    """Stop a device's clock."""
    Client.connect(Home.find()).post("devices", device, "pause")


def resume(device: DeviceId) -> None:
    """Let a paused device go on."""
    Client.connect(Home.find()).post("devices", device, "resume")
