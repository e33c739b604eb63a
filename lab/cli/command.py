"""`lab command`: give bytes to an app on the device."""

from __future__ import annotations

from typing import Annotated

import typer

from lab.cli._output import AsJson, DeviceId, emit
from lab.client import Client
from lab.errors import UsageError
from lab.home import Home

_MOST = 256  # bytes, of wit/device.wit


def command(
    device: DeviceId,
    app: Annotated[str, typer.Argument(metavar="APP")],
    payload: Annotated[
        str, typer.Argument(metavar="TEXT", help="What to send, UTF-8; hex digits with --hex.")
    ],
    as_hex: Annotated[
        bool, typer.Option("--hex", help="TEXT is bytes in hex, and so is the answer.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Send a command to an app's `on-command` and print what it answers."""
    try:
        content = bytes.fromhex(payload) if as_hex else payload.encode()
    except ValueError as error:
        raise UsageError(f"{payload!r} is not bytes in hex: two digits a byte are") from error
    if len(content) > _MOST:
        raise UsageError(f"a command of {len(content)} bytes: {_MOST} are allowed")
    result = Client.connect(Home.find()).post(
        "devices", device, "apps", app, "command", body={"payload": content.hex()}
    )
    emit(result, as_json, lambda: print(result["answer"] if as_hex else result["text"]))
