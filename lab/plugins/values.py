"""What passes between Python and a component, with the type of each function read once.

wasmtime-py reads a function's type anew at every call, most of what a poll cost (docs/decisions/
plugin-values.md). Here a type becomes a function that lifts (C to Python) or lowers when a plugin is linked.
The mapping is wasmtime-py's: a record is a `Record`, an enum the name of its case, ``list<u8>`` is bytes, an
option its value or none. A result is what it is of, or an `Err`.

This is the one place that uses wasmtime-py's binding of the C API (``wasmtime/component/val.h``).
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import byref
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from wasmtime import Store, WasmtimeError
from wasmtime import _ffi as ffi
from wasmtime import component as wc
from wasmtime.component import Record

Value = Any
"""A ``wasmtime_component_val_t``."""
Lift = Callable[[Value], Any]
Lower = Callable[[Any, Value], None]


@dataclass(frozen=True, slots=True)
class Err:
    """The error of a result."""

    value: Any


# The member of the union of each type that is a plain number.
_NUMBERS: dict[type[wc.ValType], tuple[str, int]] = {
    type_: (member, getattr(ffi, f"WASMTIME_COMPONENT_{kind}").value)
    for type_, member, kind in (
        (wc.Bool, "boolean", "BOOL"),
        (wc.S8, "s8", "S8"),
        (wc.S16, "s16", "S16"),
        (wc.S32, "s32", "S32"),
        (wc.S64, "s64", "S64"),
        (wc.U8, "u8", "U8"),
        (wc.U16, "u16", "U16"),
        (wc.U32, "u32", "U32"),
        (wc.U64, "u64", "U64"),
        (wc.F32, "f32", "F32"),
        (wc.F64, "f64", "F64"),
    )
}
_STRING, _ENUM, _LIST, _RECORD, _OPTION, _RESULT = (
    getattr(ffi, f"WASMTIME_COMPONENT_{kind}").value
    for kind in ("STRING", "ENUM", "LIST", "RECORD", "OPTION", "RESULT")
)
_VALUE = ctypes.sizeof(ffi.wasmtime_component_val_t)
_OF = ffi.wasmtime_component_val_t.of.offset
_ENTRY = ctypes.sizeof(ffi.wasmtime_component_valrecord_entry)


class Export:
    """An exported function.

    :param function: it, of an instance in `store`.
    """

    def __init__(self, store: Store, function: wc.Func) -> None:
        type_ = function.type(store)
        self._store = store
        self._function = function
        self._parameters = [_lower(each) for _name, each in type_.params]
        self._result = _lift(type_.result)

    def __call__(self, *arguments: Any) -> Any:
        """Call it.

        :raises WasmtimeError: it trapped.
        """
        parameters = (ffi.wasmtime_component_val_t * len(arguments))()
        result = ffi.wasmtime_component_val_t()
        try:
            for lower, argument, value in zip(self._parameters, arguments, parameters, strict=True):
                lower(argument, value)
            error = ffi.wasmtime_component_func_call(
                byref(self._function._func),
                self._store._context(),
                parameters,
                len(arguments),
                byref(result),
                1 if self._result else 0,
            )
            if error:
                raise WasmtimeError._from_ptr(error)
            lifted = self._result(result) if self._result else None
        finally:
            for value in (*parameters, result):  # one that was not set is false, which owns nothing
                ffi.wasmtime_component_val_delete(byref(value))
        self._function.post_return(self._store)
        return lifted


def define(
    instance: wc.LinkerInstance, name: str, type_: wc.FuncType, function: Callable[..., Any]
) -> object:
    """Define a host function; what it returns must live as long as the linker and all that it linked.

    :param function: raises nothing but `WasmtimeError`, which traps.
    """
    lifts = [_lift(each) for _name, each in type_.params]
    lower = _lower(type_.result) if type_.result else None

    def call(_env: Any, _context: Any, _type: Any, arguments: Any, count: int, results: Any, _n: int) -> Any:
        try:
            lifted = []
            for index in range(count):
                value = arguments[index]
                lifted.append(lifts[index](value))  # type: ignore[misc]
                ffi.wasmtime_component_val_delete(byref(value))
                value.kind = 0  # false: it is ours, and gone
            returned = function(*lifted)
            if lower is not None:
                lower(returned, results[0])
        except WasmtimeError as error:
            return ctypes.cast(error._consume(), ctypes.c_void_p).value
        except Exception as error:
            return ctypes.cast(WasmtimeError(f"the host failed: {error!r}")._consume(), ctypes.c_void_p).value
        return 0

    callback = ffi.wasmtime_component_func_callback_t(call)
    encoded = name.encode()
    error = ffi.wasmtime_component_linker_instance_add_func(
        instance.ptr(),
        ctypes.create_string_buffer(encoded),
        len(encoded),
        callback,
        None,
        ctypes.CFUNCTYPE(None, ctypes.c_void_p)(),
    )
    if error:
        raise WasmtimeError._from_ptr(error)
    return callback


# -- lifting: the value stays its owner's


def _lift(type_: wc.ValType | None) -> Lift | None:
    if type_ is None:
        return None
    if number := _NUMBERS.get(type(type_)):
        return attrgetter(f"of.{number[0]}")
    if isinstance(type_, wc.String):
        return lambda value: _text(value.of.string)
    if isinstance(type_, wc.EnumType):
        return lambda value: _text(value.of.enumeration)
    if isinstance(type_, wc.ListType):
        return _lift_bytes if isinstance(type_.element, wc.U8) else _lift_list(_lift(type_.element))
    if isinstance(type_, wc.RecordType):
        return _lift_record([(name, _lift(each)) for name, each in type_.fields])
    if isinstance(type_, wc.OptionType):
        return _lift_option(_lift(type_.payload))
    if isinstance(type_, wc.ResultType):
        return _lift_result(_lift(type_.ok), _lift(type_.err))
    raise TypeError(f"the contract's types do not include {type_}")


def _text(vector: Any) -> str:
    return ctypes.string_at(vector.data, vector.size).decode()


def _lift_bytes(value: Value) -> bytes:
    items = value.of.list
    return ctypes.string_at(items.data, items.size * _VALUE)[_OF::_VALUE]


def _lift_list(element: Any) -> Lift:
    def lift(value: Value) -> Any:
        items = value.of.list
        data = items.data
        return [element(data[index]) for index in range(items.size)]

    return lift


def _lift_record(fields: list[tuple[str, Any]]) -> Lift:
    def lift(value: Value) -> Any:
        data = value.of.record.data
        record = Record()
        made = record.__dict__
        for index, (name, field) in enumerate(fields):
            made[name] = field(data[index].val)
        return record

    return lift


def _lift_option(some: Any) -> Lift:
    def lift(value: Value) -> Any:
        pointer = value.of.option
        return some(pointer.contents) if pointer else None

    return lift


def _lift_result(ok: Lift | None, err: Lift | None) -> Lift:
    def lift(value: Value) -> Any:
        result = value.of.result
        if result.is_ok:
            return ok(result.val.contents) if ok else None
        return Err(err(result.val.contents) if err else None)

    return lift


# -- lowering: what is made is the value's


def _lower(type_: wc.ValType) -> Lower:
    if number := _NUMBERS.get(type(type_)):
        return _lower_number(*number)
    if isinstance(type_, wc.String):
        return _lower_string
    if isinstance(type_, wc.EnumType):
        return _lower_enum
    if isinstance(type_, wc.ListType):
        return _lower_list(_lower(type_.element))
    if isinstance(type_, wc.RecordType):
        return _lower_record([(name, _lower(each)) for name, each in type_.fields])
    if isinstance(type_, wc.OptionType):
        return _lower_option(_lower(type_.payload))
    if isinstance(type_, wc.ResultType):
        return _lower_result(_lower(type_.ok) if type_.ok else None, _lower(type_.err) if type_.err else None)
    raise TypeError(f"the contract's types do not include {type_}")


def _lower_number(member: str, kind: int) -> Lower:
    def lower(given: Any, value: Value) -> None:
        setattr(value.of, member, given)
        value.kind = kind

    return lower


def _lower_string(given: Any, value: Value) -> None:
    value.of.string = ffi.str_to_capi(given)
    value.kind = _STRING


def _lower_enum(given: Any, value: Value) -> None:
    value.of.enumeration = ffi.str_to_capi(given)
    value.kind = _ENUM


def _lower_list(element: Lower) -> Lower:
    def lower(given: Any, value: Value) -> None:
        ffi.wasmtime_component_vallist_new_uninit(byref(value.of.list), len(given))
        data = value.of.list.data
        ctypes.memset(data, 0, len(given) * _VALUE)  # so that it can be deleted when an element is wrong
        value.kind = _LIST
        for index, each in enumerate(given):
            element(each, data[index])

    return lower


def _lower_record(fields: list[tuple[str, Lower]]) -> Lower:
    def lower(given: Any, value: Value) -> None:
        ffi.wasmtime_component_valrecord_new_uninit(byref(value.of.record), len(fields))
        data = value.of.record.data
        ctypes.memset(data, 0, len(fields) * _ENTRY)
        value.kind = _RECORD
        for index, (name, field) in enumerate(fields):
            entry = data[index]
            entry.name = ffi.str_to_capi(name)
            field(getattr(given, name), entry.val)

    return lower


def _lower_option(some: Lower) -> Lower:
    def lower(given: Any, value: Value) -> None:
        value.of.option = None if given is None else _boxed(some, given)
        value.kind = _OPTION

    return lower


def _lower_result(ok: Lower | None, err: Lower | None) -> Lower:
    def lower(given: Any, value: Value) -> None:
        failed = isinstance(given, Err)
        content, payload = (err, given.value) if failed else (ok, given)
        if content is None and payload is not None:
            raise TypeError(f"there is no place for {payload!r} in this result")
        value.of.result.val = _boxed(content, payload) if content else None
        value.of.result.is_ok = not failed
        value.kind = _RESULT

    return lower


def _boxed(lower: Lower, given: Any) -> Any:
    content = ffi.wasmtime_component_val_t()
    lower(given, content)
    return ffi.wasmtime_component_val_new(byref(content))
