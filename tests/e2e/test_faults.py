"""`lab fault`, as a person uses it."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import Cli

pytestmark = [pytest.mark.hil, pytest.mark.native]


def test_a_fault_is_set_shown_and_cleared(lab: Cli) -> None:
    lab.ok("up", "--board", "native", "--name", "device")
    [fault] = lab.json("fault", "device", "link.delay", "seconds=0.01", "direction=up", "--for", "600")[
        "faults"
    ]
    assert (fault["target"], fault["fault"]) == ("device", "link.delay")
    assert fault["parameters"] == {"direction": "up", "seed": 0, "seconds": 0.01, "jitter": 0.0}
    assert fault["ends"] - fault["since"] == pytest.approx(600)
    lab.ok("fault", "gateway.lab", "clock.offset", "seconds=-60")
    lab.ok("sensor", "device", "dht22.fault=nack")

    assert [(row["target"], row["fault"]) for row in lab.json("fault")["faults"]] == [
        ("gateway.lab", "clock.offset"),
        ("device", "link.delay"),
        ("device", "sensor.fail"),
    ]
    assert "link.delay direction=up" in lab.ok("ps")
    cleared = lab.json("fault", "device", "link.delay", "--clear")["faults"]
    assert [row["fault"] for row in cleared] == ["link.delay"]
    assert [row["fault"] for row in lab.json("fault", "device")["faults"]] == ["sensor.fail"]
    lab.ok("fault", "device", "--clear")
    assert [row["target"] for row in lab.json("fault")["faults"]] == ["gateway.lab"]


def test_what_cannot_be_is_said(lab: Cli) -> None:
    assert {row["fault"] for row in lab.json("fault", "--known")["faults"]} > {"link.cut", "machine.kill"}
    lab.ok("up", "--board", "native", "--name", "device")
    for arguments, words in (
        (("device", "link.explode"), "There is: link.drop"),
        (("device", "link.slow"), "baud: Field required"),
        (("device", "link.slow", "9600"), "sets nothing"),
        (("device", "gateway.down"), "for a gateway"),
        (("device", "flash.worn", "sector=0"), "engine 'native' cannot do flash.worn"),
        (("device", "link.cut", "direction=up", "--clear"), "--clear takes"),
        (("nobody", "link.cut"), "nobody"),
    ):
        refused = lab.run("fault", *arguments)
        assert (refused.returncode, words in refused.stderr) == (2, True), refused.stderr
