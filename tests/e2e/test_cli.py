"""The command line against real firmware: what README promises, and what goes wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pexpect
import psutil
import pytest
import wasmtime

from lab import __version__
from lab.lab import Json
from tests.e2e.conftest import LAB, Cli, alive

pytestmark = pytest.mark.hil

FIB = (
    '(module (func (export "fib") (param i32) (result i32) (local i32 i32 i32) (local.set 2 (i32.const 1)) '
    "(block (loop (br_if 1 (i32.eqz (local.get 0))) (local.set 3 (i32.add (local.get 1) (local.get 2))) "
    "(local.set 1 (local.get 2)) (local.set 2 (local.get 3)) "
    "(local.set 0 (i32.sub (local.get 0) (i32.const 1))) (br 0))) (local.get 1)))"
)


@pytest.fixture
def fib(tmp_path: Path) -> str:
    file = tmp_path / "fib.wat"
    file.write_text(FIB)
    return str(file)


def test_boots_deploys_and_calls_on_qemu(lab: Cli, fib: str) -> None:
    [device] = lab.json("up", "--board", "mps2-an385")["devices"]
    assert device["state"] == "connected"
    assert (device["board"], device["engine"]) == ("mps2-an385", "qemu")
    assert 0 < device["boot_ms"] < device["connect_ms"]
    [app] = lab.json("deploy", fib, "--to", device["id"])["apps"]
    assert (app["name"], app["state"]) == ("fib", "trial")
    assert lab.json("call", device["id"], "fib", "fib", "20") == {"value": 6765, "values": [6765]}
    assert [row["name"] for row in lab.json("apps", device["id"])["apps"]] == ["fib"]
    lab.ok("stop", device["id"], "fib")
    [stopped] = lab.json("apps", device["id"])["apps"]
    assert (stopped["state"], stopped["memory"]) == ("stopped", 0)


def test_down_leaves_no_process(lab: Cli) -> None:
    lab.ok("up", "--board", "mps2-an385", "--count", "2")
    lab.ok("up", "--board", "native")
    everything = [lab.daemon(), *lab.daemon().children(recursive=True)]
    assert len(everything) == 4
    lab.ok("down")
    assert not [process for process in everything if alive(process)]
    assert lab.processes() == []


def test_twenty_native_devices(lab: Cli) -> None:
    devices = lab.json("up", "--board", "native", "--count", "20")["devices"]
    assert {device["state"] for device in devices} == {"connected"}
    assert len({device["id"] for device in devices}) == 20


def test_a_killed_emulator_is_seen_and_the_rest_goes_on(lab: Cli) -> None:
    first, second = lab.json("up", "--board", "mps2-an385", "--count", "2")["devices"]
    psutil.Process(first["pid"]).kill()
    follow = subprocess.Popen(
        [LAB, "logs", first["id"], "-f", "--json"], env=lab.environment, stdout=subprocess.PIPE, text=True
    )
    assert follow.stdout
    for line in follow.stdout:
        event = json.loads(line)
        if event["kind"] == "device.exited":
            assert "SIGKILL" in event["data"]["reason"]
            break
    follow.terminate()
    follow.wait()
    states = {device["id"]: device["state"] for device in lab.json("ps")["devices"]}
    assert states == {first["id"]: "crashed", second["id"]: "connected"}
    # The same device comes back under its own name.
    [again] = lab.json("up", "--board", "mps2-an385", "--name", first["id"])["devices"]
    assert again["state"] == "connected"


def test_a_killed_daemon_leaves_no_emulator_and_the_next_one_goes_on(lab: Cli, fib: str) -> None:
    [device] = lab.json("up", "--board", "mps2-an385")["devices"]
    lab.ok("deploy", fib, "--to", device["id"], "--confirmed")
    emulator = psutil.Process(device["pid"])
    daemon = lab.daemon()
    daemon.send_signal(signal.SIGKILL)
    psutil.wait_procs([daemon, emulator], timeout=20)
    assert not emulator.is_running()
    refused = lab.run("call", device["id"], "fib", "fib", "20")
    assert refused.returncode == 1
    assert "no lab runs" in refused.stderr
    # The device, still wanted, is booted again, and gets its app back.
    lab.ok("up", "--board", "native")
    lab.ok("wait", device["id"], "--app", "fib")
    assert lab.json("call", device["id"], "fib", "fib", "20")["value"] == 6765


def test_a_forgotten_device_is_gone(lab: Cli) -> None:
    lab.ok("up", "--board", "native", "--name", "old")
    taken = lab.run("up", "--board", "mps2-an385", "--name", "old")
    assert (taken.returncode, "up already" in taken.stderr) == (2, True)
    lab.ok("down", "old")
    other = lab.run("up", "--board", "mps2-an385", "--name", "old")
    assert (other.returncode, "--forget" in other.stderr) == (2, True)
    lab.ok("down", "--forget", "old")
    assert lab.json("ps")["devices"] == []
    assert lab.run("down", "old").returncode == 2


def test_two_labs_side_by_side(lab: Cli, other_lab: Cli) -> None:
    [here] = lab.json("up", "--board", "native")["devices"]
    [there] = other_lab.json("up", "--board", "native")["devices"]
    assert here["id"] == there["id"]
    other_lab.ok("down")
    assert [device["state"] for device in lab.json("ps")["devices"]] == ["connected"]


def test_console_is_interactive(lab: Cli) -> None:
    [device] = lab.json("up", "--board", "mps2-an385")["devices"]
    console = pexpect.spawn(
        str(LAB), ["console", device["id"]], env=lab.environment, encoding="utf-8", timeout=30
    )
    console.expect("on mps2-an385")
    console.sendline("status")
    console.expect("connected")
    console.send("\x1d")
    console.expect(pexpect.EOF)


def test_reset_brings_a_device_and_its_apps_back(lab: Cli, fib: str) -> None:
    [device] = lab.json("up", "--board", "native")["devices"]
    lab.ok("deploy", fib, "--to", device["id"], "--confirmed")
    lab.ok("reset", device["id"])
    lab.ok("wait", device["id"], "--boots", "2", "--app", "fib")
    assert lab.json("call", device["id"], "fib", "fib", "10")["value"] == 55
    late = lab.run("wait", device["id"], "--boots", "3", "--app", "fib", "--timeout", "0")
    assert (late.returncode, "is connected at boot 2\n" in late.stderr) == (4, True), late.stderr
    late = lab.run("wait", device["id"], "--app", "fob", "--timeout", "0")
    assert (late.returncode, "at boot 2, does not run fob\n" in late.stderr) == (4, True), late.stderr


def test_gateway_restart_loses_nothing(lab: Cli, fib: str) -> None:
    [device] = lab.json("up", "--board", "native")["devices"]
    lab.ok("deploy", fib, "--to", device["id"], "--confirmed")

    def apps() -> list[Json]:
        reports = ("instructions", "peak", "budget")  # the device sends them by and by
        rows = lab.json("apps", device["id"])["apps"]
        return [{key: value for key, value in row.items() if key not in reports} for row in rows]

    before = apps()
    lab.ok("gateway", "--restart")
    lab.ok("wait", device["id"])
    assert apps() == before


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["up", "--board", "mps2-an38"], 2, "mps2-an385"),
        (["up", "--count", "0"], 2, "count"),
        (["up", "--name", "../x"], 2, "id"),
        (["frobnicate"], 2, "frobnicate"),
        (["ps", "--frob"], 2, "--frob"),
        (["apps", "nobody"], 1, "no lab runs"),
        (["deploy", "absent.wasm", "--all"], 2, "absent.wasm"),
        (["deploy", "x.wasm"], 2, "--all"),
        (["fault", "--clear"], 2, "lab fault ID"),
        (["fault", "device", "--for", "5"], 2, "lab fault --known"),
        (["audit", "--result", "good"], 2, "refused"),
    ],
)
def test_bad_usage_says_what_to_do(lab: Cli, arguments: list[str], code: int, words: str) -> None:
    done = lab.run(*arguments)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_an_address_that_is_none_starts_no_lab(lab: Cli) -> None:
    done = lab.run("panel", "--no-open", "--listen", "8443")
    assert (done.returncode, "HOST:PORT" in done.stderr) == (2, True), done.stderr
    assert lab.run("ps").stderr.startswith("no lab runs here")


def test_parts_are_watched_as_lines_of_json(lab: Cli) -> None:
    lab.ok("up", "--board", "native", "--name", "device")
    watch = subprocess.Popen(
        [LAB, "watch", "device", "--json"], env=lab.environment, stdout=subprocess.PIPE, text=True
    )
    assert watch.stdout
    assert "dht22" in json.loads(watch.stdout.readline())["parts"]
    lab.ok("sensor", "device", "dht22.temperature=31.5")
    assert '"temperature": 31.5' in watch.stdout.readline(), "nothing is said between two changes"
    watch.terminate()
    watch.wait()


def test_what_a_lab_refuses_is_said_in_its_words(lab: Cli) -> None:
    lab.ok("up", "--board", "native", "--name", "device")
    (lab.folder / "no.pem").write_text("no key")
    for arguments, words in (
        (["up", "--board", "native", "--name", "other", "--label", "role=a b"], "'a b' cannot be a label's"),
        (["down", "device/snapshots/warm"], "cannot be a name"),
        (["apps", ""], "cannot be a name"),
        (["down", "device", "nobody"], "nobody is not known"),
        (["fault", "device", "link.drop"], "link.drop: give either rate or next"),
        (["versions", "alarm"], "no version of alarm is kept"),
        (["token", "create", "anna", "--role", "king"], "one of viewer, operator, admin is allowed"),
        (["publisher", "trust", "acme", str(lab.folder / "no.pem")], "is no public key of a publisher"),
    ):
        done = lab.run(*arguments)
        assert (done.returncode, words in done.stderr) == (2, True), done.stderr
    assert [(each["id"], each["state"]) for each in lab.json("ps")["devices"]] == [("device", "connected")]


def test_files_that_are_none_of_the_labs_are_refused_by_name(lab: Cli) -> None:
    noise = lab.folder / "noise.toml"
    noise.write_bytes(bytes(range(128, 256)))
    (lab.folder / "plugin").mkdir()
    (lab.folder / "plugin" / "plugin.py").touch()
    (lab.folder / "plugin" / "plugin.toml").write_bytes(noise.read_bytes())
    lab.ok("new", "app", "--lang", "wat")
    for arguments, words in (
        (["node", "-c", "noise.toml"], "noise.toml is no TOML"),
        (["node", "update", "x", "--plugins", "-c", "noise.toml"], "noise.toml is no TOML"),
        (["plugin", "build", "plugin"], "plugin.toml is no TOML"),
        (["compile", "app", "-o", "/proc/app.wasm"], "cannot write to /proc"),
    ):
        done = lab.run(*arguments)
        assert (done.returncode, words in done.stderr, "Traceback" in done.stderr) == (2, True, False), done
    lab.environment["LAB_HOME"] = str(noise)
    for verb in ("ps", "up"):
        done = lab.run(verb)
        assert (done.returncode, "LAB_HOME=" in done.stderr) == (2, True), done.stderr


def test_a_device_that_cannot_connect_times_out(lab: Cli) -> None:
    done = lab.run("up", "--board", "mps2-an385", "--timeout", "0.1")
    assert done.returncode == 4
    assert "not connected" in done.stderr
    assert lab.json("ps")["devices"][0]["state"] == "off"


def test_missing_qemu_names_the_package(lab: Cli) -> None:
    tools = lab.folder / "bin"
    tools.mkdir()
    (tools / "setpriv").symlink_to("/usr/bin/setpriv")
    lab.environment["PATH"] = str(tools)
    done = lab.run("up", "--board", "mps2-an385")
    assert done.returncode == 3
    assert "apt" in done.stderr
    assert "install qemu-system-arm" in done.stderr
    assert "was started with" not in done.stderr
    # Found by who asks is not found by the daemon, which keeps the environment it was started with.
    lab.environment["PATH"] = os.environ["PATH"]
    done = lab.run("up", "--board", "mps2-an385")
    assert done.returncode == 3
    assert "started with another PATH" in " ".join(done.stderr.split())


def test_version(lab: Cli) -> None:
    assert lab.ok("--version").strip() == __version__


def test_doctor_knows_what_is_missing(lab: Cli) -> None:
    checks = {row["what"]: row for row in lab.json("doctor")["checks"]}
    assert checks["QEMU for Arm"]["found"]
    lab.environment["PATH"] = "/nonexistent"
    done = lab.run("doctor", "--json")
    assert done.returncode == 3
    checks = {row["what"]: row for row in json.loads(done.stdout)["checks"]}
    assert checks["QEMU for Arm"]["found"] is None
    assert "install qemu-system-arm" in checks["QEMU for Arm"]["install"]
    assert not checks["Renode"]["required"]


def test_a_refused_app_says_why_in_the_devices_words(lab: Cli, tmp_path: Path) -> None:
    lab.ok("up", "--board", "native")
    file = tmp_path / "bad.wasm"
    file.write_bytes(wasmtime.wat2wasm('(module (func (export "init") (result i32) unreachable))'))
    done = lab.run("deploy", str(file), "--all")
    assert done.returncode == 1
    assert "unreachable" in done.stdout + done.stderr
    assert lab.json("ps")["devices"][0]["state"] == "connected"


def test_from_a_template_to_a_lit_led(lab: Cli) -> None:
    lab.ok("new", "demo", "--template", "network", "--lang", "c")
    lab.ok("up", "--board", "native", "--name", "device")
    lab.ok("deploy", "demo", "--all")
    assert lab.json("leds", "device")["leds"][0] == [0, 0, 0]
    lab.ok("command", "device", "demo", "on")
    assert lab.json("leds", "device")["leds"][0] != [0, 0, 0]
    assert lab.json("command", "device", "demo", "sing")["text"] == "say on or off"
    assert lab.run("command", "device", "demo", "x" * 257).returncode == 2


def test_sensors_take_physical_values_only(lab: Cli, tmp_path: Path) -> None:
    lab.ok("up", "--board", "native", "--name", "device")
    for setting, words in (
        ("dht22.temprature=3", "temperature"),
        ("dht22.temperature=500", "80"),
        ("dht22.fault=sulking", "nack"),
        ("dht22.temperature", "PART.QUANTITY=VALUE"),
    ):
        done = lab.run("sensor", "device", setting)
        assert (done.returncode, words in done.stderr) == (2, True), (setting, done.stderr)
    profile = tmp_path / "profile.csv"
    profile.write_text("time,dht22.temperature\n0,33\n")
    lab.ok("sensor", "device", "--profile", str(profile))
    assert lab.json("sensor", "device")["parts"]["dht22"]["quantities"]["temperature"] == 33.0
    profile.write_text("time,dht22.temperature\n0,hot\n")
    done = lab.run("sensor", "device", "--profile", str(profile))
    assert done.returncode == 2
    assert "line 2" in done.stderr


def test_what_is_not_wasm_goes_nowhere(lab: Cli, tmp_path: Path) -> None:
    lab.ok("up", "--board", "native")
    file = tmp_path / "elf.wasm"
    file.write_bytes(b"\x7fELF and more")
    done = lab.run("deploy", str(file), "--all")
    assert done.returncode == 2
    assert "not WebAssembly" in done.stderr


def test_interrupted_up_leaves_nothing(lab: Cli) -> None:
    lab.ok("up", "--board", "native", "--name", "first")
    lab.ok("fault", "gateway.lab", "gateway.down")  # so that it cannot be over before it is interrupted
    up = subprocess.Popen(
        [LAB, "up", "--board", "mps2-an385", "--count", "8"],
        env=lab.environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    while len(lab.daemon().children()) < 3:
        pass
    up.send_signal(signal.SIGINT)
    up.communicate(timeout=120)
    assert up.returncode == 130
    for child in lab.daemon().children():
        if "qemu" in child.name():
            child.wait(timeout=20)
    lab.ok("fault", "gateway.lab", "--clear")
    lab.ok("wait", "first")
    states = {device["id"]: device["state"] for device in lab.json("ps")["devices"]}
    assert states.pop("first") == "connected"
    assert set(states.values()) == {"off"}
