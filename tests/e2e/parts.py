"""What a device's parts show, as the command line tells it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tests.e2e.conftest import Cli

RED, BLUE, GREEN = [255, 0, 0], [0, 0, 255], [0, 255, 0]


def eventually(read: Callable[[], Any], wanted: Any, seconds: float = 30) -> None:
    """Read until `wanted` is seen; the loop only bounds the wait, what it waits for is the device's doing."""
    deadline = time.monotonic() + seconds
    while (seen := read()) != wanted:
        assert time.monotonic() < deadline, f"{seen} instead of {wanted}"
        time.sleep(0.1)


def led(lab: Cli, device: str, number: int) -> list[int]:
    return lab.json("leds", device)["leds"][number]  # type: ignore[no-any-return]


def beeps(lab: Cli, device: str) -> int:
    return lab.json("sensor", device)["parts"]["buzzer"]["total"]  # type: ignore[no-any-return]


def silent(lab: Cli, device: str) -> bool:
    return not lab.json("sensor", device)["parts"]["buzzer"]["on"]


def reads(lab: Cli) -> int:
    """Return how often the DHT22 has been read."""
    return int(lab.json("sensor", "device")["parts"]["dht22"]["reads"])
