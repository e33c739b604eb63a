"""`lab fault`: things that go wrong on demand."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from lab.cli._output import AsJson, emit, table
from lab.client import Client
from lab.errors import UsageError
from lab.home import Home

_GATEWAY = "gateway.lab"  # as lab.pki has it, which is too heavy for a command


def fault(
    target: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="A device's id, or gateway.lab for the gateway.")
    ] = None,
    name: Annotated[
        str | None, typer.Argument(metavar="[FAULT]", help="As link.corrupt or gateway.down; see --known.")
    ] = None,
    parameters: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME=VALUE]...", help="As rate=1e-3 direction=up.")
    ] = None,
    duration: Annotated[
        float | None, typer.Option("--for", min=0.001, metavar="SECONDS", help="End it after so long.")
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="End this fault, or all that are there.")] = False,
    known: Annotated[bool, typer.Option("--known", help="List the faults there are.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make something go wrong on a device or at the gateway; without FAULT, list what is in force there.

    A fault lasts until --for is over, it is cleared, or its device has no power any more.
    """
    if known:
        from lab import faults

        rows = faults.known()
        emit({"faults": rows}, as_json, lambda: _show_known(rows))
        return
    if target is None and clear:
        raise UsageError("--clear takes a target", hint="lab fault ID [FAULT] --clear")
    if name is None and duration is not None and not clear:
        raise UsageError(
            "--for takes a fault", hint="lab fault ID FAULT --for SECONDS; there are: lab fault --known"
        )
    client = Client.connect(Home.find())
    if target is None:
        targets = [_GATEWAY, *(device["id"] for device in client.get("devices")["devices"])]
        found = [{"target": each, **row} for each in targets for row in client.get(*_path(each))["faults"]]
    elif clear:
        if parameters or duration is not None:
            raise UsageError("--clear takes a fault's name at most", hint="lab fault ID [FAULT] --clear")
        rows = client.delete(*_path(target), fault=name)["faults"]
        found = [{"target": target, **row} for row in rows]
    elif name is None:
        found = [{"target": target, **row} for row in client.get(*_path(target))["faults"]]
    else:
        body = {
            "fault": name,
            "parameters": dict(_split(each) for each in parameters or []),
            "duration": duration,
        }
        found = [{"target": target, **client.post(*_path(target), body=body)}]
    emit({"faults": found}, as_json, lambda: _show(found))


def words(row: dict[str, Any]) -> str:
    """Return a fault with its parameters in one line, as it is set."""
    return " ".join([row["fault"], *(f"{name}={value}" for name, value in row["parameters"].items())])


def _path(target: str) -> tuple[str, ...]:
    return ("gateway", "faults") if target == _GATEWAY else ("devices", target, "faults")


def _split(setting: str) -> tuple[str, str]:
    name, sign, value = setting.partition("=")
    if not sign or not name or not value:
        raise UsageError(f"{setting!r} sets nothing", hint="write NAME=VALUE, as rate=1e-3")
    return name, value


def _show(rows: list[dict[str, Any]]) -> None:
    table(
        ("TARGET", "FAULT", "SINCE", "ENDS", "BYTES HIT"),
        [
            (
                row["target"],
                words(row),
                _clock(row["since"]),
                _clock(row["ends"]),
                "-" if row["hits"] is None else str(row["hits"]),
            )
            for row in rows
        ],
    )


def _show_known(rows: list[dict[str, Any]]) -> None:
    table(
        ("FAULT", "OF", "ENGINES", "PARAMETERS", "MEANING"),
        [
            (
                row["fault"],
                " ".join(row["targets"]),
                " ".join(row["engines"]) if "device" in row["targets"] else "-",
                ", ".join(row["usage"]) or "-",
                row["meaning"],
            )
            for row in rows
        ],
    )


def _clock(at: float | None) -> str:
    from datetime import datetime

    return "-" if at is None else datetime.fromtimestamp(at).strftime("%H:%M:%S")
