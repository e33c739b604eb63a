"""What is generated from the contract: up to date, and right by the canonical ABI of wasmtime itself."""

from __future__ import annotations

import math
import shutil
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import wasmtime
from wasmtime import component as wc

from lab import codegen, contract
from lab.codegen import abi, component, wit, words
from lab.errors import LabError, MissingError
from lab.sdk import compiler

PACKAGE = wit.read(codegen.ROOT / codegen.SOURCE)
WORLD = PACKAGE.worlds[codegen.WORLD]
GUESTS = Path(__file__).parent / "guests"
SDK = codegen.ROOT / "lab" / "sdk"


def test_generated_files_are_what_the_wit_says() -> None:
    assert codegen.stale() == []


def test_a_changed_contract_makes_files_stale(tmp_path: Path) -> None:
    (tmp_path / "wit").mkdir()
    text = (
        (codegen.ROOT / codegen.SOURCE).read_text().replace("beep: func(count: u32", "beep: func(count: u16")
    )
    (tmp_path / codegen.SOURCE).write_text(text.replace("set-all", "paint"))
    assert set(codegen.stale(tmp_path)) == set(codegen.targets())
    assert len(codegen.write(tmp_path)) == len(codegen.targets())
    assert codegen.stale(tmp_path) == []
    (tmp_path / "lab/contract.py").write_text("edited by hand")
    assert codegen.stale(tmp_path) == [Path("lab/contract.py")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "1: expected 'package'"),
        ("package a:b;", "1: the package needs a version"),
        ("package a:b@1.0.0;\ninterface x {\n f: func(a: u9);\n}", "3: there is no type 'u9'"),
        ("package a:b@1.0.0;\ninterface x { f: func(a: u8, a: u8); }", "2: parameter 'a' is defined twice"),
        ("package a:b@1.0.0;\ninterface x { f: func(); f: func(); }", "2: function 'f' is defined twice"),
        ("package a:b@1.0.0;\ninterface x { record r { } }", "2: record r is empty"),
        ("package a:b@1.0.0;\ninterface x { resource r; }", "2: expected ':', found 'r'"),
        ("package a:b@1.0.0;\ninterface x { variant v { a(u8) } }", "2: expected ':', found 'v'"),
        ("package a:b@1.0.0;\ninterface x { f: func() -> u8 }", "2: expected ';'"),
        ("package a:b@1.0.0;\ninterface x { BadName: func(); }", "2: 'BadName' is not in kebab-case"),
        ("package a:b@1.0.0;\ninterface x { use y.{z}; }", "2: there is no interface 'y'"),
        ("package a:b@1.0.0;\nworld w { import y; }", "2: there is no interface 'y'"),
        ("package a:b@1.0.0;\nworld w { import c:d/y@1.0.0; }", "2: there is no interface 'c:d/y@1.0.0'"),
        ("package a:b@1.0.0;\nworld w { export y; }", "2: there is no interface 'y'"),
        ("package a:b@1.0.0;\nworld w { include y; }", "2: expected an import or an export"),
        ("package a:b@1.0.0;\ninterface x { f: func(#); }", "2: unexpected '#'"),
        ("package a:b@1.0.0;\ninterface x {", "2: expected a name, found 'end of file'"),
    ],
)
def test_what_the_parser_does_not_know_is_an_error(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "bad.wit"
    file.write_text(text)
    with pytest.raises(wit.WitError) as error:
        wit.read(file)
    assert f"bad.wit:{message}" in str(error.value)


def test_a_world_names_interfaces_of_other_packages_too(tmp_path: Path) -> None:
    for name, text in (
        ("one", "package a:one@1.0.0; interface x { f: func(); }"),
        ("two", "package a:two@2.0.0; interface x {} world w { import a:one/x@1.0.0; import x; export x; }"),
    ):
        (tmp_path / f"{name}.wit").write_text(text)
    one = wit.read(tmp_path / "one.wit")
    two = wit.read(tmp_path / "two.wit", one)
    assert two.worlds["w"].imports == (one.interfaces["x"], two.interfaces["x"])
    assert [each.full_name for each in two.worlds["w"].imports] == ["a:one/x@1.0.0", "a:two/x@2.0.0"]
    assert two.worlds["w"].exports == (two.interfaces["x"],)
    assert two.worlds["w"].functions == ()


def test_comments_and_docs_are_told_apart(tmp_path: Path) -> None:
    file = tmp_path / "docs.wit"
    file.write_text(
        "package a:b@1.0.0; /* no */ // no\n/// Yes.\n/// Really.\ninterface x { /// f's\n f: func(); }"
    )
    interface = wit.read(file).interfaces["x"]
    assert interface.docs == "Yes.\nReally."
    assert interface.functions[0].docs == "f's"


def test_an_independent_parser_takes_the_contract(tmp_path: Path) -> None:
    """componentize-py has the reference implementation, wit-parser, in it."""
    tool = Path(sys.executable).with_name("componentize-py")
    if not tool.exists():
        pytest.skip("needs componentize-py (pip install componentize-py)")
    done = subprocess.run(
        [tool, "-d", codegen.ROOT / codegen.SOURCE, "-w", codegen.WORLD, "bindings", tmp_path / "made"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    bindings = "".join(file.read_text() for file in (tmp_path / "made").rglob("*.py"))
    for _, function in abi.functions(WORLD):
        assert f"def {words.snake(function.name)}(" in bindings


def test_the_tables_are_the_contract() -> None:
    imports = {(i.full_name, f.name): abi.imported(f) for i, f in abi.functions(WORLD)}
    table = {(m, n): s for m, functions in contract.IMPORTS.items() for n, s in functions.items()}
    assert {key: (s.parameters, s.results) for key, s in imports.items()} == table
    assert set(contract.EXPORTS) == {"init", "poll", "on-command"}


def test_wasmtime_agrees_with_every_core_signature() -> None:
    """In a component each import is lowered by the canonical ABI: wasmtime refuses it if one type is off."""
    core = bytes(wasmtime.wat2wasm((SDK / "wat" / "lab.wat").read_text()))
    assert len(wasmtime.Module(wasmtime.Engine(), core).imports) == sum(1 for _ in abi.functions(WORLD))
    wc.Component(wasmtime.Engine(), component.wrap(core, PACKAGE, WORLD))


def test_a_wrong_signature_is_refused() -> None:
    wat = '(module (import "lab:device/clock@0.1.0" "now" (func (result i32))))'
    wrapped = component.wrap(bytes(wasmtime.wat2wasm(wat)), PACKAGE, WORLD)
    with pytest.raises(wasmtime.WasmtimeError):
        wc.Component(wasmtime.Engine(), wrapped)


def test_an_import_outside_the_contract_is_named() -> None:
    wat = '(module (import "env" "system" (func)))'
    with pytest.raises(LabError, match="env#system"):
        component.wrap(bytes(wasmtime.wat2wasm(wat)), PACKAGE, WORLD)


# -- the guests' bindings, against wasmtime's canonical ABI


def record(**fields: Any) -> wc.Record:
    made = wc.Record()
    made.__dict__.update(fields)
    return made


class Host:
    """A device made of known answers; it keeps what the app did."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.published: dict[str, bytes] = {}

    def publish(self, topic: str, payload: Any) -> None:
        self.published[topic] = bytes(payload)

    def note(self, name: str, answer: Any = None) -> Any:
        def function(_store: object, *arguments: Any) -> Any:
            shown = (
                (each.red, each.green, each.blue) if isinstance(each, wc.Record) else each
                for each in arguments
            )
            self.calls.append((name, *shown))
            return answer(*arguments) if isinstance(answer, types.FunctionType) else answer

        return function

    def functions(self) -> dict[str, dict[str, Any]]:
        note = self.note
        return {
            "log": {"write": note("log")},
            "clock": {"now": note("now", 2**40 + 1)},
            "publish": {"send": lambda _store, topic, payload: self.publish(topic, payload)},
            "led-controller": {
                "length": note("length", 11),
                "set": note("set", True),
                "set-two": note("set-two", False),
                "set-all": note("set-all"),
                "clear": note("clear"),
            },
            "buzzer-controller": {"on-for": note("on-for"), "beep": note("beep"), "off": note("off")},
            "fan-controller": {"set": note("fan"), "is-on": note("is-on", True)},
            "gpio-provider": {
                "read": note("read", True),
                "write": note("write"),
                "watch": note("watch", "unsupported"),
                "edges": note("edges", 4_000_000_000),
            },
            "adc": {"read": note("adc", lambda channel: 4095 if channel == 1 else "power-failed")},
            "i2c": {
                "transfer": note(
                    "i2c", lambda to, _out, _size: b"\x61\x00\xff" if to == 0x77 else "no-answer"
                )
            },
            "dht22": {"read": note("dht22", record(temperature=31.5, humidity=45.0))},
            "bme680": {"read": note("bme680", "not-ready")},
            "kv": {
                "get": note("get", lambda key: b"\x01\x00\x02" if key == "key" else None),
                "set": note("kv-set"),
                "delete": note("delete", True),
            },
            "system-info": {
                "get": note(
                    "info",
                    record(
                        **{"uptime": 2**33, "memory-total": 2**34, "memory-free": 2**32},
                        **{"cpu-load": 12.5, "cpu-temperature": math.nan},
                    ),
                )
            },
        }


def compiled(folder: Path, suffix: str) -> bytes:
    source = folder / f"exercise{suffix}"
    shutil.copy(GUESTS / source.name, source)
    language = {".c": "c", ".rs": "rust", ".ts": "assemblyscript"}[suffix]
    interfaces = [each.name for each in WORLD.imports]
    (folder / "app.toml").write_text(
        f'name = "exercise"\nversion = "1.0.0"\nlanguage = "{language}"\nsources = ["{source.name}"]\n'
        f"[permissions]\ninterfaces = {interfaces}\n"
    )
    if suffix == ".c":
        shutil.copy(SDK / "c" / "lab.h", folder)
    try:
        return compiler.compile(folder).wasm.read_bytes()
    except MissingError as error:
        pytest.skip(error.message)


@pytest.mark.parametrize("suffix", [".c", ".rs", ".ts"])
def test_a_guest_and_a_component_host_understand_each_other(tmp_path: Path, suffix: str) -> None:
    core = compiled(tmp_path, suffix)
    host = Host()
    engine = wasmtime.Engine()
    store = wasmtime.Store(engine)
    linker = wc.Linker(engine)
    with linker.root() as root:
        for interface, functions in host.functions().items():
            with root.add_instance(PACKAGE.interfaces[interface].full_name) as instance:
                for name, function in functions.items():
                    instance.add_func(name, function)
    instance = linker.instantiate(store, wc.Component(engine, component.wrap(core, PACKAGE, WORLD)))

    def call(name: str, *arguments: Any) -> Any:
        function = instance.get_func(store, name)
        assert function is not None
        answer = function(store, *arguments)
        function.post_return(store)
        return answer

    assert call("init") == 250
    assert host.calls == [("log", "warning", "grüße")]
    host.calls.clear()
    call("poll")
    numbers = {topic: int.from_bytes(payload, "little") for topic, payload in host.published.items()}
    assert host.published.pop("i2c") == b"\x61\x00\xff"
    assert host.published.pop("kv") == b"\x01\x00\x02"
    del numbers["i2c"], numbers["kv"]
    errors = [case.name for case in PACKAGE.interfaces["types"].types[1].cases]  # type: ignore[union-attr]
    assert numbers == {
        **{
            "now": 2**40 + 1,
            "length": 11,
            "set": 1,
            "set-two": 0,
            "is-on": 1,
            "read": 1,
            "write": 1,
            "watch": 0,
        },
        **{"watch-error": errors.index("unsupported"), "edges": 4_000_000_000, "adc": 4095, "adc-failed": 1},
        **{
            "adc-error": errors.index("power-failed"),
            "i2c-failed": 1,
            "i2c-error": errors.index("no-answer"),
        },
        **{
            "dht22": 3195,
            "bme680-failed": 1,
            "bme680-error": errors.index("not-ready"),
            "none": 0,
            "kv-set": 1,
        },
        **{"kv-delete": 1, "uptime": 2**33, "memory": 2**34 - 2**32, "load": 12},
    }
    acts = [call for call in host.calls if len(call) > 1]
    assert [
        (name, *(bytes(each) if isinstance(each, list) else each for each in rest)) for name, *rest in acts
    ] == [
        ("set", 3, (1, 2, 3)),
        ("set-two", 0, (4, 5, 6), 99, (7, 8, 9)),
        ("set-all", (255, 254, 253)),
        ("on-for", 4_000_000_000),
        ("beep", 3, 100, 50),
        ("fan", True),
        ("read", 3),
        ("write", 4, True),
        ("watch", 5, "both"),
        ("edges", 5),
        ("adc", 1),
        ("adc", 2),
        ("i2c", 0x77, b"\xd0\x01", 3),
        ("i2c", 0x10, b"", 1),
        ("get", "none"),
        ("get", "key"),
        ("kv-set", "key", b"abc"),
        ("delete", "key"),
    ]
    assert bytes(call("on-command", b"abcdef")) == b"fedcba"
    assert bytes(call("on-command", b"")) == b""
