"""The vocabulary of faults, and the faults of flash, which need no machine."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import Any, cast

import anyio
import pytest

from lab import boards, faults, paths
from lab.device import Device
from lab.engines import Exit
from lab.engines._process import Process
from lab.errors import LabTimeoutError, UsageError
from lab.gateway import Gateway
from lab.peripherals import Operation, Status
from lab.peripherals.parts.nor_flash import NorFlash
from lab.waiting import Gate

SECTOR = 4096


# -- the vocabulary


def table() -> list[str]:
    """Return the rows of the table in docs/faults.md."""
    return [
        "| `{fault}` | {of} | {engines} | {usage} | {meaning} |".format(
            fault=row["fault"],
            of=", ".join(row["targets"]),
            engines=", ".join(row["engines"]) if "device" in row["targets"] else "–",
            usage="; ".join(row["usage"]) or "–",
            meaning=row["meaning"],
        )
        for row in faults.known()
    ]


def test_the_page_holds_the_vocabulary_as_it_is() -> None:
    page = paths.data("firmware").parent / "docs" / "faults.md"
    written = [line for line in page.read_text().splitlines() if line.startswith("| `")]
    assert written == table()


@pytest.mark.parametrize(
    ("name", "given", "parameters"),
    [
        ("link.drop", {"rate": "1e-3"}, {"rate": 1e-3, "direction": "both", "seed": 0}),
        ("link.corrupt", {"next": "8", "direction": "up"}, {"next": 8, "direction": "up", "seed": 0}),
        ("clock.offset", {"seconds": "-3600"}, {"seconds": -3600.0}),
        ("flash.worn", {"sector": 3}, {"sector": 3, "bits": 1}),
    ],
)
def test_parameters_may_be_text(name: str, given: dict[str, object], parameters: dict[str, object]) -> None:
    fault = faults.parse(name, given)
    assert {key: value for key, value in vars(fault).items() if value is not None} == parameters


@pytest.mark.parametrize(
    ("name", "given", "words"),
    [
        ("link.delay", {}, "seconds: Field required"),
        ("link.delay", {"seconds": 61}, "less than or equal to 60"),
        ("link.slow", {"baud": "fast"}, "valid integer"),
        ("link.drop", {"rate": 0.1, "next": 3}, "either rate or next"),
        ("sensor.fail", {"part": "dht22", "how": "sulking"}, "'nack'"),
        ("gateway.down", {"hard": 1}, "hard"),
        ("power.surge", {}, "no fault 'power.surge'"),
    ],
)
def test_a_wrong_fault_is_refused_and_the_right_one_named(
    name: str, given: dict[str, object], words: str
) -> None:
    with pytest.raises(UsageError, match=words) as refusal:
        faults.parse(name, given)
    assert refusal.value.hint.startswith("It takes: " if name != "power.surge" else "There is: link.drop")


# -- flash


class Resets:
    """A machine that counts how often it is reset."""

    def __init__(self) -> None:
        self.count = 0

    async def reset(self) -> None:
        self.count += 1


class Marks:
    """A console that is told of boots."""

    def mark_boot(self) -> None:
        pass


class Bench:
    """A device without power, whose flash is a part of it."""

    def __init__(self, folder: Path, board: str = "netduinoplus2") -> None:
        self.device = Device("device", boards.load(board), folder)
        self.machine = Resets()
        self.device.machine = cast(Any, self.machine)
        self.device.console = cast(Any, Marks())
        self.site = faults.Site(cast(Gateway, None), Gate(), self.device)
        self.spent = 0

    @property
    def flash(self) -> NorFlash:
        return next(part for part in self.device.peripherals.parts.values() if isinstance(part, NorFlash))

    def begin(self, name: str, **parameters: object) -> faults.Effect | None:
        def spent() -> None:
            self.spent += 1

        return anyio.run(faults.parse(name, parameters).begin, self.site, spent)

    def erase(self, address: int) -> Status:
        return Status(
            self.device.peripherals.transact(Operation.FLASH_ERASE, address.to_bytes(4, "little"))[0]
        )

    def program(self, address: int, data: bytes) -> Status:
        request = address.to_bytes(4, "little") + data
        return Status(self.device.peripherals.transact(Operation.FLASH_PROGRAM, request)[0])

    def read(self, address: int, length: int) -> bytes:
        request = address.to_bytes(4, "little") + length.to_bytes(2, "little")
        return self.device.peripherals.transact(Operation.FLASH_READ, request)[1:]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def flipped(before: bytes, after: bytes) -> int:
    return sum((a ^ b).bit_count() for a, b in zip(before, after, strict=True))


def test_bits_of_a_part_flip_where_they_are_asked_to(bench: Bench) -> None:
    before = bench.read(0, SECTOR)
    assert bench.begin("flash.flip", bits=5, start=100, length=10) is None
    after = bench.read(0, SECTOR)
    assert flipped(before, after) == flipped(before[100:110], after[100:110]) == 5
    assert (bench.device.folder / "flash.bin").read_bytes()[:SECTOR] == after, "it outlives the power"


def test_the_same_seed_flips_the_same_bits(bench: Bench) -> None:
    before = bench.read(0, SECTOR)
    bench.begin("flash.flip", bits=9, seed=4, length=SECTOR)
    assert bench.read(0, SECTOR) != before
    bench.begin("flash.flip", bits=9, seed=4, length=SECTOR)
    assert bench.read(0, SECTOR) == before


def test_bits_of_a_file_flip(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "mps2-an385")
    file = tmp_path / "flash.bin"
    file.write_bytes(b"\xff" * 8192)
    bench.begin("flash.flip", bits=3, start=4096)
    assert flipped(b"\xff" * 4096, file.read_bytes()[4096:]) == 3
    assert file.read_bytes()[:4096] == b"\xff" * 4096
    with pytest.raises(UsageError, match="no 1 bits"):
        bench.begin("flash.flip", start=8192)


def test_flash_fails_from_an_address_on(bench: Bench) -> None:
    effect = bench.begin("flash.fail", start=SECTOR)
    assert effect
    assert bench.program(SECTOR - 4, b"fine") is Status.DONE
    assert bench.program(SECTOR - 2, b"over") is Status.TIMEOUT
    assert bench.erase(SECTOR) is Status.TIMEOUT
    assert bench.read(SECTOR - 2, 2) == b"ne"
    anyio.run(effect.undo)
    assert bench.program(SECTOR, b"fine") is Status.DONE


def test_bits_of_a_worn_sector_stay_low(bench: Bench) -> None:
    effect = bench.begin("flash.worn", sector=1, bits=3)
    assert effect
    assert bench.erase(SECTOR) is Status.DONE
    assert flipped(bench.read(SECTOR, SECTOR), b"\xff" * SECTOR) == 3
    assert bench.erase(0) is Status.DONE
    assert bench.read(0, SECTOR) == b"\xff" * SECTOR
    anyio.run(effect.undo)
    assert bench.erase(SECTOR) is Status.DONE
    assert bench.read(SECTOR, SECTOR) == b"\xff" * SECTOR
    with pytest.raises(UsageError, match="256 sectors"):
        bench.begin("flash.worn", sector=256)


def test_power_fails_amid_an_operation(bench: Bench) -> None:
    effect = bench.begin("flash.power-cut", operation=2)
    assert effect
    assert bench.program(0, b"all of") is Status.DONE
    assert bench.program(16, b"half of it") is Status.POWER_FAILED
    assert (bench.spent, bench.erase(0)) == (1, Status.POWER_FAILED)
    anyio.run(effect.undo)
    assert bench.machine.count == 1
    assert bench.device.peripherals.transact(Operation.RESET, b"")[0] == Status.DONE
    assert bench.read(16, 10) == b"half \xff\xff\xff\xff\xff"
    assert bench.program(32, b"again") is Status.DONE


def test_a_board_that_does_not_take_its_reset_is_said(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "_MOMENT", 0.01)
    monkeypatch.setattr(bench.machine, "reset", anyio.sleep_forever)
    effect = bench.begin("flash.power-cut")
    assert effect
    assert bench.program(0, b"half of it") is Status.POWER_FAILED
    with pytest.raises(LabTimeoutError, match="did not take its reset"):
        anyio.run(effect.undo)


def test_a_power_cut_of_a_board_that_ended_meanwhile_resets_nothing(bench: Bench) -> None:
    effect = bench.begin("flash.power-cut")
    assert effect
    assert bench.program(0, b"half of it") is Status.POWER_FAILED
    bench.device.exit = Exit(-9, "killed", asked=False)
    anyio.run(effect.undo)
    assert bench.machine.count == 0


def test_a_power_cut_that_is_cleared_before_it_came_resets_nothing(bench: Bench) -> None:
    effect = bench.begin("flash.power-cut")
    assert effect
    anyio.run(effect.undo)
    assert bench.machine.count == 0
    assert bench.program(0, b"fine") is Status.DONE


@pytest.mark.parametrize(
    ("name", "given"), [("flash.worn", {"sector": 0}), ("flash.power-cut", {}), ("flash.fail", {})]
)
def test_what_memory_of_the_machine_cannot_do_is_refused(
    tmp_path: Path, name: str, given: dict[str, object]
) -> None:
    with pytest.raises(UsageError, match="file of its machine") as refusal:
        Bench(tmp_path, "mps2-an385").begin(name, **given)
    assert "netduinoplus2" in refusal.value.hint


def test_a_limited_process_fails_to_write_and_lives(tmp_path: Path) -> None:
    target = tmp_path / "flash.bin"
    target.write_bytes(bytes(100))
    script = (
        "import os, sys\n"
        "target = os.open(sys.argv[1], os.O_RDWR)\n"
        "for _ in range(2):\n"
        "    os.read(int(sys.argv[2]), 1)\n"
        "    for offset in (0, 12, 20):\n"
        "        try:\n"
        "            said = os.pwrite(target, b'x' * 8, offset)\n"
        "        except OSError as error:\n"
        "            said = -error.errno\n"
        "        os.write(int(sys.argv[3]), said.to_bytes(4, 'little', signed=True))\n"
    )

    async def run() -> list[list[int]]:
        go, ours = os.pipe()
        theirs, said = os.pipe()
        process = Process(
            [sys.executable, "-c", script, str(target), str(go), str(said)], [go, said], tmp_path / "log"
        )
        for each in (go, said):
            os.close(each)
        rounds = []
        for limit in (16, None):
            process.limit_files(limit)
            os.write(ours, b"!")
            answer = b""
            while len(answer) < 12:
                answer += await anyio.to_thread.run_sync(os.read, theirs, 12 - len(answer))
            rounds.append([int.from_bytes(answer[at : at + 4], "little", signed=True) for at in (0, 4, 8)])
        assert await process.wait() == 0
        return rounds

    assert anyio.run(run) == [[8, 4, -errno.EFBIG], [8, 8, 8]]
