"""A board's page where things go wrong on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.panel.conftest import Running, expect

pytestmark = [pytest.mark.hil, pytest.mark.native]


@pytest.fixture(scope="module")
def board(lab: Running, native: None) -> Iterator[str]:
    lab.cli("up", "--board", "native", "--name", "dut")
    yield "dut"
    lab.cli("down", "dut", "--forget")


@pytest.fixture
def card(page: Any, lab: Running, board: str) -> Any:
    """The card of faults, of a board that works."""
    with lab.client() as client:
        client.delete(f"/api/v1/devices/{board}/faults")
    page.goto(f"/devices/{board}")
    card = page.get_by_role("region", name="Faults")
    expect(card.get_by_text("Nothing goes wrong here on purpose.")).to_be_visible()
    return card


def in_force(lab: Running, board: str) -> list[str]:
    with lab.client() as client:
        return [each["fault"] for each in client.get(f"/api/v1/devices/{board}/faults").json()["faults"]]


def test_a_line_is_cut_until_the_fault_is_cleared(page: Any, lab: Running, board: str, card: Any) -> None:
    card.get_by_label("Fault").select_option("gateway.unreachable")
    card.get_by_label("For, s").fill("600")
    card.get_by_role("button", name="Set fault").click()
    expect(card.get_by_role("listitem")).to_contain_text("until")
    card.get_by_label("Fault").select_option("link.cut")
    card.get_by_label("direction", exact=True).select_option("up")
    card.get_by_label("For, s").fill("")
    card.get_by_role("button", name="Set fault").click()
    expect(card.get_by_role("listitem")).to_contain_text(["gateway.unreachable", "link.cut direction=up"])
    assert in_force(lab, board) == ["gateway.unreachable", "link.cut"]
    expect(page.locator("#timeline")).to_contain_text("fault link.cut direction=up")
    fleet = page.context.new_page()
    fleet.goto("/")
    expect(fleet.locator(f"[data-device='{board}'] .chip.bad")).to_have_text(
        ["gateway.unreachable", "link.cut"]
    )
    card.get_by_role("button", name="Clear link.cut direction=up").click()
    expect(card.get_by_role("listitem")).to_have_count(1)
    assert in_force(lab, board) == ["gateway.unreachable"]
    card.get_by_role("button", name="Clear gateway.unreachable").click()
    expect(card.get_by_text("Nothing goes wrong here on purpose.")).to_be_visible()
    expect(fleet.locator(f"[data-device='{board}'] .chip.bad")).to_have_count(0)
    assert in_force(lab, board) == []


def test_a_fault_ends_when_its_time_is_over(page: Any, lab: Running, board: str, card: Any) -> None:
    card.get_by_label("Fault").select_option("link.delay")
    card.get_by_label("seconds").fill("0.1")
    card.get_by_label("For, s").fill("0.2")
    card.get_by_role("button", name="Set fault").click()
    expect(page.locator("#timeline")).to_contain_text("cleared: its time is over")
    expect(card.get_by_role("listitem")).to_have_count(0)
    assert in_force(lab, board) == []


def test_each_part_fails_by_itself(page: Any, lab: Running, board: str, card: Any) -> None:
    card.get_by_label("Fault").select_option("sensor.fail")
    for part, how in (("dht22", "nack"), ("bme680", "unplugged")):
        card.get_by_label("part", exact=True).select_option(part)
        card.get_by_label("how", exact=True).select_option(how)
        card.get_by_role("button", name="Set fault").click()
        expect(page.get_by_label(f"Fault of {part}")).to_have_value(how)
    card.get_by_role("button", name="Clear sensor.fail part=dht22 how=nack").click()
    expect(page.get_by_label("Fault of dht22")).to_have_value("none")
    expect(card.get_by_role("listitem")).to_contain_text(["sensor.fail part=bme680 how=unplugged"])
    page.get_by_label("Fault of dht22").select_option("stuck")  # the same fault by another way
    expect(card.get_by_role("listitem")).to_have_count(2)
    card.get_by_role("button", name="Clear all").click()
    expect(card.get_by_role("listitem")).to_have_count(0)
    assert in_force(lab, board) == []


def test_what_cannot_be_is_refused_in_the_labs_own_words(
    page: Any, lab: Running, board: str, card: Any
) -> None:
    card.get_by_label("Fault").select_option("link.drop")
    card.get_by_role("button", name="Set fault").click()
    expect(card.get_by_role("status")).to_contain_text("give either rate or next")
    names = card.locator("#fault option").all_inner_texts()
    assert {"flash.flip", "machine.hang"} <= set(names)
    assert not {"flash.worn", "gateway.down"} & set(names), "no native device can have them"
    snapshots = page.get_by_role("region", name="Snapshots")
    snapshots.get_by_label("Name of the snapshot").fill("warm")
    snapshots.get_by_role("button", name="Save").click()
    expect(snapshots.get_by_role("status")).to_contain_text("engine 'native', which has no snapshots")
    expect(snapshots.get_by_role("listitem")).to_have_count(0)
    assert in_force(lab, board) == []


def test_what_is_over_at_once_is_said(page: Any, lab: Running, board: str, card: Any) -> None:
    card.get_by_label("Fault").select_option("machine.kill")
    card.get_by_role("button", name="Set fault").click()
    expect(card.get_by_role("status")).to_have_text("machine.kill: done.")
    expect(page.locator("#state")).to_have_text("crashed")
    page.get_by_role("button", name="Boot").click()
    expect(page.locator("#state")).to_have_text("connected")
    expect(page.locator("#console")).to_contain_text("connected")
    page.get_by_label("Console input").fill("help")  # it is the one of the process that runs now
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#console")).to_contain_text("reset")


def test_what_happens_while_a_page_loads_is_not_drawn_over(page: Any, lab: Running, board: str) -> None:
    """The answer that the fleet's page waits for is older than what the stream has told meanwhile."""
    held: list[Any] = []
    told: list[Any] = []

    def hold(route: Any) -> None:
        held.append((route, route.fetch()))
        if len(held) == 1:  # what it asks for before there is a stream
            route.fulfill(response=held[0][1])

    def waits_for(what: Callable[[], bool]) -> None:
        while not what():
            page.wait_for_timeout(50)

    page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: told.append(str(frame))))
    page.route("**/api/v1/devices", hold)
    page.goto("/")
    waits_for(lambda: len(held) == 2)
    with lab.client() as client:
        fault = {"fault": "clock.offset", "parameters": {"seconds": 1}}
        client.post(f"/api/v1/devices/{board}/faults", json=fault)
    waits_for(lambda: any("fault.set" in frame for frame in told))
    held[1][0].fulfill(response=held[1][1])
    expect(page.locator("#live")).to_have_text("live")
    expect(page.locator(f"[data-device='{board}'] .chip.bad")).to_have_text("clock.offset")


