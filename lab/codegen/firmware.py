"""The firmware's side in C: what it has to provide, and the natives that WAMR calls.

A native takes core values, checks each pointer, enumeration and text, and calls a function of the firmware
with C types. An argument that the contract does not allow ends the app with a trap.
"""

from __future__ import annotations

from collections.abc import Iterable

from lab.codegen import abi, wit
from lab.codegen.words import BANNER, block_comment, joined, preface, prefix, snake

LIST_MAX = 256
"""Bytes of the longest list that a function of the contract may return."""

_C = {
    **{"bool": "bool", "char": "uint32_t", "f32": "float", "f64": "double"},
    **{
        f"{sign}{bits}": f"{'u' if sign == 'u' else ''}int{bits}_t"
        for sign in "us"
        for bits in (8, 16, 32, 64)
    },
}
_CORE = {"i32": ("uint32_t", "i"), "i64": ("uint64_t", "I"), "f32": ("float", "f"), "f64": ("double", "F")}


def header(package: wit.Package, world: wit.World) -> str:
    """Return ``contract.h``."""
    count = sum(1 for _ in abi.functions(world))
    lines = [
        "/*",
        *preface(
            (
                f"What apps may ask of the firmware: world {world.name} of {package.title}. {BANNER}",
                "The firmware defines the functions lab_api_*; contract.c has the natives that call them, "
                "for WAMR. "
                "Texts are valid UTF-8, not terminated. A function that can fail returns whether it did "
                "not, and "
                "fills in the value or the error.",
            ),
            " *",
        ),
        " */",
        "/* clang-format off */",
        "#ifndef LAB_APPS_CONTRACT_H",
        "#define LAB_APPS_CONTRACT_H",
        "",
        "#include <stdbool.h>",
        "#include <stddef.h>",
        "#include <stdint.h>",
        "",
        "#include <wasm_export.h>",
        "",
        "struct lab_apps;",
        "",
        "/* Room for bytes that go back to the app. */",
        f"#define LAB_API_LIST_MAX {LIST_MAX}u",
        "",
        "struct lab_api_list {",
        "    uint8_t bytes[LAB_API_LIST_MAX];",
        "    uint32_t size;",
        "};",
    ]
    for definition in _definitions(world):
        lines += ["", *_definition(definition)]
    for interface in world.imports:
        lines += [
            "",
            *block_comment(f"{interface.name}: {interface.docs}" if interface.docs else interface.name),
        ]
        for function in interface.functions:
            lines += [*block_comment(function.docs), f"{_prototype(interface, function)};"]
    lines += [
        "",
        *block_comment(
            "Ask the app for `size` bytes of its memory (its export cabi_realloc); returns their address, "
            "or 0 after "
            "setting an exception."
        ),
        "uint32_t lab_api_allocate(struct lab_apps *apps, wasm_exec_env_t env, uint32_t size);",
        "",
        "struct lab_api_native {",
        '    const char *module; /* as in a core module\'s import, e.g. "lab:device/log@0.1.0" */',
        '    const char *name;   /* e.g. "write" */',
        "    void *function;     /* its attachment is the struct lab_apps */",
        "    const char *signature;",
        "};",
        "",
        f"#define LAB_API_NATIVE_COUNT {count}u",
        "",
        "/* Natives of one module follow each other. */",
        "extern const struct lab_api_native lab_api_natives[LAB_API_NATIVE_COUNT];",
        "",
        "#endif",
    ]
    return joined(lines)


