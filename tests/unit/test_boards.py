"""The catalogue: the lab's own boards, users' boards, and every way to get a file wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import boards
from lab.errors import UsageError

GOOD = """
title = "A board"
engine = "qemu"
firmware = "mps2-an385"
[qemu]
machine = "mps2-an385"
ram = "psram"
[memory]
psram = { base = 0x2100_0000, size = 0x0100_0000, file = "flash.bin" }
[uarts]
console = 0
link = 1
simbus = 2
[identity]
address = 0x003f_f000
[pins]
dht22 = 4
[[parts]]
kind = "dht22"
pin = "dht22"
[[parts]]
kind = "bme680"
name = "outside"
bus = "i2c0"
address = 0x76
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LAB_HOME", str(tmp_path / "home"))
    return tmp_path


def wrong(folder: Path, text: str) -> UsageError:
    (folder / "mine.toml").write_text(text)
    with pytest.raises(UsageError) as caught:
        boards.load("mine", [folder])
    assert str(folder / "mine.toml") in caught.value.message
    assert caught.value.hint
    return caught.value


def test_every_board_of_the_lab_is_right() -> None:
    found = {board.name: board for board in boards.boards()}
    assert {"mps2-an385", "mps2-an386", "mps2-an500", "netduinoplus2", "native", "serial"} <= set(found)
    for board in found.values():
        assert board.title
        # A device must find room for its whole identity, and code must not reach into it.
        if board.identity and board.memory:
            holder = [m for m in board.memory.values() if m.base <= board.identity.address < m.base + m.size]
            assert [m.base + m.size - board.identity.address for m in holder] == [4096]


def test_a_board_that_is_like_another_holds_only_what_differs() -> None:
    an385, an500 = boards.load("mps2-an385"), boards.load("mps2-an500")
    assert an500.qemu and an500.qemu.machine == "mps2-an500"
    assert an500.memory["psram"].base == 0x6000_0000
    assert an500.memory["psram"].file == an385.memory["psram"].file == "flash.bin"
    assert an500.parts == an385.parts
    assert an500.uarts == an385.uarts


def test_a_users_board_needs_a_file_and_nothing_else(folder: Path) -> None:
    (folder / "mine.toml").write_text(GOOD)
    board = boards.load("mine", [folder])
    assert board.name == "mine"
    assert [(part.kind, part.name) for part in board.parts] == [("dht22", "dht22"), ("bme680", "outside")]
    assert board.parts[0].settings == {"pin": 4}
    assert board.parts[1].settings == {"bus": "i2c0", "address": 0x76}


def test_the_users_board_hides_the_labs_board_of_that_name(folder: Path) -> None:
    home = folder / "home" / "platforms"
    home.mkdir(parents=True)
    (home / "native.toml").write_text('title = "of the home"\nengine = "native"')
    assert boards.load("native").title == "of the home"
    (folder / "native.toml").write_text('title = "of the folder"\nengine = "native"')
    assert boards.load("native", [folder]).title == "of the folder"


def test_an_unknown_board_is_answered_by_the_nearest_one() -> None:
    with pytest.raises(UsageError) as caught:
        boards.load("netduino2")
    assert "'netduino2'" in caught.value.message
    assert "Did you mean 'netduinoplus2'?" in caught.value.hint
    assert "mps2-an385" in caught.value.hint


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a folder"):
        boards.load("native", [tmp_path / "nowhere"])


@pytest.mark.parametrize(
    ("old", "new", "message", "hint"),
    [
        ("engine =", "engin =", "unknown key 'engin'", "Did you mean 'engine'?"),
        ('engine = "qemu"', 'engine = "qmeu"', "engine = 'qmeu' is not allowed", "Did you mean 'qemu'?"),
        ("machine =", "machin =", "unknown key 'qemu.machin'", "Did you mean 'machine'?"),
        ("link = 1", "lnik = 1", "unknown key 'uarts.lnik'", "Did you mean 'link'?"),
        ("link = 1", "", "key 'uarts.link' is missing", "docs/boards.md"),
        ("link = 1", 'link = "1"', "uarts.link = '1'", ""),
        ("link = 1", "link = 99", "uarts.link = 99: it should be less than or equal to 15", ""),
        ("link = 1", "link = 0", "two streams share one UART", "uarts.console"),
        ("simbus = 2", "", "parts need a simbus", "uarts.simbus"),
        ("size = 0x0100_0000", "size = 0", "memory.psram.size = 0", ""),
        ("size = 0x0100_0000", "sise = 1", "unknown key 'memory.psram.sise'", "Did you mean 'size'?"),
        ('file = "flash.bin"', 'file = "../flash.bin"', "memory.psram.file", ""),
        ('ram = "psram"', 'ram = "pram"', "there is no memory 'pram'", "Did you mean 'psram'?"),
        ('ram = "psram"', "", "memory.psram.file: QEMU keeps only its main RAM", "qemu.ram"),
        ("address = 0x003f_f000", "address = -1", "identity.address = -1", ""),
        ("[identity]\naddress = 0x003f_f000", "", "[identity] is missing", "docs/boards.md"),
        ('firmware = "mps2-an385"', "", "'firmware' is missing", ""),
        ('pin = "dht22"', 'pin = "dth22"', "there is no pin 'dth22'", "Did you mean 'dht22'?"),
        ('kind = "dht22"\n', "", "parts[0] needs a 'kind'", ""),
        ('name = "outside"', 'name = "dht22"', "two parts are called 'dht22'", ""),
        ("address = 0x76", "address = [1]", "parts[1].settings.address", ""),
        ('title = "A board"', 'name = "x"', "'name' is not allowed", ""),
        ('title = "A board"', "title = ", "Invalid value", ""),
        ('title = "A board"', 'like = "nativ"', "'like' names no board: 'nativ'", "Did you mean 'native'?"),
        ('title = "A board"', 'like = "mine"', "'like' leads back to 'mine'", ""),
    ],
)
def test_what_is_wrong_is_named_with_what_is_allowed(
    folder: Path, old: str, new: str, message: str, hint: str
) -> None:
    assert old in GOOD
    error = wrong(folder, GOOD.replace(old, new, 1))
    assert message in error.message
    assert hint in error.hint


def test_a_file_that_cannot_be_read_is_said(folder: Path) -> None:
    (folder / "mine.toml").write_bytes(b'title = "\xff"')
    with pytest.raises(UsageError, match=r"mine\.toml"):
        boards.load("mine", [folder])


def test_a_port_is_given_to_a_serial_board_only() -> None:
    board = boards.with_serial(boards.load("serial"), "socket://localhost:1")
    assert board.serial and board.serial.url == "socket://localhost:1"
    with pytest.raises(UsageError, match="not on a real port"):
        boards.with_serial(boards.load("native"), "/dev/ttyACM0")
