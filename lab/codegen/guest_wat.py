"""The imports and exports of an app in WebAssembly's text format, to copy from."""

from __future__ import annotations

import textwrap

from lab.codegen import abi, wit
from lab.codegen.words import BANNER, WIDTH, line_comment, preface


def snippet(package: wit.Package, world: wit.World) -> str:
    """Return ``lab.wat``."""
    lines = [
        *preface(
            (
                f"What an app may ask of its device, and must give it: world {world.name} of "
                f"{package.title}. " + BANNER,
                "Copy what you need. Texts (UTF-8) and bytes are address and size in the exported memory. "
                "$result "
                "is the address of a place for the result; its layout is noted, as offset:type. Before it "
                "gives "
                "the app bytes, the host asks for memory by cabi_realloc.",
            ),
            ";;",
        ),
        "",
        "(module",
    ]
    for interface in world.imports:
        lines += [*line_comment(interface.docs, ";;", "  ")]
        for function in interface.functions:
            lines += [*line_comment(function.docs, ";;", "  ")]
            for each in function.parameters:
                if isinstance(each.type, wit.Enum):
                    lines += line_comment(f"{each.name}: {_cases(each.type)}", ";;", "  ")
            if abi.returns_pointer(function) and function.result is not None:
                lines += line_comment(f"$result: {_layout(function.result)}", ";;", "  ")
            lines.append(f'  (import "{interface.full_name}" "{function.name}"')
            lines += _wrapped(f"(func ${interface.name}.{function.name}{_signature(function)}))")
        lines.append("")
    lines += [
        '  (memory (export "memory") 1)',
        '  (func (export "cabi_realloc") (param $old i32) (param $old-size i32) (param $align i32) (param '
        "$size i32)",
        "    (result i32) (unreachable))",
    ]
    for function in world.functions:
        exported = abi.exported(function)
        parameters = "".join(f" (param ${_path(leaf)} {leaf.core})" for leaf in _leaves(function))
        results = "".join(f" (result {core})" for core in exported.results)
        lines += line_comment(function.docs, ";;", "  ")
        if abi.returns_pointer(function) and function.result is not None:
            lines += line_comment(f"returns the address of {_layout(function.result)}", ";;", "  ")
        body = " (unreachable)" if exported.results else ""
        lines.append(f'  (func (export "{function.name}"){parameters}{results}{body})')
    lines.append(")")
    return "".join(f"{line}\n" for line in lines)


def _wrapped(text: str) -> list[str]:
    """Break a line between its brackets."""
    pieces = text.replace(" (", "\0(").replace(" ", "\1").replace("\0", " ")
    lines = textwrap.wrap(
        pieces, WIDTH - 4, subsequent_indent="  ", break_on_hyphens=False, break_long_words=False
    )
    return [f"    {line}".replace("\1", " ") for line in lines]


def _leaves(function: wit.Function) -> list[abi.Leaf]:
    return [leaf for each in function.parameters for leaf in abi.leaves(each.name, each.type)]


def _path(leaf: abi.Leaf) -> str:
    return "-".join(step for step in leaf.path if step)


def _signature(function: wit.Function) -> str:
    signature = abi.imported(function)
    parameters = [f" (param ${_path(leaf)} {leaf.core})" for leaf in _leaves(function)]
    if abi.returns_pointer(function):
        parameters.append(" (param $result i32)")
    return "".join(parameters) + "".join(f" (result {core})" for core in signature.results)


def _cases(type_: wit.Enum) -> str:
    return ", ".join(f"{index} {case.name}" for index, case in enumerate(type_.cases))


def _layout(type_: wit.Type) -> str:
    match type_:
        case wit.Option(some):
            return f"0:u8 1 if there is one; then {_slots(some, abi.payload_offset(type_))}"
        case wit.Result(ok, error):
            offset = abi.payload_offset(type_)
            good = _slots(ok, offset) if ok is not None else "nothing"
            bad = _slots(error, offset) if error is not None else "nothing"
            return f"0:u8 0 if done, then {good}; 1 if failed, then {bad}"
        case _:
            return _slots(type_, 0)


def _slots(type_: wit.Type, offset: int) -> str:
    found = []
    for slot in abi.slots(type_, offset):
        name = f" {'.'.join(slot.path)}" if slot.path else ""
        if abi.is_bytes(slot.type):
            found.append(f"{slot.offset}:i32{name} address, {slot.offset + 4}:i32{name} size")
        elif isinstance(slot.type, wit.Enum):
            found.append(f"{slot.offset}:u8{name} {slot.type.name} ({_cases(slot.type)})")
        elif isinstance(slot.type, wit.Primitive):
            found.append(f"{slot.offset}:{'u8' if slot.type.name == 'bool' else slot.type.name}{name}")
    return ", ".join(found)