def source(package: wit.Package, world: wit.World) -> str:
    """Return ``contract.c``."""
    lines = [
        f"/* {BANNER} */",
        "/* clang-format off */",
        '#include "apps/contract.h"',
        "",
        "#include <string.h>",
        *_HELPERS.splitlines(),
    ]
    for interface, function in abi.functions(world):
        lines += ["", *_native(interface, function)]
    lines += ["", "const struct lab_api_native lab_api_natives[LAB_API_NATIVE_COUNT] = {"]
    for interface, function in abi.functions(world):
        signature = abi.imported(function)
        letters = "".join(_CORE[core][1] for core in signature.parameters)
        result = "".join(_CORE[core][1] for core in signature.results)
        name = f"native_{snake(interface.name, function.name)}"
        module = interface.full_name
        lines.append(f'    {{"{module}", "{function.name}", (void *){name}, "({letters}){result}"}},')
    lines += ["};"]
    return joined(lines)


_HELPERS = """
static struct lab_apps *apps_of(wasm_exec_env_t env) {
    return wasm_runtime_get_function_attachment(env);
}

/* What the contract does not allow ends the app, as an address outside its memory does. */
static void refuse(wasm_exec_env_t env, const char *words) {
    wasm_runtime_set_exception(wasm_runtime_get_module_inst(env), words);
}

/* The bytes at an app's address, or NULL after setting an exception. No bytes have an address too. */
static uint8_t *get_bytes(wasm_exec_env_t env, uint32_t address, uint32_t size, uint32_t alignment) {
    static uint8_t nothing;
    wasm_module_inst_t instance = wasm_runtime_get_module_inst(env);
    if (address % alignment != 0) {
        refuse(env, "unaligned pointer");
        return NULL;
    }
    if (!wasm_runtime_validate_app_addr(instance, address, size)) {
        return NULL;
    }
    return size == 0 ? &nothing : wasm_runtime_addr_app_to_native(instance, address);
}

static uint32_t continuation_bytes(uint8_t lead) {
    return lead < 0x80 ? 0 : lead >= 0xc2 && lead <= 0xdf ? 1 : (lead & 0xf0) == 0xe0 ? 2 : 3;
}

/* RFC 3629, section 4. */
static bool is_utf8(const uint8_t *bytes, uint32_t size) {
    for (uint32_t at = 0; at < size;) {
        uint8_t lead = bytes[at++];
        uint32_t more = continuation_bytes(lead);
        if ((lead >= 0x80 && lead < 0xc2) || lead > 0xf4 || size - at < more) {
            return false;
        }
        uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
        uint8_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
        for (; more > 0; more--, at++) {
            if (bytes[at] < low || bytes[at] > high) {
                return false;
            }
            low = 0x80;
            high = 0xbf;
        }
    }
    return true;
}

static const char *get_text(wasm_exec_env_t env, uint32_t address, uint32_t size) {
    const uint8_t *bytes = get_bytes(env, address, size, 1);
    if (bytes != NULL && !is_utf8(bytes, size)) {
        refuse(env, "text is not UTF-8");
        return NULL;
    }
    return (const char *)bytes;
}

static void put(uint8_t *at, const void *value, size_t size) {
    memcpy(at, value, size); /* both sides are little endian */
}

static bool put_list(struct lab_apps *apps, wasm_exec_env_t env, uint32_t result, uint32_t offset,
                     const struct lab_api_list *list) {
    uint32_t address = 0;
    if (list->size > 0) {
        address = lab_api_allocate(apps, env, list->size);
        uint8_t *bytes = address != 0 ? get_bytes(env, address, list->size, 1) : NULL;
        if (bytes == NULL) {
            return false;
        }
        memcpy(bytes, list->bytes, list->size);
    }
    /* The app ran meanwhile, and its memory may have moved. */
    uint8_t *at = get_bytes(env, result + offset, 8, 4);
    if (at == NULL) {
        return false;
    }
    put(at, &address, 4);
    put(at + 4, &list->size, 4);
    return true;
}
"""


def _definitions(world: wit.World) -> Iterable[wit.Definition]:
    """Return every type that the world's functions use, each once."""
    found: dict[tuple[str, str], wit.Definition] = {}

    def visit(type_: wit.Type | None) -> None:
        match type_:
            case wit.Record() | wit.Enum():
                if isinstance(type_, wit.Record):
                    for each in type_.fields:
                        visit(each.type)
                found[type_.interface, type_.name] = type_
            case wit.List(element):
                visit(element)
            case wit.Option(some):
                visit(some)
            case wit.Result(ok, error):
                visit(ok)
                visit(error)

    for _, function in abi.functions(world):
        for parameter in function.parameters:
            visit(parameter.type)
        visit(function.result)
    return found.values()


