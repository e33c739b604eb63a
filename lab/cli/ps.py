"""`lab ps`: the lab's devices."""

from __future__ import annotations

from typing import Any

from lab.cli._output import AsJson, emit, size, state, table, talk
from lab.cli.fault import words
from lab.client import Client
from lab.home import Home


def ps(as_json: AsJson = False) -> None:
    """List the lab's devices and what each of them last said."""
    client = Client.running(Home.find())
    result = client.get("devices") if client else {"devices": []}
    if client is None and not as_json:
        talk.print("no lab runs here; start one with: lab up --board mps2-an385", highlight=False)
        return
    emit(result, as_json, lambda: _show(result["devices"]))


def _show(devices: list[dict[str, Any]]) -> None:
    table(
        (
            "DEVICE",
            "BOARD",
            "ENGINE",
            "STATE",
            "PID",
            "BOOTS",
            "LAST BOOT",
            "APPS",
            "APP MEMORY FREE",
            "FAULTS",
        ),
        [
            (
                device["id"],
                device["board"],
                device["engine"],
                state(device["state"]) + (" development" if device["development"] else ""),
                str(device["pid"] or "-"),
                str(device["boots"] or "-"),
                device["boot_reason"] or "-",
                " ".join(app["name"] for app in device["apps"]) or "-",
                size(device["memory_free"]) if device["memory"] else "-",
                ", ".join(map(words, device["faults"])) or "-",
            )
            for device in devices
        ],
    )
