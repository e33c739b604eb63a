"""What holds for every test here: none waits for ever."""

from __future__ import annotations

import functools
import inspect
from typing import Any

import anyio
import pytest

LIMIT = 300.0
"""Seconds an asynchronous test may take: enough to end only what hangs. Speed is for benchmarks/."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Bound the tests themselves.

    A fixture cannot: its scope stays open while pytest does other things, and when its time is over it ends
    anyio's runner instead of the test, and with it every fixture that was still to be torn down.
    """
    for item in items:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
            item.obj = _bounded(item.obj)


def _bounded(test: Any) -> Any:
    @functools.wraps(test)
    async def bounded(**arguments: Any) -> None:
        with anyio.fail_after(LIMIT):
            await test(**arguments)

    return bounded
