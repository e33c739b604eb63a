"""The guests' bindings in AssemblyScript: nothing is allocated, so that they serve every runtime it has."""

from __future__ import annotations

from lab.codegen import abi, wit
from lab.codegen.words import BANNER, camel, joined, line_comment, pascal, preface, snake

_TYPES = {
    **{"bool": "bool", "char": "u32", "f32": "f32", "f64": "f64"},
    **{f"{sign}{bits}": f"{'u' if sign == 'u' else 'i'}{bits}" for sign in "us" for bits in (8, 16, 32, 64)},
}
_RESERVED = frozenset({"delete", "in", "new", "return", "switch", "void", "with"})

_PREAMBLE = """\
// @ts-ignore: decorator
@inline const TEXT_MAX: i32 = 1024;
// @ts-ignore: decorator
@inline const INPUT_MAX: i32 = 256;
// @ts-ignore: decorator
@lazy const TEXT: usize = memory.data(1024);
// @ts-ignore: decorator
@lazy const INPUT: usize = memory.data(256);
// @ts-ignore: decorator
@lazy const RESULT: usize = memory.data(64, 8);

// Where the host may put what a function returns; 0 stands for INPUT, where a command's bytes go.
// @ts-ignore: decorator
@lazy let room: usize = 0;
// @ts-ignore: decorator
@lazy let roomSize: i32 = INPUT_MAX;

export function cabi_realloc(old: usize, oldSize: i32, align: i32, size: i32): usize {
  if (size > roomSize) unreachable();
  return room ? room : INPUT;
}

// Returns the bytes of a text behind `used` others in TEXT.
function putText(text: string, used: i32): i32 {
  const size = <i32>String.UTF8.byteLength(text);
  if (size > TEXT_MAX - used) unreachable();
  String.UTF8.encodeUnsafe(changetype<usize>(text), text.length, TEXT + used);
  return size;
}

function giveRoom(value: Uint8Array): void {
  room = value.dataStart;
  roomSize = value.length;
}

function takeRoom(): void {
  room = 0;
  roomSize = INPUT_MAX;
}

/** Return the reason of a function that returned less than 0. */
export function reason(code: i64): LabError {
  return <LabError>(<i32>(-1 - code));
}

/** Return what `on-command` returns, so that the host takes these bytes. */
export function answer(bytes: Uint8Array): usize {
  store<usize>(RESULT, bytes.dataStart);
  store<i32>(RESULT, bytes.length, 4);
  return RESULT;
}"""


def module(package: wit.Package, world: wit.World) -> str:
    """Return ``lab.ts``."""
    lines = [
        *preface(
            (
                f"What an app may ask of its device: world {world.name} of {package.title}. {BANNER}",
                "The app exports `init(): u32`, `poll(): void` and `onCommand(input: usize, size: usize): "
                "usize` as "
                "it needs; the last is given an address and returns `answer(...)`. An app that is given "
                "bytes, by a "
                "command or by a function here, also says:",
                '    export { cabi_realloc } from "lab/device";',
                "A function that can fail returns less than 0 if it did: `reason` says why. The texts of "
                "one call "
                "are 1024 bytes at most, a command's input is 256.",
            ),
            "//",
        ),
        "",
        *_PREAMBLE.splitlines(),
    ]
    for interface in package.interfaces.values():
        if not interface.functions:
            for definition in interface.types:
                lines += ["", *_definition(definition, "")]
    for interface in world.imports:
        lines += ["", *line_comment(interface.docs, "//")]
        for function in interface.functions:
            lines += [*_declaration(package, interface, function), ""]
        lines.append(f"export namespace {camel(interface.name)} {{")
        for definition in interface.types:
            lines += [*_definition(definition, "  "), ""]
        for function in interface.functions:
            lines += [*_wrapper(interface, function), ""]
        lines[-1] = "}"
    return joined(lines)


def _name(definition: wit.Definition) -> str:
    """Return a type's name; `Error` is AssemblyScript's own."""
    name = pascal(definition.name)
    return f"Lab{name}" if name == "Error" else name


def _type(type_: wit.Type, inside: str) -> str:
    match type_:
        case wit.Primitive("string"):
            return "string"
        case wit.Primitive(name):
            return _TYPES[name]
        case wit.Record() | wit.Enum():
            own = type_.interface in ("types", inside)
            return _name(type_) if own else f"{camel(type_.interface)}.{_name(type_)}"
        case _ if abi.is_bytes(type_):
            return "Uint8Array"
        case _:
            raise wit.WitError(f"the generators do not know {type_} here")


