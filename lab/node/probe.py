"""Network health: how long a TCP connection to the hub and to each peer takes.

Imported by the native agent: standard library only.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

_TIMEOUT = 3.0  # s


def address(target: str) -> tuple[str, int]:
    """Return host and port of ``host:port`` or ``https://host:port``."""
    split = urlsplit(target if "//" in target else f"//{target}")
    return split.hostname or "", split.port or 443


async def probe(target: str) -> float:
    """Return the ms until a connection to `target` was up, NaN if there was none within 3 s."""
    host, port = address(target)
    began = time.perf_counter()
    try:
        async with asyncio.timeout(_TIMEOUT):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return math.nan
    elapsed = (time.perf_counter() - began) * 1000
    writer.close()
    return elapsed


async def probe_all(targets: Mapping[str, str]) -> dict[str, float]:
    """Probe every target at once."""
    return dict(zip(targets, await asyncio.gather(*map(probe, targets.values())), strict=True))
