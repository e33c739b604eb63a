"""`lab call`: run an export of an app on the device."""

from __future__ import annotations

from typing import Annotated

import typer

from lab.cli._output import AsJson, DeviceId, emit
from lab.client import Client
from lab.errors import UsageError
from lab.home import Home


def call(
    device: DeviceId,
    app: Annotated[str, typer.Argument(metavar="APP")],
    function: Annotated[str, typer.Argument(help="The export's name.")],
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[ARG]...", help="Numbers; `--` before a negative one.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run an export of a deployed app on the device and print what it returns."""
    result = Client.connect(Home.find()).post(
        "devices",
        device,
        "apps",
        app,
        "call",
        body={"function": function, "arguments": [_number(text) for text in arguments or []]},
    )
    emit(result, as_json, lambda: print(*result["values"]))


def _number(text: str) -> int | float:
    for parse in (lambda text: int(text, 0), float):
        try:
            return parse(text)
        except ValueError:
            continue
    raise UsageError(f"argument {text!r} is not a number: 20, 0x14, -3 and 1.5 are")
