"""Pages of a list: how many rows at most; the answer's `next` is where the next one begins.

Without a `limit` it is the whole list. Names ascend: the next page is what comes `after` the last one. What
is listed newest first is asked for `before` it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Query

from lab.lab import Json

T = TypeVar("T")

Limit = Annotated[int | None, Query(ge=1, le=1000)]


class NamedPage:
    """A part of a list whose rows have names; it is listed by them."""

    def __init__(self, limit: Limit = None, after: Annotated[str, Query(max_length=2000)] = "") -> None:
        self._limit = limit
        self._after = after

    def of(self, what: str, rows: Iterable[T], name: Callable[[T], str]) -> Json:
        """Return the answer: the page of `rows` as `what`, and where the next one begins."""
        left = sorted((row for row in rows if name(row) > self._after), key=name)
        return _cut(what, left, self._limit, name)


class NewestPage:
    """A part of a list whose rows have times or numbers that ascend; the newest come first."""

    def __init__(self, limit: Limit = None, before: Annotated[float | None, Query(ge=0)] = None) -> None:
        self._limit = limit
        self._before = before

    def of(self, what: str, rows: Iterable[T], when: Callable[[T], float]) -> Json:
        """Return the answer: the page of `rows`, newest first, as `what`, and where the next one begins."""
        left = [row for row in rows if self._before is None or when(row) < self._before]
        return _cut(what, left, self._limit, when)


def _cut(what: str, rows: list[T], limit: int | None, cursor: Callable[[T], Any]) -> Json:
    page = rows[:limit]
    return {what: page, "next": cursor(page[-1]) if len(page) < len(rows) else None}


ByName = Annotated[NamedPage, Depends()]
"""Annotate a route's parameter with this to list by name, in pages."""

Newest = Annotated[NewestPage, Depends()]
"""Annotate a route's parameter with this to list the newest first, in pages."""
