"""The guests' header in C and C++: one file, no library, nothing in the module but what is used."""

from __future__ import annotations

from lab.codegen import abi, wit
from lab.codegen.words import BANNER, block_comment, joined, preface, prefix, snake

_C = {
    **{"bool": "bool", "char": "uint32_t", "f32": "float", "f64": "double"},
    **{
        f"{sign}{bits}": f"{'u' if sign == 'u' else ''}int{bits}_t"
        for sign in "us"
        for bits in (8, 16, 32, 64)
    },
}
_CORE = {"i32": "int32_t", "i64": "int64_t", "f32": "float", "f64": "double"}


def header(package: wit.Package, world: wit.World) -> str:
    """Return ``lab.h``."""
    lines = [
        "/*",
        *preface(
            (
                f"What an app may ask of its device, and must give it: world {world.name} of "
                f"{package.title}. " + BANNER,
                "Include it in one source file. The app defines what it wants of these, and no more:",
                *(f"    {_declaration(function)}" for function in world.functions),
                "on_command needs, before this is included, #define LAB_ON_COMMAND with the most bytes of "
                "its input "
                "and of its output; it returns how many it has put into `output`.",
                "A function that can fail returns whether it did not; `error` may be NULL. Texts end with "
                "a zero "
                "byte. Bytes that a function returns are written to `value`, which has `room` for them; "
                "more than "
                "that ends the app.",
            ),
            " *",
        ),
        " */",
        "/* clang-format off */",
        "#ifndef LAB_H",
        "#define LAB_H",
        "",
        "#include <stdbool.h>",
        "#include <stddef.h>",
        "#include <stdint.h>",
        "",
        "#ifdef __cplusplus",
        'extern "C" {',
        "#endif",
        "",
        *_PREAMBLE.splitlines(),
        "",
        "/* ---- types */",
    ]
    for interface in _interfaces(package, world):
        for definition in interface.types:
            lines += ["", *_definition(definition)]
    for interface in world.imports:
        lines += ["", f"/* ---- {interface.name}{': ' + interface.docs if interface.docs else ''} */"]
        for function in interface.functions:
            lines += ["", *_import(package, interface, function)]
    lines += ["", "/* ---- what the app gives */"]
    for function in world.functions:
        lines += ["", *block_comment(function.docs), *_export(function)]
    lines += ["", "#ifdef __cplusplus", "}", "#endif", "", "#endif"]
    return joined(lines)


_PREAMBLE = """\
#define LAB_IMPORT(module, name) __attribute__((import_module(module), import_name(name)))
#define LAB_EXPORT(name) __attribute__((export_name(name), visibility("default")))

#ifdef LAB_ON_COMMAND
static uint8_t lab_input[LAB_ON_COMMAND], lab_output[LAB_ON_COMMAND];
#define LAB_INPUT lab_input
#define LAB_INPUT_SIZE sizeof lab_input
#else
#define LAB_INPUT 0
#define LAB_INPUT_SIZE 0
#endif

/* Where the host may put bytes: a command's input; a function that returns bytes points this at its caller's
 * buffer meanwhile. */
static uint8_t *lab_room = LAB_INPUT;
static size_t lab_room_size = LAB_INPUT_SIZE;

LAB_EXPORT("cabi_realloc") void *lab_cabi_realloc(void *old, size_t old_size, size_t align, size_t size);
void *lab_cabi_realloc(void *old, size_t old_size, size_t align, size_t size) {
    (void)old;
    (void)old_size;
    (void)align;
    if (size > lab_room_size) {
        __builtin_trap();
    }
    return lab_room;
}

static inline size_t lab_text_size(const char *text) {
    size_t size = 0;
    while (text[size] != 0) {
        size++;
    }
    return size;
}"""


def _interfaces(package: wit.Package, world: wit.World) -> list[wit.Interface]:
    """Return the interfaces whose types the world needs, in the order of the file."""
    shared = [each for each in package.interfaces.values() if not each.functions]
    return [*shared, *world.imports]


def _definition(definition: wit.Definition) -> list[str]:
    name = snake("lab", *prefix(definition), definition.name)
    lines = block_comment(definition.docs)
    if isinstance(definition, wit.Record):
        lines.append(f"struct {name} {{")
        for each in definition.fields:
            lines += [*block_comment(each.docs, "    "), f"    {_type(each.type)} {snake(each.name)};"]
    else:
        lines.append(f"enum {name} {{")
        for case in definition.cases:
            lines += [*block_comment(case.docs, "    "), f"    {name.upper()}_{snake(case.name).upper()},"]
    return [*lines, "};"]


def _type(type_: wit.Type) -> str:
    match type_:
        case wit.Primitive(name) if name != "string":
            return _C[name]
        case wit.Record():
            return f"struct {snake('lab', *prefix(type_), type_.name)}"
        case wit.Enum():
            return f"enum {snake('lab', *prefix(type_), type_.name)}"
        case _:
            raise wit.WitError(f"the generators do not know {type_} here")


def _import(package: wit.Package, interface: wit.Interface, function: wit.Function) -> list[str]:
    name = snake("lab", interface.name, function.name)
    signature = abi.imported(function)
    result = _CORE[signature.results[0]] if signature.results else "void"
    raw_parameters = ", ".join(_CORE[core] for core in signature.parameters) or "void"
    lines = [
        f'LAB_IMPORT("{interface.full_name}", "{function.name}")',
        f"{result} {name}_import({raw_parameters});",
        *block_comment(function.docs),
    ]
    return [
        *lines,
        f"static inline {_returned(function.result)} {name}({', '.join(_parameters(function)) or 'void'}) {{",
        *_body(function, f"{name}_import"),
        "}",
    ]


