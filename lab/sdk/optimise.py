"""Makes a module smaller by Binaryen's wasm-opt, where there is one."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

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
    if done.returncode or smaller.stat().st_size >= module.stat().st_size:
        return ""
    smaller.replace(module)
    return "wasm-opt"
