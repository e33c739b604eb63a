"""What a module must be before it goes to a device: only what its runtime has and the contract offers."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from lab.errors import LabError
from lab.modules import check_module
from lab.sdk import binary

if TYPE_CHECKING:
    import wasmtime

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


def check(module: bytes, what: str) -> binary.Module:
    """Judge a core module as a device will, and return what it says of itself.

    :param what: how to name it in the error.
    :raises UsageError: it is not a core module at all.
    :raises LabError: no device would run it; the hint says why.
    """
    check_module(module, what)
    check_features(module, what)
    return binary.read(module)


def check_features(module: bytes, what: str) -> None:
    """Validate a core module by the features a device's runtime has.

    :raises LabError: it is invalid, or uses a feature that devices lack; the hint names place and feature.
    """
    import wasmtime

    try:
        wasmtime.Module.validate(_engine(), module)
    except wasmtime.WasmtimeError as error:
        raise LabError(f"{what} is not a module that devices run", hint=str(error)) from error
