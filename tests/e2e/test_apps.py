"""Apps that touch the world: templates in every language against simulated parts, on real firmware."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import wasmtime

from tests.e2e.conftest import Cli

pytestmark = pytest.mark.hil

RED, ORANGE, BLUE, GREEN = [255, 0, 0], [255, 120, 0], [0, 0, 255], [0, 255, 0]


def eventually(read: Callable[[], Any], wanted: Any, seconds: float = 30) -> None:
    """Read until `wanted` is seen; the loop only bounds the wait, what it waits for is the device's doing."""
    deadline = time.monotonic() + seconds
    while (seen := read()) != wanted:
        assert time.monotonic() < deadline, f"{seen} instead of {wanted}"
        time.sleep(0.1)


def led(lab: Cli, device: str, number: int) -> list[int]:
    return lab.json("leds", device)["leds"][number]  # type: ignore[no-any-return]


def beeps(lab: Cli, device: str) -> int:
    return lab.json("sensor", device)["parts"]["buzzer"]["total"]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("board", "language"),
    [
        ("mps2-an385", "c"),
        ("netduinoplus2", "wat"),
        ("native", "c"),
        ("native", "wat"),
        pytest.param(
            "native", "assemblyscript", marks=pytest.mark.skipif(not shutil.which("npm"), reason="no npm")
        ),
        pytest.param(
            "native", "rust", marks=pytest.mark.skipif(not shutil.which("rustc"), reason="no rustc")
        ),
    ],
)
def test_alarm_shows_the_rooms_temperature(lab: Cli, board: str, language: str) -> None:
    lab.ok("new", "demo", "--template", "alarm", "--lang", language)
    compiled = lab.run("compile", "demo")
    if language == "rust" and compiled.returncode == 3:
        pytest.skip(compiled.stderr)
    assert compiled.returncode == 0, compiled.stderr
    lab.ok("up", "--board", board, "--name", "device")
    lab.ok("sensor", "device", "dht22.temperature=20")
    lab.ok("deploy", "demo", "--all")
    eventually(lambda: led(lab, "device", 1), GREEN)
    lab.ok("sensor", "device", "dht22.temperature=27")
    eventually(lambda: led(lab, "device", 1), ORANGE)
    assert beeps(lab, "device") == 0
    lab.ok("sensor", "device", "dht22.temperature=31.5")
    eventually(lambda: led(lab, "device", 1), RED)
    eventually(lambda: beeps(lab, "device"), 3)
    # Within the hysteresis it stays red. The sensor's next two readings have gone by when the log says so.
    lab.ok("sensor", "device", "dht22.temperature=29")
    before = reads(lab)
    eventually(lambda: reads(lab) >= before + 2, True)
    assert led(lab, "device", 1) == RED
    lab.ok("sensor", "device", "dht22.temperature=14")
    eventually(lambda: led(lab, "device", 1), BLUE)
    assert beeps(lab, "device") == 3


def reads(lab: Cli) -> int:
    """Return how often the DHT22 has been read."""
    return int(lab.json("sensor", "device")["parts"]["dht22"]["reads"])


def test_a_cycle_writes_the_strip_once(lab: Cli) -> None:
    app = lab.folder / "rainbow"
    app.mkdir()
    (app / "app.toml").write_text(
        'name = "rainbow"\nversion = "1.0.0"\nlanguage = "wat"\nsources = ["main.wat"]\n'
        '[permissions]\ninterfaces = ["led-controller"]\n'
    )
    (app / "main.wat").write_text(
        '(module (import "lab:device/led-controller@0.1.0" "set" '
        "(func $set (param i32 i32 i32 i32) (result i32))) "
        '(func (export "paint") (local $i i32) (loop $next '
        "(drop (call $set (local.get $i) (i32.const 7) (local.get $i) (i32.const 9))) "
        "(local.set $i (i32.add (local.get $i) (i32.const 1))) "
        "(br_if $next (i32.lt_u (local.get $i) (i32.const 11))))))"
    )
    lab.ok("up", "--board", "native", "--name", "device")
    lab.ok("deploy", "rainbow", "--all")
    before = lab.json("leds", "device")["writes"]
    lab.ok("call", "device", "rainbow", "paint")
    strip = lab.json("leds", "device")
    assert strip["leds"] == [[7, number, 9] for number in range(11)]
    assert strip["writes"] == before + 1
    # The same colours again are no change, so nothing is written.
    lab.ok("call", "device", "rainbow", "paint")
    assert lab.json("leds", "device")["writes"] == before + 1


