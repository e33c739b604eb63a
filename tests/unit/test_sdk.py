"""The SDK around the compilers: manifests, what is refused and how it is said, and what is missing."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import wasmtime

from lab import boards, contract, modules, sdk
from lab.errors import ExitCode, LabError, MissingError, UsageError
from lab.publisher import Publisher
from lab.sdk import binary, manifest, optimise
from lab.wire import messages

MANIFEST = """\
name = "demo"
version = "1.2.3"
language = "wat"
sources = ["main.wat"]
[permissions]
interfaces = ["log"]
i2c = [0x77]
[limits]
memory = 4096
instructions = 100000
"""
LOG = '(import "lab:device/log@0.1.0" "write" (func $log (param i32 i32 i32)))'
# wasm-opt removes an import that nothing calls.
LOGS = f'{LOG} (func (export "poll") (call $log (i32.const 0) (i32.const 0) (i32.const 0)))'


def wat(body: str) -> bytes:
    return bytes(wasmtime.wat2wasm(f"(module {body})"))


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """Return an app's folder with a manifest and an empty module."""
    (tmp_path / "app.toml").write_text(MANIFEST)
    (tmp_path / "main.wat").write_text("(module)")
    return tmp_path


def lab(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from lab.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


# ---- manifests


def test_a_manifest_says_what_an_app_is(app: Path) -> None:
    loaded = manifest.load(app)
    assert (loaded.name, loaded.version, loaded.language) == ("demo", "1.2.3", "wat")
    assert loaded.sources == ("main.wat",)
    assert loaded.permissions == manifest.Permissions(interfaces=("log",), i2c=(0x77,))
    assert loaded.limits == manifest.Limits(memory=4096, instructions=100000)
    assert loaded.build == manifest.Build(stack=1024, heap=2048)


@pytest.mark.parametrize(
    ("old", "new", "message", "hint"),
    [
        ('name = "demo"', "", "key 'name' is missing", "docs/apps.md"),
        ('name = "demo"', 'name = "a b"', "name = 'a b': it should be 1 to 32 letters", ""),
        ("1.2.3", "1.2", "version = '1.2': it should be three numbers", ""),
        ("1.2.3", "01.2.3", "version = '01.2.3': it should be three numbers", ""),
        ("version", "versoin", "unknown key 'versoin'", "Did you mean 'version'?"),
        ('["main.wat"]', "[]", "sources = []", ""),
        ('["main.wat"]', '"main.wat"', "sources = 'main.wat'", ""),
        ('["main.wat"]', '["../main.wat"]', "'../main.wat' is outside the app's folder", ""),
        ('["main.wat"]', '["/etc/passwd"]', "'/etc/passwd' is outside the app's folder", ""),
        ('["main.wat"]', '["other.wat"]', "there is no 'other.wat'", ""),
        ("interfaces", "interface", "unknown key 'permissions.interface'", "Did you mean 'interfaces'?"),
        ("[0x77]", "[0x78]", "permissions.i2c[0] = 120: it should be less than or equal to 119", ""),
        ("[0x77]", '["0x77"]', "permissions.i2c[0] = '0x77': it should be a valid integer", ""),
        ("memory = 4096", "memory = -1", "limits.memory = -1", ""),
        ("instructions = 100000", "instructions = 0", "limits.instructions = 0", ""),
        (
            "[limits]",
            "[build]\nstack = 1000\n[limits]",
            "build.stack = 1000: it should be a multiple of 16",
            "",
        ),
        ("[limits]", "[limits", "app.toml: Expected ']'", ""),
    ],
)
def test_a_wrong_manifest_is_refused_by_file_and_key(
    app: Path, old: str, new: str, message: str, hint: str
) -> None:
    assert old in MANIFEST
    (app / "app.toml").write_text(MANIFEST.replace(old, new))
    with pytest.raises(UsageError) as caught:
        sdk.compile(app)
    assert str(app / "app.toml") in caught.value.message
    assert message in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("old", "new", "message", "hint"),
    [
        ('"wat"', '"wta"', "language = 'wta' is not allowed", "Did you mean 'wat'?"),
        ('"wat"', '"c"', "main.wat is no source in c", ".c, .cc, .cpp"),
    ],
)
def test_a_language_must_be_known_and_that_of_the_sources(
    app: Path, old: str, new: str, message: str, hint: str
) -> None:
    (app / "app.toml").write_text(MANIFEST.replace(old, new))
    with pytest.raises(UsageError, match=message) as caught:
        sdk.compile(app)
    assert hint in caught.value.hint