def test_an_older_search_is_not_drawn_over_a_newer_one(page: Any) -> None:
    held: list[Any] = []
    page.route("**/api/v1/logs?*text=older*", lambda route: held.append(route))
    page.goto("/logs")
    page.get_by_label("Text").fill("older")
    with page.expect_request("**/api/v1/logs?*text=older*"):
        page.get_by_label("Text").press("Enter")
    page.get_by_label("Text").fill("nothing has this in it")
    page.evaluate("document.getElementById('query').requestSubmit()")  # as the chip of a request does
    expect(page.locator("#lines")).to_contain_text("Nothing like that was said.")
    line = {
        "time": 0,
        "level": "info",
        "component": "api",
        "kind": "lab.log",
        "text": "it was older",
        "fields": {},
    }
    with page.expect_response("**/api/v1/logs?*text=older*"):
        held[0].fulfill(json={"lines": [line], "next": None})
    page.evaluate("fetch('/health').then((answer) => answer.text())")  # by now the other is drawn, if it is
    expect(page.locator("#lines")).to_contain_text("Nothing like that was said.")


def test_what_was_filled_in_stays_when_the_parts_are_known(page: Any, board: str) -> None:
    held: list[Any] = []
    page.route(f"**/api/v1/devices/{board}/parts", lambda route: held.append(route))
    page.goto(f"/devices/{board}")
    card = page.get_by_role("region", name="Faults")
    card.get_by_label("Fault").select_option("link.delay")
    card.get_by_label("seconds").fill("0.1")
    while not held:
        page.wait_for_timeout(50)
    held[0].continue_()
    expect(page.locator("[data-quantity='dht22.temperature']")).to_be_visible()
    expect(card.get_by_label("seconds")).to_have_value("0.1")
