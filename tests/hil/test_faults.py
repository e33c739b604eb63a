"""Faults on demand, on real firmware: each is felt, said, and over when it is cleared."""

from __future__ import annotations

import hashlib
import re
import socket
from typing import Any

import psutil
import pytest
from wasmtime import wat2wasm

from lab.engines.qemu import QemuMachine
from lab.errors import DeviceError, LabError, UsageError
from lab.peripherals import Status
from lab.testing.bench import Bench
from lab.testing.device import Device
from lab.testing.faults import Faults
from lab.testing.gateway import Gateway

pytestmark = [pytest.mark.hil, pytest.mark.board("native")]

both = pytest.mark.board("native", "mps2-an385")

MODULE = bytes(
    wat2wasm(f"""(module (@custom "padding" "{"x" * 16_300}")
        (func (export "answer") (result i32) (i32.const 42)))""")
)

RUNS = ("trial", "running")
SECONDS = 30.0


@pytest.fixture
def impatient(gateway: Gateway) -> None:
    """Have silence noticed after a second; by default it takes 75."""
    gateway.heartbeat = 0.4


silence = pytest.mark.usefixtures("impatient")


def link(device: Device) -> dict[str, Any]:
    counters: dict[str, Any] = device.info["link"]
    return counters


def names(faults: Faults) -> list[str]:
    return [each["fault"] for each in faults.active]


# -- the link


@both
def test_a_deployment_comes_through_a_line_that_corrupts_bytes(device: Device, gateway: Gateway) -> None:
    # With this seed the byte that is hit is the 7446th, amid the module, and the next one is far away.
    device.faults.set("link.corrupt", rate=1e-4, direction="down", seed=962)
    app = device.deploy(MODULE, name="answer")
    assert app["digest"] == hashlib.sha256(MODULE).hexdigest()
    assert app["state"] in RUNS
    assert device.call("answer", "answer") == 42
    [fault] = device.faults.active
    assert fault["hits"] == 1
    assert link(device)["connections"] == 2
    gateway.heartbeat = 0.4
    device.wait_for_event("device.heartbeat", frames_dropped=1, timeout=SECONDS)


@silence
def test_lost_bytes_cost_the_connection_and_no_more(device: Device) -> None:
    device.faults.set("link.drop", next=100, direction="up")  # more than a heartbeat takes
    device.wait_for_event("fault.cleared", why="it is spent", timeout=SECONDS)
    assert device.faults.active == []
    device.wait_for_event("device.connected", timeout=SECONDS)
    assert link(device)["connections"] == 2
    assert device.info["boots"] == 1


@silence
def test_a_cut_line_makes_a_device_unreachable_until_it_is_mended(device: Device) -> None:
    device.faults.set("link.cut")
    device.wait_for_event("device.unreachable", timeout=SECONDS)
    assert device.state == "unreachable"
    assert device.faults.active[0]["hits"] > 0
    device.faults.clear()
    device.wait_connected(timeout=SECONDS)


def test_a_late_and_slow_line_carries_everything(device: Device) -> None:
    device.faults.set("link.slow", baud=115_200)
    device.faults.set("link.delay", seconds=0.02, jitter=0.02)
    assert [fault["fault"] for fault in device.info["faults"]] == ["link.slow", "link.delay"]
    assert device.deploy(MODULE, name="answer")["state"] in RUNS
    assert link(device)["connections"] == 1


# -- the gateway


def test_devices_come_back_by_themselves_when_the_gateway_does(
    lab: Bench, device: Device, gateway: Gateway
) -> None:
    address = gateway.address
    device.mark()
    gateway.faults.set("gateway.down", duration=1)
    device.wait_for_event("device.disconnected", reason="the gateway is down", timeout=SECONDS)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, timeout=SECONDS)
    device.wait_for_event("device.connected", timeout=SECONDS)
    assert gateway.address == address
    assert link(device)["refused"] > 0
    assert gateway.faults.active == []
    assert [event.data["why"] for event in lab.events("fault.cleared")] == ["its time is over"]


