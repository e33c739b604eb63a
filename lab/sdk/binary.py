"""What a WebAssembly module says of itself: imports, exports, memory (core specification, chapter 5)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

PAGE = 0x1_0000  # bytes, core specification 4.2.8

_TYPES = {
    0x7F: "i32",
    0x7E: "i64",
    0x7D: "f32",
    0x7C: "f64",
    0x7B: "v128",
    0x70: "funcref",
    0x6F: "externref",
}
_KINDS = ("func", "table", "memory", "global")
_CUSTOM, _TYPE, _IMPORT, _FUNCTION, _MEMORY, _GLOBAL, _EXPORT, _START, _CODE = 0, 1, 2, 3, 5, 6, 7, 8, 10

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Signature:
    """A function's type, in the words of the text format: ``("i32", "i32") -> ("f32",)``."""

    parameters: tuple[str, ...]
    results: tuple[str, ...]

    def __str__(self) -> str:
        results = ", ".join(self.results)
        return f"({', '.join(self.parameters)})" + (f" -> {results}" if results else "")


@dataclass(frozen=True, slots=True)
class Import:
    """One import; `signature` is set for functions."""

    module: str
    name: str
    kind: str
    signature: Signature | None = None

    def __str__(self) -> str:
        return f"{self.module}#{self.name}"


