"""The one WebAssembly engine of a node, and its cache of compiled code.

A component is compiled in a process of its own (seconds, hundreds of MB, none of which the node should keep)
and loaded from the cache (milliseconds, pages shared between processes). The cache holds machine code that is
run as it is: it belongs to this user alone, and nothing but this file writes it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import anyio
from wasmtime import Config, Engine, Module, WasmtimeError
from wasmtime.component import Component

from lab import third_party
from lab.errors import LabError
from lab.plugins.outline import outline

TICK = 0.05
"""s between two epochs: how finely a guest's time is measured."""

_KEPT = 40
"""Components whose code stays in the cache: 13 MB each, for most of it is the Python in them."""

_COMPILE_SECONDS = 180
_NICE = 10


class PluginError(LabError):
    """A plugin cannot be loaded, or has failed; says why in words for its author."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """A component that is ready to be instantiated.

    :param component: without its large modules.
    :param modules: those, by the name of the import that takes each.
    :param digest: SHA-256 of the file, hexadecimal.
    """

    component: Component
    modules: dict[str, Module]
    digest: str


def _config() -> Config:
    config = Config()
    config.epoch_interruption = True
    config.wasm_threads = False
    return config


class Runtime:
    """The engine all plugins of a node share, and the clock that ends those that loop.

    :param cache: folder of compiled code.
    """

    def __init__(self, cache: Path | None = None) -> None:
        self.engine = Engine(_config())
        self._cache = cache or third_party.cache() / "plugins"
        self._cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._running = 0
        self._wake = threading.Condition()
        self._closed = threading.Event()
        threading.Thread(target=self._tick, name="epochs", daemon=True).start()

    def close(self) -> None:
        """End the clock."""
        self._closed.set()
        with self._wake:
            self._wake.notify()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Let epochs pass while a guest runs; without one there is nothing to wake up for."""
        with self._wake:
            self._running += 1
            self._wake.notify()
        try:
            yield
        finally:
            with self._wake:
                self._running -= 1

    def _tick(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._closed.is_set() or self._running > 0)
            # Not on the condition: every call that begins meanwhile would wake this thread, and pay for it.
            if self._closed.wait(TICK):
                return
            self.engine.increment_epoch()

    async def load(self, wasm: bytes) -> Compiled:
        """Return `wasm` compiled, from the cache if it was compiled before.

        :raises PluginError: it is no valid component.
        """
        digest = hashlib.sha256(wasm).hexdigest()
        index = self._cache / f"{_key(digest)}.json"
        if not index.exists():
            await self._compile(wasm)
        try:
            return self._read(index, digest)
        except (OSError, ValueError, WasmtimeError):
            self._discard(index)
            await self._compile(wasm)
            return self._read(index, digest)

    def _read(self, index: Path, digest: str) -> Compiled:
        modules = json.loads(index.read_text())
        os.utime(index)  # by this `_prune` knows what is in use
        return Compiled(
            Component.deserialize_file(self.engine, str(index.with_suffix(".component"))),
            {
                name: Module.deserialize_file(self.engine, str(self._cache / file))
                for name, file in modules.items()
            },
            digest,
        )

    def _discard(self, index: Path) -> None:
        """Remove what cannot be read, so that it is made anew; who has it mapped keeps it."""
        with contextlib.suppress(OSError, ValueError):
            for file in json.loads(index.read_text()).values():
                try:
                    Module.deserialize_file(self.engine, str(self._cache / file))
                except WasmtimeError:
                    (self._cache / file).unlink(missing_ok=True)
        index.with_suffix(".component").unlink(missing_ok=True)
        index.unlink(missing_ok=True)

    async def _compile(self, wasm: bytes) -> None:
        command = [sys.executable, "-m", "lab.plugins.engine", str(self._cache)]
        try:
            with anyio.fail_after(_COMPILE_SECONDS):
                done = await anyio.run_process(command, input=wasm, check=False, stderr=subprocess.PIPE)
        except TimeoutError as error:
            raise PluginError(f"it was not compiled after {_COMPILE_SECONDS} s") from error
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip()
            raise PluginError(said.splitlines()[-1] if said else f"its compiler ended with {done.returncode}")


def _key(digest: str) -> str:
    """Return the name of what this wasmtime compiled for this machine from the bytes of that digest."""
    what = f"{digest} {version('wasmtime')} {os.uname().machine}"
    return hashlib.sha256(what.encode()).hexdigest()


def _compile(cache: Path, wasm: bytes) -> None:
    """Fill the cache with all that `wasm` needs; the index, which makes it valid, is written last."""
    engine = Engine(_config())
    outlined = outline(wasm)
    modules: dict[str, str] = {}
    for name, module in outlined.modules.items():
        file = f"{_key(hashlib.sha256(module).hexdigest())}.module"
        _once(cache / file, lambda module=module: Module(engine, module).serialize())  # type: ignore[misc]
        modules[name] = file
    key = _key(hashlib.sha256(wasm).hexdigest())
    _once(cache / f"{key}.component", lambda: Component(engine, outlined.component).serialize())
    _once(cache / f"{key}.json", lambda: json.dumps(modules).encode())
    _prune(cache)


def _prune(cache: Path) -> None:
    """Remove what was not used for longest; who has it mapped keeps it."""
    with third_party.locked(cache / "lock"):
        for index in sorted(cache.glob("*.json"), key=lambda file: file.stat().st_mtime)[:-_KEPT]:
            for file in (index, index.with_suffix(".component")):
                file.unlink(missing_ok=True)
                file.with_name(f"{file.name}.lock").unlink(missing_ok=True)


def _once(file: Path, make: Callable[[], bytes | bytearray]) -> None:
    """Write `file` if it is not there; of several processes that want it, one works and the others wait."""
    with third_party.locked(file.with_name(f"{file.name}.lock")):
        if not file.exists():
            temporary = file.with_name(f"{file.name}.{os.getpid()}")
            temporary.write_bytes(make())
            temporary.replace(file)


def main() -> None:
    """Compile the component on stdin into the cache named by the argument."""
    os.nice(_NICE)
    try:
        _compile(Path(sys.argv[1]), sys.stdin.buffer.read())
    except (ValueError, WasmtimeError) as error:
        # wasmtime's first line is "failed to parse…", the cause is the last.
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        sys.exit(f"it is no valid component: {lines[-1] if lines else error}")


if __name__ == "__main__":
    main()