def _parameters(function: wit.Function) -> list[str]:
    found = []
    for each in function.parameters:
        own = snake(each.name)
        if each.type == wit.Primitive("string"):
            found.append(f"const char *{own}")
        elif abi.is_bytes(each.type):
            found += [f"const void *{own}", f"size_t {own}_size"]
        else:
            found.append(f"{_type(each.type)} {own}")
    for name, type_ in _outputs(function.result):
        found += (
            [f"uint8_t *{name}", "size_t room", "size_t *size"]
            if abi.is_bytes(type_)
            else [f"{_type(type_)} *{name}"]
        )
    return found


def _outputs(result: wit.Type | None) -> list[tuple[str, wit.Type]]:
    match result:
        case wit.Option(some):
            return [("value", some)]
        case wit.Result(ok, error):
            return [(name, type_) for name, type_ in (("value", ok), ("error", error)) if type_ is not None]
        case wit.Record():
            return [("value", result)]
        case _:
            return []


def _returned(result: wit.Type | None) -> str:
    if isinstance(result, wit.Option | wit.Result):
        return "bool"
    return "void" if result is None or _outputs(result) else _type(result)


def _body(function: wit.Function, raw: str) -> list[str]:
    arguments = []
    for each in function.parameters:
        own = snake(each.name)
        if each.type == wit.Primitive("string"):
            arguments += [f"(int32_t)(uintptr_t){own}", f"(int32_t)lab_text_size({own})"]
        elif abi.is_bytes(each.type):
            arguments += [f"(int32_t)(uintptr_t){own}", f"(int32_t){own}_size"]
        else:
            arguments += [
                f"({_CORE[leaf.core]}){'.'.join(snake(step) for step in leaf.path)}"
                for leaf in abi.leaves(each.name, each.type)
            ]
    result = function.result
    if not abi.returns_pointer(function):
        call = f"{raw}({', '.join(arguments)})"
        if result is None:
            return [f"    {call};"]
        return [f"    return {call}{' != 0' if result == wit.Primitive('bool') else ''};"]
    assert result is not None
    call = f"{raw}({', '.join([*arguments, '(int32_t)(uintptr_t)result'])});"
    lines = [f"    uint8_t result[{abi.size(result)}] __attribute__((aligned({abi.alignment(result)})));"]
    if any(abi.is_bytes(type_) for _, type_ in _outputs(result)):
        lines += [
            "    uint8_t *outer = lab_room;",
            "    size_t outer_size = lab_room_size;",
            "    lab_room = value;",
            "    lab_room_size = room;",
            f"    {call}",
            "    lab_room = outer;",
            "    lab_room_size = outer_size;",
        ]
    else:
        lines.append(f"    {call}")
    match result:
        case wit.Option(some):
            lines += ["    if (!result[0]) {", "        return false;", "    }"]
            return [*lines, *_load("value", some, abi.payload_offset(result)), "    return true;"]
        case wit.Result(ok, error):
            offset = abi.payload_offset(result)
            lines.append("    if (result[0]) {")
            if error is not None:
                load = [f"    {line}" for line in _load("error", error, offset)]
                lines += ["        if (error) {", *(f"    {line}" for line in load), "        }"]
            lines += ["        return false;", "    }"]
            return [*lines, *(_load("value", ok, offset) if ok is not None else []), "    return true;"]
        case _:
            return [*lines, *_load("value", result, 0)]


def _load(name: str, type_: wit.Type, offset: int) -> list[str]:
    lines = []
    for slot in abi.slots(type_, offset):
        own = f"{name}->{'.'.join(snake(step) for step in slot.path)}" if slot.path else f"*{name}"
        if abi.is_bytes(slot.type):
            lines.append(f"    __builtin_memcpy(size, result + {slot.offset + 4}, sizeof *size);")
        elif slot.type == wit.Primitive("bool"):
            lines.append(f"    {own} = result[{slot.offset}] != 0;")
        elif isinstance(slot.type, wit.Enum):
            lines.append(f"    {own} = ({_type(slot.type)})result[{slot.offset}];")
        else:
            at = f"result + {slot.offset}" if slot.offset else "result"
            lines.append(
                f"    __builtin_memcpy({f'&{own}' if slot.path else name}, {at}, {abi.size(slot.type)});"
            )
    return lines


def _takes_bytes(function: wit.Function) -> bool:
    bytes_ = wit.List(wit.Primitive("u8"))
    return [each.type for each in function.parameters] == [bytes_] and function.result == bytes_


def _declaration(function: wit.Function) -> str:
    if _takes_bytes(function):
        parameters = "const uint8_t *input, size_t input_size, uint8_t *output, size_t room"
        return f"size_t {snake(function.name)}({parameters});"
    result = _type(function.result) if function.result else "void"
    parameters = ", ".join(f"{_type(each.type)} {snake(each.name)}" for each in function.parameters) or "void"
    return f"{result} {snake(function.name)}({parameters});"


def _export(function: wit.Function) -> list[str]:
    if not _takes_bytes(function):
        return [f'LAB_EXPORT("{function.name}") {_declaration(function)}']
    own = snake(function.name)
    upper = f"LAB_{own.upper()}"
    return f"""\
#ifdef {upper}
{_declaration(function)}
static uint32_t lab_{own}_result[2];
LAB_EXPORT("{function.name}") uint32_t *lab_{own}_export(const uint8_t *input, size_t input_size);
uint32_t *lab_{own}_export(const uint8_t *input, size_t input_size) {{
    lab_{own}_result[0] = (uint32_t)(uintptr_t)lab_output;
    lab_{own}_result[1] = (uint32_t){own}(input, input_size, lab_output, sizeof lab_output);
    return lab_{own}_result;
}}
#endif""".splitlines()
