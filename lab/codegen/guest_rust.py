"""The guests' bindings in Rust: one module, `no_std`, edition 2021."""

from __future__ import annotations

from lab.codegen import abi, wit
from lab.codegen.words import BANNER, joined, line_comment, pascal, preface, snake

_TYPES = {
    **{"bool": "bool", "char": "char", "f32": "f32", "f64": "f64"},
    **{f"{sign}{bits}": f"{'u' if sign == 'u' else 'i'}{bits}" for sign in "us" for bits in (8, 16, 32, 64)},
}

_PREAMBLE = """\
use core::ptr::null_mut;

const INPUT_MAX: usize = 256;
static mut INPUT: [u8; INPUT_MAX] = [0; INPUT_MAX];

// Where the host may put what a function returns; null stands for INPUT, where a command's bytes go. An app
// has one thread.
static mut ROOM: (*mut u8, usize) = (null_mut(), INPUT_MAX);

#[no_mangle]
unsafe extern "C" fn cabi_realloc(_old: *mut u8, _old_size: usize, _align: usize, size: usize) -> *mut u8 {
    let (room, room_size) = ROOM;
    if size > room_size {
        core::arch::wasm32::unreachable();
    }
    if room.is_null() {
        core::ptr::addr_of_mut!(INPUT) as *mut u8
    } else {
        room
    }
}

fn with_room(value: &mut [u8], call: impl FnOnce()) {
    unsafe {
        let outer = ROOM;
        ROOM = (value.as_mut_ptr(), value.len());
        call();
        ROOM = outer;
    }
}

#[repr(C, align(8))]
struct Memory<const SIZE: usize>([u8; SIZE]);

impl<const SIZE: usize> Memory<SIZE> {
    fn new() -> Self {
        Memory([0; SIZE])
    }

    fn address(&mut self) -> i32 {
        self.0.as_mut_ptr() as i32
    }

    /// What the host wrote at `offset`, where the canonical ABI says a `T` is.
    unsafe fn get<T: Copy>(&self, offset: usize) -> T {
        (self.0.as_ptr().add(offset) as *const T).read_unaligned()
    }
}

/// Export `on-command`: a function that takes the input and a buffer, returns how many bytes it put there.
#[macro_export]
macro_rules! on_command {
    ($handler:path) => {
        #[export_name = "on-command"]
        unsafe extern "C" fn lab_on_command(input: *const u8, size: usize) -> *const [usize; 2] {
            static mut OUTPUT: [u8; 256] = [0; 256];
            static mut RESULT: [usize; 2] = [0; 2];
            let output = core::ptr::addr_of_mut!(OUTPUT) as *mut u8;
            let handler: fn(&[u8], &mut [u8]) -> usize = $handler;
            let length = handler(
                core::slice::from_raw_parts(input, size),
                core::slice::from_raw_parts_mut(output, 256),
            );
            RESULT = [output as usize, length];
            core::ptr::addr_of!(RESULT)
        }
    };
}"""


def module(package: wit.Package, world: wit.World) -> str:
    """Return ``lab.rs``."""
    lines = [
        *preface(
            (
                f"What an app may ask of its device: world {world.name} of {package.title}. {BANNER}",
                'The app exports `init` and `poll` with `#[no_mangle] pub extern "C"`, and `on-command` by '
                "`on_command!`, as it needs. A command's input and output are 256 bytes at most.",
            ),
            "//",
        ),
        "#![no_std]",
        "",
        *_PREAMBLE.splitlines(),
    ]
    for interface in package.interfaces.values():
        if not interface.functions:
            for definition in interface.types:
                lines += ["", *_definition(definition, "")]
    for interface in world.imports:
        lines += ["", *line_comment(interface.docs, "///"), f"pub mod {snake(interface.name)} {{"]
        lines += ["    #[allow(unused_imports)]", "    use super::*;", ""]
        lines.append(f'    #[link(wasm_import_module = "{interface.full_name}")]')
        lines.append('    extern "C" {')
        for function in interface.functions:
            signature = abi.imported(function)
            parameters = ", ".join(f"p{index}: {core}" for index, core in enumerate(signature.parameters))
            result = f" -> {signature.results[0]}" if signature.results else ""
            lines.append(f'        #[link_name = "{function.name}"]')
            lines.append(f"        fn import_{snake(function.name)}({parameters}){result};")
        lines.append("    }")
        for definition in interface.types:
            lines += ["", *_definition(definition, "    ")]
        for function in interface.functions:
            lines += ["", *_wrapper(function)]
        lines.append("}")
    return joined(lines)


def _type(type_: wit.Type) -> str:
    match type_:
        case wit.Primitive("string"):
            return "&str"
        case wit.Primitive(name):
            return _TYPES[name]
        case wit.Record() | wit.Enum():
            return pascal(type_.name)
        case _ if abi.is_bytes(type_):
            return "&[u8]"
        case _:
            raise wit.WitError(f"the generators do not know {type_} here")