# ---- lab new


def test_new_makes_a_folder_that_compiles(tmp_path: Path) -> None:
    source = sdk.new(tmp_path / "my-app", template="hello", language="wat")
    assert source == tmp_path / "my-app" / "src" / "main.wat"
    made = sdk.compile(tmp_path / "my-app")
    assert made.wasm == tmp_path / "my-app" / "build" / "my-app.wasm"
    assert made.manifest == manifest.load(tmp_path / "my-app")
    assert "@" not in (tmp_path / "my-app" / "README.md").read_text()
    assert "# my-app" in (tmp_path / "my-app" / "README.md").read_text()


def test_new_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "app.toml").write_text("mine")
    with pytest.raises(UsageError, match="is there already"):
        sdk.new(tmp_path / "demo", template="hello", language="c")
    assert [file.name for file in (tmp_path / "demo").iterdir()] == ["app.toml"]
    assert (tmp_path / "demo" / "app.toml").read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "template", "language", "message"),
    [
        ("demo", "alram", "c", "there is no template 'alram'"),
        ("demo", "alarm", "cobol", "there is no language 'cobol'"),
        ("a b", "alarm", "c", "an app cannot be called 'a b'"),
        ("a" * 33, "alarm", "c", "an app cannot be called"),
    ],
)
def test_new_refuses_what_it_does_not_know(
    tmp_path: Path, name: str, template: str, language: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        sdk.new(tmp_path / name, template=template, language=language)
    assert not (tmp_path / name).exists()


# ---- what a module may be


@pytest.mark.parametrize(
    ("body", "message", "hint"),
    [
        ("(func (drop (v128.const i32x4 0 0 0 0)))", "is not a module that devices run", "SIMD support"),
        ("(memory i64 1)", "is not a module that devices run", "memory64"),
        ("(memory 1 1 shared)", "is not a module that devices run", "threads"),
        ("(memory 1) (memory 1)", "is not a module that devices run", "multi"),
        ("(func return_call 0)", "is not a module that devices run", "tail call"),
        ("(tag) (func (throw 0))", "is not a module that devices run", "exceptions"),
        ("(func (i32.add (i32.const 1)) drop)", "is not a module that devices run", "offset 0x"),
        ('(import "env" "memory" (memory 1))', "imports a memory, env#memory", "define its own"),
        ('(import "env" "abort" (func))', "imports env#abort, which no device has", "Allowed interfaces"),
        (
            '(import "lab:device/log@0.1.0" "wirte" (func))',
            "imports lab:device/log@0.1.0#wirte, which no device has",
            "Did you mean 'write'?",
        ),
        (
            '(import "lab:device/log@0.1.0" "write" (func (param i32 i32)))',
            "as func (i32, i32); it is func (i32, i32, i32)",
            "headers",
        ),
        ('(func (export "init"))', "exports init as func (); it is func () -> i32", "headers"),
        ('(func (export "poll") (param i32))', "exports poll as func (i32); it is func ()", "headers"),
        ('(global (export "poll") i32 (i32.const 0))', "exports poll as global; it is func ()", "headers"),
        (
            '(func (export "on-command") (param i32 i32))',
            "exports on-command as func (i32, i32); it is func (i32, i32) -> i32",
            "headers",
        ),
        (
            '(func (export "cabi_realloc") (result i32) (i32.const 0))',
            "exports cabi_realloc as func () -> i32",
            "headers",
        ),
        ('(func (export "_initialize") (param i32))', "exports _initialize as func (i32)", "headers"),
        ("(func $f) (start $f)", "has a start function, which would run without a budget", "_initialize"),
        ('(func (export "__wasm_call_ctors"))', "exports __wasm_call_ctors, which would run", "_initialize"),
    ],
)
def test_what_no_device_runs_is_refused(body: str, message: str, hint: str) -> None:
    with pytest.raises(LabError) as caught:
        sdk.check(wat(body), "demo")
    assert caught.value.message.startswith("demo ")
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert caught.value.exit_code == ExitCode.FAILED


def test_what_is_no_module_is_refused() -> None:
    with pytest.raises(UsageError, match="demo is not WebAssembly"):
        sdk.check(b"#include <stdio.h>", "demo")
    component = bytes(wasmtime.wat2wasm("(component)"))
    with pytest.raises(UsageError, match="demo is a component"):
        sdk.check(component, "demo")


def permitting(module: bytes, *interfaces: str) -> bytes:
    record = messages.Manifest(version=1, interfaces=interfaces, i2c=(), memory=0, instructions=0)
    return binary.with_custom(module, manifest.SECTION, messages.pack(record))


def test_every_import_of_the_contract_is_taken_if_it_is_permitted() -> None:
    """A module without a manifest gets what touches nothing outside it, as on the device."""
    harmless = {"log", "clock", "publish", "kv", "system-info"}
    for interface, functions in contract.IMPORTS.items():
        short = interface.removeprefix("lab:device/").removesuffix("@0.1.0")
        for name, (parameters, results) in functions.items():
            signature = f"(param {' '.join(parameters)}) (result {' '.join(results)})"
            module = wat(f'(import "{interface}" "{name}" (func {signature}))')
            sdk.check(permitting(module, "clock", short), name)
            with pytest.raises(LabError, match=r"which its app\.toml does not permit"):
                sdk.check(permitting(module, "adc" if short == "clock" else "clock"), name)
            if short in harmless:
                sdk.check(module, name)
                continue
            with pytest.raises(LabError, match="has no manifest to permit it") as caught:
                sdk.check(module, name)
            assert short in caught.value.hint


def test_a_manifest_in_a_module_must_be_one() -> None:
    with pytest.raises(LabError, match="demo carries a manifest that is none"):
        sdk.check(binary.with_custom(wat(""), manifest.SECTION, b"\x01"), "demo")
    with pytest.raises(LabError, match="permits 'lgo', which is no interface") as caught:
        sdk.check(permitting(wat(""), "lgo"), "demo")
    assert "Did you mean 'log'?" in caught.value.hint


def test_custom_sections_come_and_go_and_leave_the_rest_as_it_was() -> None:
    bare = binary.without_custom(wat(LOGS))
    assert "name" in binary.read(wat(LOGS)).custom
    assert binary.read(bare) == replace(binary.read(wat(LOGS)), custom={})
    module = binary.with_custom(binary.with_custom(bare, "a", b"1" * 300), "b", b"2")
    assert binary.read(module).custom == {"a": b"1" * 300, "b": b"2"}
    assert binary.without_custom(module) == bare
    wasmtime.Module(wasmtime.Engine(), module)


def test_the_manifest_travels_in_the_module(app: Path) -> None:
    content = sdk.compile(app).wasm.read_bytes()
    carried = messages.unpack(messages.Manifest, binary.read(content).custom[manifest.SECTION])
    assert carried == messages.Manifest(1, ("log",), (0x77,), 4096, 100000)


def test_a_manifest_must_cover_the_imports(app: Path) -> None:
    (app / "main.wat").write_text(f"(module {LOGS})")
    assert sdk.compile(app).imports == ["lab:device/log@0.1.0#write"]
    (app / "app.toml").write_text(MANIFEST.replace('["log"]', '["clock"]'))
    with pytest.raises(
        LabError, match=r"imports lab:device/log@0\.1\.0#write, which its app\.toml"
    ) as caught:
        sdk.compile(app)
    assert 'Add "log"' in caught.value.hint
    assert not list((app / "build").glob(".*")), "it leaves scratch files behind"
    (app / "app.toml").write_text(MANIFEST.replace('["log"]', '["log", "clok"]'))
    with pytest.raises(LabError, match="permits 'clok', which is no interface") as caught:
        sdk.compile(app)
    assert "Did you mean 'clock'?" in caught.value.hint


def test_a_refused_module_does_not_replace_the_one_before(app: Path) -> None:
    before = sdk.compile(app).wasm.read_bytes()
    (app / "main.wat").write_text("(module (func return_call 0))")
    with pytest.raises(LabError):
        sdk.compile(app)
    assert (app / "build" / "demo.wasm").read_bytes() == before


def test_a_folder_that_cannot_be_written_is_named(app: Path) -> None:
    (app / "build").write_text("in the way")
    with pytest.raises(UsageError, match=r"cannot write to .*build: File exists") as caught:
        sdk.compile(app)
    assert "-o FILE" in caught.value.hint
    assert sdk.compile(app, output=app / "elsewhere" / "app.wasm").wasm == app / "elsewhere" / "app.wasm"


def test_memory_must_stay_within_the_manifest_and_the_board(app: Path) -> None:
    (app / "main.wat").write_text('(module (memory (export "memory") 1))')
    with pytest.raises(LabError, match=r"needs 65536 bytes of linear memory; its app\.toml allows 4096"):
        sdk.compile(app)
    (app / "app.toml").write_text(MANIFEST.replace("memory = 4096", "memory = 131072"))
    (app / "main.wat").write_text('(module (memory (export "memory") 2))')
    with pytest.raises(LabError, match="all apps of mps2-an385 share") as caught:
        sdk.compile(app, board=boards.load("mps2-an385"))
    assert "__heap_base" in caught.value.hint


ENDS = '(global (export "__data_end") i32 (i32.const 8)) (global (export "__heap_base") i32 (i32.const 1001))'


@pytest.mark.parametrize(
    ("body", "memory"),
    [
        ("", 0),
        ("(memory 1)", 65536),
        (f"(memory 1) {ENDS}", 1008),
        (f"(memory 0) {ENDS}", 0),
        (f"(memory 1) {ENDS} (func (drop (memory.grow (i32.const 1))))", 65536),
        (f"(memory 1) {ENDS} (func (drop (memory.size)))", 65536),
        ('(memory 1) (global (export "__heap_base") i32 (i32.const 1001))', 65536),
        # Bytes that look like memory.size (0x3f 0x00) and memory.grow (0x40 0x00) in constants and blocks.
        (
            f"(memory 1) {ENDS} (table 1 funcref) (func (param f64) (block (unreachable))"
            "(drop (i32.const 0x3f)) (drop (i64.const 0x2000)) (drop (f64.const 0x1.03f00403fp0))"
            "(drop (f32.const 0x1.003fp0)) (br_table 0 0 0 (i32.const 0)))",
            1008,
        ),
        (
            f'(memory 1) {ENDS} (table 1 funcref) (data $d "?") (func (memory.init $d (i32.const 0)'
            "(i32.const 0) (i32.const 0)) (data.drop $d)"
            "(memory.copy (i32.const 0) (i32.const 0) (i32.const 0))"
            "(memory.fill (i32.const 0) (i32.const 0) (i32.const 0))"
            "(drop (table.grow (ref.null func) (i32.const 0))) (drop (i32.trunc_sat_f32_s (f32.const 0))))",
            1008,
        ),
    ],
)
def test_memory_is_what_the_device_gives(body: str, memory: int) -> None:
    assert sdk.check(wat(body), "demo").memory == memory


def test_a_module_is_read_as_wasmtime_reads_it() -> None:
    """Imports and exports of every kind, against wasmtime's own reader."""
    body = (
        f'{LOG} (type (func (param i64 f32) (result f64))) (memory (export "m") 1 2)'
        '(table (export "t") 1 2 funcref) (global (export "g") (mut f64) (f64.const 1))'
        '(func (export "f") (param i64 f32) (result f64) (local i32 i64) (f64.const 0))'
        '(export "i" (func $log))'
    )
    module = binary.read(wat(body))
    engine = wasmtime.Engine()
    expected = wasmtime.Module(engine, wat(body))
    assert [(e.module, e.name) for e in module.imports] == [(e.module, e.name) for e in expected.imports]
    assert [e.name for e in module.exports] == [e.name for e in expected.exports]
    for export, other in zip(module.exports, expected.exports, strict=True):
        if isinstance(other.type, wasmtime.FuncType):
            assert export.signature == binary.Signature(
                tuple(str(each) for each in other.type.params),
                tuple(str(each) for each in other.type.results),
            )


# ---- compilers


def test_a_compilers_error_is_shown_as_it_was_written(tmp_path: Path) -> None:
    (tmp_path / "bad.c").write_text("int f(void) { return x; } // " + "long " * 40 + "\n")
    done = lab("compile", tmp_path / "bad.c")
    assert done.returncode == ExitCode.FAILED
    assert "error: bad does not compile\n" in done.stderr
    assert (
        "bad.c:1:22: error: use of undeclared identifier 'x'\nint f(void) { return x; } // long "
        in done.stderr
    )
    assert "\n                     ^\n1 error generated.\n" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("bad.wat", "(module (func)", "bad.wat: expected `)`"),
        ("bad.rs", "#![no_std]\nfn f() -> u32 { x }\n", "cannot find value `x` in this scope"),
        ("bad.ts", "export function f(): u32 { return x; }\n", "ERROR TS2304: Cannot find name 'x'."),
    ],
)
def test_each_languages_errors_pass_through(tmp_path: Path, file: str, text: str, said: str) -> None:
    (tmp_path / file).write_text(text)
    try:
        with pytest.raises(LabError, match="bad does not compile") as caught:
            sdk.compile(tmp_path / file)
    except MissingError as error:
        pytest.skip(str(error))
    assert said in caught.value.hint


