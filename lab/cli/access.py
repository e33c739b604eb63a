"""`lab token`, `lab cert`: who may reach the lab, people and devices."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import typer

from lab.cli._output import AsJson, DeviceId, emit, table, talk
from lab.client import Client
from lab.home import Home

token = typer.Typer(help="Make, list and revoke tokens of the API.", no_args_is_help=True)
cert = typer.Typer(help="Issue, list and revoke devices' certificates.", no_args_is_help=True)

TokenName = Annotated[str, typer.Argument(metavar="NAME")]


@token.command("create")
def create_token(
    name: TokenName,
    role: Annotated[str, typer.Option(help="viewer, operator or admin.")] = "viewer",
    as_json: AsJson = False,
) -> None:
    """Make a token and print it; it is not told again."""
    made = Client.connect(Home.find()).post("tokens", body={"name": name, "role": role})
    emit(made, as_json, lambda: print(made["token"]))


@token.command("list")
def list_tokens(as_json: AsJson = False) -> None:
    """List tokens by name and role."""
    found = Client.connect(Home.find()).get("tokens")
    rows = [(each["name"], each["role"], _day(each["created"])) for each in found["tokens"]]
    emit(found, as_json, lambda: table(("TOKEN", "ROLE", "MADE"), rows))


@token.command("revoke")
def revoke_token(name: TokenName) -> None:
    """Revoke a token; what it was used for ends at once."""
    Client.connect(Home.find()).delete("tokens", name)
    talk.print(f"{name} is revoked", highlight=False)


@cert.command("list")
def list_certificates(as_json: AsJson = False) -> None:
    """List the devices' certificates."""
    found = Client.connect(Home.find()).get("certificates")
    emit(found, as_json, lambda: _show(found["certificates"]))


@cert.command("issue")
def issue(device: DeviceId, as_json: AsJson = False) -> None:
    """Issue a device's certificate: its first, or a new one for a revoked one. It takes it at power-on."""
    made = Client.connect(Home.find()).post("certificates", device)
    emit(made, as_json, lambda: _show([made]))


@cert.command("revoke")
def revoke(device: DeviceId, as_json: AsJson = False) -> None:
    """Revoke a device's certificate; the gateway cuts it off at once."""
    gone = Client.connect(Home.find()).delete("certificates", device)
    emit(gone, as_json, lambda: _show([gone]))


def _show(certificates: list[dict[str, Any]]) -> None:
    table(
        ("DEVICE", "SERIAL", "EXPIRES", "STATE"),
        [
            (each["device"], each["serial"], _day(each["expires"]), "revoked" if each["revoked"] else "good")
            for each in certificates
        ],
    )


def _day(time: float) -> str:
    return datetime.fromtimestamp(time).strftime("%Y-%m-%d")
