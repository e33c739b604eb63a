"""The canonical ABI: how WIT types become core WebAssembly values and bytes in memory.

Its text is ``design/mvp/CanonicalABI.md`` of the component model's repository: sections "Alignment", "Element
size" and "Flattening".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lab.codegen import wit

MAX_FLAT_PARAMETERS = 16
MAX_FLAT_RESULTS = 1

_FLAT = {
    **dict.fromkeys(("bool", "u8", "u16", "u32", "s8", "s16", "s32", "char"), "i32"),
    **dict.fromkeys(("u64", "s64"), "i64"),
    "f32": "f32",
    "f64": "f64",
}
_SIZE = {
    **dict.fromkeys(("bool", "u8", "s8"), 1),
    **dict.fromkeys(("u16", "s16"), 2),
    **dict.fromkeys(("u32", "s32", "f32", "char"), 4),
    **dict.fromkeys(("u64", "s64", "f64"), 8),
}
_POINTER = 4


@dataclass(frozen=True, slots=True)
class Signature:
    """A core function type, in the names of WebAssembly's text format."""

    parameters: tuple[str, ...]
    results: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Leaf:
    """One core value that a parameter becomes.

    :param path: the names that lead to it; a pointer's ends with ``""``, a length's with ``size``.
    :param core: its core type.
    :param type: the WIT type it comes from.
    """

    path: tuple[str, ...]
    core: str
    type: wit.Type


@dataclass(frozen=True, slots=True)
class Slot:
    """One value at a place in memory.

    :param path: the names of the fields that lead to it.
    :param offset: bytes from the start.
    :param type: a primitive, an enumeration, a string or a list.
    """

    path: tuple[str, ...]
    offset: int
    type: wit.Type


def is_bytes(type_: wit.Type) -> bool:
    """Return whether it is pointer and length: a string or a ``list<u8>``."""
    return type_ == wit.Primitive("string") or type_ == wit.List(wit.Primitive("u8"))


def leaves(name: str, type_: wit.Type) -> Iterator[Leaf]:
    """Return the core values that a parameter becomes.

    :raises WitError: the generators do not know how to pass such a type.
    """
    if is_bytes(type_):
        yield Leaf((name, ""), "i32", type_)
        yield Leaf((name, "size"), "i32", type_)
    elif isinstance(type_, wit.Record):
        for field in type_.fields:
            for leaf in leaves(field.name, field.type):
                yield Leaf((name, *leaf.path), leaf.core, leaf.type)
    elif isinstance(type_, wit.Enum):
        yield Leaf((name,), "i32", type_)
    elif isinstance(type_, wit.Primitive):
        yield Leaf((name,), _FLAT[type_.name], type_)
    else:
        raise wit.WitError(f"the generators do not know how to pass {name}: {type_}")


def flat_count(type_: wit.Type | None) -> int:
    """Return how many core values a type becomes."""
    match type_:
        case None:
            return 0
        case wit.Option(some):
            return 1 + flat_count(some)
        case wit.Result(ok, error):
            return 1 + max(flat_count(ok), flat_count(error))
        case _:
            return sum(1 for _ in leaves("", type_))


def imported(function: wit.Function) -> Signature:
    """Return the core type of a function that a guest imports."""
    parameters = _parameters(function)
    if flat_count(function.result) > MAX_FLAT_RESULTS:
        return Signature((*parameters, "i32"), ())
    return Signature(parameters, _results(function))


def exported(function: wit.Function) -> Signature:
    """Return the core type of a function that a guest exports."""
    if flat_count(function.result) > MAX_FLAT_RESULTS:
        return Signature(_parameters(function), ("i32",))
    return Signature(_parameters(function), _results(function))


def returns_pointer(function: wit.Function) -> bool:
    """Return whether the result is passed in memory."""
    return flat_count(function.result) > MAX_FLAT_RESULTS


def _parameters(function: wit.Function) -> tuple[str, ...]:
    found = tuple(leaf.core for each in function.parameters for leaf in leaves(each.name, each.type))
    if len(found) > MAX_FLAT_PARAMETERS:
        raise wit.WitError(f"{function.name} has more than {MAX_FLAT_PARAMETERS} flat parameters")
    return found


def _results(function: wit.Function) -> tuple[str, ...]:
    return tuple(leaf.core for leaf in leaves("", function.result)) if function.result else ()


def alignment(type_: wit.Type | None) -> int:
    """Return the alignment of a value in memory, in bytes."""
    match type_:
        case None:
            return 1
        case wit.Primitive(name):
            return _POINTER if name == "string" else _SIZE[name]
        case wit.List():
            return _POINTER
        case wit.Record():
            return max(alignment(field.type) for field in type_.fields)
        case wit.Enum():
            return _discriminant(type_)
        case wit.Option(some):
            return alignment(some)
        case wit.Result(ok, error):
            return max(alignment(ok), alignment(error))


def size(type_: wit.Type | None) -> int:
    """Return the size of a value in memory, in bytes."""
    match type_:
        case None:
            return 0
        case wit.Primitive(name):
            return 2 * _POINTER if name == "string" else _SIZE[name]
        case wit.List():
            return 2 * _POINTER
        case wit.Record():
            end = 0
            for field in type_.fields:
                end = _align(end, alignment(field.type)) + size(field.type)
            return _align(end, alignment(type_))
        case wit.Enum():
            return _discriminant(type_)
        case wit.Option(some):
            return _align(payload_offset(type_) + size(some), alignment(type_))
        case wit.Result(ok, error):
            return _align(payload_offset(type_) + max(size(ok), size(error)), alignment(type_))


def payload_offset(type_: wit.Option | wit.Result) -> int:
    """Return where what an option or a result carries begins; its discriminant is the byte at 0."""
    return _align(1, alignment(type_))


def slots(type_: wit.Type, offset: int = 0, path: tuple[str, ...] = ()) -> Iterator[Slot]:
    """Return where the parts of a value in memory are; options and results have no place inside others."""
    if isinstance(type_, wit.Record):
        for field in type_.fields:
            offset = _align(offset, alignment(field.type))
            yield from slots(field.type, offset, (*path, field.name))
            offset += size(field.type)
    elif isinstance(type_, wit.Option | wit.Result):
        raise wit.WitError(f"the generators do not know {type_} inside another type")
    else:
        yield Slot(path, offset, type_)


def _discriminant(type_: wit.Enum) -> int:
    cases = len(type_.cases)
    return 1 if cases <= 0x100 else 2 if cases <= 0x10000 else 4


def _align(offset: int, to: int) -> int:
    return (offset + to - 1) // to * to


def functions(world: wit.World) -> Iterable[tuple[wit.Interface, wit.Function]]:
    """Return every function that a guest of `world` may import, with its interface."""
    return ((interface, function) for interface in world.imports for function in interface.functions)
