"""Makes from `wit/device.wit` all that must agree with it: natives, guest bindings, tables.

The files are committed, so that readers and users need no generator; ``python -m lab.codegen --check`` says
whether they are what the WIT says.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lab.codegen import firmware, guest_assemblyscript, guest_c, guest_rust, guest_wat, tables, wit

ROOT = Path(__file__).parents[2]
SOURCE = Path("wit/device.wit")
WORLD = "device-app"


def targets(source: Path = ROOT / SOURCE) -> Mapping[Path, str]:
    """Return every generated file, by its path in the repository, with what it must hold.

    :raises WitError: the WIT is wrong.
    """
    package = wit.read(source)
    if WORLD not in package.worlds:
        raise wit.WitError(f"{source} has no world {WORLD!r}")
    world = package.worlds[WORLD]
    return {
        Path("firmware/core/apps/contract.h"): firmware.header(package, world),
        Path("firmware/core/apps/contract.c"): firmware.source(package, world),
        Path("lab/sdk/c/lab.h"): guest_c.header(package, world),
        Path("lab/sdk/assemblyscript/device.ts"): guest_assemblyscript.module(package, world),
        Path("lab/sdk/rust/lab.rs"): guest_rust.module(package, world),
        Path("lab/sdk/wat/lab.wat"): guest_wat.snippet(package, world),
        Path("lab/contract.py"): tables.module(package, world),
    }


def stale(root: Path = ROOT) -> list[Path]:
    """Return the generated files below `root` that are not what `wit/device.wit` says, or are not there."""
    return [
        path
        for path, text in targets(root / SOURCE).items()
        if not (root / path).is_file() or (root / path).read_text("utf-8") != text
    ]


def write(root: Path = ROOT) -> list[Path]:
    """Bring the generated files below `root` up to date; return those that changed."""
    expected = targets(root / SOURCE)
    changed = stale(root)
    for path in changed:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(expected[path], "utf-8")
    return changed
