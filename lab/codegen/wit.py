"""Reads WIT: the part of the language that the contract uses, and nothing beside it.

docs/decisions/wit-parser.md says why there is a parser here. It is strict: what it does not know is an error
with file and line, never skipped. The grammar is ``design/mvp/WIT.md`` of the component model's repository.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lab.errors import LabError

PRIMITIVES = frozenset(
    {"bool", "u8", "u16", "u32", "u64", "s8", "s16", "s32", "s64", "f32", "f64", "char", "string"}
)

_TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<doc>///[^\n]*)
      | (?P<comment>//[^\n]*|/\*.*?\*/)
      | (?P<version>@[0-9]+\.[0-9]+\.[0-9]+)
      | (?P<name>%?[A-Za-z][A-Za-z0-9]*(?:-[A-Za-z0-9]+)*)
      | (?P<punctuation>->|[{}()<>:;,.=/_*])""",
    re.VERBOSE | re.DOTALL,
)
_KEBAB = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*\Z")


class WitError(LabError):
    """A WIT file is wrong, or uses what this parser does not know."""


@dataclass(frozen=True, slots=True)
class Primitive:
    """One of `PRIMITIVES`."""

    name: str


@dataclass(frozen=True, slots=True)
class List:
    """``list<element>``."""

    element: Type


@dataclass(frozen=True, slots=True)
class Option:
    """``option<some>``."""

    some: Type


