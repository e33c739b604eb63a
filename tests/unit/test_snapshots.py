"""What a snapshot holds on the side of the lab: parts, requests without an answer, files that are checked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import cbor2
import pytest
from anyio.abc import ByteStream

from lab.engines import _carried
from lab.errors import LabError, NotFoundError, UsageError
from lab.link import ATTACH_AFTER, Closed, Deframer, DeviceLink, HostLink, Reason, frame
from lab.peripherals import Peripherals, Simbus
from lab.peripherals.bus import Operation
from lab.snapshots import LIMIT, Snapshot, Snapshots, aside

PARTS: list[tuple[str, str, dict[str, object]]] = [
    ("bme680", "bme680", {}),
    ("sht31", "sht31", {}),
    ("dht22", "dht22", {"pin": 4}),
    ("ws2812", "ws2812", {"count": 3}),
    ("buzzer", "buzzer", {"pin": 5}),
    ("button", "button", {"pin": 8}),
    ("potentiometer", "knob", {}),
    ("nor_flash", "flash", {"size": 8192}),
]
FORCED_WITH_GAS = bytes([0x71, 0x10, 0x74, 0x25])


class Clock:
    """A clock that tests turn."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def parts(
    folder: Path, clock: Clock, entries: list[tuple[str, str, dict[str, object]]] = PARTS
) -> Peripherals:
    folder.mkdir(exist_ok=True)
    return Peripherals(entries, folder=folder, clock=clock)


def kept(found: Peripherals) -> Any:
    """Return what a file would give back of the parts."""
    return cbor2.loads(cbor2.dumps(found.save()))


def i2c(found: Peripherals, address: int, out: bytes, length: int = 0) -> bytes:
    return found.transact(Operation.I2C, bytes([address, *length.to_bytes(2, "little")]) + out)


def pulses(found: Peripherals) -> bytes:
    return found.transact(Operation.PULSES, bytes([4, *(1000).to_bytes(2, "little"), 50]))


def use(found: Peripherals) -> None:
    """Have everything be otherwise than at power-on."""
    found.set("dht22.temperature", "31.5")
    found.set("bme680.pressure.drift", "3600")
    found.set("dht22.humidity.noise", "5")
    found.set("button.pressed", "1")
    found.set("knob.voltage", "1.5")
    found.transact(Operation.STRIP, bytes([0, 1, 2, 3, 4, 5, 6]))
    found.transact(Operation.GPIO_WRITE, bytes([5, 0]))
    found.transact(Operation.GPIO_WRITE, bytes([5, 1]))
    found.transact(Operation.GPIO_WRITE, bytes([5, 0]))
    found.transact(Operation.GPIO_WRITE, bytes([9, 1]))
    found.transact(Operation.FLASH_PROGRAM, (100).to_bytes(4, "little") + b"kept")
    found.transact(Operation.FLASH_ERASE, (4096).to_bytes(4, "little"))
    i2c(found, 0x77, FORCED_WITH_GAS)
    i2c(found, 0x44, b"\x24\x00")
    pulses(found)


def readings(found: Peripherals) -> list[object]:
    """Return all that a device or a person can learn of the parts."""
    return [
        found.snapshot(),
        found.pins(),
        pulses(found),
        [i2c(found, 0x77, bytes([register]), 16) for register in range(0, 256, 16)],
        i2c(found, 0x44, b"", 6),
        found.transact(Operation.GPIO_READ, bytes([8])),
        found.transact(Operation.ADC_READ, bytes([0])),
        found.transact(Operation.FLASH_READ, (96).to_bytes(4, "little") + b"\x10\0"),
    ]


@pytest.mark.parametrize("later", [0.0, 0.01, 3.0], ids=lambda seconds: f"{seconds:g} s later")
def test_parts_go_on_as_they_were(tmp_path: Path, later: float) -> None:
    clock, other = Clock(1000.0), Clock(5.0)
    one = parts(tmp_path / "one", clock)
    use(one)
    clock.now += 0.005  # amid the conversions
    what = kept(one)
    two = parts(tmp_path / "two", other)
    two.load(what)
    clock.now += later
    other.now += later
    assert readings(two) == readings(one)


def test_the_flash_is_what_it_was_in_its_file_too(tmp_path: Path) -> None:
    one = parts(tmp_path, Clock(0))
    use(one)
    what, was = kept(one), (tmp_path / "flash.bin").read_bytes()
    one.transact(Operation.FLASH_ERASE, bytes(4))
    assert (tmp_path / "flash.bin").read_bytes() != was
    two = parts(tmp_path, Clock(0))
    two.load(what)
    assert (tmp_path / "flash.bin").read_bytes() == was
    assert two.snapshot()["flash"]["erases"] == 1


def test_a_fault_is_not_kept(tmp_path: Path) -> None:
    one = parts(tmp_path / "one", Clock(0))
    one.set("dht22.fault", "unplugged")
    two = parts(tmp_path / "two", Clock(0))
    two.load(kept(one))
    assert two.get("dht22.fault") == "none"


def test_other_parts_are_refused(tmp_path: Path) -> None:
    what = kept(parts(tmp_path / "one", Clock(0)))
    with pytest.raises(UsageError, match="the board had other parts: bme680, sht31"):
        parts(tmp_path / "two", Clock(0), PARTS[:2]).load(what)


# -- the simbus


async def answers(stream: ByteStream, count: int) -> list[bytes]:
    deframer, found = Deframer(), list[bytes]()
    with anyio.fail_after(10):
        while len(found) < count:
            found += deframer.feed(await stream.receive())
    return found


READ_PIN = bytes([Operation.GPIO_READ, 8])


