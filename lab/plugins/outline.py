"""Take the large core modules out of a component: each is compiled once for all plugins that carry it.

componentize-py puts CPython (6 MB of code, 14 s to compile on one core) into every component it builds, byte
for byte the same each time; what differs between two plugins is data and a little glue. A component may
import a core module instead of containing it, so `outline` replaces each large one by an import, and the host
links the compiled module from its cache. Formats: component-model design/mvp/Binary.md; core specification,
chapter 5.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

_LARGE = 64 << 10
"""Bytes of code from which on a module is worth it."""

_COMPONENT = b"\0asm\x0d\x00\x01\x00"
_MODULE = b"\0asm\x01\x00\x00\x00"
_CORE_MODULE, _CORE_TYPE, _IMPORT = 1, 3, 10  # sections of a component
_TYPES, _IMPORTS, _FUNCTIONS, _TABLES, _MEMORIES, _GLOBALS, _EXPORTS, _CODE, _TAGS = (
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    10,
    13,
)
_FUNC, _TABLE, _MEMORY, _GLOBAL, _TAG = range(5)  # kinds of imports and exports


@dataclass(frozen=True, slots=True)
class Outlined:
    """A component whose large modules are imports.

    :param component: what is left of it.
    :param modules: by the name of the import, the module.
    """

    component: bytes
    modules: dict[str, bytes]


class _Unfit(Exception):
    """A module that uses what is not read here: it stays where it is."""


class _Reader:
    """Reads a binary from `position` on."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def u32(self) -> int:
        value = shift = 0
        while True:
            byte = self.data[self.position]
            self.position += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def take(self, count: int) -> bytes:
        if self.position + count > len(self.data):
            raise ValueError("it ends too early")
        self.position += count
        return self.data[self.position - count : self.position]

    def since(self, start: int) -> bytes:
        return self.data[start : self.position]

    def name(self) -> bytes:
        """Skip a name; return it with its length, as it is."""
        start = self.position
        self.take(self.u32())
        return self.since(start)

    def value_type(self) -> None:
        # 0x63 and 0x64 are (ref null? heaptype) and have an operand; the others are one byte.
        if self.data[self.position] in (0x63, 0x64):
            raise _Unfit
        self.take(1)

    def limits(self) -> None:
        flags = self.u32()
        if flags > 7:
            raise _Unfit
        self.u32()
        if flags & 1:
            self.u32()

    def external_type(self, kind: int) -> bytes:
        """Skip the type of an import; return it as it is."""
        start = self.position
        if kind == _FUNC:
            self.u32()
        elif kind == _TABLE:
            self.value_type()
            self.limits()
        elif kind == _MEMORY:
            self.limits()
        elif kind == _GLOBAL:
            self.value_type()
            self.take(1)
        elif kind == _TAG:
            self.take(1)
            self.u32()
        else:
            raise _Unfit
        return self.since(start)

    def constant_expression(self) -> None:
        while (opcode := self.take(1)[0]) != 0x0B:
            if opcode in (0x41, 0x42, 0x23, 0xD2):  # i32.const, i64.const, global.get, ref.func
                self.u32()
            elif opcode == 0x43:  # f32.const
                self.take(4)
            elif opcode == 0x44:  # f64.const
                self.take(8)
            elif opcode == 0xD0:  # ref.null
                self.take(1)
            elif opcode not in (0x6A, 0x6B, 0x6C, 0x7C, 0x7D, 0x7E):  # add, sub, mul of i32 and i64
                raise _Unfit


def outline(component: bytes) -> Outlined:
    """Replace each large module of `component` by an import.

    What cannot be outlined is left as it is; whether the component is valid is for its compiler to say.

    :raises ValueError: it is no component.
    """
    if component[:8] != _COMPONENT:
        raise ValueError(
            "it is a core module, not a component" if component[:8] == _MODULE else "it is no component"
        )
    pieces = [_COMPONENT]
    modules: dict[str, bytes] = {}
    types = 0
    try:
        for identifier, content, whole in _sections(component):
            if identifier == _CORE_MODULE and _is_large(content):
                try:
                    declaration = _module_type(content)
                except _Unfit:
                    pieces.append(whole)
                    continue
                name = f"module-x{hashlib.sha256(content).hexdigest()}"
                if name in modules:  # an import's name is unique, and twice the same module is not worth more
                    pieces.append(whole)
                    continue
                modules[name] = content
                pieces.append(_section(_CORE_TYPE, b"\x01" + declaration))
                pieces.append(
                    _section(_IMPORT, b"\x01\x00" + _vector(name.encode()) + b"\x00\x11" + _u32(types))
                )
                types += 1
                continue
            if identifier == _CORE_TYPE:
                # Ours would have to be counted among these: nobody makes such components, so they stay whole.
                return Outlined(component, {})
            pieces.append(whole)
    except IndexError as error:
        raise ValueError("it ends too early") from error
    return Outlined(b"".join(pieces), modules)


def _sections(binary: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    reader = _Reader(binary)
    reader.take(8)
    while reader.position < len(binary):
        start = reader.position
        identifier = reader.take(1)[0]
        content = reader.take(reader.u32())
        yield identifier, content, reader.since(start)


def _is_large(module: bytes) -> bool:
    return len(module) >= _LARGE and any(
        identifier == _CODE and len(content) >= _LARGE for identifier, content, _ in _sections(module)
    )


def _module_type(module: bytes) -> bytes:
    """Return the `core:moduletype` of a module: its function types, then its imports, then its exports."""
    declarations: list[bytes] = []
    kinds: list[list[bytes]] = [[] for _ in range(5)]  # the type of every function, table… by index
    for identifier, content, _ in _sections(module):
        reader = _Reader(content)
        if identifier == _TYPES:
            declarations += [b"\x01" + text for text in _function_types(reader)]
        elif identifier == _IMPORTS:
            for _index in range(reader.u32()):
                names = reader.name() + reader.name()
                kind = reader.take(1)[0]
                text = reader.external_type(kind)
                kinds[kind].append(text)
                declarations.append(b"\x00" + names + bytes([kind]) + text)
        elif identifier == _FUNCTIONS:
            kinds[_FUNC] += [_u32(reader.u32()) for _ in range(reader.u32())]
        elif identifier in (_TABLES, _MEMORIES, _TAGS):
            kind = {_TABLES: _TABLE, _MEMORIES: _MEMORY, _TAGS: _TAG}[identifier]
            kinds[kind] += [reader.external_type(kind) for _ in range(reader.u32())]
        elif identifier == _GLOBALS:
            for _index in range(reader.u32()):
                kinds[_GLOBAL].append(reader.external_type(_GLOBAL))
                reader.constant_expression()
        elif identifier == _EXPORTS:
            for _index in range(reader.u32()):
                name = reader.name()
                kind, index = reader.take(1)[0], reader.u32()
                declarations.append(b"\x03" + name + bytes([kind]) + kinds[kind][index])
    return b"\x50" + _u32(len(declarations)) + b"".join(declarations)


def _function_types(reader: _Reader) -> Iterator[bytes]:
    for _index in range(reader.u32()):
        start = reader.position
        if reader.take(1) != b"\x60":  # recursive groups, structs: garbage collection
            raise _Unfit
        for _list in range(2):
            for _value in range(reader.u32()):
                reader.value_type()
        yield reader.since(start)


def _u32(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def _vector(content: bytes) -> bytes:
    return _u32(len(content)) + content


def _section(identifier: int, content: bytes) -> bytes:
    return bytes([identifier]) + _vector(content)