def _definition(definition: wit.Definition, indent: str) -> list[str]:
    lines = line_comment(definition.docs, "//", indent)
    if isinstance(definition, wit.Enum):
        lines.append(f"{indent}export enum {_name(definition)} {{")
        for case in definition.cases:
            lines += [*line_comment(case.docs, "//", f"{indent}  "), f"{indent}  {pascal(case.name)},"]
        return [*lines, f"{indent}}}"]
    lines.append(f"{indent}export class {_name(definition)} {{")
    lines.append(f"{indent}  constructor(")
    for each in definition.fields:
        lines += line_comment(each.docs, "//", f"{indent}    ")
        lines.append(f"{indent}    public {camel(each.name)}: {_type(each.type, definition.interface)} = 0,")
    return [*lines, f"{indent}  ) {{}}", f"{indent}}}"]


def _raw(interface: wit.Interface, function: wit.Function) -> str:
    return f"import_{snake(interface.name, function.name)}"


def _declaration(package: wit.Package, interface: wit.Interface, function: wit.Function) -> list[str]:
    signature = abi.imported(function)
    parameters = ", ".join(f"p{index}: {core}" for index, core in enumerate(signature.parameters))
    result = signature.results[0] if signature.results else "void"
    return [
        f'@external("{interface.full_name}", "{function.name}")',
        f"declare function {_raw(interface, function)}({parameters}): {result};",
    ]


def _wrapper(interface: wit.Interface, function: wit.Function) -> list[str]:
    inside = interface.name
    parameters = [f"{camel(each.name)}: {_type(each.type, inside)}" for each in function.parameters]
    value = _value(function.result)
    if isinstance(value, wit.Record) or (value is not None and abi.is_bytes(value)):
        parameters.append(f"value: {_type(value, inside)}")
    name = camel(function.name)
    name = f"{name}_" if name in _RESERVED else name
    returned = _returned(function.result, inside)
    return [
        *line_comment(function.docs, "//", "  "),
        f"  export function {name}({', '.join(parameters)}): {returned} {{",
        *_body(interface, function),
        "  }",
    ]


def _value(result: wit.Type | None) -> wit.Type | None:
    match result:
        case wit.Option(some):
            return some
        case wit.Result(ok, _):
            return ok
        case wit.Record():
            return result
        case _:
            return None


def _returned(result: wit.Type | None, inside: str) -> str:
    match result:
        case None | wit.Record():
            return "void"
        case wit.Option() | wit.Result():
            # What a value that cannot be negative and an error fit into.
            return "i64" if _value(result) == wit.Primitive("u32") else "i32"
        case _:
            return _type(result, inside)


def _body(interface: wit.Interface, function: wit.Function) -> list[str]:
    lines: list[str] = []
    arguments: list[str] = []
    used = "0"
    for each in function.parameters:
        own = camel(each.name)
        if each.type == wit.Primitive("string"):
            lines.append(f"    const {own}Size = putText({own}, {used});")
            arguments += [f"<i32>(TEXT + {used})", f"{own}Size"]
            used = f"{used} + {own}Size"
        elif abi.is_bytes(each.type):
            arguments += [f"<i32>{own}.dataStart", f"{own}.length"]
        else:
            arguments += [
                f"<{leaf.core}>{'.'.join(camel(step) for step in leaf.path)}"
                for leaf in abi.leaves(each.name, each.type)
            ]
    result = function.result
    raw = _raw(interface, function)
    if not abi.returns_pointer(function):
        call = f"{raw}({', '.join(arguments)})"
        if result is None:
            return [*lines, f"    {call};"]
        return [*lines, f"    return {call}{' != 0' if result == wit.Primitive('bool') else ''};"]
    assert result is not None
    call = f"{raw}({', '.join([*arguments, '<i32>RESULT'])});"
    value = _value(result)
    if value is not None and abi.is_bytes(value):
        lines += ["    giveRoom(value);", f"    {call}", "    takeRoom();"]
    else:
        lines.append(f"    {call}")
    match result:
        case wit.Option():
            lines.append("    if (load<u8>(RESULT) == 0) return -1;")
        case wit.Result(_, error):
            code = f"<i32>load<u8>(RESULT, {abi.payload_offset(result)})" if error else "0"
            lines.append(f"    if (load<u8>(RESULT) != 0) return -1 - {code};")
    offset = abi.payload_offset(result) if isinstance(result, wit.Option | wit.Result) else 0
    lines += _load(value, offset)
    if isinstance(result, wit.Option | wit.Result) and (value is None or isinstance(value, wit.Record)):
        lines.append("    return 0;")
    return lines


def _load(value: wit.Type | None, offset: int) -> list[str]:
    lines = []
    for slot in abi.slots(value, offset) if value is not None else ():
        if abi.is_bytes(slot.type):
            lines.append(f"    return load<i32>(RESULT, {slot.offset + 4});")
            continue
        assert isinstance(slot.type, wit.Primitive)
        own = f"load<{_TYPES[slot.type.name]}>(RESULT, {slot.offset})"
        if not slot.path:
            lines.append(f"    return {own};")
        else:
            lines.append(f"    value.{'.'.join(camel(step) for step in slot.path)} = {own};")
    return lines
