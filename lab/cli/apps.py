"""`lab apps`: what a device runs, in its own words."""

from __future__ import annotations

from typing import Any

from lab.cli._output import AsJson, DeviceId, emit, size, state, table
from lab.client import Client
from lab.home import Home


def apps(device: DeviceId, as_json: AsJson = False) -> None:
    """Ask a device which apps it has."""
    result = Client.connect(Home.find()).get("devices", device, "apps")
    emit(result, as_json, lambda: show(result["apps"]))


def show(rows: list[dict[str, Any]]) -> None:
    """Print app states as a table."""
    table(
        ("DEVICE", "APP", "VERSION", "STATE", "SIZE", "MEMORY", "INSTRUCTIONS", "PEAK", "DIGEST", "WHY"),
        [
            (
                row["device"],
                row["name"],
                row["version"] or str(row["sequence"] or "unsigned"),
                state(row["state"]),
                size(row["size"]),
                size(row["memory"]),
                *_use(row),
                row["digest"][:12],
                row["reason"],
            )
            for row in rows
        ],
    )


def _use(row: dict[str, Any]) -> tuple[str, str]:
    """Return its WASM instructions: of all calls, and of the longest, with its share of the budget."""
    if row["peak"] is None:
        return "-", "-"
    return f"{row['instructions']:,}", f"{row['peak']:,} ({row['peak'] / row['budget']:.1%})"
