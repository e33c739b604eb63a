"""What several tests of the gateway start from."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lab.publisher import Publisher

from .gateway_site import Site, running


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """A gateway over a folder of its own."""
    async with running(tmp_path / "home") as site:
        yield site


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    return Publisher.new(tmp_path / "publisher.pem")
