"""`lab sensor`: what a device's simulated parts measure, in physical units."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lab.cli._output import AsJson, DeviceId, emit, table
from lab.client import Client
from lab.errors import UsageError
from lab.home import Home


def sensor(
    device: DeviceId,
    settings: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PART.QUANTITY=VALUE]...", help="As dht22.temperature=31.5 or dht22.fault=nack."
        ),
    ] = None,
    profile: Annotated[
        Path | None,
        typer.Option(help="A CSV file to follow: its first column is seconds, others quantities."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Set what sensors measure (or how they fail); print what they measure now."""
    client = Client.connect(Home.find())
    if profile is not None:
        try:
            text = profile.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"cannot read {profile}: {error}") from error
        client.post("devices", device, "parts", "profile", body={"csv": text})
    if settings:
        client.post("devices", device, "parts", body={"set": [_split(setting) for setting in settings]})
    result = client.get("devices", device, "parts")
    emit(result, as_json, lambda: _show(result))


def _split(setting: str) -> tuple[str, str]:
    name, sign, value = setting.partition("=")
    if not sign or not name or not value:
        raise UsageError(
            f"{setting!r} sets nothing", hint="write PART.QUANTITY=VALUE, as dht22.temperature=31.5"
        )
    return name, value


def _show(result: dict[str, Any]) -> None:
    table(
        ("QUANTITY", "VALUE", "RANGE", "FAULT"),
        [
            (
                quantity["name"],
                quantity["shown"],
                f"{quantity['low']:g} to {quantity['high']:g} {quantity['unit']}",
                result["parts"][quantity["name"].split(".")[0]]["fault"],
            )
            for quantity in result["quantities"]
        ],
    )
