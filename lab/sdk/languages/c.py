"""C and C++, freestanding, by clang and lld."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path

from lab.errors import MissingError
from lab.sdk.languages import Job, run

_SDK = Path(__file__).parent.parent / "c"
# A device's WAMR has bulk memory; without it clang would call a memcpy that no library provides.
_COMPILE = (
    "-ffreestanding",
    "-nostdlibinc",
    "-Os",
    "-flto",
    "-ffunction-sections",
    "-fdata-sections",
    "-fvisibility=hidden",
    "-mbulk-memory",
    "-msign-ext",
    "-mnontrapping-fptoint",
    "-Wall",
    "-Wextra",
)
# The stack lies first, so that running out of it is an out-of-bounds access and not overwritten data. The two
# exports tell the runtime where memory ends (`lab.sdk.binary.Module.memory`).
_LINK = (
    "-nostdlib",
    "-Wl,--no-entry",
    "-Wl,--stack-first",
    "-Wl,--export=__heap_base",
    "-Wl,--export=__data_end",
    "-Wl,--gc-sections",
    "-Wl,--strip-all",
)
# WAMR runs the constructors of static objects if they are offered to it under this name.
_CXX = ("-std=c++17", "-fno-exceptions", "-fno-rtti", "-Wl,--export=__wasm_call_ctors")


class C:
    """C11 and C++17 without a library but the lab's headers and the compiler's own (stdint.h, stdbool.h…)."""

    name = "c"
    suffixes = (".c", ".cc", ".cpp")

    def build(self, job: Job) -> str:
        """Compile and link in one go."""
        cxx = any(not source.endswith(".c") for source in job.sources)
        language = _CXX if cxx else ("-std=c11",)
        link = (*_LINK, f"-Wl,-z,stack-size={job.build.stack}", "-o", str(job.output))
        return run((*_compiler(), *language, *_COMPILE, f"-I{_SDK}", *link, *job.sources), job)


def _compiler() -> tuple[str, ...]:
    """Return clang for bare WebAssembly, or the one that is in Python's package ziglang."""
    clang = shutil.which("clang")
    if clang and shutil.which("wasm-ld"):
        return (clang, "--target=wasm32-unknown-unknown")
    if importlib.util.find_spec("ziglang"):
        return (sys.executable, "-m", "ziglang", "cc", "-target", "wasm32-freestanding", "-mcpu=generic")
    raise MissingError(
        f"{'wasm-ld' if clang else 'clang'} is not installed; apps in C need both",
        hint="apt-get install clang lld, or: pip install ziglang",
    )
