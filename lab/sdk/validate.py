"""What a module must be before it goes to a device: only what its runtime has and the contract offers."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from lab import contract
from lab.errors import LabError
from lab.modules import check_module
from lab.sdk import binary
from lab.sdk.binary import Export, Import, Module, Signature
from lab.sdk.manifest import FILE, SECTION, allowed
from lab.wire import messages

if TYPE_CHECKING:
    import wasmtime

    from lab.boards import Board

# What the firmware's WAMR is built without (firmware/cmake/wamr.cmake).
_ABSENT = (
    "component_model",
    "custom_page_sizes",
    "exceptions",
    "function_references",
    "gc",
    "memory64",
    "multi_memory",
    "relaxed_simd",
    "simd",
    "stack_switching",
    "tail_call",
    "threads",
    "wide_arithmetic",
)

# What WAMR would call by itself while it makes an instance (firmware/core/apps/inspect.c).
_AUTOMATIC = ("__wasm_call_ctors", "__post_instantiate")

# What a module without a manifest may import: what touches nothing else (firmware/core/apps/manifest.h).
_HARMLESS = ("log", "clock", "publish", "kv", "system-info")


def check(content: bytes, what: str, *, board: Board | None = None) -> Module:
    """Judge a core module as a device will, and return what it says of itself.

    :param what: how to name it in the error.
    :param board: whose memory for apps it must fit into.
    :raises UsageError: it is not a core module at all.
    :raises LabError: no device would run it, or its manifest does not cover it; the message says why.
    """
    check_module(content, what)
    _check_features(content, what)
    module = binary.read(content)
    _check_imports(module, what)
    _check_exports(module, what)
    manifest = _manifest(module, what)
    _check_permissions(module, what, manifest)
    _check_size(len(content), module, what, manifest, board)
    return module


@cache
def _engine() -> wasmtime.Engine:
    import wasmtime

    config = wasmtime.Config()
    for feature in _ABSENT:
        setattr(config, f"wasm_{feature}", False)
    config.wasm_bulk_memory = True
    config.wasm_reference_types = True
    config.wasm_multi_value = True
    return wasmtime.Engine(config)


def _check_features(content: bytes, what: str) -> None:
    """Validate by the features a device's runtime has: the validator names feature and place."""
    import wasmtime

    try:
        wasmtime.Module.validate(_engine(), content)
    except wasmtime.WasmtimeError as error:
        raise LabError(f"{what} is not a module that devices run", hint=str(error)) from error


def _check_imports(module: Module, what: str) -> None:
    for entry in module.imports:
        if entry.kind != "func":
            raise LabError(
                f"{what} imports a {entry.kind}, {entry}; an app imports functions",
                hint="Let the app define its own memory, tables and globals.",
            )
        functions = contract.IMPORTS.get(entry.module)
        if functions is None or entry.name not in functions:
            hint = (
                allowed("interfaces", entry.module, contract.IMPORTS)
                if functions is None
                else allowed(f"functions of {entry.module}", entry.name, functions)
            )
            raise LabError(f"{what} imports {entry}, which no device has", hint=hint)
        _check_signature(entry, Signature(*functions[entry.name]), f"{what} imports {entry}")


def _check_exports(module: Module, what: str) -> None:
    called = {
        **contract.EXPORTS,
        "cabi_realloc": contract.REALLOC,
        "_initialize": contract.Signature((), ()),
    }
    for name, signature in called.items():
        if export := module.export(name):
            _check_signature(export, Signature(*signature), f"{what} exports {name}")
    automatic = [f"exports {name}" for name in _AUTOMATIC if module.export(name)]
    for does in ["has a start function", *automatic] if module.starts else automatic:
        raise LabError(
            f"{what} {does}, which would run without a budget of instructions",
            hint="Export _initialize instead: devices call it first.",
        )


def _check_signature(entry: Import | Export, signature: Signature, does: str) -> None:
    if entry.signature != signature:
        raise LabError(
            f"{does} as {entry.kind} {entry.signature or ''}".rstrip() + f"; it is func {signature}",
            hint="The lab's headers declare it as it is.",
        )


def permissions(content: bytes, what: str) -> messages.Manifest:
    """Return what a module asks to be allowed: its manifest, or what is harmless if it has none.

    :raises LabError: it is not a module that devices run, or its manifest is damaged.
    """
    _check_features(content, what)  # `binary.read` trusts that it is a module
    return _manifest(binary.read(content), what) or messages.Manifest(1, _HARMLESS, (), 0, 0)


def _manifest(module: Module, what: str) -> messages.Manifest | None:
    section = module.custom.get(SECTION)
    if section is None:
        return None
    try:
        return messages.unpack(messages.Manifest, section)
    except messages.BodyError as error:
        raise LabError(f"{what} carries a manifest that is none: {error}") from error


def _check_permissions(module: Module, what: str, manifest: messages.Manifest | None) -> None:
    interfaces = [_interface(name) for name in contract.IMPORTS]
    permitted = _HARMLESS if manifest is None else manifest.interfaces
    for name in permitted:
        if name not in interfaces:
            raise LabError(
                f"{what}: {FILE} permits {name!r}, which is no interface",
                hint=allowed("interfaces", name, interfaces),
            )
    for entry in module.imports:
        if (name := _interface(entry.module)) in permitted:
            continue
        if manifest is None:
            raise LabError(
                f"{what} imports {entry} and has no manifest to permit it",
                hint=f'Compile it from a folder with an {FILE} that has "{name}" in permissions.interfaces.',
            )
        raise LabError(
            f"{what} imports {entry}, which its {FILE} does not permit",
            hint=f'Add "{name}" to permissions.interfaces there, or do without it.',
        )


def _interface(module: str) -> str:
    """Return the short name of an interface: ``log`` of ``lab:device/log@0.1.0``."""
    return module.partition("/")[2].partition("@")[0]


def _check_size(
    size: int, module: Module, what: str, manifest: messages.Manifest | None, board: Board | None
) -> None:
    limit = manifest.memory if manifest else 0
    if limit and module.memory > limit:
        raise LabError(
            f"{what} needs {module.memory} bytes of linear memory; its {FILE} allows {limit}",
            hint="Raise limits.memory, or make its data smaller (build.stack and build.heap count too).",
        )
    pool = board.app_pool if board else None
    if board is not None and pool is not None and size + module.memory > pool:
        raise LabError(
            f"{what} has {size} bytes and {module.memory} of memory; all apps of {board.name} share {pool}",
            hint=""
            if module.memory < binary.PAGE
            else "A module that exports __heap_base and __data_end, and "
            "does not ask for its memory's size, takes no more than it uses.",
        )