@pytest.mark.anyio
async def test_a_request_without_an_answer_is_answered_after_the_snapshot(tmp_path: Path) -> None:
    found = parts(tmp_path, Clock(0))
    bus, (device, host) = Simbus(found), _carried.pair()
    asked = frame(b"\x01" + READ_PIN) + frame(b"\x02" + READ_PIN)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bus.serve, host)
        await device.send(asked[:4])
        with anyio.fail_after(10):
            while not bus.unanswered:
                await anyio.lowlevel.checkpoint()
        bus.hold()
        await device.send(asked[4:])
        with anyio.fail_after(10):
            while bus.unanswered != asked:
                await anyio.lowlevel.checkpoint()
        unanswered = bus.unanswered
        bus.release()
        said = await answers(device, 2)
        tasks.cancel_scope.cancel()
    assert [body[0] for body in said] == [1, 2]

    again, (device, host) = Simbus(found, unanswered), _carried.pair()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(again.serve, host)
        assert await answers(device, 2) == said
        tasks.cancel_scope.cancel()


# -- the link


def test_a_connection_of_another_time_is_ended_at_once() -> None:
    for in_session, wait in ((True, 0.0), (False, ATTACH_AFTER)):
        host, device = HostLink(), DeviceLink()
        device.open(7, 0)
        device.take_output()  # heard by another bridge, at another time
        host.attach(0, in_session=in_session)
        assert host.deadline == wait
        host.tick(wait)
        [closed] = device.receive(host.take_output(), wait)
        assert closed == Closed(Reason.BRIDGE_STARTED, "")


# -- the files


WHAT = Snapshot("device", "mps2-an385", "qemu", "00", False, 1.5)


def saved(folder: Path, name: str = "warm", content: bytes = b"state") -> Snapshots:
    found = Snapshots(folder)
    with found.draft(name) as draft:
        (draft / "machine").write_bytes(content)
        found.keep(draft, name, WHAT)
    return found


def test_a_snapshot_is_what_was_saved_last_under_its_name(tmp_path: Path) -> None:
    saved(tmp_path, content=b"first")
    found = saved(tmp_path, content=b"second")
    what, folder = found.verified("warm")
    assert (what, (folder / "machine").read_bytes()) == (WHAT, b"second")
    [row] = found.list()
    assert (row["name"], row["board"], row["saved"], row["damage"]) == ("warm", "mps2-an385", 1.5, None)
    assert [each.name for each in (tmp_path / "snapshots").iterdir()] == ["warm"]
    assert (tmp_path / "snapshots").stat().st_mode & 0o777 == 0o700
    found.remove("warm")
    assert found.list() == []


def test_one_that_fails_leaves_the_one_before(tmp_path: Path) -> None:
    found = saved(tmp_path)
    with pytest.raises(LabError, match="no state"), found.draft("warm") as draft:
        (draft / "machine").write_bytes(b"half")
        raise LabError("no state")
    with (
        pytest.raises(LabError, match="snapshot warm could not be written: No space left"),
        found.draft("warm"),
    ):
        raise OSError(28, "No space left on device")
    assert (found.verified("warm")[1] / "machine").read_bytes() == b"state"
    assert [each.name for each in (tmp_path / "snapshots").iterdir()] == ["warm"]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path: (path / "machine").write_bytes(b"stats"), "machine is not what was written"),
        (lambda path: (path / "machine").unlink(), "machine cannot be read: No such file"),
        (lambda path: (path / "snapshot.json").unlink(), "snapshot.json cannot be read: No such file"),
        (lambda path: (path / "snapshot.json").write_text("{"), "snapshot.json makes no sense"),
        (lambda path: (path / "snapshot.json").write_text("[]"), "snapshot.json makes no sense"),
        (
            lambda path: (path / "snapshot.json").write_text(
                json.dumps({**json.loads((path / "snapshot.json").read_text()), "format": 2})
            ),
            "it has format 2, and this lab reads 1",
        ),
    ],
)
def test_damage_is_said(tmp_path: Path, damage: Any, words: str) -> None:
    found = saved(tmp_path)
    damage(tmp_path / "snapshots" / "warm")
    with pytest.raises(LabError, match=f"snapshot warm is damaged: {words}"):
        found.verified("warm")


@pytest.mark.parametrize("name", ["", ".hidden", "../other", "a/b", "x" * 65, "two words"])
def test_a_name_stays_in_its_place(tmp_path: Path, name: str) -> None:
    found = saved(tmp_path)
    with pytest.raises(UsageError, match="a snapshot cannot be called"), found.draft(name):
        pass
    with pytest.raises(NotFoundError, match="There is: warm"):
        found.remove(name)


def test_there_are_not_more_than_the_limit(tmp_path: Path) -> None:
    for number in range(LIMIT):
        saved(tmp_path, f"s{number}")
    with pytest.raises(UsageError, match=f"{LIMIT} snapshots already"):
        saved(tmp_path, "one-more")
    saved(tmp_path, "s0", b"in the place of another")


def test_chips_come_back_if_a_load_fails(tmp_path: Path) -> None:
    (tmp_path / "flash.bin").write_bytes(b"mine")
    with pytest.raises(LabError), aside(tmp_path):
        assert list(tmp_path.glob("*.bin")) == []
        (tmp_path / "flash.bin").write_bytes(b"another's")
        raise LabError("no")
    assert (tmp_path / "flash.bin").read_bytes() == b"mine"
    with aside(tmp_path):
        (tmp_path / "flash.bin").write_bytes(b"another's")
    assert (tmp_path / "flash.bin").read_bytes() == b"another's"
    assert [each.name for each in tmp_path.iterdir()] == ["flash.bin"]
