"""What `lab doctor` looks at: every program the lab runs, with the command that installs it.

What a firmware build needs is `lab.build`'s to say; the rest is the table below.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import build, zephyr
from lab.engines import _renode_pyrenode3 as pyrenode3
from lab.engines.renode import CONTROL, chosen_control
from lab.third_party import apt_install


@dataclass(frozen=True, slots=True)
class Check:
    """One program.

    :param what: its name for people.
    :param program: what is looked for on PATH.
    :param needed_for: what does not work without it.
    :param install: how to get it on Debian 12 and Ubuntu 24.04.
    :param required: whether the default boards need it.
    """

    what: str
    program: str
    needed_for: str
    install: str
    required: bool = True


@dataclass(frozen=True, slots=True)
class Finding:
    """What a `Check` found: a version and a path, or nothing."""

    what: str
    found: str
    needed_for: str
    install: str
    required: bool

    def as_json(self) -> dict[str, Any]:
        """Return the row as JSON has it."""
        return {
            "what": self.what,
            "found": self.found or None,
            "needed_for": self.needed_for,
            "install": self.install,
            "required": self.required,
        }


CHECKS = (
    Check("QEMU for Arm", "qemu-system-arm", "boards of engine qemu", apt_install("qemu-system-arm")),
    Check("setpriv", "setpriv", "ending emulators together with the lab", apt_install("util-linux")),
    Check("clang", "clang", "compiling apps written in C", apt_install("clang", "lld")),
    Check("wasm-ld", "wasm-ld", "linking apps", apt_install("lld")),
    Check("wasm-opt", "wasm-opt", "making apps smaller", apt_install("binaryen"), required=False),
    Check(
        "Rust compiler",
        "rustc",
        "apps written in Rust",
        "rustup target add wasm32-unknown-unknown, or "
        + apt_install("rustc", "libstd-rust-dev-wasm32", "lld"),
        required=False,
    ),
    Check("npm", "npm", "AssemblyScript apps, the panel's plots", apt_install("npm"), required=False),
    Check("Chromium", "chromium", "the panel's tests", apt_install("chromium"), required=False),
    Check(
        "Renode",
        "renode",
        "boards of engine renode",
        "download a release, 1.15 or newer, from Renode's GitHub page and put it on PATH",
        required=False,
    ),
    Check(
        "west",
        "west",
        "building Zephyr images",
        zephyr.WEST,
        required=False,
    ),
)


def examine() -> list[Finding]:
    """Look at this machine: what builds need, then what runs and compiles."""
    return (
        [
            Finding(
                tool.name,
                _version(tool.found) if tool.found else "",
                tool.purpose,
                apt_install(tool.package),
                True,
            )
            for tool in build.check()
        ]
        + [
            Finding(check.what, _look(check), check.needed_for, check.install, check.required)
            for check in CHECKS
        ]
        + [_pyrenode3(), _zephyr(), _riscv(), _xtensa(), _libfuzzer()]
    )


def _pyrenode3() -> Finding:
    python = pyrenode3.python()
    version = pyrenode3.version(python)
    return Finding(
        "pyrenode3",
        f"{version} ({python})" if version else "",
        f"{CONTROL}=pyrenode3; what controls Renode now: {chosen_control()}",
        pyrenode3.INSTALL,
        required=False,
    )


def _zephyr() -> Finding:
    tree = zephyr.base()
    found = f"{'.'.join(map(str, zephyr.version(tree)))} ({tree})" if tree else ""
    return Finding("Zephyr", found, "building Zephyr images", zephyr.workspace(), required=False)


def _riscv() -> Finding:
    """Return what compiles for the ESP32-C3: Zephyr's SDK, or Debian's GCC with its C library."""
    sdk = os.environ.get("ZEPHYR_SDK_INSTALL_DIR")
    packaged = [tool for tool in build.check("esp32c3_devkitm") if "riscv" in tool.package]
    if sdk:
        found = shutil.which("riscv64-zephyr-elf-gcc", path=Path(sdk, "riscv64-zephyr-elf", "bin"))
    else:
        found = packaged[0].found if packaged and all(tool.found for tool in packaged) else None
    return Finding(
        "RISC-V compiler",
        _version(found) if found else "",
        "Zephyr images for the ESP32-C3",
        f"{apt_install(*(tool.package for tool in packaged))}, or Zephyr's SDK and ZEPHYR_SDK_INSTALL_DIR",
        required=False,
    )


def _xtensa() -> Finding:
    """Return what compiles for the ESP32: Zephyr's SDK, for no package does."""
    sdk = os.environ.get("ZEPHYR_SDK_INSTALL_DIR")
    name = "xtensa-espressif_esp32_zephyr-elf"
    found = shutil.which(f"{name}-gcc", path=Path(sdk, name, "bin")) if sdk else None
    return Finding(
        "Xtensa compiler",
        _version(found) if found else "",
        "Zephyr images for the ESP32",
        zephyr.SDK,
        required=False,
    )


def _libfuzzer() -> Finding:
    clang = build.find_libfuzzer()
    install = apt_install("clang", "libclang-rt-dev", "llvm")
    found = _version(clang) if clang else ""
    return Finding("libFuzzer", found, "fuzzing the firmware's core", install, required=False)


def _look(check: Check) -> str:
    named = os.environ.get("RENODE") if check.program == "renode" else None
    where = shutil.which(named or check.program)
    return _version(where) if where else ""


def _version(where: str) -> str:
    """Return the first version number that the program `where` prints, and `where`; it may be no program."""
    if not Path(where).is_absolute():
        return where
    said = subprocess.run([where, "--version"], capture_output=True, text=True, timeout=20, check=False)
    number = re.search(r"\d+\.\d+(\.\d+)?", said.stdout + said.stderr)
    return f"{number.group() if number else 'present'} ({where})"
