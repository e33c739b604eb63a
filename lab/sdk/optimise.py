"""Makes a module smaller by Binaryen's wasm-opt, where there is one."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from lab.sdk import binary

# What a device's runtime has beyond the first version; wasm-opt may then use it too.
_FEATURES = (
    "--mvp-features",
    "--enable-bulk-memory",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
)


def shrink(module: Path) -> str:
    """Make the module in a file smaller if that can be; return by what it was done, or nothing."""
    wasm_opt = shutil.which("wasm-opt")
    if wasm_opt is None:
        return ""
    smaller = module.with_suffix(".opt")
    command = (wasm_opt, "-Oz", *_FEATURES, str(module), "-o", str(smaller))
    done = subprocess.run(command, capture_output=True, timeout=300, check=False)
    # A module it does not take is for the validator to judge.
    if done.returncode or smaller.stat().st_size >= module.stat().st_size or _has_hidden_memory(module):
        return ""
    smaller.replace(module)
    return "wasm-opt"


def _has_hidden_memory(module: Path) -> bool:
    """Tell whether the module has a memory that only it and what it imports can see.

    wasm-opt does not know that imports look there, and would drop what is in it.
    """
    found = binary.read(module.read_bytes())
    return bool(found.imports and found.pages and not any(each.kind == "memory" for each in found.exports))
