"""Wraps a device's app, a core module, as a component: the same bytes run on the device and under wasmtime.

The wrapper is the component model's own text format around the module: its imports, lowered by the canonical
ABI, and its exports, lifted. A lowered function needs the module's memory and the module needs its lowered
functions, so that a table of trampolines goes in between and is filled in afterwards, as in wasm-tools.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import wasmtime

from lab.codegen import abi, wit
from lab.errors import LabError

Used = Sequence[tuple[wit.Interface, wit.Function]]
"""What a module imports of the contract."""

_MODULE_SECTION = 1
_PREAMBLE = 8


def wrap(core: bytes, package: wit.Package, world: wit.World) -> bytes:
    """Return a component around `core`: it imports what `core` does, and exports what of `world` it has.

    :raises LabError: it imports something that `world` does not have, or not as `world` has it.
    """
    module = wasmtime.Module(wasmtime.Engine(), core)
    wanted = {(each.module, each.name or "") for each in module.imports}
    offered = {
        (interface.full_name, function.name): (interface, function)
        for interface, function in abi.functions(world)
    }
    if unknown := wanted - offered.keys():
        names = ", ".join("#".join(each) for each in sorted(unknown))
        raise LabError(
            f"the app imports what its world does not have: {names}",
            hint="wit/device.wit says what there is.",
        )
    used = [offered[key] for key in offered if key in wanted]
    exports = {each.name for each in module.exports}
    text = _component(package, world, used, exports)
    return _with_module(bytes(wasmtime.wat2wasm(text)), core)


def _with_module(component: bytes, core: bytes) -> bytes:
    """Put `core` in the place of the component's first core module."""
    at = _PREAMBLE
    while at < len(component):
        kind = component[at]
        size, start = _leb128(component, at + 1)
        if kind == _MODULE_SECTION:
            return component[:at] + bytes([kind]) + _to_leb128(len(core)) + core + component[start + size :]
        at = start + size
    raise AssertionError("the wrapper has a core module")


