"""Boards kept as they are and had again, on real firmware."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from wasmtime import wat2wasm

from lab.errors import LabError, NotFoundError, UsageError
from lab.testing.bench import Bench
from lab.testing.device import Device

pytestmark = [pytest.mark.hil, pytest.mark.board("mps2-an385")]

SLOW = 120.0  # s; Renode gives way to whatever else runs on the machine
RED, GREEN = (255, 0, 0), (0, 255, 0)
COUNTER = bytes(
    wat2wasm("""(module (global $n (mut i32) (i32.const 0))
        (func (export "count") (result i32)
            (global.set $n (i32.add (global.get $n) (i32.const 1))) (global.get $n)))""")
)


def count(device: Device) -> int:
    return int(device.call("counter", "count"))


def assert_goes_on(device: Device, counted: int) -> None:
    """Fail unless the device has never stopped to be what it was."""
    assert device.info["boots"] == 1
    assert count(device) == counted + 1


@pytest.fixture
def counter(device: Device, tmp_path: Path) -> Device:
    """Return a device with an app that counts, confirmed: its flash is written no more."""
    package = tmp_path / "counter.lab"
    signed = device.bench.publisher.sign("counter", COUNTER, trial_polls=1, trial_seconds=0.1)
    package.write_bytes(signed.write())
    device.deploy(package, confirmed=True, timeout=SLOW)
    return device


def assert_is_as_it_was(device: Device) -> None:
    """Save, go on, load: apps, LEDs, sensors, flash and clock are those of the moment of saving."""
    device.deploy("alarm", confirmed=True, timeout=SLOW)
    device.sensors["dht22.temperature"] = 31.5
    device.wait_until(lambda: device.leds[1] == RED, timeout=SLOW, what="a red LED")
    device.wait_until(lambda: device.buzzer.beeps == 3, timeout=SLOW, what="three beeps")
    assert [count(device) for _ in range(3)] == [1, 2, 3]
    device.snapshot("hot")
    assert_goes_on(device, 3)

    device.sensors["dht22.temperature"] = 22
    device.wait_until(lambda: device.leds[1] == GREEN, timeout=SLOW, what="a green LED")
    device.remove("counter")
    before = device.info["pid"]
    device.restore("hot", timeout=SLOW)
    assert device.info["pid"] != before
    assert (device.leds[1], device.sensors["dht22.temperature"], device.buzzer.beeps) == (RED, 31.5, 3)
    assert_goes_on(device, 3)
    device.sensors["dht22.temperature"] = 22
    device.wait_until(lambda: device.leds[1] == GREEN, timeout=SLOW, what="a green LED again")

    device.reset(timeout=SLOW)
    device.wait_until(lambda: set(device.apps) == {"alarm", "counter"}, timeout=SLOW, what="apps from flash")


def test_a_device_is_as_it_was(counter: Device) -> None:
    assert_is_as_it_was(counter)


@pytest.mark.renode
@pytest.mark.board("nrf52840dk", "stm32f746g_disco")
def test_a_device_in_renode_is_as_it_was(counter: Device) -> None:
    assert_is_as_it_was(counter)


@pytest.mark.renode
@pytest.mark.board("nrf52840dk")
def test_one_that_shares_its_process_says_with_whom(lab: Bench, device: Device) -> None:
    other = lab.up("nrf52840dk", timeout=SLOW)
    with pytest.raises(UsageError, match=f"its Renode process with {other.id}"):
        device.snapshot("one")
    assert (device.state, other.state) == ("connected", "connected")
    lab.forget([other])


def test_one_that_is_off_is_switched_on_by_it(counter: Device) -> None:
    assert count(counter) == 1
    counter.snapshot("on")
    counter.power_off()
    counter.restore("on")
    assert counter.state == "connected"
    assert_goes_on(counter, 1)


def test_one_that_is_paused_stays_so(counter: Device) -> None:
    counter.pause()
    counter.snapshot("paused")
    assert counter.state == "paused"
    counter.resume()
    assert_goes_on(counter, 0)
    counter.restore("paused")
    assert_goes_on(counter, 0)


def await_reads(device: Device, more: int) -> None:
    wanted = int(device.part("dht22")["reads"]) + more
    device.wait_until(lambda: device.part("dht22")["reads"] >= wanted, what=f"{more} more reads")


def test_a_read_that_is_under_way_is_not_lost(device: Device) -> None:
    """An app reads its sensors all the time; whenever it is saved, no read fails, before a load or after."""
    device.deploy("alarm", confirmed=True)
    failed = device.peripherals(lambda parts: [each for each in parts.trace if each.status])
    for number in range(8):
        device.snapshot(f"s{number}")
        await_reads(device, 1)
    for number in range(0, 8, 3):
        device.restore(f"s{number}")
        await_reads(device, 2)
        failed += device.peripherals(lambda parts: [each for each in parts.trace if each.status])
    assert failed == []


def spoil(folder: Path) -> None:
    """Change what QEMU has written, and the digest with it."""
    state = folder / "machine.qemu"
    state.write_bytes(state.read_bytes()[:100_000])
    manifest = folder / "snapshot.json"
    content = json.loads(manifest.read_text())
    content["files"][state.name] = hashlib.sha256(state.read_bytes()).hexdigest()
    manifest.write_text(json.dumps(content))


def change(folder: Path, **facts: str) -> None:
    """Change what the manifest says."""
    manifest = folder / "snapshot.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), **facts}))


@pytest.mark.parametrize(
    ("harm", "error", "words"),
    [
        (lambda folder: (folder / "machine.qemu").unlink(), LabError, "damaged: machine.qemu cannot be read"),
        (
            lambda folder: (folder / "parts.cbor").write_bytes(b""),
            LabError,
            "damaged: parts.cbor is not what",
        ),
        (spoil, LabError, "could not take a snapshot"),
        (lambda folder: change(folder, firmware="00"), UsageError, "is of another firmware"),
        (
            lambda folder: change(folder, board="mps2-an386"),
            UsageError,
            "is of board mps2-an386, not of mps2",
        ),
        (lambda folder: change(folder, device="another"), UsageError, "is of device another, not of mps2"),
        (shutil.rmtree, NotFoundError, "there is no snapshot 'one'"),
    ],
    ids=["missing file", "damaged file", "refused by QEMU", "firmware", "board", "device", "none"],
)
def test_what_cannot_be_loaded_costs_nothing(
    counter: Device, harm: Callable[[Path], None], error: type[LabError], words: str
) -> None:
    counter.snapshot("one")
    assert count(counter) == 1
    flash = (counter.folder / "flash.bin").read_bytes()
    harm(counter.folder / "snapshots" / "one")
    with pytest.raises(error, match=words):
        counter.restore("one")
    assert (counter.folder / "flash.bin").read_bytes() == flash
    assert_goes_on(counter, 1)


@pytest.mark.board("native")
def test_an_engine_without_snapshots_says_so(counter: Device) -> None:
    with pytest.raises(UsageError, match="engine 'native', which has no snapshots"):
        counter.snapshot("one")
    assert_goes_on(counter, 0)


def test_they_go_with_the_device(lab: Bench, counter: Device) -> None:
    counter.snapshot("one")
    lab.forget([counter])
    assert not (counter.folder / "snapshots").exists()
