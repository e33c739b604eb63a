"""Builds the firmware, from ``firmware/`` or with Zephyr from ``zephyr-app/``, by CMake and Ninja.

The output of a checkout is at ``$LAB_CACHE/build/<digest of its path>/<target>``, so that every lab on the
machine that uses this checkout shares it. A build that finds nothing to do costs one call of ninja.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab import firmware_size, paths, third_party, zephyr
from lab._version import __version__
from lab.errors import LabError, MissingError, UsageError

if TYPE_CHECKING:
    from lab.firmware_size import Component

Progress = Callable[[str], None]

_ARM_GCC = "arm-none-eabi-gcc"
_LINES_SHOWN = 60  # of a failed build's output; the log has all


@dataclass(frozen=True, slots=True)
class BuildResult:
    """A firmware image and what it takes.

    :param target: what was built.
    :param image: the ELF (for `native` a Linux executable).
    :param build_id: its GNU build id, 40 hexadecimal digits; the firmware's hello carries the same.
    :param flash: bytes of code, constants and initial data.
    :param ram: bytes of data, stack included, app pool not.
    :param pool: bytes of RAM kept for apps.
    :param components: where flash and RAM go, by component; the largest first.
    :param seconds: how long the build took.
    """

    target: str
    image: Path
    build_id: str
    flash: int
    ram: int
    pool: int
    components: dict[str, Component]
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """Return the result as ``lab build --json`` prints it."""
        return asdict(self) | {"image": str(self.image)}


@dataclass(frozen=True, slots=True)
class Tool:
    """Something a build needs.

    :param name: the program or library.
    :param purpose: what it is for.
    :param package: the package of Debian and Ubuntu that holds it.
    :param found: where it is, or None.
    """

    name: str
    purpose: str
    package: str
    found: str | None


def targets() -> list[str]:
    """Return everything `build` can make: `native`, its `-asan` and `-fuzz` variants, one target a board."""
    boards = [path.stem for path in paths.data("firmware").glob("ports/*/boards/*.cmake")]
    return ["native", "native-asan", "native-fuzz", *sorted([*boards, *zephyr.targets()])]


def check(target: str | None = None) -> list[Tool]:
    """Return what a build of `target` (default: of any) needs, found or not."""
    tools = [
        Tool("cmake", "configures the firmware", "cmake", shutil.which("cmake")),
        Tool("ninja", "builds the firmware", "ninja-build", shutil.which("ninja")),
    ]
    if target is None or target.startswith("native"):
        tools.append(Tool("gcc", "compiles the firmware for this machine", "gcc", shutil.which("gcc")))
        tools.append(
            Tool("libc", "the headers of this machine's C library", "libc6-dev", _header("gcc", "stdio.h"))
        )
    if target == "native-fuzz":
        tools.append(Tool("clang", "compiles the fuzz targets", "clang", shutil.which("clang")))
        tools.append(Tool("libFuzzer", "fuzzes the firmware's core", "libclang-rt-dev", find_libfuzzer()))
    if target and target in zephyr.targets() and (gcc := zephyr.compiler(target)) != _ARM_GCC:
        tools.extend(_gcc(gcc, "RISC-V") if gcc else [])
    elif target is None or not target.startswith("native"):
        tools.extend(_gcc(_ARM_GCC, "Cortex-M"))
    try:
        cargo = third_party.find_cargo() if third_party.needs_cargo() else "not needed: all is in the cache"
    except LabError:
        cargo = third_party.find_cargo()
    tools.append(Tool("cargo", "fetches third-party sources", third_party.cargo_package(), cargo))
    return tools


def _gcc(name: str, cores: str) -> list[Tool]:
    """Return a cross compiler and the C library that Debian and Ubuntu have for it."""
    gcc = shutil.which(name)
    machine = name.removesuffix("-gcc")
    return [
        Tool(name, f"compiles the firmware for {cores}", f"gcc-{machine}", gcc),
        Tool(
            "picolibc", "the C library of the boards", f"picolibc-{machine}", _picolibc(gcc) if gcc else None
        ),
    ]


def build(target: str, *, progress: Progress = lambda _: None) -> BuildResult:
    """Build one target; quick if there is nothing to do. Other builds of the same target wait for this one.

    :param target: one of `targets`.
    :param progress: is told in words what takes time.
    :raises UsageError: there is no such target.
    :raises MissingError: a tool is not installed; the hint holds the command.
    :raises LabError: it does not compile or link; the message holds the compiler's own words.
    """
    started = time.monotonic()
    if target not in targets():
        raise UsageError(
            f"there is no firmware target {target!r}", hint=f"There are: {', '.join(targets())}."
        )
    folder = _build_root() / target
    with third_party.locked(folder.with_name(f"{target}.lock")):
        if not (folder / "build.ninja").is_file():
            _require(target)  # before anything is fetched
        configuration = _configuration(target, folder, progress)
        if _stale(folder, configuration):
            _require(target)
            progress(f"configuring {target}")
            folder.mkdir(parents=True, exist_ok=True)
            _run(configuration, folder.with_name(f"{target}.configure.log"), "cannot configure the firmware")
            (folder / "configuration.json").write_text(json.dumps(configuration))
        progress(f"building {target}")
        _run(
            ["ninja", "-C", str(folder)],
            folder / "build.log",
            f"the firmware for {target} does not build",
        )
        of_zephyr = target in zephyr.targets()
        image = folder / ("zephyr/zephyr.elf" if of_zephyr else "firmware")
        size = firmware_size.measure(image, image.with_suffix(".map"))
    return BuildResult(
        target=target,
        image=image,
        build_id=size.build_id,
        flash=size.flash,
        ram=size.ram,
        pool=size.pool,
        components=size.components,
        seconds=time.monotonic() - started,
    )


def _build_root() -> Path:
    digest = hashlib.sha256(bytes(paths.data("firmware").resolve())).hexdigest()[:12]
    return third_party.cache() / "build" / digest


def _configuration(target: str, folder: Path, progress: Progress) -> list[str]:
    """Return the command that makes a target's tree, fetching the sources that it names."""
    firmware = paths.data("firmware").resolve()
    folders = third_party.fetch(progress=progress)
    board, _, variant = target.partition("-") if target.startswith("native") else (target, "", "")
    settings = {
        "LAB_BOARD": board,
        "LAB_VERSION": __version__,
        # Not sys.executable: python, python3 and python3.11 of one environment are the same to a build.
        "LAB_PYTHON": str(Path(sys.prefix) / "bin" / "python3"),
        "LAB_CDDL": str(Path(__file__).parent.resolve() / "wire" / "wire.cddl"),
        **{f"LAB_{name.upper()}": str(folder) for name, folder in folders.items()},
    }
    if target in zephyr.targets():
        return zephyr.configure(target, folder, _defined(settings))
    settings["CMAKE_BUILD_TYPE"] = ""
    if board == "native":
        settings["CMAKE_C_COMPILER"] = "clang" if variant == "fuzz" else "gcc"
        settings["LAB_SANITIZE"] = "address,undefined" if variant else ""
        settings["LAB_FUZZ"] = "ON" if variant == "fuzz" else "OFF"
    else:
        settings["CMAKE_TOOLCHAIN_FILE"] = str(firmware / "cmake" / "arm-none-eabi.cmake")
    return ["cmake", "-G", "Ninja", "-S", str(firmware), *_defined(settings), "-B", str(folder)]


