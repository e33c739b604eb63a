"""One instance of a plugin in its sandbox: what it may call, how long, with how much memory."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from wasmtime import Store, WasiConfig, WasmtimeError
from wasmtime.component import ComponentInstanceType, FuncType, Linker, Record

from lab.plugins.engine import TICK, Compiled, PluginError, Runtime
from lab.plugins.refusal import Refused
from lab.plugins.values import Err, Export, define
from lab.plugins.worlds import World

Functions = Mapping[str, Mapping[str, Callable[..., Any]]]
"""What the host can link: per interface (``lab:device/log@0.1.0``) its functions by their WIT names."""

_OUTPUT_LIMIT = 16 << 10
_TYPES_ONLY = re.compile(r"lab:[\w-]+/types@")
# componentize-py's own words around a Python traceback.
_NOISE = re.compile(
    r"^(thread '.*' .*panicked at .*|Python function threw .*|note: run with .*)$", re.MULTILINE
)
_linking = threading.Lock()  # wasmtime's Python tables of WASI's callbacks are not made for several threads


class GuestFailed(PluginError):
    """The guest raised or trapped: its instance is spent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a plugin may use.

    :param seconds: of its own computing, a call.
    :param wait: seconds a call may last with all that it waits for.
    :param memory: bytes.
    """

    seconds: float = 2.0
    wait: float = 10.0
    memory: int = 64 << 20


def record(**fields: Any) -> Record:
    """Return a WIT record; underscores of the names become hyphens."""
    made = Record()
    for name, value in fields.items():
        setattr(made, name.replace("_", "-"), value)
    return made


class Guest:
    """An instance. Not for two threads at once.

    :param compiled: what to instantiate.
    :param world: its world: nothing else is linked.
    :raises PluginError: the component is of another world.
    """

    def __init__(
        self, runtime: Runtime, compiled: Compiled, world: World, functions: Functions, limits: Limits
    ) -> None:
        self._runtime = runtime
        self._limits = limits
        self._output = bytearray()
        self._ends = 0.0
        self._patience = 0.0
        self._exports: dict[tuple[str, str], Export] = {}
        self._defined: list[object] = []
        _check(compiled, runtime, world)
        self._store = Store(runtime.engine)
        self._store.set_limits(memory_size=limits.memory)
        # No folder, no variable, no argument, no socket: WASI is linked because CPython does not start
        # without it.
        wasi = WasiConfig()
        wasi.stdout_custom = self._print
        wasi.stderr_custom = self._print
        self._store.set_wasi(wasi)
        try:
            with _linking:
                self._linker = self._link(compiled, world, functions)
            with self._timed():
                self._instance = self._linker.instantiate(self._store, compiled.component)
        except WasmtimeError as error:
            self.close()
            raise PluginError(f"it cannot be instantiated in world {world.name}: {_cause(error)}") from error

    def close(self) -> None:
        """Give its memory back."""
        with _linking:
            self._store.close()

    def call(self, interface: str, name: str, *arguments: Any) -> Any:
        """Call an export; of a result return what it is of, or an `Err`.

        :raises GuestFailed: it raised, trapped, or took too long; says which, with the guest's traceback.
        """
        function = self._function(interface, name)
        self._output.clear()
        try:
            with self._timed():
                return function(*arguments)
        except WasmtimeError as error:
            raise GuestFailed(self._explain(error)) from error

    def output(self) -> str:
        """Return what the guest has printed in the last call, without what surrounds a traceback."""
        return _NOISE.sub("", self._output.decode(errors="replace")).strip()

    def _function(self, interface: str, name: str) -> Export:
        if known := self._exports.get((interface, name)):
            return known
        outer = self._instance.get_export_index(self._store, interface)
        inner = self._instance.get_export_index(self._store, name, outer) if outer else None
        function = self._instance.get_func(self._store, inner) if inner else None
        if function is None:
            raise PluginError(f"it does not export {name} of {interface}")
        export = self._exports[interface, name] = Export(self._store, function)
        return export

    def _print(self, data: bytes) -> int:
        self._output += data[: _OUTPUT_LIMIT - len(self._output)]
        return len(data)

    # -- time

    def _timed(self) -> Any:
        now = time.monotonic()
        self._ends, self._patience = now + self._limits.seconds, now + self._limits.wait
        self._store.set_epoch_deadline(_ticks(self._limits.seconds))
        return self._runtime.running()

    def _link(self, compiled: Compiled, world: World, functions: Functions) -> Linker:
        linker = Linker(self._runtime.engine)
        linker.add_wasip2()
        wanted = compiled.component.type.imports(self._runtime.engine)
        with linker.root() as root:
            for interface in world.imports & wanted.keys():
                type_ = wanted[interface].ty
                assert isinstance(type_, ComponentInstanceType)
                with root.add_instance(interface) as instance:
                    for name, item in type_.exports(self._runtime.engine).items():
                        if isinstance(item.ty, FuncType) and (function := functions[interface].get(name)):
                            self._defined.append(define(instance, name, item.ty, self._guarded(function)))
            for name, module in compiled.modules.items():
                root.add_module(name, module)
        return linker

    def _guarded(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap a host function: a refusal is a result, and its waiting is not the guest's computing."""

        def guarded(*arguments: Any) -> Any:
            began = time.monotonic()
            if began > self._patience:
                raise WasmtimeError(f"it did not return within {self._limits.wait:g} s")
            try:
                return function(*arguments)
            except Refused as refused:
                return Err(str(refused.error))
            finally:
                ended = time.monotonic()
                if ended - began > TICK:
                    self._ends += ended - began
                    self._store.set_epoch_deadline(_ticks(max(self._ends - ended, 0)))

        return guarded

    def _explain(self, error: WasmtimeError) -> str:
        cause = _cause(error)
        if "interrupt" in cause:
            return f"it computed for more than {self._limits.seconds:g} s"
        return self.output() or cause


def _check(compiled: Compiled, runtime: Runtime, world: World) -> None:
    """Compare a component's imports and exports with its world, to say more than wasmtime does."""
    found = compiled.component.type
    surplus = [
        name
        for name in found.imports(runtime.engine)
        if name not in world.imports
        and name not in compiled.modules
        and not name.startswith("wasi:")
        and not _TYPES_ONLY.match(name)
    ]
    if surplus:
        raise PluginError(f"it imports {', '.join(surplus)}, which world {world.name} does not grant")
    lacking = world.exports - found.exports(runtime.engine).keys()
    if lacking:
        raise PluginError(f"it does not export {', '.join(sorted(lacking))}, as world {world.name} wants")


def _ticks(seconds: float) -> int:
    return int(seconds / TICK) + 1


def _cause(error: WasmtimeError) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return re.sub(r"^\d+: ", "", lines[-1]) if lines else "for no reason given"
