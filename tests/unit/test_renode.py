"""Engine `renode` as far as it goes without Renode: names, quoting, the script of a machine, versions."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab import boards, paths, zephyr
from lab.engines import Launch
from lab.engines.renode import program, script, start_of
from lab.engines.renode_control import checked_name, quoted
from lab.errors import MissingError, UsageError

BOARDS = [board for board in boards.boards() if board.engine == "renode"]
ROOT = Path(__file__).parents[2]
SUITES = sorted(file.name for file in (ROOT / "renode" / "tests").glob("*.robot"))
PLATFORMS = sorted(paths.data("platforms").glob("*.repl"))
STREAMS = {"console": "c", "link": "l", "simbus": "s"}
STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
"""A string, as Renode's tokenizer has it."""


@given(st.text())
def test_a_quoted_text_is_one_string(text: str) -> None:
    try:
        written = quoted(text)
    except UsageError:
        assert any(ord(c) < 0x20 for c in text) or '\\"' in text or text.endswith("\\")
        return
    assert STRING.fullmatch(written)
    assert written[1:-1].replace('\\"', '"') == text


@pytest.mark.parametrize("name", ["", "-x", "a b", "a;b", "a\nb", 'a"b', "$a", "@a", "a" * 200])
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(UsageError):
        checked_name(name)


def elf(folder: Path, address: int) -> Path:
    """Write an Arm ELF with one segment of four bytes."""
    header = struct.pack(
        "<16sHHIIIIIHHHHHH",
        *(b"\x7fELF\x01\x01\x01", 2, 40, 1, address, 52, 0, 0, 52, 32, 1, 40, 0, 0),
    )
    file = folder / 'a "b" ü.elf'
    file.write_bytes(header + struct.pack("<8I", 1, 84, address, address, 4, 4, 5, 4) + bytes(4))
    return file


def test_an_image_of_another_board(tmp_path: Path) -> None:
    board = BOARDS[0]
    with pytest.raises(UsageError, match="0x90000000, where the board has no memory"):
        start_of(elf(tmp_path, 0x9000_0000), board)
    (tmp_path / "text").write_text("hello")
    with pytest.raises(UsageError, match="no firmware image"):
        start_of(tmp_path / "text", board)


