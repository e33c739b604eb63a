"""A node's log: structured lines on stderr, the last of them for `/api/logs`."""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from lab.logs import current_request

LEVELS = ("debug", "info", "warning", "error")
_KEPT = 2000


@dataclass(frozen=True, slots=True)
class Line:
    """One line.

    :param number: ascends from 1.
    :param at: Unix time, s.
    :param request: the id of the request on whose behalf it was written, if there is one.
    """

    number: int
    at: float
    level: str
    source: str
    text: str
    request: str | None = None


class Journal:
    """Keeps and prints lines from a level on; from any thread.

    :param level: the lowest that is kept.
    """

    def __init__(self, level: str = "info", *, clock: Callable[[], float] = time.time) -> None:
        self._least = LEVELS.index(level)
        self._clock = clock
        self._lines: deque[Line] = deque(maxlen=_KEPT)
        self._lock = threading.Lock()
        self._number = 0
        self.stream = secrets.token_hex(8)
        """Names the numbers: those of another run begin anew."""
        self._print = structlog.get_logger()

    def __call__(self, level: str, source: str, text: str) -> None:
        """Write one line; `source` is a plugin's name, or a part of the node."""
        if LEVELS.index(level) < self._least:
            return
        with self._lock:
            self._number += 1
            self._lines.append(Line(self._number, self._clock(), level, source, text, current_request()))
        getattr(self._print, level)(text, source=source)

    def numbers(self, count: int) -> range:
        """Give out numbers to as many lines of other nodes: all that a node tells has one order."""
        with self._lock:
            first = self._number + 1
            self._number += count
        return range(first, first + count)

    def lines(self, since: int = 0, level: str = "debug", source: str | None = None) -> list[Line]:
        """Return the lines kept after number `since`, from `level` on, of one source or all."""
        least = LEVELS.index(level)
        with self._lock:
            return [
                line
                for line in self._lines
                if line.number > since and LEVELS.index(line.level) >= least and source in (None, line.source)
            ]
