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
    "-c",
    "-Os",
    "-flto",
    "-ffreestanding",
    "-nostdlibinc",
    f"-I{_SDK}",
    "-fvisibility=hidden",
    "-mbulk-memory",
    "-msign-ext",
    "-mnontrapping-fptoint",
    "-Wall",
    "-Wextra",
    "-fno-color-diagnostics",
)
_C = ("-std=c11",)
_CXX = ("-std=c++17", "-fno-exceptions", "-fno-rtti", "-fno-threadsafe-statics")
# The stack lies first, so that running out of it is an out-of-bounds access and not overwritten data. The two
# exports tell the runtime where memory ends (`lab.sdk.binary.Module.memory`).
_LINK = (
    "--no-entry",
    "--stack-first",
    "--export=__heap_base",
    "--export=__data_end",
    "--gc-sections",
    "--strip-all",
    "--lto-O2",
)


class C:
    """C11 and C++17 without a library but the lab's headers and the compiler's own (stdint.h, stdbool.h…)."""

    name = "c"
    suffixes = (".c", ".cc", ".cpp")

    def build(self, job: Job) -> str:
        """Compile each source, then link.

        Not in one go: clang would then hand the module to any wasm-opt it finds, which knows nothing of the
        features that were asked for.
        """
        compiler, linker = _programs()
        sources = list(job.sources)
        if not all(source.endswith(".c") for source in sources):
            sources.append(str(_SDK / "initialize.c"))
        said, objects = [], []
        for index, source in enumerate(sources):
            objects.append(str(job.output.with_name(f"{index}.o")))
            language = _C if source.endswith(".c") else _CXX
            said.append(run((*compiler, *language, *_COMPILE, source, "-o", objects[-1]), job))
        stack = f"-zstack-size={job.build.stack}"
        said.append(run((*linker, *_LINK, stack, *objects, "-o", str(job.output)), job))
        return "".join(said)


def _programs() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return clang for bare WebAssembly and its linker, or those that are in Python's package ziglang."""
    clang, linker = shutil.which("clang"), shutil.which("wasm-ld")
    if clang and linker:
        return (clang, "--target=wasm32-unknown-unknown"), (linker,)
    if importlib.util.find_spec("ziglang"):
        zig = (sys.executable, "-m", "ziglang")
        return (*zig, "cc", "-target", "wasm32-freestanding", "-mcpu=generic"), (*zig, "wasm-ld")
    raise MissingError(
        f"{'wasm-ld' if clang else 'clang'} is not installed; apps in C need both",
        hint="apt-get install clang lld, or: pip install ziglang",
    )
