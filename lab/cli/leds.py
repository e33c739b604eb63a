"""`lab leds`: a device's LED strip."""

from __future__ import annotations

from typing import Any

from rich.text import Text

from lab.cli._output import AsJson, DeviceId, data, emit
from lab.client import Client
from lab.errors import LabError
from lab.home import Home


def leds(device: DeviceId, as_json: AsJson = False) -> None:
    """Show what a device has last written to its LED strip: red, green and blue of each LED."""
    parts = Client.connect(Home.find()).get("devices", device, "parts")["parts"]
    strip = next((part for part in parts.values() if "leds" in part), None)
    if strip is None:
        raise LabError(f"{device} has no LED strip")
    emit({"leds": strip["leds"], "writes": strip["writes"]}, as_json, lambda: data.print(row(strip)))


def row(strip: dict[str, Any]) -> Text:
    """Return a strip as coloured blocks, each with its number and colour in hex."""
    cells = []
    for number, (red, green, blue) in enumerate(strip["leds"]):
        colour = f"#{red:02x}{green:02x}{blue:02x}"
        cells.append(
            Text.assemble(
                (f"{number} ", "dim"), ("●", colour if any((red, green, blue)) else "dim"), f" {colour}"
            )
        )
    return Text("  ").join(cells)
