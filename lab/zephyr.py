"""Zephyr images of the core: which there are, and how west is asked for one.

``zephyr-app/targets.toml`` names them. A workspace is what ``west init`` and ``west update`` make;
``ZEPHYR_BASE`` says where its ``zephyr`` is.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from lab import paths

SUPPORTED = (3, 7)
"""The version of Zephyr that ``zephyr-app/west.yml`` pins."""

WEST = "pip install west"
"""The command that gets west."""


def targets() -> Mapping[str, str]:
    """Return Zephyr's name of the board by target of `lab build`."""
    file = paths.data("zephyr-app") / "targets.toml"
    return tomllib.loads(file.read_text()) if file.is_file() else {}


SDK = (
    "Install Zephyr's SDK with its toolchain xtensa-espressif_esp32_zephyr-elf, and say where it is: "
    "export ZEPHYR_SDK_INSTALL_DIR=..."
)


def workspace() -> str:
    """Say how to get a workspace."""
    app = shlex.quote(str(paths.data("zephyr-app")))
    return (
        "If there is a workspace of Zephyr 3.7, say where: export ZEPHYR_BASE=.../zephyr. Else make one with "
        f"the version that the port is made for: {WEST}; mkdir workspace; cp -r {app} workspace/zephyr-app; "
        "cd workspace; west init -l zephyr-app; west update; "
        "pip install -r zephyr/scripts/requirements-base.txt; export ZEPHYR_BASE=$PWD/zephyr"
    )


def compiler(target: str) -> str | None:
    """Return the GCC of Debian and Ubuntu that makes a target; None if they have none for its processor."""
    board = targets()[target]
    if board.startswith("esp32_"):
        return None
    return "riscv64-unknown-elf-gcc" if board.startswith("esp32c3") else "arm-none-eabi-gcc"


def chosen() -> bool:
    """Tell whether the environment says which toolchain Zephyr takes."""
    return not {"ZEPHYR_TOOLCHAIN_VARIANT", "ZEPHYR_SDK_INSTALL_DIR"}.isdisjoint(os.environ)


def base() -> Path | None:
    """Return the Zephyr tree that ``ZEPHYR_BASE`` names, or None if there is none."""
    named = os.environ.get("ZEPHYR_BASE")
    return Path(named) if named and (Path(named) / "VERSION").is_file() else None


def version(tree: Path) -> tuple[int, int]:
    """Return the version of a Zephyr tree, for example (3, 7)."""
    text = (tree / "VERSION").read_text()
    numbers = (re.search(rf"^VERSION_{part}\s*=\s*(\d+)", text, re.MULTILINE) for part in ("MAJOR", "MINOR"))
    major, minor = (int(number[1]) if number else 0 for number in numbers)
    return major, minor


def lacking() -> tuple[str, str] | None:
    """Say what a build for Zephyr lacks on this machine, and how to get it; None if nothing."""
    tree = base()
    if tree is None:
        named = os.environ.get("ZEPHYR_BASE")
        why = f"ZEPHYR_BASE names {named}, which is no Zephyr tree" if named else "ZEPHYR_BASE is not set"
        return f"there is no Zephyr workspace ({why})", workspace()
    if version(tree) < SUPPORTED:
        found, needed = (".".join(map(str, each)) for each in (version(tree), SUPPORTED))
        return f"{tree} is Zephyr {found}, and {needed} or newer is needed", workspace()
    return None if shutil.which("west") else ("west is not on PATH", WEST)


def configure(target: str, folder: Path, settings: Sequence[str]) -> list[str]:
    """Return the command that makes CMake's tree for a target, and nothing of the image yet.

    :param folder: takes the tree.
    :param settings: what CMake is told.
    """
    gcc = None if chosen() else compiler(target)
    return [
        # No environment variable: ninja may ask CMake again from another environment, and what is said here
        # decides whether a tree has to be made anew.
        *("west", "-z", str(base()), "build", "--cmake-only", "--pristine", "always"),
        *("--board", targets()[target], "--build-dir", str(folder), str(paths.data("zephyr-app"))),
        *("--", *settings, *(_debian(gcc) if gcc else [])),
    ]


def _debian(name: str) -> list[str]:
    """Return CMake's settings for Debian's GCC, of whose C library Zephyr knows nothing."""
    gcc = shutil.which(name) or name
    return [
        "-DZEPHYR_TOOLCHAIN_VARIANT=cross-compile",
        f"-DCROSS_COMPILE={gcc.removesuffix('gcc')}",
        "-DTOOLCHAIN_HAS_PICOLIBC=ON",
        "-DCONFIG_TOOLCHAIN_CROSS_COMPILE_SUPPORTS_THREAD_LOCAL_STORAGE=y",
        *(_riscv_libraries(gcc) if name.startswith("riscv") else []),
    ]


def _riscv_libraries(gcc: str) -> list[str]:
    """Return settings that make the linker find libraries of 32 bits.

    Zephyr names every extension (``rv32imc_zicsr_zifencei``). GCC 12 has libraries for no such name, and
    takes those of 64 bits; it knows the plain one.
    """
    plain = ("-march=rv32imc", "-mabi=ilp32")
    said = subprocess.run(
        [gcc, *plain, "-print-libgcc-file-name"], capture_output=True, text=True, check=False
    )
    return [f"-DLIB_INCLUDE_DIR=-L{Path(said.stdout.strip()).parent}", f"-DEXTRA_LDFLAGS={plain[0]}"]
