"""What a test can see of a device and do to it, on real firmware."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest
from wasmtime import wat2wasm

from lab.boards import Board
from lab.errors import DeviceError, LabError, UsageError
from lab.testing.bench import Bench
from lab.testing.device import Device, ExpectationError
from lab.testing.gateway import Gateway

pytestmark = [pytest.mark.hil, pytest.mark.board("native")]

TALKER = """(module
    (import "lab:device/log@0.1.0" "write" (func $log (param i32 i32 i32)))
    (import "lab:device/publish@0.1.0" "send" (func $send (param i32 i32 i32 i32)))
    (memory (export "memory") 1) (data (i32.const 0) "hello")
    (func (export "say") (call $log (i32.const 1) (i32.const 0) (i32.const 5)))
    (func (export "tell") (call $send (i32.const 0) (i32.const 5) (i32.const 0) (i32.const 2)))
    (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
    (func (export "swap") (param i32 i32) (result i32 i32) (local.get 1) (local.get 0))
    (func (export "fail") unreachable))"""


@pytest.fixture
def talker(device: Device, tmp_path: Path) -> str:
    source = tmp_path / "talker.wat"
    source.write_text(TALKER)
    assert device.deploy(source)["state"] in ("trial", "running")
    return "talker"


@pytest.mark.board("native", "mps2-an385")
def test_a_device_from_boot_to_power_cut(device: Device, board: Board) -> None:
    assert device.expect(r"on (\S+), boot (\d+), reason (\S+)\r?\n").groups() == (
        board.name,
        "1",
        "power-on",
    )
    device.expect("connected: welcomed by the gateway", not_matching="panic")
    assert (device.board, device.engine, device.state) == (board.name, board.engine, "connected")
    device.deploy("alarm")
    device.sensors.dht22.temperature = 31.5
    device.wait_until(lambda: device.leds[1] == (255, 0, 0) and device.buzzer.beeps == 3)

    device.reset()
    assert device.expect(r"boot (\d+), reason (\S+)\r?\n").groups() == ("2", "reset")
    device.wait_for_event("device.connected", boot_reason="reset")

    before = device.info["pid"]
    device.power_cut()
    assert device.expect(r"boot (\d+), reason (\S+)\r?\n").groups() == ("1", "power-on")
    assert device.info["pid"] != before
    assert not psutil.pid_exists(before)
    assert device.sensors.dht22.temperature == 31.5  # the room is as warm as before


def test_a_failed_expectation_shows_the_device(device: Device) -> None:
    with pytest.raises(ExpectationError) as caught:
        device.expect("no such words", timeout=0.2)
    words = str(caught.value)
    assert "said nothing to match 'no such words' within 0.2 s" in words
    assert f"{device.id}: native (native), connected, boot 1 (power-on)" in words
    assert "connected: welcomed by the gateway" in words
    assert str(device.console_log) in words
    assert "boot 1" in device.console_log.read_text()


def test_words_that_must_not_come_end_the_wait(device: Device) -> None:
    with pytest.raises(ExpectationError, match="said 'connecting as' before anything to match"):
        device.expect("welcomed", not_matching="connecting as")
    device.expect("welcomed")  # and the wait after it goes on behind them


def test_what_is_typed_arrives(device: Device) -> None:
    device.write_line("fault panic")
    device.expect(r"reason panic: asked for on the console")
    device.wait_for_event("device.connected", boot_reason="panic")


def test_events_before_a_reset_do_not_answer_for_it(device: Device, gateway: Gateway) -> None:
    gateway.restart()
    assert device.wait_for_event("device.connected").data["boots"] == 1
    device.reset(wait=False)
    assert device.wait_for_event("device.connected").data["boots"] == 2
    with pytest.raises(ExpectationError, match=r"no event device.connected \(boots=3\) within 0.1 s"):
        device.wait_for_event("device.connected", boots=3, timeout=0.1)


def test_apps_are_called_and_heard(device: Device, talker: str) -> None:
    assert device.call(talker, "add", 40, 2) == 42
    assert device.call(talker, "swap", 1, 2) == (2, 1)
    assert device.call(talker, "say") == ()
    assert device.wait_for_log("^hel+o$", app=talker).data["level"] == "info"
    device.call(talker, "tell")
    assert device.wait_for_event("app.event", app=talker, topic="hello").data["text"] == "he"
    with pytest.raises(DeviceError, match="unreachable"):
        device.call(talker, "fail")
    assert device.apps[talker]["state"] == "failed"


def test_apps_are_stopped(device: Device, talker: str) -> None:
    device.stop(talker)
    assert device.apps[talker]["state"] == "stopped"
    with pytest.raises(DeviceError, match="talker is stopped, not running"):
        device.command(talker, "on")


def test_a_refused_app_is_an_error_in_the_devices_words(device: Device) -> None:
    with pytest.raises(DeviceError, match=r"import wasi\.exit is outside the contract"):
        device.deploy(bytes(wat2wasm('(module (import "wasi" "exit" (func)))')))
    with pytest.raises(UsageError, match="there is no"):
        device.deploy("no-such-app")


def test_sensors_know_their_names_ranges_and_units(device: Device) -> None:
    device.sensors.dht22.temperature = "300 K"
    assert device.sensors.dht22.temperature == pytest.approx(26.85)
    device.sensors["dht22.temperature.noise"] = 0.5
    assert device.sensors["dht22.temperature.noise"] == 0.5
    device.sensors.bme680.fault = "nack"
    assert device.sensors.bme680.fault == "nack"
    with pytest.raises(UsageError, match="outside the part's range"):
        device.sensors.dht22.temperature = 300
    with pytest.raises(AttributeError, match="has no 'temprature'; it has: fault, humidity, temperature"):
        device.sensors.dht22.temprature = 3
    with pytest.raises(AttributeError, match="no part 'dht23'"):
        _ = device.sensors.dht23
    with pytest.raises(LabError, match="no part 'dht23'"):
        device.part("dht23")


def test_wait_until_is_woken_by_a_part(device: Device, talker: str) -> None:
    with pytest.raises(ExpectationError, match=r"not warm within 0\.1 s, but False"):
        device.wait_until(lambda: device.sensors.dht22.temperature == 30, timeout=0.1, what="warm")
    device.sensors.dht22.temperature = 30
    assert device.wait_until(lambda: device.sensors.dht22.temperature) == 30


def test_a_paused_device_says_nothing(device: Device) -> None:
    device.pause()
    assert device.state == "paused"
    device.resume()
    device.write_line("fault panic")
    device.expect("boot 2")


def test_faults_come_and_go(device: Device, gateway: Gateway) -> None:
    with device.faults.set("link.cut"):
        assert [fault["fault"] for fault in device.faults.active] == ["link.cut"]
    assert device.faults.active == []
    gateway.down()
    device.wait_for_event("device.disconnected")
    assert gateway.sessions == 0
    gateway.up()
    device.wait_for_event("device.connected")
    device.faults.set("machine.kill")
    device.wait_until(lambda: device.state == "crashed")
    with pytest.raises(ExpectationError, match="ended before it said anything"):
        device.expect("anything at all")
    device.power_cut()
    device.expect("boot 1, reason power-on")


def test_a_fleet_deploys_at_once(lab: Bench) -> None:
    devices = lab.fleet(5)
    assert {device.state for device in devices} == {"connected"}
    rows = lab.deploy(devices, "hello")
    assert [row["device"] for row in rows] == [device.id for device in devices]
    for device in devices:
        device.wait_for_log(".", app="hello")
    lab.forget(devices[:2])
    assert lab.devices == devices[2:]
    lab.forget(devices)
    assert (lab.devices, lab.lab.devices()) == ([], [])


def test_a_lab_without_pytest_leaves_nothing() -> None:
    with Bench() as lab:
        device = lab.up()
        process = psutil.Process(device.info["pid"])
        assert process.ppid() == os.getpid()
        folder = lab.folder
    assert not process.is_running()
    assert not folder.exists()