def test_a_compilers_warnings_are_shown(tmp_path: Path) -> None:
    (tmp_path / "app.c").write_text("int f(int unused) { return 0; }\n")
    assert "warning: unused parameter 'unused'" in sdk.compile(tmp_path / "app.c").warnings


def test_c_and_cpp_go_together(tmp_path: Path) -> None:
    (tmp_path / "app.toml").write_text(
        'name = "both"\nversion = "0.1.0"\nlanguage = "c"\nsources = ["main.c", "part.cpp"]\n'
        '[permissions]\ninterfaces = ["clock"]\n'
    )
    (tmp_path / "main.c").write_text(
        '#include "lab.h"\nuint32_t part(void);\nuint32_t init(void) { return part(); }\n'
    )
    (tmp_path / "part.cpp").write_text(
        "static int calls; struct Part { int at; Part() : at(++calls) {} }; static Part part_of;\n"
        'extern "C" unsigned part() { return part_of.at + 41; }\n'
    )
    made = sdk.compile(tmp_path)
    store = wasmtime.Store()
    instance = wasmtime.Instance(store, wasmtime.Module(store.engine, made.wasm.read_bytes()), [])
    exports = instance.exports(store)
    exports["_initialize"](store)  # type: ignore[operator]
    assert exports["init"](store) == 42  # type: ignore[operator]


