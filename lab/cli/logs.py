"""`lab logs`: what a device and its apps said over the gateway."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.text import Text

from lab.cli._output import AsJson, DeviceId, data
from lab.client import Client
from lab.home import Home

_LEVEL_STYLE = {"error": "red", "warning": "yellow", "debug": "dim"}


def logs(
    device: DeviceId,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on until Ctrl-C.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print a device's log: its own lines, its apps', and what the gateway saw it do."""
    client = Client.connect(Home.find())
    client.get("devices", device)
    for event in client.stream("events", device=device, follow=follow):
        if as_json:
            print(json.dumps(event), flush=True)
        else:
            data.print(_line(event))


def _line(event: dict[str, Any]) -> Text:
    when = datetime.fromtimestamp(event["time"]).strftime("%H:%M:%S.%f")[:-3]
    details = event["data"]
    if event["kind"] == "app.log":
        what, style = details["text"], _LEVEL_STYLE.get(details["level"], "")
    else:
        rest = " ".join(f"{key}={value}" for key, value in details.items() if value not in (None, ""))
        what, style = f"{event['kind']} {rest}".rstrip(), "cyan"
    source = event["app"] or ("" if event["kind"] == "app.log" else "gateway")
    return Text.assemble((when, "dim"), " ", (source, "bold"), " " if source else "", (what, style))
