"""`lab logs`: what one device said over the gateway, or one query over all that was said."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.text import Text

from lab.cli._output import AsJson, data, emit
from lab.client import Client
from lab.errors import UsageError
from lab.home import Home

_LEVEL_STYLE = {"error": "red", "warning": "yellow", "debug": "dim"}


def logs(
    device: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="A device's id; without one, everybody's lines.")
    ] = None,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on until Ctrl-C.")] = False,
    request: Annotated[
        str | None, typer.Option(help="Only what was said on behalf of this request (X-Request-Id).")
    ] = None,
    component: Annotated[
        str | None,
        typer.Option(help="Only this part's lines: api, gateway, bridge, monitor, node, plugin, …"),
    ] = None,
    level: Annotated[str | None, typer.Option(help="This level and above: debug, info, …")] = None,
    text: Annotated[str | None, typer.Option(help="Only lines with this in them.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, max=1000, help="How many lines, the newest.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print a device's log: its own lines, its apps', and what the gateway saw it do.

    Without an ID, or with a filter, it is a query over all that was said: by devices, apps, bridges, the
    gateway, nodes, plugins and the lab's other parts.
    """
    client = Client.connect(Home.find())
    asked = {"request": request, "component": component, "level": level, "text": text, "limit": limit}
    if device is None or any(value is not None for value in asked.values()):
        if follow:
            raise UsageError("a query is not followed", hint="lab logs ID -f follows a device")
        found = client.get("logs", device=device, **asked)
        emit(found, as_json, lambda: _show(found["lines"]))
        return
    client.get("devices", device)
    for event in client.stream("events", device=device, follow=follow):
        if as_json:
            print(json.dumps(event), flush=True)
        else:
            data.print(_event(event))


def _show(lines: list[dict[str, Any]]) -> None:
    for line in reversed(lines):
        owner = " ".join(filter(None, (line["component"], line["device"], line["app"])))
        said = _with(line["text"], line["fields"])
        style = _LEVEL_STYLE.get(line["level"], "")
        data.print(Text.assemble((_clock(line["time"]), "dim"), " ", (owner, "bold"), " ", (said, style)))


def _event(event: dict[str, Any]) -> Text:
    details = event["data"]
    if event["kind"] == "app.log":
        what, style = details["text"], _LEVEL_STYLE.get(details["level"], "")
    else:
        what, style = _with(event["kind"], details), "cyan"
    source = event["app"] or ("" if event["kind"] == "app.log" else "gateway")
    when = _clock(event["time"])
    return Text.assemble((when, "dim"), " ", (source, "bold"), " " if source else "", (what, style))


def _with(text: str, fields: dict[str, Any]) -> str:
    rest = " ".join(f"{key}={value}" for key, value in fields.items() if value not in (None, ""))
    return f"{text} {rest}".rstrip()


def _clock(time: float) -> str:
    return datetime.fromtimestamp(time).strftime("%H:%M:%S.%f")[:-3]
