"""Signed apps and rollouts on real firmware, from the command line; and a daemon killed in between."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import wasmtime

from tests.e2e.conftest import Cli

pytestmark = pytest.mark.hil

APP = """(module
  (func (export "init") (result i32) i32.const 50)
  (func (export "poll") {poll})
  (func (export "version") (result i32) i32.const {version}))"""


def app(lab: Cli, version: int, poll: str = "nop") -> str:
    """Write a version of the app `app`, polled every 50 ms; return its file."""
    file = lab.folder / str(version) / "app.wasm"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(wasmtime.wat2wasm(APP.format(poll=poll, version=version)))
    return str(file)


def states(found: dict[str, Any]) -> dict[str, str]:
    return {each["device"]: each["state"] for each in found["devices"]}


def test_devices_take_only_what_a_trusted_publisher_signed(lab: Cli) -> None:
    lab.ok("up", "--board", "native", "--name", "dev")
    module = app(lab, 1)
    stranger = str(lab.folder / "stranger.pem")
    lab.ok("publisher", "new", stranger)
    done = lab.run("deploy", module, "--to", "dev", "--key", stranger)
    assert done.returncode == 1
    assert "dev refused app: " in done.stdout
    assert lab.run("deploy", module, "--to", "dev", "--unsigned").returncode == 1
    [row] = lab.json("deploy", module, "--to", "dev", "--confirmed")["apps"]
    assert (row["state"], row["rejected"]) == ("running", "")
    lab.ok("publisher", "trust", "stranger", str(lab.folder / "stranger.pub.pem"))
    lab.ok("down", "dev")
    lab.ok("up", "--board", "native", "--name", "dev")
    [row] = lab.json("deploy", app(lab, 2), "--to", "dev", "--key", stranger)["apps"]
    assert row["state"] in ("trial", "running")
    assert lab.json("call", "dev", "app", "version")["value"] == 2


def test_a_package_is_refused_for_its_own_reason(lab: Cli) -> None:
    lab.ok("up", "--board", "native", "--name", "dev")
    module = app(lab, 1)
    wrong = lab.json("sign", module, "--class", "mps2-an385", "-o", "wrong.lab")
    assert wrong["classes"] == ["mps2-an385"]
    assert lab.run("deploy", "wrong.lab", "--to", "dev").returncode == 1
    newer = lab.json("sign", module, "--version", "2.0.0", "-o", "newer.lab")
    lab.ok("deploy", "newer.lab", "--to", "dev", "--confirmed")
    older = ("sign", app(lab, 0), "--sequence", str(newer["sequence"] - 1), "-o", "older.lab")
    lab.ok(*older)
    done = lab.run("deploy", "older.lab", "--to", "dev")
    assert (done.returncode, str(newer["sequence"] - 1) in done.stdout) == (1, True)
    content = bytearray((lab.folder / "newer.lab").read_bytes())
    content[40] ^= 1  # within what is signed
    (lab.folder / "tampered.lab").write_bytes(content)
    assert lab.run("deploy", "tampered.lab", "--to", "dev").returncode in (1, 2)
    (lab.folder / "short.lab").write_bytes(content[:-1])
    assert lab.run("deploy", "short.lab", "--to", "dev").returncode == 2
    assert lab.json("call", "dev", "app", "version")["value"] == 1


def test_an_unsigned_module_runs_on_a_development_device_which_says_so(lab: Cli) -> None:
    lab.ok("up", "--board", "native", "--name", "open", "--development")
    lab.ok("deploy", app(lab, 1), "--to", "open", "--unsigned")
    assert "development" in lab.ok("ps")
    assert [each["development"] for each in lab.json("ps")["devices"]] == [True]


def test_a_rollout_and_the_way_back(lab: Cli) -> None:
    lab.ok("up", "--board", "native", "--count", "4", "--label", "role=test")
    lab.ok("label", "native-4", "role=other")
    first = lab.json("rollout", "start", app(lab, 1), "--selector", "role=test", "--batch", "2", "--wait")
    assert (first["state"], first["counts"]) == ("done", {"confirmed": 3})
    second = lab.json("rollout", "start", app(lab, 2), "--selector", "role=test", "--canary", "1", "--wait")
    assert lab.json("call", "native-1", "app", "version")["value"] == 2
    bad = ("rollout", "start", app(lab, 3, "unreachable"), "--selector", "role=test", "--batch", "1")
    assert lab.run(*bad, "--wait").returncode == 1
    stopped = lab.json("rollout", "status")
    assert (stopped["state"], stopped["counts"]) == ("paused", {"rolled-back": 1, "pending": 2})
    assert stopped["devices"][0]["reason"]
    lab.ok("rollout", "abort")
    back = lab.json("rollout", "rollback", str(second["id"]), "--wait")
    assert (back["counts"], back["rollback_of"]) == ({"confirmed": 3}, second["id"])
    assert lab.json("call", "native-1", "app", "version")["value"] == 1
    versions = lab.json("versions", "app")["packages"]
    assert [len(each["devices"]) for each in versions] == [3, 0, 0, 0]
    (lab.home / "publisher.pem").unlink()
    done = lab.run("rollout", "rollback", str(back["id"]))
    assert done.returncode == 1
    assert "signed anew" in done.stderr
    done_by = {row["action"] for row in lab.json("audit", "--limit", "1000")["rows"]}
    assert {"begin_rollout", "abort_rollout", "rollout_paused", "rollout_done", "boot_devices"} <= done_by
    assert lab.ok("audit", "--export").count("\n") == len(lab.json("audit", "--limit", "1000")["rows"])


def test_the_audit_log_names_who_was_refused(lab: Cli) -> None:
    lab.ok("up", "--board", "native", "--name", "dev")
    token = lab.json("token", "create", "bob", "--role", "viewer")["token"]
    port = json.loads((lab.home / "daemon.json").read_text())["port"]
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/v1/devices/dev/reset",
        method="POST",
        headers={"Authorization": f"Bearer {token}"},
    )
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(request)
    [row] = lab.json("audit", "--who", "bob")["rows"]
    assert (row["role"], row["action"], row["target"], row["result"]) == ("viewer", "reset", "dev", "refused")
    owner = lab.json("audit", "--action", "make_token")["rows"]
    assert [(each["role"], each["result"]) for each in owner] == [("owner", "done"), ("owner", "begun")]
    assert token not in json.dumps(lab.json("audit", "--limit", "1000"))


def test_a_tenth_of_a_fleet_fails_its_trial_and_goes_back(lab: Cli) -> None:
    """The same with 200 devices, and what it costs: benchmarks/rollout.py."""
    lab.ok("up", "--board", "native", "--count", "20")
    lab.ok("rollout", "start", app(lab, 1), "--wait")
    bad = app(lab, 3, "unreachable")
    command = ("rollout", "start", app(lab, 2), "--ab", bad, "--split", "10", "--max-failures", "2")
    assert lab.run(*command, "--wait").returncode == 1
    found = lab.json("rollout", "status")
    assert (found["state"], found["counts"]) == ("done", {"confirmed": 18, "rolled-back": 2})
    arms = {arm: (each["devices"], each["confirmed"]) for arm, each in found["arms"].items()}
    assert arms == {"a": (18, 18), "b": (2, 0)}
    for each in found["devices"]:
        value = lab.json("call", each["device"], "app", "version")["value"]
        assert value == (2 if each["state"] == "confirmed" else 1)


@pytest.mark.parametrize("phase", ["transferring", "trial", "confirmed"])
def test_a_daemon_killed_in_a_rollout_goes_on_with_it(lab: Cli, phase: str) -> None:
    """Its devices die with it, so they are reset in the middle of the update, too."""
    lab.ok("up", "--board", "native", "--count", "4")
    lab.ok("rollout", "start", app(lab, 1), "--wait")
    begun = lab.json("rollout", "start", app(lab, 2), "--batch", "2", "--max-failures", "4")
    deadline = time.monotonic() + 60
    while phase not in states(lab.json("rollout", "status")).values() and time.monotonic() < deadline:
        pass  # each turn is a request of its own
    daemon = lab.daemon()
    daemon.kill()
    daemon.wait(30)
    lab.ok("up", "--board", "native", "--name", "another")
    for number in range(1, 5):
        lab.ok("wait", f"native-{number}")
    done = lab.run("rollout", "resume", str(begun["id"]), "--wait", "--json")
    found = lab.json("rollout", "status", str(begun["id"]))
    assert found["state"] == "done", done.stderr
    ended = states(found)
    assert set(ended.values()) <= {"confirmed", "rolled-back"}, found
    for device, state in ended.items():
        assert lab.json("call", device, "app", "version")["value"] == (2 if state == "confirmed" else 1)


def test_a_line_that_loses_and_corrupts_bytes_delays_an_update_only(lab: Cli) -> None:
    lab.ok("up", "--board", "native", "--name", "dev")
    lab.ok("deploy", app(lab, 1), "--to", "dev", "--confirmed")
    lab.ok("fault", "dev", "link.corrupt", "rate=1e-4")
    lab.ok("fault", "dev", "link.drop", "rate=1e-4")
    padded = Path(app(lab, 2))
    source = APP.format(poll="nop", version=2)[:-1] + f'(@custom "padding" "{"x" * 32768}"))'
    padded.write_bytes(wasmtime.wat2wasm(source))
    found = lab.json("rollout", "start", str(padded), "--to", "dev", "--wait", timeout=300)
    assert found["counts"] == {"confirmed": 1}
    assert lab.json("call", "dev", "app", "version")["value"] == 2
