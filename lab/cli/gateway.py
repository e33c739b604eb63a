"""`lab gateway`: look at the gateway, set it, restart it."""

from __future__ import annotations

from typing import Annotated

import typer

from lab.cli._output import AsJson, emit, table
from lab.client import Client
from lab.home import Home


def gateway(
    restart: Annotated[bool, typer.Option("--restart", help="End every session and start it anew.")] = False,
    heartbeat: Annotated[
        float | None, typer.Option(min=0.1, help="Seconds between heartbeats, from now on.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the gateway's port and settings; change them; restart it (devices reconnect by themselves)."""
    client = Client.connect(Home.find())
    if heartbeat is not None:
        client.post("gateway", body={"heartbeat": heartbeat})
    if restart:
        client.post("gateway", "restart")
    result = client.get("gateway")
    emit(result, as_json, lambda: table(("SETTING", "VALUE"), [(k, str(v)) for k, v in result.items()]))
