"""`lab snapshot`, as a person uses it."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import Cli

pytestmark = pytest.mark.hil


@pytest.mark.qemu
def test_a_device_is_kept_and_had_again(lab: Cli) -> None:
    lab.ok("up", "--board", "mps2-an385", "--name", "device")
    lab.ok("sensor", "device", "dht22.temperature=31.5")
    saved = lab.json("snapshot", "save", "device", "hot")
    assert (saved["name"], saved["board"], saved["damage"]) == ("hot", "mps2-an385", None)
    lab.ok("sensor", "device", "dht22.temperature=22")
    assert lab.json("snapshot", "load", "device", "hot")["state"] == "connected"
    assert "31.5" in lab.ok("sensor", "device")

    lab.ok("down", "device")
    lab.ok("snapshot", "load", "device", "hot")
    assert lab.json("ps")["devices"][0]["state"] == "connected"
    assert lab.json("snapshot", "list", "device")["snapshots"] == [saved]
    assert "hot" in lab.ok("snapshot", "list", "device")
    lab.ok("snapshot", "remove", "device", "hot")
    assert lab.json("snapshot", "list", "device")["snapshots"] == []

    for arguments, words in (
        (("load", "device", "hot"), "there is no snapshot 'hot'"),
        (("remove", "device", ".."), "there is no snapshot"),
        (("save", "device", "../hot"), "a snapshot cannot be called '../hot'"),
        (("save", "nobody", "hot"), "nobody"),
    ):
        refused = lab.run("snapshot", *arguments)
        assert (refused.returncode, words in refused.stderr) == (2, True), refused.stderr


@pytest.mark.native
def test_a_board_without_snapshots_says_which_have_them(lab: Cli) -> None:
    lab.ok("up", "--board", "native", "--name", "device")
    refused = lab.run("snapshot", "save", "device", "hot")
    assert refused.returncode == 2
    assert "engine 'native', which has no snapshots" in refused.stderr
    assert "Boards in QEMU and in Renode have them" in refused.stderr