@silence
def test_an_unreachable_gateway_says_nothing_to_anybody(lab: Bench, device: Device, gateway: Gateway) -> None:
    other = lab.up("native")
    device.faults.set("gateway.unreachable")
    device.wait_for_event("device.unreachable", timeout=SECONDS)
    assert other.state == "connected"
    device.faults.clear()
    device.wait_connected(timeout=SECONDS)

    gateway.faults.set("gateway.unreachable")
    for each in (device, other):
        each.wait_for_event("device.unreachable", timeout=SECONDS)
    gateway.faults.clear("gateway.unreachable")
    for each in (device, other):
        each.wait_connected(timeout=SECONDS)


def test_a_device_that_is_told_a_wrong_time_refuses_the_gateway(
    lab: Bench, device: Device, gateway: Gateway
) -> None:
    device.faults.set("clock.offset", seconds=20 * 365 * 86400)
    gateway.restart()
    [refused, *_] = device.wait_until(lambda: lab.events("gateway.refused"), timeout=SECONDS)
    assert "certificate" in refused.data["reason"]
    device.faults.clear()
    # Nobody can tell it the right time any more; a reset brings back that of its provisioning.
    device.reset(timeout=SECONDS)


# -- the machine


@both
def test_a_killed_machine_is_seen_and_can_be_started_again(device: Device) -> None:
    pid = device.info["pid"]
    device.faults.set("link.delay", seconds=0.01)
    device.faults.set("machine.kill")
    exited = device.wait_for_event("device.exited", asked=False, timeout=SECONDS)
    assert "SIGKILL" in exited.data["reason"]
    device.wait_for_event("fault.cleared", why="the device has ended", timeout=SECONDS)
    device.wait_until(lambda: device.state == "crashed", timeout=SECONDS)
    assert not psutil.pid_exists(pid)
    device.power_on()
    assert (device.state, device.faults.active) == ("connected", [])


@both
@silence
def test_a_machine_that_hangs_goes_on_where_it_was(device: Device) -> None:
    before = device.info
    device.faults.set("machine.hang")
    device.wait_for_event("device.unreachable", timeout=SECONDS)
    assert psutil.Process(before["pid"]).status() == psutil.STATUS_STOPPED
    device.faults.clear()
    after = device.wait_connected(timeout=SECONDS)
    assert (after["pid"], after["boots"]) == (before["pid"], before["boots"])


# -- parts and flash


def test_a_sensor_fails_in_one_way_by_either_name(lab: Bench, device: Device) -> None:
    device.sensors.dht22.fault = "unplugged"
    device.faults.set("sensor.fail", part="bme680", how="nack")
    assert (device.sensors.dht22.fault, device.sensors.bme680.fault) == ("unplugged", "nack")
    assert [fault["parameters"] for fault in device.faults.active] == [
        {"part": "dht22", "how": "unplugged"},
        {"part": "bme680", "how": "nack"},
    ]
    device.sensors.dht22.fault = "none"
    device.faults.clear()
    assert (device.sensors.dht22.fault, device.sensors.bme680.fault) == ("none", "none")
    happened = [event.kind for event in lab.events(device=device.id) if event.kind.startswith("fault.")]
    assert happened == ["fault.set", "fault.set", "fault.cleared", "fault.cleared"]
    with pytest.raises(UsageError, match="cannot have the fault"):
        device.faults.set("sensor.fail", part="bme680", how="bad-checksum")
    with pytest.raises(UsageError, match="no part"):
        device.faults.set("sensor.fail", part="lidar", how="nack")
    assert device.faults.active == []


