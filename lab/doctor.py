"""What `lab doctor` looks at: every program the lab runs, with the command that installs it."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Check:
    """One program.

    :param what: its name for people.
    :param program: what is looked for on PATH.
    :param needed_for: what does not work without it.
    :param install: how to get it on Debian 12 and Ubuntu 24.04.
    :param required: whether the default boards need it.
    :param version: the argument that makes it print its version.
    """

    what: str
    program: str
    needed_for: str
    install: str
    required: bool = True
    version: str = "--version"


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
    Check("QEMU for Arm", "qemu-system-arm", "boards of engine qemu", "apt-get install qemu-system-arm"),
    Check(
        "Arm compiler",
        "arm-none-eabi-gcc",
        "building firmware for Cortex-M",
        "apt-get install gcc-arm-none-eabi picolibc-arm-none-eabi",
    ),
    Check("C compiler", "gcc", "building firmware for this machine (board native)", "apt-get install gcc"),
    Check("CMake", "cmake", "building firmware", "apt-get install cmake"),
    Check("Ninja", "ninja", "building firmware", "apt-get install ninja-build"),
    Check(
        "Cargo",
        "cargo",
        "fetching the firmware's third-party sources",
        "apt-get install cargo-web (Debian 12) or cargo (Ubuntu 24.04)",
    ),
    Check("clang", "clang", "compiling apps written in C", "apt-get install clang lld"),
    Check("wasm-ld", "wasm-ld", "linking apps written in C", "apt-get install lld"),
    Check("setpriv", "setpriv", "ending emulators together with the lab", "apt-get install util-linux"),
    Check(
        "Rust compiler",
        "rustc",
        "apps written in Rust",
        "rustup target add wasm32-unknown-unknown, or apt-get install rustc libstd-rust-dev-wasm32 lld",
        required=False,
    ),
    Check("npm", "npm", "apps written in AssemblyScript", "apt-get install npm", required=False),
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
        "pip install west, then west init and west update",
        required=False,
    ),
)


def examine() -> list[Finding]:
    """Look at this machine."""
    return [
        Finding(check.what, _look(check), check.needed_for, check.install, check.required) for check in CHECKS
    ]


def _look(check: Check) -> str:
    """Return the first version number `check.program` prints and its path, or nothing if it is not there."""
    where = shutil.which(check.program)
    if where is None:
        return ""
    said = subprocess.run([where, check.version], capture_output=True, text=True, timeout=20, check=False)
    number = re.search(r"\d+\.\d+(\.\d+)?", said.stdout + said.stderr)
    return f"{number.group() if number else 'present'} ({where})"