def test_c_has_what_of_string_h_apps_ask_for(tmp_path: Path) -> None:
    (tmp_path / "text.c").write_text(
        "#include <string.h>\n#define EXPORT(name) __attribute__((export_name(name)))\n"
        'static char a[9] = "abcdefgh", b[9] = "abcdefgz";\n'
        'EXPORT("copy") int copy(int n) { memcpy(a, b + 4, n); return memcmp(a, "efgz", 4); }\n'
        'EXPORT("move") int move(void) { memmove(b + 1, b, 7); return strcmp(b, "aabcdefg"); }\n'
        'EXPORT("set") int set(int n) { memset(b, 120, n); return strcmp(b, "xxxdefgz"); }\n'
        'EXPORT("compare") int compare(int n) { return memcmp(a, b, n); }\n'
        'EXPORT("order") int order(int high) { return strcmp(high ? "a\\xff" : "a", "ab"); }\n'
        'EXPORT("length") int length(void) { return strlen(a); }\n'
    )
    content = sdk.compile(tmp_path / "text.c").wasm.read_bytes()

    def call(name: str, *arguments: int) -> int:
        store = wasmtime.Store()
        function = wasmtime.Instance(store, wasmtime.Module(store.engine, content), []).exports(store)[name]
        assert isinstance(function, wasmtime.Func)
        return int(function(store, *arguments))

    assert [call("copy", 4), call("move"), call("set", 3), call("length")] == [0, 0, 0, 8]
    assert (call("compare", 7), call("compare", 8)) == (0, -1)
    assert call("order", 0) < 0 < call("order", 1)