@both
def test_bits_of_the_flash_flip_while_the_board_runs(lab: Bench, device: Device) -> None:
    machine = lab.lab.powered(device.id).machine
    flash = device.folder / "flash.bin"

    async def held() -> bytes:
        """Return the first 64 bytes as the machine sees them."""
        if not isinstance(machine, QemuMachine):
            return flash.read_bytes()[:64]
        monitor = await machine._connected()
        said = await monitor.execute("human-monitor-command", {"command-line": "xp /64xb 0x21000000"})
        return bytes(int(word, 16) for word in re.findall(r"0x([0-9a-f]{2})\b", str(said)))

    before = lab.call(held)
    device.faults.set("flash.flip", bits=7, length=64)
    after = lab.call(held)
    assert sum((a ^ b).bit_count() for a, b in zip(before, after, strict=True)) == 7
    assert device.faults.active == []


def test_an_app_that_the_flash_does_not_take_is_refused(device: Device) -> None:
    with device.faults.set("flash.fail"), pytest.raises(DeviceError, match="flash"):
        device.deploy(MODULE, name="answer")
    assert device.deploy(MODULE, name="answer")["state"] in RUNS


@pytest.mark.board("netduinoplus2")
def test_a_deployment_goes_on_after_power_failed_amid_it(device: Device) -> None:
    device.faults.set("flash.power-cut", operation=8)
    app = device.deploy(MODULE, name="answer")
    assert (app["state"] in RUNS, app["digest"]) == (True, hashlib.sha256(MODULE).hexdigest())
    device.wait_for_event("fault.cleared", why="it is spent", timeout=SECONDS)
    assert device.info["boots"] == 2
    trace = device.peripherals(lambda parts: list(parts.trace))
    assert Status.POWER_FAILED in {transaction.status for transaction in trace}


def test_the_kernel_keeps_a_native_board_from_writing_its_flash(device: Device) -> None:
    process = psutil.Process(device.info["pid"])
    free = process.rlimit(psutil.RLIMIT_FSIZE)
    with device.faults.set("flash.fail", start=65536):
        assert process.rlimit(psutil.RLIMIT_FSIZE) == (65536, free[1])
    assert process.rlimit(psutil.RLIMIT_FSIZE) == free


# -- their life


def test_faults_end_with_their_device(lab: Bench, device: Device) -> None:
    device.faults.set("link.delay", seconds=0.01)
    device.faults.set("machine.hang", duration=60)
    device.power_off()
    whys = [(event.data["fault"], event.data["why"]) for event in lab.events("fault.cleared")]
    assert sorted(whys) == [
        ("link.delay", "the device is switched off"),
        ("machine.hang", "the device is switched off"),
    ]
    assert device.faults.active == device.info["faults"] == []
    with pytest.raises(LabError, match="is off"):
        device.faults.set("link.cut")


def test_one_fault_of_a_kind_takes_the_place_of_the_other(device: Device) -> None:
    device.faults.set("link.delay", seconds=0.3, duration=60)
    device.faults.set("link.delay", seconds=0.01)
    device.faults.set("link.slow", baud=115_200)
    [delay, slow] = device.faults.active
    assert (delay["parameters"]["seconds"], delay["ends"]) == (0.01, None)
    assert slow["fault"] == "link.slow"
    device.faults.clear("link.delay")
    assert names(device.faults) == ["link.slow"]


def test_what_cannot_be_is_refused_with_the_reason(lab: Bench, device: Device, gateway: Gateway) -> None:
    for faults, fault, parameters, words in (
        (device.faults, "gateway.down", {}, "for a gateway"),
        (gateway.faults, "machine.kill", {}, "for a device"),
        (device.faults, "link.explode", {}, "no fault 'link.explode'"),
        (device.faults, "link.drop", {"rate": 2}, "less than or equal to 1"),
        (device.faults, "link.drop", {}, "either rate or next"),
        (device.faults, "link.slow", {"bauds": 9600}, "baud"),
        (device.faults, "link.cut", {"direction": "sideways"}, "up, down, both"),
        (Faults(lab, "nobody"), "link.cut", {}, "nobody"),
    ):
        with pytest.raises(UsageError, match=words):
            faults.set(fault, **parameters)
    with pytest.raises(UsageError, match="cannot last"):
        device.faults.set("link.cut", duration=-1)
    assert device.faults.active == []