def _definition(definition: wit.Definition) -> list[str]:
    name = f"lab_api_{snake(*prefix(definition), definition.name)}"
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
            return f"struct lab_api_{snake(*prefix(type_), type_.name)}"
        case wit.Enum():
            return f"enum lab_api_{snake(*prefix(type_), type_.name)}"
        case _ if abi.is_bytes(type_):
            return "struct lab_api_list"
        case _:
            raise wit.WitError(f"the generators do not know {type_} here")


def _outputs(result: wit.Type | None) -> list[tuple[str, wit.Type]]:
    """Return what a function of the firmware fills in through pointers."""
    match result:
        case wit.Option(some):
            return [("value", some)]
        case wit.Result(ok, error):
            return [(name, type_) for name, type_ in (("value", ok), ("error", error)) if type_ is not None]
        case wit.Record():
            return [("value", result)]
        case _ if result is not None and abi.is_bytes(result):
            return [("value", result)]
        case _:
            return []


def _returned(result: wit.Type | None) -> str:
    if isinstance(result, wit.Option | wit.Result):
        return "bool"
    return "void" if result is None or _outputs(result) else _type(result)


def _prototype(interface: wit.Interface, function: wit.Function) -> str:
    parameters = ["struct lab_apps *apps"]
    for each in function.parameters:
        if abi.is_bytes(each.type):
            pointee = "char" if each.type == wit.Primitive("string") else "uint8_t"
            parameters += [f"const {pointee} *{snake(each.name)}", f"uint32_t {snake(each.name)}_size"]
        else:
            parameters.append(f"{_type(each.type)} {snake(each.name)}")
    parameters += [f"{_type(type_)} *{name}" for name, type_ in _outputs(function.result)]
    name = snake("lab_api", interface.name, function.name)
    return f"{_returned(function.result)} {name}({', '.join(parameters)})"


def _native(interface: wit.Interface, function: wit.Function) -> list[str]:
    signature = abi.imported(function)
    parameters = [
        (_CORE[leaf.core][0], snake(*(name or "at" for name in leaf.path)), leaf)
        for each in function.parameters
        for leaf in abi.leaves(each.name, each.type)
    ]
    declared = ["wasm_exec_env_t env", *(f"{kind} {name}" for kind, name, _ in parameters)]
    if abi.returns_pointer(function):
        declared.append("uint32_t result")
    returned = _CORE[signature.results[0]][0] if signature.results else "void"
    fail = "return 0;" if signature.results else "return;"
    body = _checks(parameters, f"{interface.name}.{function.name}", fail)
    call = f"lab_api_{snake(interface.name, function.name)}"
    arguments = ", ".join(["apps_of(env)", *(_argument(each) for each in function.parameters)])
    if abi.returns_pointer(function):
        assert function.result is not None
        body += _through_memory(function.result, call, arguments)
    elif signature.results:
        body.append(f"    return ({returned}){call}({arguments});")
    else:
        body.append(f"    {call}({arguments});")
    name = f"native_{snake(interface.name, function.name)}"
    return [f"static {returned} {name}({', '.join(declared)}) {{", *body, "}"]


