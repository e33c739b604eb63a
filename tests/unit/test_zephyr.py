"""Builds with Zephyr as far as they go without one: what is said when it is missing, what west is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import boards, build, paths, zephyr
from lab.doctor import Finding, examine
from lab.errors import LabError, MissingError

VERSION = "VERSION_MAJOR = {}\nVERSION_MINOR = {}\nPATCHLEVEL = 1\n"


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand-ins for a Zephyr tree and for west, which say what they were asked."""
    folder = tmp_path / "it's zephyr"
    folder.mkdir()
    (folder / "VERSION").write_text(VERSION.format(3, 7))
    tools = tmp_path / "bin"
    tools.mkdir()
    west = tools / "west"
    west.write_text('#!/bin/sh\necho "west was asked: $*"\necho "CMake Error: no such board" >&2\nexit 1\n')
    west.chmod(0o755)
    monkeypatch.setenv("PATH", str(tools), prepend=":")
    monkeypatch.setenv("ZEPHYR_BASE", str(folder))
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    return folder


def test_a_target_has_an_overlay_and_is_called_as_its_board() -> None:
    built = [board for board in boards.boards() if board.firmware in zephyr.targets()]
    assert {"stm32f746g_disco", "nrf52840dk", "mps2-an385-zephyr"} <= {board.name for board in built}
    for board in built:
        assert board.firmware == board.name
        overlay = f"{zephyr.targets()[board.name].replace('/', '_')}.overlay"
        assert (paths.data("zephyr-app") / "boards" / overlay).is_file()


def test_without_a_workspace_it_is_said_how_to_get_one(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ZEPHYR_BASE")
    with pytest.raises(MissingError, match="no Zephyr workspace") as failure:
        build.build("frdm_k64f")
    assert "ZEPHYR_BASE is not set" in failure.value.message
    assert "west init" in failure.value.hint
    assert f"cp -r {paths.data('zephyr-app')} " in failure.value.hint
    monkeypatch.setenv("ZEPHYR_BASE", "/nowhere")
    with pytest.raises(MissingError, match="names /nowhere, which is no Zephyr tree"):
        build.build("frdm_k64f")


def test_a_workspace_that_has_gone_since_is_said(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "_build_root", lambda: tmp_path)
    monkeypatch.setattr(build.third_party, "fetch", lambda progress: {})
    (tmp_path / "frdm_k64f").mkdir()
    (tmp_path / "frdm_k64f" / "build.ninja").touch()
    monkeypatch.delenv("ZEPHYR_BASE")
    with pytest.raises(MissingError, match="no Zephyr workspace"):
        build.build("frdm_k64f")


def test_an_old_zephyr_is_refused(tree: Path) -> None:
    (tree / "VERSION").write_text(VERSION.format(3, 6))
    with pytest.raises(MissingError, match=r"is Zephyr 3\.6, and 3\.7 or newer"):
        build.build("frdm_k64f")


def test_a_missing_west_is_said(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingError, match="west is not on PATH") as failure:
        build.build("frdm_k64f")
    assert failure.value.hint == zephyr.WEST


def test_what_west_says_is_shown(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "_require", lambda target: None)
    monkeypatch.setattr(build.third_party, "fetch", lambda progress: {})
    with pytest.raises(LabError, match="no such board") as failure:
        build.build("frdm_k64f")
    log = Path(failure.value.hint.removeprefix("The whole output is in ")).read_text()
    assert f"-z {tree} build --cmake-only" in log
    assert "--board frdm_k64f" in log
    assert "-DLAB_BOARD=frdm_k64f" in log


def test_a_toolchain_of_the_user_s_choice_is_left_alone(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def own_toolchain() -> list[str]:
        command = zephyr.configure("nrf52840dk", tree / "build", [])
        return [word for word in command if word.startswith("-DCROSS_COMPILE=")]

    assert own_toolchain()
    monkeypatch.setenv("ZEPHYR_TOOLCHAIN_VARIANT", "zephyr")
    assert not own_toolchain()


def test_the_doctor_names_the_workspace(tree: Path) -> None:
    [row] = [row for row in examine() if row.what == "Zephyr"]
    assert row.found == f"3.7 ({tree})"


def _program(file: Path, says: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/sh\n{says}\n")
    file.chmod(0o755)


def test_the_doctor_names_the_risc_v_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def row() -> Finding:
        [found] = [row for row in examine() if row.what == "RISC-V compiler"]
        return found

    monkeypatch.delenv("ZEPHYR_SDK_INSTALL_DIR", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not row().found
    assert not row().required
    assert "gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf" in row().install
    gcc = tmp_path / "riscv64-unknown-elf-gcc"
    _program(gcc, 'echo "riscv64-unknown-elf-gcc 12.2.0"; test "$1" = --version')
    assert not row().found, "it has no picolibc"
    _program(gcc, 'echo "riscv64-unknown-elf-gcc 12.2.0"')
    assert row().found == f"12.2.0 ({gcc})"
    monkeypatch.setenv("ZEPHYR_SDK_INSTALL_DIR", str(tmp_path / "sdk"))
    assert not row().found, "the SDK is chosen, and has no such toolchain"
    of_sdk = tmp_path / "sdk" / "riscv64-zephyr-elf" / "bin" / "riscv64-zephyr-elf-gcc"
    _program(of_sdk, 'echo "riscv64-zephyr-elf-gcc (Zephyr SDK 0.16.8) 12.2.0"')
    assert row().found.endswith(f"({of_sdk})")


def test_the_doctor_names_the_xtensa_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def row() -> Finding:
        [found] = [row for row in examine() if row.what == "Xtensa compiler"]
        return found

    monkeypatch.delenv("ZEPHYR_SDK_INSTALL_DIR", raising=False)
    assert not row().found
    assert "xtensa-espressif_esp32_zephyr-elf" in row().install
    name = "xtensa-espressif_esp32_zephyr-elf"
    gcc = tmp_path / name / "bin" / f"{name}-gcc"
    _program(gcc, 'echo "gcc (Zephyr SDK 0.16.8) 12.2.0"')
    monkeypatch.setenv("ZEPHYR_SDK_INSTALL_DIR", str(tmp_path))
    assert row().found.endswith(f"({gcc})")


def test_the_esp32_wants_zephyr_s_sdk(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ZEPHYR_SDK_INSTALL_DIR", raising=False)
    monkeypatch.delenv("ZEPHYR_TOOLCHAIN_VARIANT", raising=False)
    with pytest.raises(MissingError, match="no package has a compiler for esp32_devkitc") as failure:
        build.build("esp32_devkitc")
    assert "ZEPHYR_SDK_INSTALL_DIR" in failure.value.hint