def test_no_image(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no firmware image for"):
        script(Launch("d", BOARDS[0], None, b"", tmp_path), "d", STREAMS, "")


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_a_board_s_script(board: boards.Board, tmp_path: Path) -> None:
    assert board.renode is not None
    launch = Launch("dev-1", board, elf(tmp_path, board.memory["flash"].base + 0x200), b"", tmp_path)
    lines = script(launch, "dev-1", STREAMS, "/dev/null").splitlines()
    assert 'mach create "dev-1"' in lines
    assert f'connector Connect sysbus.{board.renode.link} "l"' in lines
    if board.cpu.startswith("Cortex-M"):
        assert f"sysbus LoadELF {quoted(launch.image or '')}" in lines
        assert f'macro reset "cpu VectorTableOffset {board.memory["flash"].base + 0x200:#x}"' in lines
    else:
        assert f"sysbus LoadELF {quoted(tmp_path / 'rom.elf')}" in lines
        assert f"    sysbus LoadELFSections {quoted(launch.image or '')}" in lines
    for part in board.parts if board.renode.simbus is None else ():
        attached = f'machine AttachLabPart "s" "{part.name}" sysbus.{board.renode.parts[part.name]} '
        assert [line for line in lines if line.startswith(attached)]
    assert not [line for line in lines if "{{" in line or "{%" in line]


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_a_board_s_platform_holds_what_the_board_names(board: boards.Board) -> None:
    """No link of the chain from a command to a model is missing, and nothing is downloaded."""
    assert board.renode is not None
    text = _platform(paths.data("platforms") / board.renode.platform)
    for uart in (board.renode.console, board.renode.link):
        assert re.search(rf"^{uart}: UART\.", text, re.MULTILINE)
    for path in board.renode.parts.values():
        bus, part = path.split(".")
        assert re.search(rf"^{part}: [\w.]+ @ {bus}\b", text, re.MULTILINE), path


def _platform(file: Path) -> str:
    text = re.sub(r"//.*", "", file.read_text("utf-8"))
    for used in re.findall(r'^using "\./([^"]+)"', text, re.MULTILINE):
        text += _platform(file.parent / used)
    return text


@pytest.mark.parametrize("file", PLATFORMS, ids=lambda file: file.stem)
def test_a_platform_names_only_what_it_has(file: Path) -> None:
    """Renode would say so too, but at the start of a board, and not where it is not installed."""
    text = _platform(file)
    names = re.findall(r"^(\w+):", text, re.MULTILINE)
    made = re.findall(r"^(\w+): [\w.]+ @", text, re.MULTILINE)
    assert len(made) == len(set(made)), "a name is given twice"
    known = {*names, "sysbus", "none", "true", "false"}
    named = [
        *re.findall(r"@ (?:\{ )?(\w+)", text),  # where it is
        *re.findall(r"-> (\w+)", text),  # what a line leads to
        *re.findall(r"^    \w+: ([A-Za-z]\w*)$", text, re.MULTILINE),  # what it is given
    ]
    assert set(named) <= known
    assert "http" not in text
    assert "PythonPeripheral" not in text


@pytest.mark.parametrize("file", PLATFORMS, ids=lambda file: file.stem)
def test_a_platform_gives_our_models_what_they_take(file: Path) -> None:
    models = {
        f"{space}.{name}": re.findall(r"(\w+)(?: = [^,]+)?(?:,|$)", parameters)
        for source in sorted(paths.data("renode").rglob("*.cs"))
        for space, body in re.findall(
            r"^namespace Antmicro\.Renode\.Peripherals\.(\w+)\n(.*?)^}",
            source.read_text("utf-8"),
            re.M | re.S,
        )
        for name, parameters in re.findall(r"^        public (\w+)\((.*?)\)(?: :|\n)", body, re.M | re.S)
    }
    ours = {full.rpartition(".")[2]: full for full in models}
    for entry in re.split(r"\n(?=\w)", _platform(file)):
        made = re.match(r"\w+: ([\w.]+) @", entry)
        if made is None or made[1].rpartition(".")[2] not in ours:
            continue
        assert made[1] in models, f"{made[1]} is {ours[made[1].rpartition('.')[2]]}"
        # What begins with a capital is a property, which Renode's own class may have.
        assert set(re.findall(r"^    ([a-z]\w*): ", entry, re.MULTILINE)) <= set(models[made[1]]), entry


@pytest.mark.parametrize(
    "board", [board for board in BOARDS if board.renode and board.renode.parts], ids=lambda b: b.name
)
def test_the_firmware_s_pins_are_the_platform_s(board: boards.Board) -> None:
    assert board.renode is not None
    target = zephyr.targets()[board.firmware or ""].replace("/", "_")
    overlay = (paths.data("zephyr-app") / "boards" / f"{target}.overlay").read_text("utf-8")
    text = _platform(paths.data("platforms") / board.renode.platform)
    [wires] = re.findall(r"zephyr,user \{(.*?)\};", overlay, re.DOTALL)
    pins = re.findall(r"(\w+)-gpios = <&gpio(\w) (\d+)", wires)
    assert {part for part, _, _ in pins} == {"dht22", "buzzer", "fan", "relay", "button"}
    for part, letter, pin in pins:
        port, name = board.renode.parts[part].split(".")
        assert port in (f"gpioPort{letter.upper()}", f"gpio{letter}", "gpio")
        assert re.search(rf"^{name}: [\w.]+ @ {port} {pin}$", text, re.MULTILINE), part
        to_the_part = rf"^{port}:\n(?:    .*\n)*?    {pin} -> {name}@0$"
        from_the_part = rf"^{name}: .*\n(?:    .*\n)*?    (?:Data )?-> {port}@{pin}$"
        for line in {"button": [from_the_part], "dht22": [to_the_part, from_the_part]}.get(
            part, [to_the_part]
        ):
            assert re.search(line, text, re.MULTILINE), part
    [leds] = [part.settings["count"] for part in board.parts if part.kind == "ws2812"]
    assert f"chain-length = <{leds}>" in overlay


def test_a_user_s_board_has_its_platform_beside_it(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('like = "nrf52840dk"\n[renode]\nplatform = "mine.repl"\n')
    image = elf(tmp_path, 0)
    with pytest.raises(UsageError, match=r"mine\.repl"):
        script(Launch("d", boards.load("mine", [tmp_path]), image, b"", tmp_path), "d", STREAMS, "")
    (tmp_path / "mine.repl").write_text("")
    lines = script(Launch("d", boards.load("mine", [tmp_path]), image, b"", tmp_path), "d", STREAMS, "")
    assert f"machine LoadPlatformDescription {quoted(tmp_path / 'mine.repl')}" in lines.splitlines()


def test_a_template_s_mistake_is_said(tmp_path: Path) -> None:
    board = boards.load("nrf52840dk")
    assert board.renode is not None
    wrong = replace(board, renode=replace(board.renode, script="none.resc.j2"))
    with pytest.raises(UsageError, match=r"none\.resc\.j2"):
        script(Launch("d", wrong, elf(tmp_path, 0), b"", tmp_path), "d", STREAMS, "")


def test_renode_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RENODE", "/nowhere/renode")
    with pytest.raises(MissingError, match="/nowhere/renode"):
        program()


@pytest.mark.parametrize(
    ("says", "complaint"), [("Renode v1.14.0.1", "1.15 or newer"), ("hello", "says no version")]
)
def test_renode_is_not_what_it_should_be(
    says: str, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    impostor = tmp_path / "renode"
    impostor.write_text(f"#!/bin/sh\necho '{says}'\n")
    impostor.chmod(0o755)
    monkeypatch.setenv("RENODE", str(impostor))
    with pytest.raises(MissingError, match=complaint):
        program()


def test_a_new_renode_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new = tmp_path / "renode"
    new.write_text("#!/bin/sh\necho 'Renode v1.16.1.2'\n")
    new.chmod(0o755)
    monkeypatch.setenv("RENODE", str(new))
    assert program() == str(new)


@pytest.mark.skipif(shutil.which("mcs") is None, reason="mcs is not installed")
def test_the_models_parse() -> None:
    """What they mean is checked with Renode, whose types they use (tests/hil/test_renode_models.py)."""
    sources = sorted(paths.data("renode").rglob("*.cs"))
    ran = subprocess.run(["mcs", "--parse", *sources], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def test_a_model_says_its_licence() -> None:
    for source in paths.data("renode").rglob("*.cs"):
        assert source.read_text("utf-8").startswith("// SPDX-License-Identifier: Apache-2.0\n"), source


def test_renode_test_s_list_has_every_suite() -> None:
    listed = (ROOT / "renode" / "tests" / "tests.yaml").read_text("utf-8")
    assert re.findall(r"^- (.+)$", listed, re.MULTILINE) == [f"renode/tests/{suite}" for suite in SUITES]


def test_the_ledger_names_tests_that_are_there() -> None:
    """A row that no test shows, or a suite that shows nothing, is a claim that nobody holds."""
    ledger = (ROOT / "docs" / "fidelity.md").read_text("utf-8")
    named = set(re.findall(r"`(?:\w+/)*(\w+\.robot|test_\w+\.py)`", ledger))
    there = {file.name for file in (ROOT / "tests" / "hil").glob("test_*.py")}
    assert named <= {*SUITES, *there}
    assert set(SUITES) <= named
    parts = re.findall(r"^\|(.*)\|$", ledger.partition("\n## Boards")[0], re.MULTILINE)[2:]
    assert parts
    for row in parts:
        assert re.search(r"`\w+\.(robot|py)`", row.split("|")[-1]), row
