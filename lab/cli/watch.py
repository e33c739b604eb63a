"""`lab watch`: a device's simulated parts, live in the terminal."""

from __future__ import annotations

import json
from typing import Any

from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from lab.cli._output import AsJson, DeviceId, data
from lab.cli.leds import row
from lab.client import Client
from lab.home import Home


def watch(device: DeviceId, as_json: AsJson = False) -> None:
    """Show sensors, LEDs and the buzzer of a device as they change, until Ctrl-C; JSON is a line a change."""
    client = Client.connect(Home.find())
    if as_json:
        for parts in client.stream("devices", device, "parts", follow="true"):
            print(json.dumps(parts), flush=True)
        return
    with Live(console=data, auto_refresh=False) as live:
        for parts in client.stream("devices", device, "parts", follow="true"):
            live.update(_view(device, parts), refresh=True)


def _view(device: str, result: dict[str, Any]) -> RenderableType:
    sensors = Table(box=None, pad_edge=False, show_header=False)
    for quantity in result["quantities"]:
        fault = result["parts"][quantity["name"].split(".")[0]]["fault"]
        sensors.add_row(quantity["name"], quantity["shown"], Text("" if fault == "none" else fault, "red"))
    lines: list[RenderableType] = [Text(device, "bold"), sensors]
    for name, part in result["parts"].items():
        if "leds" in part:
            lines.append(Text.assemble((f"{name}  ", "bold"), row(part)))
        elif "on" in part:
            sounding = Text("● on", "bold yellow") if part["on"] else Text("○ off", "dim")
            times = f"  {part['total']} times so far" if part["total"] else ""
            lines.append(Text.assemble((f"{name}  ", "bold"), sounding, times))
    return Group(*lines)
