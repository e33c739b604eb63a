"""`lab label`: what people call a device by, for selectors to pick."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import typer

from lab.cli._output import AsJson, DeviceId, emit, table
from lab.client import Client
from lab.errors import UsageError
from lab.home import Home


def label(
    device: DeviceId,
    labels: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME=VALUE | NAME-]...", help="Set one, or drop it.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Give a device labels, or show those it has. `lab rollout start --selector NAME=VALUE` picks by them."""
    client = Client.connect(Home.find())
    if labels:
        drop = [each.removesuffix("-") for each in labels if "=" not in each and each.endswith("-")]
        set_ = read_labels(each for each in labels if "=" in each or not each.endswith("-"))
        result = client.post("devices", device, "labels", body={"set": set_, "drop": drop})
    else:
        result = {"labels": client.get("devices", device)["labels"]}
    emit(result, as_json, lambda: _show(result["labels"]))


def read_labels(words: Iterable[str]) -> dict[str, str]:
    """Return labels given as ``NAME=VALUE``.

    :raises UsageError: one is not.
    """
    found = {}
    for word in words:
        name, sign, value = word.partition("=")
        if not sign:
            raise UsageError(
                f"{word!r} is no label", hint="labels are given as NAME=VALUE, and dropped as NAME-"
            )
        found[name] = value
    return found


def _show(labels: dict[str, Any]) -> None:
    table(("LABEL", "VALUE"), [(name, str(value)) for name, value in sorted(labels.items())])
