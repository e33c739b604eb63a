"""Network health: how long a TCP connection to the hub and to each peer takes.

Imported by the native agent: standard library only, and it blocks.
"""

from __future__ import annotations

import math
import socket
import time
from urllib.parse import urlsplit

_TIMEOUT = 3.0  # s


def probe(target: str) -> float:
    """Return the ms until a connection was up, NaN if there was none within 3 s.

    :param target: ``host:port`` or ``https://host:port``.
    """
    split = urlsplit(target if "//" in target else f"//{target}")
    began = time.perf_counter()
    try:
        socket.create_connection((split.hostname or "", split.port or 443), _TIMEOUT).close()
    except OSError:
        return math.nan
    return (time.perf_counter() - began) * 1000
