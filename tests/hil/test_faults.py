"""Faults on demand, on real firmware: each is felt, said, and over when it is cleared."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest
from wasmtime import wat2wasm

from lab.engines.qemu import QemuMachine
from lab.errors import LabError, UsageError
from lab.events import Event
from lab.gateway import Config
from lab.home import Home
from lab.lab import Lab
from lab.packages import Package
from lab.pki import GATEWAY

pytestmark = [pytest.mark.anyio, pytest.mark.hil]

NATIVE = pytest.param("native", marks=pytest.mark.native)
QEMU = pytest.param("mps2-an385", marks=pytest.mark.qemu)
native = pytest.mark.parametrize("board", [NATIVE])
both = pytest.mark.parametrize("board", [NATIVE, QEMU])

MODULE = bytes(
    wat2wasm(f"""(module (@custom "padding" "{"x" * 16_300}")
        (func (export "answer") (result i32) (i32.const 42)))""")
)

RUNS = ("trial", "running")


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": True}


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    with anyio.fail_after(120):
        async with Lab(Home(tmp_path / "lab"), Config(heartbeat=0.2)) as lab:
            yield lab


@pytest.fixture
async def device(lab: Lab, board: str) -> str:
    [device] = await lab.up(board, name="device", development=True)
    return str(device["id"])


async def until(lab: Lab, since: int, kind: str, matches: Callable[[Event], bool] = lambda _: True) -> Event:
    """Return the first such event after `since`."""
    async for event in lab.events.subscribe(since):
        if event.kind == kind and matches(event):
            return event
    raise AssertionError("events never end")


async def kinds(lab: Lab, since: int) -> list[str]:
    return [event.kind async for event in lab.events.subscribe(since, follow=False)]


def link(lab: Lab, device: str) -> dict[str, Any]:
    counters: dict[str, Any] = lab.device(device)["link"]
    return counters


# -- the link


@both
async def test_a_deployment_comes_through_a_line_that_corrupts_bytes(lab: Lab, device: str) -> None:
    # With this seed the byte that is hit is the 7446th, amid the module, and the next one is far away.
    await lab.fault(device, "link.corrupt", rate=1e-4, direction="down", seed=962)
    [app] = await lab.deploy([device], Package.unsigned("answer", MODULE))
    assert app["digest"] == hashlib.sha256(MODULE).hexdigest()
    assert app["state"] in RUNS
    assert await lab.gateway.call(device, "answer", "answer") == (42,)
    [fault] = lab.faults(device)
    assert fault["hits"] == 1
    assert link(lab, device)["connections"] == 2
    await until(lab, 0, "device.heartbeat", lambda event: event.data["frames_dropped"] == 1)


@native
async def test_lost_bytes_cost_the_connection_and_no_more(lab: Lab, device: str) -> None:
    since = lab.events.last
    await lab.fault(device, "link.drop", next=5, direction="up")
    cleared = await until(lab, since, "fault.cleared")
    assert (cleared.data["why"], lab.faults(device)) == ("it is spent", [])
    await until(lab, since, "device.connected")
    counters = link(lab, device)
    assert (counters["frames_dropped"], counters["connections"]) == (1, 2)


@native
async def test_a_cut_line_makes_a_device_unreachable_until_it_is_mended(lab: Lab, device: str) -> None:
    since = lab.events.last
    await lab.fault(device, "link.cut")
    await until(lab, since, "device.unreachable")
    assert lab.device(device)["state"] == "unreachable"
    [mended] = await lab.clear_faults(device)
    assert mended["hits"] > 0
    await lab.wait(device)


@native
async def test_a_late_and_slow_line_carries_everything(lab: Lab, device: str) -> None:
    await lab.gateway.set_heartbeat(5)  # or silence, which this is not about, would end the session
    await lab.fault(device, "link.slow", baud=115_200)
    await lab.fault(device, "link.delay", seconds=0.02, jitter=0.02)
    assert [fault["fault"] for fault in lab.device(device)["faults"]] == ["link.slow", "link.delay"]
    [app] = await lab.deploy([device], Package.unsigned("answer", MODULE))
    assert app["state"] in RUNS
    assert link(lab, device)["connections"] == 1


# -- the gateway


@native
async def test_devices_come_back_by_themselves_when_the_gateway_does(lab: Lab, device: str) -> None:
    since, address = lab.events.last, lab.gateway.address
    await lab.fault(GATEWAY, "gateway.down", duration=1)
    await until(lab, since, "device.disconnected", lambda event: "is down" in event.data["reason"])
    with pytest.raises(OSError):
        await anyio.connect_tcp(*address)
    await until(lab, since, "fault.cleared", lambda event: event.data["why"] == "its time is over")
    await until(lab, since, "device.connected")
    assert lab.gateway.address == address
    assert link(lab, device)["refused"] > 0
    assert lab.faults(GATEWAY) == []


@native
async def test_an_unreachable_gateway_says_nothing_to_anybody(lab: Lab, device: str) -> None:
    await lab.up("native", name="other")
    since = lab.events.last
    await lab.fault(device, "gateway.unreachable")
    await until(lab, since, "device.unreachable", lambda event: event.device == device)
    assert lab.device("other")["state"] == "connected"
    await lab.clear_faults(device)
    await lab.wait(device)

    since = lab.events.last
    await lab.fault(GATEWAY, "gateway.unreachable")
    for name in (device, "other"):
        await until(lab, since, "device.unreachable", lambda event, name=name: event.device == name)
    await lab.clear_faults(GATEWAY, "gateway.unreachable")
    for name in (device, "other"):
        await lab.wait(name)


@native
async def test_a_device_that_is_told_a_wrong_time_refuses_the_gateway(lab: Lab, device: str) -> None:
    since = lab.events.last
    await lab.fault(device, "clock.offset", seconds=20 * 365 * 86400)
    await lab.restart_gateway()
    refused = await until(lab, since, "gateway.refused")
    assert "certificate" in refused.data["reason"]
    await lab.clear_faults(device)
    # Nobody can tell it the right time any more; a reset brings back that of its provisioning.
    await lab.reset(device)
    await lab.wait(device)


# -- the machine


@both
async def test_a_killed_machine_is_seen_and_can_be_started_again(lab: Lab, device: str) -> None:
    pid = lab.device(device)["pid"]
    await lab.fault(device, "link.delay", seconds=0.01)
    since = lab.events.last
    await lab.fault(device, "machine.kill")
    exited = await until(lab, since, "device.exited")
    assert ("SIGKILL" in exited.data["reason"], exited.data["asked"]) == (True, False)
    await until(lab, since, "fault.cleared", lambda event: event.data["why"] == "the device has ended")
    assert lab.device(device)["state"] == "crashed"
    assert not psutil.pid_exists(pid)
    [again] = await lab.up(lab.device(device)["board"], name=device)
    assert (again["state"], again["faults"]) == ("connected", [])


@both
async def test_a_machine_that_hangs_goes_on_where_it_was(lab: Lab, device: str) -> None:
    before = lab.device(device)
    since = lab.events.last
    await lab.fault(device, "machine.hang")
    await until(lab, since, "device.unreachable")
    assert psutil.Process(before["pid"]).status() == psutil.STATUS_STOPPED
    await lab.clear_faults(device)
    after = await lab.wait(device)
    assert (after["pid"], after["boots"]) == (before["pid"], before["boots"])


# -- parts and flash


@native
async def test_a_sensor_fails_in_one_way_by_either_name(lab: Lab, device: str) -> None:
    since = lab.events.last
    await lab.set_parts(device, [("dht22.temperature", "31.5"), ("dht22.fault", "unplugged")])
    await lab.fault(device, "sensor.fail", part="bme680", how="nack")
    parts = lab.powered(device).peripherals
    assert (parts.get("dht22.fault"), parts.get("bme680.fault")) == ("unplugged", "nack")
    assert [fault["parameters"] for fault in lab.faults(device)] == [
        {"part": "dht22", "how": "unplugged"},
        {"part": "bme680", "how": "nack"},
    ]
    await lab.set_parts(device, [("dht22.fault", "none")])
    await lab.clear_faults(device)
    assert (parts.get("dht22.fault"), parts.get("bme680.fault")) == ("none", "none")
    happened = [kind for kind in await kinds(lab, since) if kind.startswith("fault.")]
    assert happened == ["fault.set", "fault.set", "fault.cleared", "fault.cleared"]
    with pytest.raises(UsageError, match="cannot have the fault"):
        await lab.fault(device, "sensor.fail", part="bme680", how="bad-checksum")
    with pytest.raises(UsageError, match="no part"):
        await lab.fault(device, "sensor.fail", part="lidar", how="nack")
    assert lab.faults(device) == []


@both
async def test_bits_of_the_flash_flip_while_the_board_runs(lab: Lab, device: str) -> None:
    machine = lab.powered(device).machine
    flash = lab.home.device(device) / "flash.bin"

    async def held() -> bytes:
        """Return the first 64 bytes as the machine sees them."""
        if not isinstance(machine, QemuMachine):
            return flash.read_bytes()[:64]
        monitor = await machine._connected()
        said = await monitor.execute("human-monitor-command", {"command-line": "xp /64xb 0x21000000"})
        return bytes(int(word, 16) for word in re.findall(r"0x([0-9a-f]{2})\b", str(said)))

    before = await held()
    await lab.fault(device, "flash.flip", bits=7, length=64)
    after = await held()
    assert sum((a ^ b).bit_count() for a, b in zip(before, after, strict=True)) == 7
    assert lab.faults(device) == []


@native
async def test_an_app_that_the_flash_does_not_take_is_refused(lab: Lab, device: str) -> None:
    package = Package.unsigned("answer", MODULE)
    await lab.fault(device, "flash.fail")
    [refused] = await lab.deploy([device], package)
    assert (refused["state"], "flash" in refused["reason"]) == ("failed", True)
    await lab.clear_faults(device)
    [taken] = await lab.deploy([device], package)
    assert taken["state"] in RUNS


@pytest.mark.qemu
@pytest.mark.parametrize("board", ["netduinoplus2"])
async def test_a_deployment_goes_on_after_power_failed_amid_it(lab: Lab, device: str) -> None:
    since = lab.events.last
    await lab.fault(device, "flash.power-cut", operation=8)
    [app] = await lab.deploy([device], Package.unsigned("answer", MODULE))
    assert (app["state"] in RUNS, app["digest"]) == (True, hashlib.sha256(MODULE).hexdigest())
    cut = await until(lab, since, "fault.cleared")
    assert cut.data["why"] == "it is spent"
    assert lab.device(device)["boots"] == 2


@native
async def test_the_kernel_keeps_a_native_board_from_writing_its_flash(lab: Lab, device: str) -> None:
    process = psutil.Process(lab.device(device)["pid"])
    free = process.rlimit(psutil.RLIMIT_FSIZE)
    await lab.fault(device, "flash.fail", start=65536)
    assert process.rlimit(psutil.RLIMIT_FSIZE) == (65536, free[1])
    await lab.clear_faults(device)
    assert process.rlimit(psutil.RLIMIT_FSIZE) == free


# -- their life


@native
async def test_faults_end_with_their_device(lab: Lab, device: str) -> None:
    since = lab.events.last
    await lab.fault(device, "link.delay", seconds=0.01)
    await lab.fault(device, "machine.hang", duration=60)
    await lab.down([device])
    whys = [
        (event.data["fault"], event.data["why"])
        async for event in lab.events.subscribe(since, follow=False)
        if event.kind == "fault.cleared"
    ]
    assert sorted(whys) == [
        ("link.delay", "the device is switched off"),
        ("machine.hang", "the device is switched off"),
    ]
    assert lab.faults(device) == lab.device(device)["faults"] == []
    with pytest.raises(LabError, match="is off"):
        await lab.fault(device, "link.cut")


@native
async def test_one_fault_of_a_kind_takes_the_place_of_the_other(lab: Lab, device: str) -> None:
    await lab.fault(device, "link.delay", seconds=0.3, duration=60)
    await lab.fault(device, "link.delay", seconds=0.01)
    await lab.fault(device, "link.slow", baud=115_200)
    [delay, slow] = lab.faults(device)
    assert (delay["parameters"]["seconds"], delay["ends"]) == (0.01, None)
    assert slow["fault"] == "link.slow"
    assert [each["fault"] for each in await lab.clear_faults(device, "link.delay")] == ["link.delay"]
    assert [each["fault"] for each in lab.faults(device)] == ["link.slow"]


@native
async def test_what_cannot_be_is_refused_with_the_reason(lab: Lab, device: str) -> None:
    for target, fault, parameters, words in (
        (device, "gateway.down", {}, "for a gateway"),
        (GATEWAY, "machine.kill", {}, "for a device"),
        (device, "link.explode", {}, "no fault 'link.explode'"),
        (device, "link.drop", {"rate": 2}, "less than or equal to 1"),
        (device, "link.drop", {}, "either rate or next"),
        (device, "link.slow", {"bauds": 9600}, "baud"),
        (device, "link.cut", {"direction": "sideways"}, "up, down, both"),
        ("nobody", "link.cut", {}, "nobody"),
    ):
        with pytest.raises(UsageError, match=words):
            await lab.fault(target, fault, **parameters)
    with pytest.raises(UsageError, match="cannot last"):
        await lab.fault(device, "link.cut", duration=-1)
    assert lab.faults(device) == []
