"""Pages that stay open while the lab's daemon dies and comes back."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.panel.conftest import Running, expect

pytestmark = [pytest.mark.hil, pytest.mark.native]


@pytest.fixture
def board(lab: Running, native: None) -> Iterator[str]:
    lab.cli("up", "--board", "native", "--name", "stays")
    yield "stays"
    lab.cli("down", "stays", "--forget")


def test_pages_come_back_by_themselves(page: Any, lab: Running, board: str) -> None:
    page.goto(f"/devices/{board}")
    fleet, monitoring, rollouts, settings = (page.context.new_page() for _ in range(4))
    fleet.goto("/")
    monitoring.goto("/monitoring")
    rollouts.goto("/rollouts")
    settings.goto("/settings")
    pages = [page, fleet, monitoring, rollouts, settings]
    for each in pages:
        expect(each.locator("#live")).to_have_text("live")
        expect(each.locator("#away")).to_be_hidden()
    urls = [each.url for each in pages]

    os.kill(lab.address["pid"], signal.SIGKILL)
    for each in pages:
        expect(each.locator("#away")).to_contain_text("The lab does not answer")
    page.get_by_role("button", name="Reset").click()
    expect(page.locator("#toasts")).to_contain_text("does not answer")

    lab.cli("up", "--board", "native", "--name", "late")
    for each in pages:
        expect(each.locator("#away")).to_be_hidden()
        expect(each.locator("#live")).to_have_text("live")
    assert [each.url for each in pages] == urls, "nobody has to log in again"
    expect(page.locator("#state")).to_have_text("connected")
    expect(fleet.locator("[data-device='late'] .state")).to_have_text("connected")
    expect(fleet.locator(f"[data-device='{board}'] .state")).to_have_text("connected")
    lab.cli("sensor", board, "dht22.humidity=61")
    expect(page.locator("#board")).to_contain_text("61 %")
    page.get_by_label("Console input").fill("help")
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#console")).to_contain_text("reset")
    lab.cli("down", "late", "--forget")
    expect(fleet.locator("[data-device='late']")).to_have_count(0)


def test_a_session_that_is_over_leads_to_the_login(page: Any, lab: Running, board: str) -> None:
    """Not only those that were open: one that ended while the page could not hear of it."""
    page.goto(f"/devices/{board}")
    expect(page.locator("#live")).to_have_text("live")
    os.kill(lab.address["pid"], signal.SIGKILL)
    expect(page.locator("#away")).to_be_visible()
    page.context.clear_cookies()
    lab.login()  # which starts it
    page.wait_for_url("**/login")