def test_zig_compiles_c_where_clang_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ziglang", reason="pip install ziglang")
    monkeypatch.setenv("PATH", str(tmp_path))
    sdk.new(tmp_path / "demo", template="alarm", language="c")
    made = sdk.compile(tmp_path / "demo")
    assert {"init", "poll"} <= set(made.exports)
    assert made.memory < 2048


def test_a_missing_compiler_is_named_with_the_command_that_gets_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("LAB_CACHE", str(tmp_path))
    monkeypatch.setitem(sys.modules, "ziglang", None)
    for suffix, command in (
        (".c", "apt-get install clang lld"),
        (".rs", "rustup"),
        (".ts", "apt-get install npm"),
    ):
        (tmp_path / f"app{suffix}").write_text("")
        with pytest.raises(MissingError) as caught:
            sdk.compile(tmp_path / f"app{suffix}")
        assert command in caught.value.hint
        assert caught.value.exit_code == ExitCode.MISSING


def program(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_rust_without_the_target_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "rustc", f"echo {tmp_path}/nothing")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    (tmp_path / "app.rs").write_text("")
    with pytest.raises(MissingError, match="no core library for wasm32-unknown-unknown") as caught:
        sdk.compile(tmp_path / "app.rs")
    assert "rustup target add wasm32-unknown-unknown" in caught.value.hint