@dataclass(frozen=True, slots=True)
class Result:
    """``result<ok, error>``; either may be absent."""

    ok: Type | None
    error: Type | None


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a record or a parameter of a function."""

    name: str
    type: Type
    docs: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """A case of an enumeration."""

    name: str
    docs: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """A record, with the interface it is defined in."""

    interface: str
    name: str
    fields: tuple[Field, ...]
    docs: str = ""


@dataclass(frozen=True, slots=True)
class Enum:
    """An enumeration, with the interface it is defined in."""

    interface: str
    name: str
    cases: tuple[Case, ...]
    docs: str = ""


Definition = Record | Enum
Type = Primitive | List | Option | Result | Record | Enum


@dataclass(frozen=True, slots=True)
class Function:
    """A function of an interface, or one that a world exports."""

    name: str
    parameters: tuple[Field, ...]
    result: Type | None
    docs: str = ""


@dataclass(frozen=True, slots=True)
class Interface:
    """An interface: what it defines itself, and its functions.

    :param full_name: what binaries call it: ``lab:device/log@0.1.0``.
    """

    name: str
    full_name: str
    types: tuple[Definition, ...]
    functions: tuple[Function, ...]
    docs: str = ""


@dataclass(frozen=True, slots=True)
class World:
    """A world: the interfaces it imports, and the functions and interfaces it exports."""

    name: str
    imports: tuple[Interface, ...]
    exports: tuple[Function | Interface, ...]
    docs: str = ""

    @property
    def functions(self) -> tuple[Function, ...]:
        """Return what it exports beside interfaces."""
        return tuple(each for each in self.exports if isinstance(each, Function))


@dataclass(frozen=True, slots=True)
class Package:
    """A package: one file."""

    namespace: str
    name: str
    version: str
    interfaces: Mapping[str, Interface]
    worlds: Mapping[str, World]
    docs: str = ""

    @property
    def title(self) -> str:
        """Return ``namespace:name@version``."""
        return f"{self.namespace}:{self.name}@{self.version}"


def read(file: Path, *others: Package) -> Package:
    """Return the package that `file` holds.

    :param others: packages whose interfaces its worlds may name.
    :raises WitError: it is not WIT, or uses a feature that the generators do not know.
    """
    try:
        text = file.read_text("utf-8")
    except OSError as error:
        raise WitError(f"cannot read {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise WitError(f"{file} is not UTF-8: {error.reason} at byte {error.start}") from error
    try:
        return _Parser(text, str(file), others).package()
    except RecursionError:
        raise WitError(f"{file}: types nest deeper than this reader goes") from None


@dataclass(slots=True)
class _Token:
    kind: str
    text: str
    line: int
    docs: str


@dataclass(slots=True)
class _Scope:
    """The names an interface may use: its own definitions and those it takes by `use`."""

    interface: str
    types: dict[str, Definition] = field(default_factory=dict)


class _Parser:
    def __init__(self, text: str, file: str, others: Iterable[Package]) -> None:
        self._file = file
        self._foreign = {each.full_name: each for other in others for each in other.interfaces.values()}
        self._tokens = self._scan(text)
        self._at = 0
        self._interfaces: dict[str, Interface] = {}
        self._definitions: dict[str, dict[str, Definition]] = {}

    # -- tokens

    def _scan(self, text: str) -> list[_Token]:
        tokens: list[_Token] = []
        docs: list[str] = []
        at, line = 0, 1
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                raise WitError(f"{self._file}:{line}: unexpected {text[at]!r}")
            kind = match.lastgroup or ""
            if kind == "doc":
                docs.append(match.group().removeprefix("///").strip())
            elif kind not in ("space", "comment"):
                tokens.append(_Token(kind, match.group(), line, "\n".join(docs)))
                docs = []
            line += match.group().count("\n")
            at = match.end()
        tokens.append(_Token("end", "end of file", line, ""))
        return tokens

    def _wrong(self, what: str) -> WitError:
        return WitError(f"{self._file}:{self._tokens[self._at].line}: {what}")

    def _peek(self) -> str:
        return self._tokens[self._at].text

    def _docs(self) -> str:
        return self._tokens[self._at].docs

    def _next(self) -> _Token:
        token = self._tokens[self._at]
        self._at += 1
        return token

    def _take(self, text: str) -> bool:
        if self._peek() == text:
            self._at += 1
            return True
        return False

    def _expect(self, text: str) -> None:
        if not self._take(text):
            raise self._wrong(f"expected {text!r}, found {self._peek()!r}")

    def _name(self) -> str:
        token = self._tokens[self._at]
        if token.kind != "name":
            raise self._wrong(f"expected a name, found {token.text!r}")
        self._at += 1
        name = token.text.removeprefix("%")
        if not _KEBAB.match(name):
            raise WitError(f"{self._file}:{token.line}: {name!r} is not in kebab-case")
        return name

    def _unique(self, name: str, taken: object, what: str) -> None:
        if name in taken:  # type: ignore[operator]
            raise self._wrong(f"{what} {name!r} is defined twice")

    # -- grammar

    def package(self) -> Package:
        docs = self._docs()
        self._expect("package")
        namespace = self._name()
        self._expect(":")
        name = self._name()
        version = self._next()
        if version.kind != "version":
            raise self._wrong("the package needs a version, for example @0.1.0")
        self._expect(";")
        self._full_name = f"{namespace}:{name}/{{}}{version.text}".format
        worlds: dict[str, World] = {}
        while self._tokens[self._at].kind != "end":
            docs_here = self._docs()
            if self._take("interface"):
                interface = self._interface(docs_here)
                self._unique(interface.name, self._interfaces, "interface")
                self._interfaces[interface.name] = interface
            elif self._take("world"):
                world = self._world(docs_here)
                self._unique(world.name, worlds, "world")
                worlds[world.name] = world
            else:
                raise self._wrong(f"expected an interface or a world, found {self._peek()!r}")
        return Package(namespace, name, version.text[1:], self._interfaces, worlds, docs)

    def _interface(self, docs: str) -> Interface:
        name = self._name()
        scope = _Scope(name)
        own: list[Definition] = []
        functions: dict[str, Function] = {}
        self._expect("{")
        while not self._take("}"):
            docs_here = self._docs()
            if self._take("use"):
                self._use(scope)
                continue
            if self._peek() in ("record", "enum"):
                definition = self._definition(scope, docs_here)
                self._unique(definition.name, scope.types, "type")
                scope.types[definition.name] = definition
                own.append(definition)
                continue
            function = self._function(scope, docs_here)
            self._unique(function.name, functions, "function")
            functions[function.name] = function
        self._definitions[name] = {definition.name: definition for definition in own}
        return Interface(name, self._full_name(name), tuple(own), tuple(functions.values()), docs)

    def _use(self, scope: _Scope) -> None:
        source = self._name()
        if source not in self._definitions:
            raise self._wrong(f"there is no interface {source!r} before this one")
        self._expect(".")
        self._expect("{")
        while not self._take("}"):
            name = self._name()
            if name not in self._definitions[source]:
                raise self._wrong(f"{source} defines no {name!r}")
            self._unique(name, scope.types, "type")
            scope.types[name] = self._definitions[source][name]
            if self._peek() != "}":
                self._expect(",")
        self._expect(";")

    def _definition(self, scope: _Scope, docs: str) -> Definition:
        keyword = self._next().text
        name = self._name()
        self._expect("{")
        fields: dict[str, Field] = {}
        cases: dict[str, Case] = {}
        while not self._take("}"):
            docs_here = self._docs()
            member = self._name()
            self._unique(member, fields | cases, "member")
            if keyword == "record":
                self._expect(":")
                fields[member] = Field(member, self._type(scope), docs_here)
            else:
                cases[member] = Case(member, docs_here)
            if self._peek() != "}":
                self._expect(",")
        if not fields and not cases:
            raise self._wrong(f"{keyword} {name} is empty")
        if keyword == "record":
            return Record(scope.interface, name, tuple(fields.values()), docs)
        return Enum(scope.interface, name, tuple(cases.values()), docs)

    def _function(self, scope: _Scope, docs: str) -> Function:
        name = self._name()
        self._expect(":")
        self._expect("func")
        self._expect("(")
        parameters: dict[str, Field] = {}
        while not self._take(")"):
            parameter = self._name()
            self._unique(parameter, parameters, "parameter")
            self._expect(":")
            parameters[parameter] = Field(parameter, self._type(scope))
            if self._peek() != ")":
                self._expect(",")
        result = self._type(scope) if self._take("->") else None
        self._expect(";")
        return Function(name, tuple(parameters.values()), result, docs)

    def _type(self, scope: _Scope) -> Type:
        token = self._next()
        name = token.text
        if name in PRIMITIVES:
            return Primitive(name)
        if name == "list":
            return List(self._argument(scope))
        if name == "option":
            return Option(self._argument(scope))
        if name == "result":
            return self._result(scope)
        if name in scope.types:
            return scope.types[name]
        raise WitError(f"{self._file}:{token.line}: there is no type {name!r} here")

    def _argument(self, scope: _Scope) -> Type:
        self._expect("<")
        inner = self._type(scope)
        self._expect(">")
        return inner

    def _result(self, scope: _Scope) -> Result:
        if not self._take("<"):
            return Result(None, None)
        ok = None if self._take("_") else self._type(scope)
        error = self._type(scope) if self._take(",") else None
        self._expect(">")
        return Result(ok, error)

    def _world(self, docs: str) -> World:
        name = self._name()
        imports: dict[str, Interface] = {}
        exports: dict[str, Function | Interface] = {}
        self._expect("{")
        while not self._take("}"):
            docs_here = self._docs()
            if self._take("import"):
                interface = self._interface_name()
                self._unique(interface.full_name, imports, "import")
                imports[interface.full_name] = interface
            elif self._take("export"):
                if [token.text for token in self._tokens[self._at + 1 : self._at + 3]] == [":", "func"]:
                    export: Function | Interface = self._function(_Scope(name), docs_here)
                else:
                    export = self._interface_name()
                self._unique(export.name, exports, "export")
                exports[export.name] = export
            else:
                raise self._wrong(f"expected an import or an export, found {self._peek()!r}")
        return World(name, tuple(imports.values()), tuple(exports.values()), docs)

    def _interface_name(self) -> Interface:
        """Read ``log;``, an interface of this package, or ``lab:device/log@0.1.0;``, one of another."""
        name = self._name()
        if self._take(":"):
            package = self._name()
            self._expect("/")
            name = f"{name}:{package}/{self._name()}{self._next().text}"
            found = self._foreign.get(name)
        else:
            found = self._interfaces.get(name)
        if found is None:
            raise self._wrong(f"there is no interface {name!r} before this world")
        self._expect(";")
        return found
