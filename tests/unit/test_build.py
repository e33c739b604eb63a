"""The build around the compiler: what it says when something is wrong, and that it does nothing twice.

A tree of three files stands for the firmware here; tests/hil/test_firmware.py builds the real one.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lab import build, paths
from lab.errors import LabError, MissingError, UsageError

CMAKE = """\
cmake_minimum_required(VERSION 3.22)
project(tiny C)
add_link_options(-Wl,--build-id=sha1 -Wl,-Map=${CMAKE_CURRENT_BINARY_DIR}/firmware.map)
file(GLOB part CONFIGURE_DEPENDS core/*.c)
add_library(core STATIC ${part})
add_executable(firmware main.c)
target_link_libraries(firmware core)
"""


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "firmware"
    (folder / "core").mkdir(parents=True)
    (folder / "CMakeLists.txt").write_text(CMAKE)
    (folder / "third_party.toml").write_text("")
    (folder / "main.c").write_text("int part(void);\nint main(void) { return part(); }\n")
    (folder / "core" / "part.c").write_text("static char room[5000];\nint part(void) { return room[42]; }\n")
    monkeypatch.setattr(paths, "data", lambda name: tmp_path / name)
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    return folder


def test_the_output_is_in_the_cache_and_not_in_the_tree(tree: Path) -> None:
    before = sorted(tree.rglob("*"))
    result = build.build("native")
    assert result.image.is_relative_to(tree.parent / "cache")
    assert result.image.stat().st_mode & 0o100
    assert sorted(tree.rglob("*")) == before


def test_a_second_build_makes_nothing_and_a_change_makes_it_anew(tree: Path) -> None:
    first = build.build("native")
    made = first.image.stat().st_mtime_ns
    assert build.build("native").image.stat().st_mtime_ns == made
    (tree / "core" / "part.c").write_text("int part(void) { return 2; }\n")
    second = build.build("native")
    assert second.image.stat().st_mtime_ns > made
    assert second.build_id != first.build_id


def test_a_new_file_is_seen(tree: Path) -> None:
    build.build("native")
    (tree / "core" / "more.c").write_text('#error "seen"\n')
    with pytest.raises(LabError, match="seen"):
        build.build("native")


def test_what_the_compiler_says_is_shown_as_it_said_it(tree: Path) -> None:
    (tree / "main.c").write_text("int main(void) {\n  return no_such_thing;\n}\n")
    with pytest.raises(LabError) as failure:
        build.build("native")
    message = failure.value.message
    assert f"{tree}/main.c:2:10: error: 'no_such_thing' undeclared" in message.replace("‘", "'").replace(
        "’", "'"
    )
    assert "return no_such_thing;" in message
    log = Path(failure.value.hint.split()[-1])
    assert "no_such_thing" in log.read_text()


def test_an_undefined_symbol_is_shown(tree: Path) -> None:
    (tree / "core" / "part.c").write_text("int other(void);\nint part(void) { return other(); }\n")
    with pytest.raises(LabError, match="undefined reference to `other'"):
        build.build("native")


def test_after_a_failure_the_build_recovers(tree: Path) -> None:
    source = (tree / "main.c").read_text()
    (tree / "main.c").write_text("broken\n")
    with pytest.raises(LabError):
        build.build("native")
    (tree / "main.c").write_text(source)
    assert build.build("native").image.is_file()


def test_all_that_is_missing_is_said_at_once(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingError) as failure:
        build.build("native")
    for package in ("cmake", "ninja-build", "gcc"):
        assert package in failure.value.hint
    assert "apt-get install" in failure.value.hint


def test_a_tool_that_went_away_is_said(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build.build("native")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingError, match="ninja is missing") as failure:
        build.build("native")
    assert "apt-get install ninja-build" in failure.value.hint


def test_an_unknown_target_is_answered_with_those_there_are(tree: Path) -> None:
    with pytest.raises(UsageError) as failure:
        build.build("mps2-an999")
    assert "mps2-an999" in str(failure.value)
    assert "native" in failure.value.hint


def test_builds_at_once_do_not_disturb_each_other(tree: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(build.build, ["native"] * 4))
    assert len({result.build_id for result in results}) == 1


def test_components_add_up(tree: Path) -> None:
    result = build.build("native")
    assert sum(part.flash for part in result.components.values()) == result.flash
    assert sum(part.ram for part in result.components.values()) == result.ram
    assert 5000 <= result.components["core"].ram < 5100
    assert all(part.flash >= 0 and part.ram >= 0 for part in result.components.values())


def test_an_image_without_a_build_id_is_refused(tree: Path) -> None:
    text = (tree / "CMakeLists.txt").read_text()
    (tree / "CMakeLists.txt").write_text(text.replace("-Wl,--build-id=sha1", "-Wl,--build-id=none"))
    with pytest.raises(LabError, match="no GNU build id"):
        build.build("native")


def test_the_pool_is_counted_apart(tree: Path) -> None:
    (tree / "main.c").write_text(
        '__attribute__((section(".pool,\\"aw\\",%nobits#"))) char pool[70000];\n'
        "int part(void);\nint main(void) { return part() + pool[1]; }\n"
    )
    result = build.build("native")
    assert result.pool == 70000
    assert result.ram < 10000


def test_real_targets_are_the_boards_that_ports_describe() -> None:
    assert {"native", "native-asan", "mps2-an385", "mps2-an386", "mps2-an500", "netduinoplus2"} <= set(
        build.targets()
    )