def test_an_old_node_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "node", "echo v16.20.2")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    (tmp_path / "app.ts").write_text("")
    with pytest.raises(MissingError, match=r"needs Node\.js 18 or newer; .* is v16\.20\.2"):
        sdk.compile(tmp_path / "app.ts")


def test_an_install_that_fails_leaves_nothing_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, "node", "echo v20.0.0")
    program(tmp_path, "npm", "echo EINTEGRITY sha512 >&2; exit 1")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    (tmp_path / "app.ts").write_text("")
    with pytest.raises(LabError, match="npm does not install AssemblyScript") as caught:
        sdk.compile(tmp_path / "app.ts")
    assert caught.value.hint == "EINTEGRITY sha512"
    assert [file.name for file in (tmp_path / "cache").iterdir()] == ["assemblyscript.lock"]


def test_wasm_opt_is_used_only_if_the_module_gets_smaller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    module = tmp_path / "module.wasm"
    for script, content, by in (
        ('printf abc > "$5"', b"abc", "wasm-opt"),
        ('printf abcdef > "$5"', b"module", ""),
        ("exit 1", b"module", ""),
    ):
        module.write_bytes(b"module")
        # Its output is named by the argument after -o.
        program(tmp_path, "wasm-opt", 'while [ "$1" != -o ]; do shift; done; set -- 1 2 3 4 "$2"; ' + script)
        assert optimise.shrink(module) == by
        assert module.read_bytes() == content


# ---- the command line, and lab deploy's input


def test_compile_prints_what_it_made(app: Path) -> None:
    (app / "main.wat").write_text(f"(module {LOGS})")
    done = lab("compile", app, "--json")
    assert done.returncode == ExitCode.DONE, done.stderr
    said = json.loads(done.stdout)
    wasm = app / "build" / "demo.wasm"
    assert said["wasm"] == str(wasm)
    assert said["size"] == wasm.stat().st_size
    assert said["imports"] == ["lab:device/log@0.1.0#write"]
    assert said["exports"] == ["poll"]
    assert said["permissions"] == {"interfaces": ["log"], "i2c": [0x77]}
    assert said["language"] == "wat"
    done = lab("compile", app)
    assert "permits  log, i2c 0x77" in done.stdout


def test_what_is_deployed_is_compiled_and_checked_first(app: Path) -> None:
    name, content, _ = modules.read_app(app)
    assert (name, content) == ("demo", (app / "build" / "demo.wasm").read_bytes())
    assert modules.read_app(app / "build" / "demo.wasm")[:2] == ("demo", content)
    assert modules.read_app(app / "main.wat")[0] == "main"
    bad = app / "bad.wasm"
    bad.write_bytes(wat('(import "env" "abort" (func))'))
    with pytest.raises(LabError, match="imports env#abort"):
        modules.read_app(bad)
    with pytest.raises(UsageError, match=r"cannot read .*none\.wasm"):
        modules.read_app(app / "none.wasm")
    with pytest.raises(UsageError, match="there is no"):
        modules.read_app(app / "none")
    (app / "notes.txt").write_text("")
    with pytest.raises(UsageError, match="is in no language") as caught:
        modules.read_app(app / "notes.txt")
    assert ".wat" in caught.value.hint


def test_memory_that_only_imports_read_is_not_optimised_away(tmp_path: Path) -> None:
    app = tmp_path / "speaker.wat"
    app.write_text(
        '(module (import "lab:device/log@0.1.0" "write" (func $log (param i32 i32 i32))) (memory 1) '
        '(data (i32.const 0) "hello") '
        '(func (export "init") (result i32) (call $log (i32.const 1) (i32.const 0) (i32.const 5)) '
        "i32.const 0))"
    )
    assert b"hello" in modules.read_app(app).module


def test_a_module_that_is_cut_short_is_not_signed(tmp_path: Path) -> None:
    publisher = Publisher.new(tmp_path / "publisher.pem")
    whole = wasmtime.wat2wasm('(module (func (export "two") (result i32) i32.const 2))')
    for cut in (1, 2, 5):
        with pytest.raises(LabError):
            publisher.sign("two", bytes(whole[:-cut]))