def _defined(settings: Mapping[str, str]) -> list[str]:
    return [f"-D{name}={value}" for name, value in settings.items()]


def _stale(folder: Path, configuration: list[str]) -> bool:
    """Tell whether `folder` has to be configured; ninja itself sees a changed CMakeLists.txt."""
    stamp = folder / "configuration.json"
    return not (
        (folder / "build.ninja").is_file()
        and stamp.is_file()
        and json.loads(stamp.read_text()) == configuration
    )


def _run(command: list[str], log: Path, failure: str) -> None:
    """Run `command` with its output in a log; on failure show what it wrote, as it wrote it."""
    try:
        with log.open("w") as output:
            done = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False)
    except FileNotFoundError as error:
        package = {"ninja": "ninja-build"}.get(command[0], command[0])
        raise MissingError(
            f"{command[0]} is missing", hint=f"Install it: {third_party.apt_install(package)}"
        ) from error
    if done.returncode:
        raise LabError(f"{failure}:\n{_errors(log)}", hint=f"The whole output is in {log}")


def _errors(log: Path) -> str:
    """Return what a reader needs of a build's output: from the first failure on, without ninja's progress."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if not line.startswith("[")]
    start = next((index for index, line in enumerate(lines) if line.startswith(("FAILED", "CMake Error"))), 0)
    # The line after FAILED is the command; the compiler's words follow it.
    shown = [
        line
        for line in lines[start:]
        if not line.startswith(("FAILED", "ninja: Entering", "ninja: build stopped")) and " -o " not in line
    ]
    return "\n".join(shown[:_LINES_SHOWN])


def _require(target: str) -> None:
    if target in zephyr.targets() and (lacking := zephyr.lacking()):
        what, how = lacking
        raise MissingError(f"{what}, and {target} is built with Zephyr", hint=how)
    if target in zephyr.targets() and not (zephyr.compiler(target) or zephyr.chosen()):
        raise MissingError(f"no package has a compiler for {target}: Zephyr's SDK has", hint=zephyr.SDK)
    missing = [tool for tool in check(target) if tool.found is None]
    if missing:
        raise MissingError(
            "; ".join(f"{tool.name} is missing ({tool.purpose})" for tool in missing),
            hint=f"Install: {third_party.apt_install(*(tool.package for tool in missing))}",
        )


def _picolibc(gcc: str) -> str | None:
    """Return the path of picolibc's specs file, or None if gcc has none."""
    done = subprocess.run(
        [gcc, "--specs=picolibc.specs", "-E", "-x", "c", os.devnull, "-o", os.devnull],
        capture_output=True,
        check=False,
    )
    return "picolibc.specs" if done.returncode == 0 else None


def find_libfuzzer() -> str | None:
    """Return the path of a clang that links fuzz targets, or None."""
    clang = shutil.which("clang")
    if clang is None:
        return None
    done = subprocess.run(
        [clang, "-fsanitize=fuzzer,address", "-x", "c", "-", "-o", os.devnull],
        input="int LLVMFuzzerTestOneInput(const char *data, unsigned long size) { return !data + !size; }\n",
        text=True,
        capture_output=True,
        check=False,
    )
    return clang if done.returncode == 0 else None


def _header(compiler: str, name: str) -> str | None:
    if shutil.which(compiler) is None:
        return None
    done = subprocess.run(
        [compiler, "-E", "-x", "c", "-", "-o", os.devnull],
        input=f"#include <{name}>\n",
        text=True,
        capture_output=True,
        check=False,
    )
    return name if done.returncode == 0 else None