def _checks(parameters: list[tuple[str, str, abi.Leaf]], what: str, fail: str) -> list[str]:
    lines: list[str] = []
    for _, name, leaf in parameters:
        if isinstance(leaf.type, wit.Enum):
            last = f"lab_api_{snake(*prefix(leaf.type), leaf.type.name, leaf.type.cases[-1].name)}".upper()
            lines += [
                f"    if ({name} > {last}) {{",
                f'        refuse(env, "{what}: no such {leaf.type.name}");',
                f"        {fail}",
                "    }",
            ]
        elif abi.is_bytes(leaf.type) and leaf.path[-1] == "":
            own = snake(leaf.path[0])
            is_text = leaf.type == wit.Primitive("string")
            kind, get = ("char", "get_text") if is_text else ("uint8_t", "get_bytes")
            alignment = "" if is_text else ", 1"
            lines += [
                f"    const {kind} *{own} = {get}(env, {name}, {own}_size{alignment});",
                f"    if ({own} == NULL) {{",
                f"        {fail}",
                "    }",
            ]
    return lines


def _argument(parameter: wit.Field) -> str:
    """Return a parameter of the firmware's function, made of the native's."""
    name = snake(parameter.name)
    if abi.is_bytes(parameter.type):
        return f"{name}, {name}_size"
    return _value(parameter.type, name)


def _value(type_: wit.Type, name: str) -> str:
    match type_:
        case wit.Record():
            fields = ", ".join(
                f".{snake(each.name)} = {_value(each.type, snake(name, each.name))}" for each in type_.fields
            )
            return f"({_type(type_)}){{{fields}}}"
        case wit.Primitive("bool"):
            return f"{name} != 0"
        case wit.Primitive(kind) if kind in ("u32", "u64", "f32", "f64"):
            return name
        case _:
            return f"({_type(type_)}){name}"


def _through_memory(result: wit.Type, call: str, arguments: str) -> list[str]:
    """Return the end of a native whose result goes where the app says."""
    outputs = _outputs(result)
    size, alignment = abi.size(result), abi.alignment(result)
    lines = [
        f"    uint8_t *at = get_bytes(env, result, {size}, {alignment});",
        "    if (at == NULL) {",
        "        return;",
        "    }",
        *(f"    {_type(type_)} {name} = {_zero(type_)};" for name, type_ in outputs),
    ]
    pointers = ", ".join([arguments, *(f"&{name}" for name, _ in outputs)])
    match result:
        case wit.Option(some):
            lines += [f"    bool some = {call}({pointers});", "    at[0] = some;"]
            lines += ["    if (some) {", *_store("value", some, abi.payload_offset(result), "    "), "    }"]
        case wit.Result(ok, error):
            offset = abi.payload_offset(result)
            lines += [f"    bool failed = !{call}({pointers});", "    at[0] = failed;"]
            good = _store("value", ok, offset, "    ") if ok is not None else []
            bad = _store("error", error, offset, "    ") if error is not None else []
            if good and bad:
                lines += ["    if (failed) {", *bad, "    } else {", *good, "    }"]
            else:
                lines += [f"    if ({'failed' if bad else '!failed'}) {{", *(bad or good), "    }"]
        case _:
            lines += [f"    {call}({pointers});", *_store("value", result, 0, "")]
    return lines


def _zero(type_: wit.Type) -> str:
    if type_ == wit.Primitive("bool"):
        return "false"
    return "{0}" if isinstance(type_, wit.Record) or abi.is_bytes(type_) else "0"


def _store(name: str, type_: wit.Type, offset: int, indent: str) -> list[str]:
    lines = []
    for slot in abi.slots(type_, offset):
        own = ".".join((name, *(snake(step) for step in slot.path)))
        at = f"at + {slot.offset}" if slot.offset else "at"
        if abi.is_bytes(slot.type):
            lines.append(f"{indent}    put_list(apps_of(env), env, result, {slot.offset}, &{own});")
        elif isinstance(slot.type, wit.Enum):
            # One byte as long as there are no more than 256 cases.
            lines.append(f"{indent}    at[{slot.offset}] = (uint8_t){own};")
        elif slot.type == wit.Primitive("bool"):
            lines.append(f"{indent}    at[{slot.offset}] = {own};")
        else:
            lines.append(f"{indent}    put({at}, &{own}, {abi.size(slot.type)});")
    return lines
