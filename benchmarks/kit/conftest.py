"""Times a test of either plugin by the same clock: from pytest's own start of the test to the match."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

_started = pytest.StashKey[float]()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item):
    item.stash[_started] = time.perf_counter()
    return (yield)


@pytest.fixture
def matched(
    request: pytest.FixtureRequest, record_property: Callable[[str, object], None]
) -> Callable[[], None]:
    """To be called when the console matched."""

    def note() -> None:
        seconds = time.perf_counter() - request.node.stash[_started]
        record_property("first_match_ms", seconds * 1000)

    return note
