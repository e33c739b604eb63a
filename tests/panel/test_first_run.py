"""The panel of a lab that has no boards yet."""

from __future__ import annotations

from typing import Any

import pytest

from tests.panel.conftest import Running, expect

pytestmark = [pytest.mark.hil, pytest.mark.native]


def test_the_first_run_boots_boards(page: Any, lab: Running, native: None) -> None:
    page.goto("/")
    page.get_by_role("link", name="Set up the first boards").click()
    page.get_by_label("Heartbeat, seconds").fill("2")
    page.locator("input[value='native']").check()
    page.get_by_label("How many").fill("2")
    page.get_by_role("button", name="Set up").click()
    page.wait_for_url("**/")
    for name in ("native-1", "native-2"):
        expect(page.locator(f"[data-device='{name}'] .state")).to_have_text("connected")
    with lab.client() as client:
        assert client.get("/api/v1/gateway").json()["heartbeat"] == 2