@dataclass(frozen=True, slots=True)
class Export:
    """One export; `signature` is set for functions."""

    name: str
    kind: str
    signature: Signature | None = None

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Module:
    """A core module as far as the lab looks into it.

    :param pages: initial pages of its memory, 0 if it has none of its own.
    :param heap_base: the exported ``__heap_base``: where what the linker has laid out ends.
    :param sizes_memory: whether it holds ``memory.size`` or ``memory.grow``.
    :param starts: whether it has a start function.
    :param custom: contents of its custom sections by name; of several with one name, the first.
    """

    imports: tuple[Import, ...]
    exports: tuple[Export, ...]
    pages: int
    heap_base: int | None
    sizes_memory: bool
    starts: bool
    custom: Mapping[str, bytes]

    @property
    def memory(self) -> int:
        """Bytes of linear memory that the device's runtime gives it.

        WAMR cuts the memory off at ``__heap_base`` if ``__data_end`` is exported as well and no instruction
        asks for the memory's size or more of it (`wasm_loader.c`, "Shrink memory size").
        """
        whole = self.pages * PAGE
        if self.heap_base is None or self.sizes_memory or not self.export("__data_end"):
            return whole
        return min(whole, -(-self.heap_base // 8) * 8)

    def export(self, name: str) -> Export | None:
        """Return the export called `name`, if there is one."""
        return next((export for export in self.exports if export.name == name), None)


def read(module: bytes) -> Module:
    """Read a module that a validator has found valid (`lab.sdk.validate.check_features`)."""
    sections: dict[int, _Reader] = {}
    custom: dict[str, bytes] = {}
    for section, start, end in _sections(module):
        reader = _Reader(module, start)
        if section == _CUSTOM:
            custom.setdefault(reader.name(), module[reader.at : end])
        else:
            sections[section] = reader

    def items(section: int, item: Callable[[_Reader], T]) -> list[T]:
        return sections[section].vector(item) if section in sections else []

    types = items(_TYPE, _Reader.function_type)
    imports = [
        Import(where, name, kind, types[index] if kind == "func" else None)
        for where, name, kind, index in items(_IMPORT, _Reader.import_)
    ]
    functions = [entry.signature for entry in imports if entry.kind == "func"]
    functions += [types[index] for index in items(_FUNCTION, _Reader.unsigned)]
    memories = items(_MEMORY, _Reader.limits)
    values = [None for entry in imports if entry.kind == "global"] + items(_GLOBAL, _Reader.global_)
    heap_base = None
    exports = []
    for name, kind, index in items(_EXPORT, _Reader.export):
        exports.append(Export(name, kind, functions[index] if kind == "func" else None))
        if name == "__heap_base" and kind == "global":
            heap_base = values[index]
    return Module(
        imports=tuple(imports),
        exports=tuple(exports),
        pages=memories[0] if memories else 0,
        heap_base=heap_base,
        sizes_memory=any(items(_CODE, _Reader.function_sizes_memory)),
        starts=_START in sections,
        custom=custom,
    )


def without_custom(module: bytes) -> bytes:
    """Return `module` without its custom sections: compilers' names and notes, which a device only stores."""
    made = module[:8]
    for section, start, end in _sections(module):
        if section != _CUSTOM:
            made += bytes([section]) + _unsigned(end - start) + module[start:end]
    return made


def with_custom(module: bytes, name: str, content: bytes) -> bytes:
    """Return `module` with a custom section more, before all others."""
    body = _unsigned(len(name)) + name.encode() + content
    return module[:8] + bytes([_CUSTOM]) + _unsigned(len(body)) + body + module[8:]


def _sections(module: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield each section: what it is, where its content starts and ends."""
    reader = _Reader(module, 8)
    while reader.at < len(module):
        section, size = reader.byte(), reader.unsigned()
        yield section, reader.at, reader.at + size
        reader.at += size


def _unsigned(value: int) -> bytes:
    """LEB128, 5.2.2."""
    made = bytearray()
    while value >= 0x80:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*made, value])


class _Reader:
    """A place in a module, moved on by what is read there."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data = data
        self.at = at

    def byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def unsigned(self) -> int:
        """LEB128, 5.2.2."""
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def name(self) -> str:
        size = self.unsigned()
        self.at += size
        return self.data[self.at - size : self.at].decode()

    def vector(self, item: Callable[[_Reader], T]) -> list[T]:
        return [item(self) for _ in range(self.unsigned())]

    def value_type(self) -> str:
        return _TYPES[self.byte()]

    def function_type(self) -> Signature:
        self.byte()  # 0x60
        return Signature(tuple(self.vector(_Reader.value_type)), tuple(self.vector(_Reader.value_type)))

    def limits(self) -> int:
        flags, minimum = self.byte(), self.unsigned()
        if flags & 1:
            self.unsigned()
        return minimum

    def import_(self) -> tuple[str, str, str, int]:
        where, name, kind = self.name(), self.name(), _KINDS[self.byte()]
        index = 0
        if kind == "func":
            index = self.unsigned()
        elif kind == "global":
            self.at += 2
        else:
            self.at += kind == "table"
            self.limits()
        return where, name, kind, index

    def export(self) -> tuple[str, str, int]:
        return self.name(), _KINDS[self.byte()], self.unsigned()

    def global_(self) -> int | None:
        """Return the value of a global that begins as an ``i32.const``, else nothing."""
        self.at += 2  # type, mutability
        value = _Reader(self.data, self.at + 1).unsigned() if self.data[self.at] == 0x41 else None
        while self.instruction() != 0x0B:
            pass
        return value

    def function_sizes_memory(self) -> bool:
        end = self.unsigned() + self.at
        for _ in range(self.unsigned()):  # locals
            self.unsigned()
            self.byte()
        found = False
        while self.at < end:
            found |= self.instruction() in (0x3F, 0x40)
        return found

    def instruction(self) -> int:
        """Pass one instruction and return its opcode (5.4)."""
        opcode = self.byte()
        if opcode in _ONE_INDEX:
            self.unsigned()
        elif opcode in _TWO_INDICES:
            self.unsigned()
            self.unsigned()
        elif opcode == 0x0E:  # br_table
            self.vector(_Reader.unsigned)
            self.unsigned()
        elif opcode == 0x1C:  # select t*
            self.vector(_Reader.byte)
        elif opcode in (0x43, 0x44):  # f32.const, f64.const
            self.at += 4 if opcode == 0x43 else 8
        elif opcode == 0xFC:
            # From 8 on: bulk memory and tables. init and copy name two things, the others one.
            second = self.unsigned()
            for _ in range(0 if second < 8 else 2 if second in (8, 10, 12, 14) else 1):
                self.unsigned()
        return opcode


# block loop if, br br_if call, local.* global.* table.get table.set, memory.size memory.grow,
# i32.const i64.const, ref.null ref.func. The type of a block and a constant are signed, but no longer for it.
_ONE_INDEX = frozenset(
    (0x02, 0x03, 0x04, 0x0C, 0x0D, 0x10, *range(0x20, 0x27), 0x3F, 0x40, 0x41, 0x42, 0xD0, 0xD2)
)
# call_indirect, loads and stores
_TWO_INDICES = frozenset((0x11, *range(0x28, 0x3F)))