def test_sensors_take_physical_values_only(lab: Cli, tmp_path: Path) -> None:
    lab.ok("up", "--board", "native", "--name", "device")
    for setting, words in (
        ("dht22.temprature=3", "temperature"),
        ("dht23.temperature=3", "dht22"),
        ("dht22.temperature=500", "80"),
        ("dht22.temperature=warm", "warm"),
        ("dht22.fault=sulking", "nack"),
        ("dht22.temperature", "PART.QUANTITY=VALUE"),
    ):
        done = lab.run("sensor", "device", setting)
        assert (done.returncode, words in done.stderr) == (2, True), (setting, done.stderr)
    profile = tmp_path / "profile.csv"
    profile.write_text("time,dht22.temperature\n0,20\n0.1,33\n")
    lab.ok("sensor", "device", "--profile", str(profile))
    eventually(lambda: lab.json("sensor", "device")["parts"]["dht22"]["quantities"]["temperature"], 33.0)
    profile.write_text("time,dht22.temperature\n0,hot\n")
    done = lab.run("sensor", "device", "--profile", str(profile))
    assert done.returncode == 2
    assert "line 2" in done.stderr


def test_an_app_gets_what_its_manifest_lists_and_no_more(lab: Cli) -> None:
    lab.ok("up", "--board", "native", "--name", "device")
    lab.ok("new", "demo", "--template", "blinker", "--lang", "c")
    manifest = lab.folder / "demo" / "app.toml"
    listed = manifest.read_text()
    manifest.write_text(listed.replace('"led-controller"', '"kv"'))
    refused = lab.run("compile", "demo")
    assert refused.returncode == 1
    assert "led-controller" in refused.stderr
    manifest.write_text(listed)
    lab.ok("compile", "demo")
    lab.ok("deploy", "demo", "--all")


def test_an_app_answers_commands(lab: Cli) -> None:
    lab.ok("new", "demo", "--template", "network", "--lang", "c")
    lab.ok("up", "--board", "native", "--name", "device")
    lab.ok("deploy", "demo", "--all")
    lab.ok("command", "device", "demo", "on")
    assert led(lab, "device", 0) != [0, 0, 0]
    assert lab.json("command", "device", "demo", "sing")["text"] == "say on or off"
    assert lab.run("command", "device", "demo", "x" * 257).returncode == 2
    assert "no app of that name" in lab.run("command", "device", "nobody", "on").stderr
    file = lab.folder / "deaf.wasm"
    file.write_bytes(wasmtime.wat2wasm("(module)"))
    lab.ok("deploy", str(file), "--all")
    assert "exports no" in lab.run("command", "device", "deaf", "on").stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            '(module (import "lab:device/led-controller@0.1.0" "clear" (func)))',
            "no manifest",
        ),
        ('(module (func $f (export "init") (result i32) (call $f)))', "stack overflow"),
        (
            '(module (memory 1) (func (export "init") (result i32) '
            "(if (i32.ne (memory.grow (i32.const 4)) (i32.const -1)) (then unreachable)) i32.const 0) "
            '(func (export "poll") unreachable))',
            "",
        ),
        (
            '(module (import "lab:device/log@0.1.0" "write" (func $log (param i32 i32 i32))) (memory 1) '
            '(func (export "init") (result i32) (call $log (i32.const 1) (i32.const -8) (i32.const 64)) '
            "i32.const 0))",
            "out of bounds",
        ),
    ],
)
def test_the_device_itself_ends_what_goes_too_far(lab: Cli, tmp_path: Path, text: str, words: str) -> None:
    lab.ok("up", "--board", "native", "--name", "device")
    file = tmp_path / "app.wasm"
    file.write_bytes(wasmtime.wat2wasm(text))
    done = lab.run("deploy", str(file), "--all")
    assert done.returncode == (1 if words else 0), done.stdout
    assert words in done.stdout + done.stderr
    # Whatever it did, the next app runs.
    file.write_bytes(wasmtime.wat2wasm('(module (func (export "two") (result i32) i32.const 2))'))
    lab.ok("deploy", str(file), "--all", "--app", "next")
    assert lab.json("call", "device", "next", "two")["value"] == 2


def test_apps_run_side_by_side_and_fail_alone(lab: Cli, tmp_path: Path) -> None:
    lab.ok("up", "--board", "mps2-an385", "--name", "device")
    counter = (
        '(global $n (mut i32) (i32.const 0)) (func (export "init") (result i32) i32.const 50) '
        '(func (export "poll") (global.set $n (i32.add (global.get $n) (i32.const 1))) {body}) '
        '(func (export "count") (result i32) (global.get $n))'
    )
    for number in range(4):
        body = "(if (i32.eq (global.get $n) (i32.const 3)) (then (loop (br 0))))" if number == 0 else ""
        file = tmp_path / f"app{number}.wasm"
        file.write_bytes(wasmtime.wat2wasm("(module " + counter.format(body=body) + ")"))
        lab.ok("deploy", str(file), "--all")

    def runaway() -> dict[str, str]:
        return next(app for app in lab.json("apps", "device")["apps"] if app["name"] == "app0")

    eventually(lambda: runaway()["state"], "failed")
    assert "instructions" in runaway()["reason"]
    before = [lab.json("call", "device", f"app{number}", "count")["value"] for number in (1, 2, 3)]
    eventually(
        lambda: all(
            lab.json("call", "device", f"app{number}", "count")["value"] > count
            for number, count in zip((1, 2, 3), before, strict=True)
        ),
        True,
    )