def _leb128(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return value, at


def _to_leb128(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def _component(package: wit.Package, world: wit.World, used: Used, exports: set[str]) -> str:
    interfaces = list(dict.fromkeys(interface.name for interface, _ in used))
    options = " (memory $memory) string-encoding=utf8" if "memory" in exports else ""
    options += " (realloc $realloc)" if "cabi_realloc" in exports else ""
    lines = ["(component", *_imports(package, used)]
    lines += ["(core module $app)", *_shim(used), "(core instance $shim (instantiate $shim))"]
    for name in interfaces:
        functions = " ".join(
            f'(export "{function.name}" (func $shim "{index}"))'
            for index, (interface, function) in enumerate(used)
            if interface.name == name
        )
        lines.append(f"(core instance ${name} {functions})")
    arguments = " ".join(
        f'(with "{package.interfaces[name].full_name}" (instance ${name}))' for name in interfaces
    )
    lines.append(f"(core instance $app (instantiate $app {arguments}))")
    if "memory" in exports:
        lines.append('(alias core export $app "memory" (core memory $memory))')
    if "cabi_realloc" in exports:
        lines.append('(alias core export $app "cabi_realloc" (core func $realloc))')
    for index, (interface, function) in enumerate(used):
        own = options if _needs_memory(function) else ""
        lines.append(
            f'(core func $lowered{index} (canon lower (func ${interface.name} "{function.name}"){own}))'
        )
    lines += _fixup(used)
    for function in world.functions:
        if function.name in exports:
            own = options if _needs_memory(function) else ""
            post = f"cabi_post_{function.name}"
            own += f' (post-return (func $app "{post}"))' if post in exports else ""
            kind = _function_type(function, {})
            lines.append(
                f'(func ${function.name} {kind} (canon lift (core func $app "{function.name}"){own}))'
            )
            lines.append(f'(export "{function.name}" (func ${function.name}))')
    return "\n".join([*lines, ")"])


def _imports(package: wit.Package, used: Used) -> Iterator[str]:
    """Return the component's imports; shared types come from the instance that defines them."""
    outer: dict[tuple[str, str], str] = {}
    shared = [
        type_
        for _, function in used
        for type_ in _named(function)
        if not package.interfaces[type_.interface].functions
    ]
    for name in dict.fromkeys(type_.interface for type_ in shared):
        own = [type_ for type_ in dict.fromkeys(shared) if type_.interface == name]
        yield f'(import "{package.interfaces[name].full_name}" (instance ${name}'
        for type_ in own:
            yield f"(type $own-{type_.name} {_definition(type_)})"
            yield f'(export "{type_.name}" (type (eq $own-{type_.name})))'
        yield "))"
        for type_ in own:
            outer[type_.interface, type_.name] = f"${name}-{type_.name}"
            yield f'(alias export ${name} "{type_.name}" (type ${name}-{type_.name}))'
    for name in dict.fromkeys(interface.name for interface, _ in used):
        functions = [function for interface, function in used if interface.name == name]
        yield f'(import "{package.interfaces[name].full_name}" (instance ${name}'
        names: dict[tuple[str, str], str] = {}
        for type_ in dict.fromkeys(type_ for function in functions for type_ in _named(function)):
            key = (type_.interface, type_.name)
            names[key] = f"$the-{type_.name}"
            if key in outer:
                yield f"(alias outer 1 {outer[key]} (type $own-{type_.name}))"
            else:
                yield f"(type $own-{type_.name} {_definition(type_)})"
            yield f'(export "{type_.name}" (type $the-{type_.name} (eq $own-{type_.name})))'
        for function in functions:
            yield f'(export "{function.name}" (func {_function_type(function, names)}))'
        yield "))"


def _named(function: wit.Function) -> Iterator[wit.Definition]:
    for type_ in (*(each.type for each in function.parameters), function.result):
        match type_:
            case wit.Record() | wit.Enum():
                yield type_
            case wit.Option(some):
                yield from (each for each in (some,) if isinstance(each, wit.Definition))
            case wit.Result(ok, error):
                yield from (each for each in (ok, error) if isinstance(each, wit.Definition))


def _definition(type_: wit.Definition) -> str:
    if isinstance(type_, wit.Enum):
        return f"(enum {' '.join(f'{chr(34)}{case.name}{chr(34)}' for case in type_.cases)})"
    fields = " ".join(f'(field "{each.name}" {_type(each.type, {})})' for each in type_.fields)
    return f"(record {fields})"


def _type(type_: wit.Type, names: dict[tuple[str, str], str]) -> str:
    match type_:
        case wit.Primitive(name):
            return name
        case wit.List(element):
            return f"(list {_type(element, names)})"
        case wit.Option(some):
            return f"(option {_type(some, names)})"
        case wit.Result(ok, error):
            good = f" {_type(ok, names)}" if ok is not None else ""
            bad = f" (error {_type(error, names)})" if error is not None else ""
            return f"(result{good}{bad})"
        case _:
            return names[type_.interface, type_.name]


def _function_type(function: wit.Function, names: dict[tuple[str, str], str]) -> str:
    parameters = "".join(f' (param "{each.name}" {_type(each.type, names)})' for each in function.parameters)
    result = f" (result {_type(function.result, names)})" if function.result is not None else ""
    return (parameters + result).strip()


def _needs_memory(function: wit.Function) -> bool:
    return abi.returns_pointer(function) or any(abi.is_bytes(each.type) for each in function.parameters)


def _core_type(function: wit.Function) -> str:
    signature = abi.imported(function)
    parameters = f"(param {' '.join(signature.parameters)})" if signature.parameters else ""
    return f"{parameters} {' '.join(f'(result {core})' for core in signature.results)}"


def _shim(used: Used) -> Iterator[str]:
    yield "(core module $shim"
    yield f'(table $table (export "table") {len(used)} {len(used)} funcref)'
    for index, (_, function) in enumerate(used):
        arguments = " ".join(f"(local.get {each})" for each in range(len(abi.imported(function).parameters)))
        kind = _core_type(function)
        yield f'(func (export "{index}") {kind}'
        yield f"(call_indirect $table {kind} {arguments} (i32.const {index})))"
    yield ")"


def _fixup(used: Used) -> Iterator[str]:
    count = len(used)
    yield "(core module $fixup"
    yield from (
        f'(import "" "{index}" (func $f{index} {_core_type(function)}))'
        for index, (_, function) in enumerate(used)
    )
    yield f'(import "" "table" (table $table {count} {count} funcref))'
    yield f"(elem (table $table) (i32.const 0) func {' '.join(f'$f{index}' for index in range(count))}))"
    functions = " ".join(f'(export "{index}" (func $lowered{index}))' for index in range(count))
    yield f'(core instance $filled {functions} (export "table" (table $shim "table")))'
    yield '(core instance (instantiate $fixup (with "" (instance $filled))))'
