"""Apps that touch the world: templates in every language against simulated parts, on real firmware."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from wasmtime import wat2wasm

from lab.errors import DeviceError
from lab.lab import Json
from lab.testing.device import Device
from lab.wire.messages import Manifest, pack

pytestmark = [pytest.mark.hil, pytest.mark.board("native")]

RED, ORANGE, BLUE, GREEN = (255, 0, 0), (255, 120, 0), (0, 0, 255), (0, 255, 0)
DARK = (0, 0, 0)
SECONDS = 30.0  # the DHT22 is read every 2 s


def warm(device: Device, celsius: float) -> None:
    device.sensors.dht22.temperature = celsius


def shows(device: Device, colour: tuple[int, int, int]) -> None:
    device.wait_until(lambda: device.leds[1] == colour, timeout=SECONDS, what=f"LED 1 in {colour}")


def alarm_follows_the_temperature(device: Device, language: str) -> None:
    warm(device, 20)
    device.deploy("alarm", language=language)
    shows(device, GREEN)
    warm(device, 27)
    shows(device, ORANGE)
    assert device.buzzer.beeps == 0
    warm(device, 31.5)
    shows(device, RED)
    device.wait_until(lambda: device.buzzer.beeps == 3)
    # Within the hysteresis it stays red. The sensor has been read twice more when its count says so.
    warm(device, 29)
    before = device.part("dht22")["reads"]
    device.wait_until(lambda: device.part("dht22")["reads"] >= before + 2, timeout=SECONDS)
    assert device.leds[1] == RED
    warm(device, 14)
    shows(device, BLUE)
    assert device.buzzer.beeps == 3


@pytest.mark.parametrize(
    "language",
    [
        "c",
        "wat",
        "rust",
        pytest.param("assemblyscript", marks=pytest.mark.skipif(not shutil.which("npm"), reason="no npm")),
    ],
)
def test_alarm_shows_the_rooms_temperature(device: Device, language: str) -> None:
    alarm_follows_the_temperature(device, language)


@pytest.mark.qemu
@pytest.mark.board("netduinoplus2")
def test_alarm_on_an_stm32f405(device: Device) -> None:
    alarm_follows_the_temperature(device, "wat")


def test_a_cycle_writes_the_strip_once(device: Device, tmp_path: Path) -> None:
    app = tmp_path / "rainbow"
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
    device.deploy(app)
    before = device.part("ws2812")["writes"]
    device.call("rainbow", "paint")
    assert device.leds == [(7, number, 9) for number in range(11)]
    assert device.part("ws2812")["writes"] == before + 1
    # The same colours again are no change, so nothing is written.
    device.call("rainbow", "paint")
    assert device.part("ws2812")["writes"] == before + 1


def test_an_app_answers_commands(device: Device) -> None:
    device.deploy("network")
    device.command("network", "on")
    assert device.leds[0] != DARK
    assert device.command("network", "sing") == b"say on or off"
    with pytest.raises(DeviceError, match="no app of that name"):
        device.command("nobody", "on")


def test_an_app_without_commands_outlives_one(device: Device) -> None:
    text = '(module (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable))'
    device.deploy(bytes(wat2wasm(text)), name="deaf")
    with pytest.raises(DeviceError, match="deaf takes no commands"):
        device.command("deaf", "on")
    assert device.apps["deaf"]["state"] in ("trial", "running")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('(module (import "lab:device/led-controller@0.1.0" "clear" (func)))', "manifest"),
        ("(module (memory 4000))", "memory"),
        ('(module (func (export "init") (result i32) unreachable))', "unreachable"),
        ('(module (func $f (export "init") (result i32) (call $f)))', "stack overflow"),
        (
            '(module (import "lab:device/log@0.1.0" "write" (func $log (param i32 i32 i32))) (memory 1) '
            '(func (export "init") (result i32) (call $log (i32.const 1) (i32.const -8) (i32.const 64)) '
            "i32.const 0))",
            "out of bounds",
        ),
    ],
)
def test_the_device_itself_ends_what_goes_too_far(device: Device, text: str, words: str) -> None:
    with pytest.raises(DeviceError, match=words):
        device.deploy(bytes(wat2wasm(text)), name="hostile")
    assert device.state == "connected"
    # Whatever it did, the next app runs.
    device.deploy(bytes(wat2wasm('(module (func (export "two") (result i32) i32.const 2))')), name="next")
    assert device.call("next", "two") == 2


def test_what_calls_take_is_counted_as_the_budget_is(device: Device) -> None:
    """An app whose budget is just what its longest call took runs; with one instruction less it does not."""
    text = (
        '(module {manifest} (func (export "spin") (param $n i32) (loop $on (br_if $on (local.tee $n '
        "(i32.sub (local.get $n) (i32.const 1)))))))"
    )

    def deploy(budget: int) -> None:
        manifest = pack(Manifest(1, (), (), 0, budget)).hex("\\", 1)
        section = f'(@custom "lab:manifest" "\\{manifest}")'
        device.deploy(bytes(wat2wasm(text.format(manifest=section))), name="spin")

    def told() -> Json:
        device.apps  # noqa: B018 - asking has the device say it
        return device.wait_for_event("app.use", app="spin").data

    deploy(0)
    device.call("spin", "spin", 100)
    one = told()
    assert one["peak"] == one["instructions"] > 300
    assert one["budget"] == 10_000_000
    device.call("spin", "spin", 100)
    assert told()["instructions"] == 2 * one["peak"]
    for _ in range(2):
        device.apps  # noqa: B018 - asked again when nothing was called: it has nothing to say
    device.call("spin", "spin", 200)
    two = told()
    assert two["instructions"] == 2 * one["peak"] + two["peak"]
    assert 0 < 2 * one["peak"] - two["peak"] < 20  # but for what is before and after the loop
    assert device.apps["spin"]["peak"] == two["peak"]
    deploy(one["peak"])
    device.call("spin", "spin", 100)
    deploy(one["peak"] - 1)
    with pytest.raises(DeviceError, match="more than"):
        device.call("spin", "spin", 100)


def test_memory_beyond_the_devices_is_not_had(device: Device) -> None:
    device.deploy(
        bytes(
            wat2wasm(
                '(module (memory 1) (func (export "grow") (result i32) (memory.grow (i32.const 4)))'
                '(func (export "size") (result i32) memory.size))'
            )
        )
    )
    assert device.call("app", "grow") == -1
    assert device.call("app", "size") == 1


@pytest.mark.qemu
@pytest.mark.board("mps2-an385")
def test_apps_run_side_by_side_and_fail_alone(device: Device) -> None:
    counter = (
        '(global $n (mut i32) (i32.const 0)) (func (export "init") (result i32) i32.const 50) '
        '(func (export "poll") (global.set $n (i32.add (global.get $n) (i32.const 1))) {body}) '
        '(func (export "count") (result i32) (global.get $n))'
    )
    for number in range(4):
        body = "(if (i32.eq (global.get $n) (i32.const 3)) (then (loop (br 0))))" if number == 0 else ""
        module = wat2wasm("(module " + counter.format(body=body) + ")")
        device.deploy(bytes(module), name=f"app{number}")
    state = device.wait_for_event("app.state", app="app0", state="failed", timeout=SECONDS)
    assert "instructions" in state.data["reason"]

    def counts() -> list[int]:
        return [int(device.call(f"app{number}", "count")) for number in (1, 2, 3)]  # type: ignore[arg-type]

    before = counts()
    device.wait_until(
        lambda: all(now > then for now, then in zip(counts(), before, strict=True)), timeout=SECONDS
    )