def _definition(definition: wit.Definition, indent: str) -> list[str]:
    lines = line_comment(definition.docs, "///", indent)
    if isinstance(definition, wit.Enum):
        lines += [f"{indent}#[derive(Clone, Copy, Debug, PartialEq, Eq)]", f"{indent}#[repr(u8)]"]
        lines.append(f"{indent}pub enum {pascal(definition.name)} {{")
        for case in definition.cases:
            lines += [*line_comment(case.docs, "///", f"{indent}    "), f"{indent}    {pascal(case.name)},"]
        return [*lines, f"{indent}}}"]
    lines += [f"{indent}#[derive(Clone, Copy, Debug, PartialEq)]"]
    lines.append(f"{indent}pub struct {pascal(definition.name)} {{")
    for each in definition.fields:
        lines += line_comment(each.docs, "///", f"{indent}    ")
        lines.append(f"{indent}    pub {snake(each.name)}: {_type(each.type)},")
    return [*lines, f"{indent}}}"]


def _wrapper(function: wit.Function) -> list[str]:
    parameters = [f"{snake(each.name)}: {_type(each.type)}" for each in function.parameters]
    takes_room = _bytes(function.result) is not None
    if takes_room:
        parameters.append("value: &mut [u8]")
    returned = f" -> {_returned(function.result)}" if function.result else ""
    return [
        *line_comment(function.docs, "///", "    "),
        *(
            ["    /// Returns how many bytes are in `value`; more than fit end the app."]
            if takes_room
            else []
        ),
        f"    pub fn {snake(function.name)}({', '.join(parameters)}){returned} {{",
        *_body(function),
        "    }",
    ]


def _bytes(result: wit.Type | None) -> wit.Type | None:
    value = (
        result.some
        if isinstance(result, wit.Option)
        else result.ok
        if isinstance(result, wit.Result)
        else None
    )
    return value if value is not None and abi.is_bytes(value) else None


def _returned(result: wit.Type | None) -> str:
    def value(type_: wit.Type | None) -> str:
        if type_ is None:
            return "()"
        return "usize" if abi.is_bytes(type_) else _type(type_)

    match result:
        case None:
            return ""
        case wit.Option(some):
            return f"Option<{value(some)}>"
        case wit.Result(ok, error):
            return f"Result<{value(ok)}, {value(error)}>"
        case _:
            return _type(result)


def _body(function: wit.Function) -> list[str]:
    arguments: list[str] = []
    for each in function.parameters:
        own = snake(each.name)
        if abi.is_bytes(each.type):
            arguments += [f"{own}.as_ptr() as i32", f"{own}.len() as i32"]
        else:
            for leaf in abi.leaves(each.name, each.type):
                path = ".".join(snake(step) for step in leaf.path)
                arguments.append(path if leaf.core in ("f32", "f64") else f"{path} as {leaf.core}")
    result = function.result
    raw = f"import_{snake(function.name)}"
    if not abi.returns_pointer(function):
        call = f"unsafe {{ {raw}({', '.join(arguments)}) }}"
        match result:
            case None:
                return [f"        {call};"]
            case wit.Primitive("bool"):
                return [f"        ({call}) != 0"]
            case _:
                return [f"        ({call}) as {_type(result)}"]
    assert result is not None
    call = f"unsafe {{ {raw}({', '.join([*arguments, 'result.address()'])}) }}"
    lines = [f"        let mut result = Memory::<{abi.size(result)}>::new();"]
    lines.append(
        f"        with_room(value, || {call});" if _bytes(result) is not None else f"        {call};"
    )
    match result:
        case wit.Option(some):
            good = _load(some, abi.payload_offset(result))
            return [*lines, f"        (result.0[0] != 0).then(|| unsafe {{ {good} }})"]
        case wit.Result(ok, error):
            offset = abi.payload_offset(result)
            return [
                *lines,
                "        if result.0[0] != 0 {",
                f"            return Err(unsafe {{ {_load(error, offset)} }});"
                if error
                else "            return Err(());",
                "        }",
                f"        Ok(unsafe {{ {_load(ok, offset)} }})" if ok else "        Ok(())",
            ]
        case _:
            return [*lines, f"        unsafe {{ {_load(result, 0)} }}"]


def _load(type_: wit.Type, offset: int) -> str:
    """Return an expression for what is in memory at `offset`."""
    if isinstance(type_, wit.Record):
        fields = zip(type_.fields, abi.slots(type_, offset), strict=True)
        inner = ", ".join(f"{snake(each.name)}: {_load(each.type, slot.offset)}" for each, slot in fields)
        return f"{_type(type_)} {{ {inner} }}"
    if abi.is_bytes(type_):
        return f"result.get::<u32>({offset + 4}) as usize"
    if type_ == wit.Primitive("bool"):
        return f"result.0[{offset}] != 0"
    return f"result.get::<{_type(type_)}>({offset})"
