"""The firmware's app runtime, under the sanitizers: what it takes, what it refuses, and what it survives."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wasmtime import wat2wasm

from lab.wire.messages import ResultCode as R
from tests.unit.firmware import Bench, bench

LOG = '(import "lab:device/log@0.1.0" "write" (func $log (param i32 i32 i32)))'
SEND = '(import "lab:device/publish@0.1.0" "send" (func $send (param i32 i32 i32 i32)))'
NOW = '(import "lab:device/clock@0.1.0" "now" (func $now (result i64)))'

# What clang's wasm-ld gives an app that exports __heap_base and __data_end: far less than a page of memory.
SMALL = """(memory (export "memory") 1)
    (global (export "__data_end") i32 (i32.const 1024)) (global (export "__heap_base") i32 (i32.const 2048))
    (global $sp (mut i32) (i32.const 2048))"""


def module(body: str) -> bytes:
    return bytes(wat2wasm(f"(module {body})"))


ADD = module('(func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))')
FIB = module(
    """(func $fib (export "fib") (param i32) (result i32)
         (if (result i32) (i32.lt_s (local.get 0) (i32.const 2)) (then (local.get 0)) (else (i32.add
            (call $fib (i32.sub (local.get 0) (i32.const 1)))
            (call $fib (i32.sub (local.get 0) (i32.const 2)))))))"""
)


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as opened:
        yield opened


# -- calls


def test_call_returns_what_the_module_computes(device: Bench) -> None:
    assert device.deploy("fib", FIB).code == R.DONE
    assert device.ask("call", "fib", "fib", "i20").values == [6765]


@pytest.mark.parametrize(
    ("type", "given", "value"),
    [
        ("i32", "i-2147483648", -2147483648),
        ("i32", "i4294967295", -1),
        ("i64", "i-9223372036854775808", -9223372036854775808),
        ("f32", "f0.5", 0.5),
        ("f32", "i3", 3),
        ("f64", "f-1e300", -1e300),
    ],
)
def test_values_keep_their_type(device: Bench, type: str, given: str, value: float) -> None:
    device.deploy("id", module(f'(func (export "id") (param {type}) (result {type}) (local.get 0))'))
    assert device.ask("call", "id", "id", given).values == [value]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nobody", "add", "i1", "i2"], R.NO_SUCH_APP, "no app of that name"),
        (["add", "sub", "i1", "i2"], R.NO_SUCH_FUNCTION, "add exports no function sub"),
        (["add", "add", "i1"], R.BAD_ARGUMENTS, "add.add takes 2 arguments, not 1"),
        (["add", "add", "i1", "f2"], R.BAD_ARGUMENTS, "argument 2 is an i32"),
        (["add", "add", "i1", "i4294967296"], R.BAD_ARGUMENTS, "argument 2 is an i32"),
    ],
)
def test_bad_calls_are_answered_in_words(device: Bench, arguments: list[str], code: R, words: str) -> None:
    device.deploy("add", ADD)
    answer = device.ask("call", *arguments)
    assert answer.code == code
    assert words in answer.words
    assert device.ask("call", "add", "add", "i2", "i3").values == [5]


def test_an_f32_out_of_range_is_refused(device: Bench) -> None:
    device.deploy("id", module('(func (export "id") (param f32) (result f32) (local.get 0))'))
    assert device.ask("call", "id", "id", "f1e39").code == R.BAD_ARGUMENTS


# -- what apps may do


def test_init_poll_and_host_calls(device: Bench) -> None:
    answer = device.deploy(
        "app",
        module(f"""{LOG} {SEND} {NOW} {SMALL}
            (data (i32.const 0) "hello" "topic" "\\01\\02\\03")
            (func (export "init") (result i32)
              (call $log (i32.const 1) (i32.const 0) (i32.const 5)) (i32.const 100))
            (func (export "poll") (call $send (i32.const 5) (i32.const 5) (i32.const 10) (i32.const 3)))
            (func (export "now") (result i64) (call $now))"""),
    )
    assert answer.code == R.DONE
    assert answer.logs() == ["hello"]
    assert device.ask("step", 99).said == []
    assert device.ask("step", 1).said == ["event app topic 3 6"]
    assert device.ask("call", "app", "now").values == [100]
    # Polls that were missed are not caught up on, and the period goes on.
    late = device.ask("step", 1050)
    assert (late.said, late.number) == (["event app topic 3 6"], 100)


def test_initialize_runs_before_init(device: Bench) -> None:
    answer = device.deploy(
        "app",
        module(f"""{LOG} {SMALL} (data (i32.const 0) "12")
            (func (export "_initialize") (call $log (i32.const 0) (i32.const 0) (i32.const 1)))
            (func (export "init") (result i32)
              (call $log (i32.const 0) (i32.const 1) (i32.const 1)) (i32.const 0))"""),
    )
    assert answer.logs() == ["1", "2"]


@pytest.mark.parametrize("export", ['"init" (param i32) (result i32)', '"poll" (result i32)'])
def test_a_lifecycle_export_of_another_form_is_refused(device: Bench, export: str) -> None:
    name, form = export.split(" ", 1)
    answer = device.deploy("app", module(f"(func (export {name}) {form} (i32.const 0))"))
    assert answer.code == R.REFUSED
    assert "must be a function" in answer.words


# -- what is refused before anything runs


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (b"", R.NOT_WASM, "not a WebAssembly module"),
        (b"\x7fELF\x01\x01\x01\x00", R.NOT_WASM, "not a WebAssembly module"),
        (b"\0asm\x02\0\0\0", R.NOT_WASM, "version 2"),
        (b"\0asm\x0d\0\x01\0", R.NOT_WASM, "component"),
        (ADD[:-3], R.NOT_WASM, "cut short"),
        (ADD[:-1] + b"\xff", R.NOT_WASM, ""),
        (module('(import "env" "system" (func))'), R.IMPORT_REFUSED, "import env.system is outside"),
        (
            module('(import "lab:device/log@0.1.0" "read" (func))'),
            R.IMPORT_REFUSED,
            "import lab:device/log@0.1.0.read is outside",
        ),
        (
            module('(import "lab:device/log@0.1.0" "write" (func (param i64)))'),
            R.IMPORT_REFUSED,
            "another signature",
        ),
        (module('(import "env" "memory" (memory 1))'), R.IMPORT_REFUSED, "import env.memory"),
        (module('(import "e\\1b[31m" "x" (global i32))'), R.IMPORT_REFUSED, "import e?[31m.x"),
        (module("(func $f) (start $f)"), R.REFUSED, "without a budget"),
        (module('(func (export "__wasm_call_ctors"))'), R.REFUSED, "without a budget"),
    ],
)
def test_refusals_name_the_reason(device: Bench, content: bytes, code: R, words: str) -> None:
    before = device.free()
    answer = device.deploy("app", content)
    assert (answer.code, words in answer.words) == (code, True), answer
    assert device.apps()["app"][0] == "failed"
    assert device.free() == before
    assert device.deploy("add", ADD).code == R.DONE


def test_a_feature_the_runtime_lacks_is_refused(device: Bench) -> None:
    simd = module('(func (export "f") (result i32) (i32x4.extract_lane 0 (v128.const i32x4 1 2 3 4)))')
    assert device.deploy("app", simd).code == R.NOT_WASM


def test_too_large(device: Bench) -> None:
    answer = device.ask("begin", "app", 70000, "00" * 32)
    assert answer.code == R.TOO_LARGE
    assert answer.words == "a module of 70000 bytes: this device takes 65536"


def test_memory_that_does_not_fit(device: Bench) -> None:
    before = device.free()
    answer = device.deploy("app", module('(memory (export "memory") 3)'))
    assert answer.code == R.OUT_OF_MEMORY
    assert "bytes are free" in answer.words
    assert device.free() == before


def test_memory_grow_stops_at_the_pool(device: Bench) -> None:
    device.deploy("app", module('(memory 1) (func (export "grow") (result i32) (memory.grow (i32.const 2)))'))
    assert device.ask("call", "app", "grow").values == [-1]


@pytest.mark.parametrize("name", ["a" * 33, "a/b", "ü"])
def test_names_that_cannot_be(device: Bench, name: str) -> None:
    assert device.deploy(name, ADD).code == R.BAD_ARGUMENTS


# -- what ends an app, and nothing else

TRAPS = {
    "unreachable": "unreachable",
    "(drop (i32.div_s (i32.const 1) (i32.const 0)))": "integer divide by zero",
    "(drop (i32.load (i32.const -4)))": "out of bounds memory access",
    "(call $log (i32.const 1) (i32.const 65535) (i32.const 2))": "out of bounds memory access",
    "(call $log (i32.const 1) (i32.const 0) (i32.const -1))": "out of bounds memory access",
    "(call $log (i32.const 1) (i32.const -1) (i32.const 0))": "out of bounds memory access",
    "(call $log (i32.const 4) (i32.const 0) (i32.const 0))": "no such level",
    "(call $send (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))": "a topic has 1 to 64 bytes",
    "(call $send (i32.const 0) (i32.const 65) (i32.const 0) (i32.const 0))": "a topic has 1 to 64 bytes",
    "(call $send (i32.const 0) (i32.const 9) (i32.const 0) (i32.const 1025))": "1024 bytes at most",
    "(call $send (i32.const 0) (i32.const 9) (i32.const 65000) (i32.const 1000))": "out of bounds",
    "(call $deep)": "stack overflow",
}


@pytest.mark.parametrize("code", TRAPS)
def test_a_trap_ends_the_app_and_says_where(device: Bench, code: str) -> None:
    device.deploy("add", ADD)
    before = device.free()
    device.deploy(
        "app",
        module(f'{LOG} {SEND} (memory 1) (func $deep (call $deep)) (func (export "go") {code})'),
    )
    answer = device.ask("call", "app", "go")
    assert answer.code == R.TRAP
    assert answer.words.startswith("app.go: ")
    assert TRAPS[code] in answer.words
    assert device.apps()["app"][0::3] == ["failed", answer.words]
    assert device.free() == before
    assert device.ask("call", "add", "add", "i1", "i1").values == [2]


@pytest.mark.parametrize("export", ["_initialize", "poll", "go"])
def test_a_runaway_loop_runs_out_of_budget(device: Bench, export: str) -> None:
    device.deploy(
        "good",
        module(f"""{LOG} {SMALL} (func (export "init") (result i32) (i32.const 10))
            (func (export "poll") (call $log (i32.const 0) (i32.const 0) (i32.const 0)))"""),
    )
    before = device.free()
    answer = device.deploy(
        "bad",
        module(
            f'(func (export "init") (result i32) (i32.const 10)) (func (export "{export}") (loop (br 0)))'
        ),
    )
    if export == "go":
        answer = device.ask("call", "bad", "go")
    if export != "poll":
        assert answer.code == R.BUDGET_EXCEEDED
    said = device.ask("step", 10).said
    assert device.apps()["bad"][0] == "failed"
    assert f"bad.{export} ran for more than" in device.apps()["bad"][3]
    assert "log good debug " in said
    assert device.free() == before


@given(level=st.integers(), pointers=st.lists(st.integers(0, 2**32 - 1), min_size=4, max_size=4))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_hostile_pointers_reach_nothing(device: Bench, level: int, pointers: list[int]) -> None:
    a, b, c, d = pointers
    content = module(f"""{LOG} {SEND} {SMALL}
        (func (export "log") (param i32 i32 i32)
          (call $log (local.get 0) (local.get 1) (local.get 2)))
        (func (export "send") (param i32 i32 i32 i32)
          (call $send (local.get 0) (local.get 1) (local.get 2) (local.get 3)))""")
    before = device.free()
    device.deploy("app", content)
    device.ask("call", "app", "log", f"i{level % 5}", f"i{a}", f"i{b}")
    device.deploy("app", content)
    device.ask("call", "app", "send", f"i{a}", f"i{b}", f"i{c}", f"i{d}")
    device.ask("stop", "app")
    assert device.free() == before


@given(flips=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=6))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_modules_do_no_harm(device: Bench, flips: list[tuple[int, int]]) -> None:
    content = bytearray(
        module(f"""{LOG} {SEND} {SMALL} (table 2 funcref) (elem (i32.const 0) $f)
            (data (i32.const 16) "some bytes of data") (global $g (mut i64) (i64.const 7))
            (func $f (export "f") (param i32) (result i32) (local i64 f32)
              (block (br_table 0 0 (local.get 0)))
              (call_indirect (param i32) (result i32) (i32.const 1) (i32.const 0)))
            (func (export "init") (result i32)
              (call $log (i32.const 1) (i32.const 16) (i32.const 4)) (i32.const 1))
            (func (export "poll") (memory.fill (i32.const 0) (i32.const 1) (i32.const 64)))""")
    )
    for at, value in flips:
        content[8 + at % (len(content) - 8)] = value
    before = device.free()
    device.deploy("app", bytes(content))
    device.ask("step", 1)
    device.ask("call", "app", "f", "i1")
    device.ask("stop", "app")
    assert device.free() == before


# -- several apps, memory


def test_eight_apps_and_no_more(device: Bench) -> None:
    for i in range(8):
        assert device.deploy(f"app{i}", ADD).code == R.DONE
    answer = device.deploy("app8", ADD)
    assert answer.code == R.TOO_MANY_APPS
    assert "stop or remove one first" in answer.words
    assert device.ask("stop", "app3").code == R.DONE
    assert device.deploy("app8", ADD).code == R.DONE
    assert sorted(device.apps()) == sorted(f"app{i}" for i in (0, 1, 2, 4, 5, 6, 7, 8))


def test_small_modules_take_less_than_a_page(device: Bench) -> None:
    device.deploy("app", module(f'{SMALL} (func (export "f"))'))
    state, _size, memory, _words = device.apps()["app"]
    assert state == "trial"
    assert int(memory) < 12000


def test_a_thousand_cycles_leave_the_pool_as_it_was(device: Bench) -> None:
    content = module(f"""{LOG} {SMALL} (table 4 funcref) (func (export "init") (result i32)
        (call $log (i32.const 1) (i32.const 0) (i32.const 4)) (i32.const 50)) (func (export "poll"))""")
    device.deploy("other", FIB)
    device.deploy("app", content)
    device.ask("stop", "app")
    before = device.free()
    for _ in range(1000):
        assert device.deploy("app", content).code == R.DONE
        device.ask("step", 50)
        assert device.ask("stop", "app").code == R.DONE
    assert device.free() == before
    assert device.ask("call", "other", "fib", "i10").values == [55]


def test_stop(device: Bench) -> None:
    before = device.free()
    device.deploy("add", ADD)
    device.ask("step", 10_000)
    assert device.ask("stop", "add").said == ["changed add stopped "]
    assert device.ask("stop", "add").code == R.DONE
    assert device.free() == before
    assert device.ask("call", "add", "add", "i1", "i1").code == R.NO_SUCH_APP
    assert device.ask("stop", "nobody").code == R.NO_SUCH_APP


# -- transfer


def begin(device: Bench, content: bytes, digest: str = "") -> None:
    answer = device.ask("begin", "app", len(content), digest or hashlib.sha256(content).hexdigest())
    assert (answer.code, answer.number) == (R.DONE, 0)


def test_transfer_in_chunks_keeps_the_old_app_until_the_end(device: Bench) -> None:
    device.deploy("app", ADD)
    begin(device, FIB)
    file = device.file(FIB)
    assert device.ask("chunk", 0, file, 0, 20).number == 20
    assert device.ask("call", "app", "add", "i1", "i2").values == [3]
    wrong = device.ask("chunk", 30, file, 30, 10)
    assert (wrong.code, wrong.number) == (R.WRONG_OFFSET, 20)
    early = device.ask("end")
    assert early.code == R.WRONG_OFFSET
    # The same begin again, as after a lost connection: it goes on where it was.
    again = device.ask("begin", "app", len(FIB), hashlib.sha256(FIB).hexdigest())
    assert (again.code, again.number) == (R.DONE, 20)
    long = device.ask("chunk", 20, file, 0, len(FIB))
    assert (long.code, long.number) == (R.TOO_LARGE, 20)
    assert device.ask("chunk", 20, file, 20, len(FIB) - 20).number == len(FIB)
    assert device.ask("end").code == R.DONE
    assert device.ask("call", "app", "fib", "i10").values == [55]


def test_a_wrong_digest_changes_nothing(device: Bench) -> None:
    device.deploy("app", ADD)
    before = device.free()
    begin(device, FIB, "00" * 32)
    device.ask("chunk", 0, device.file(FIB), 0, len(FIB))
    assert device.ask("end").code == R.DIGEST_MISMATCH
    assert device.ask("end").code == R.WRONG_OFFSET
    assert device.ask("call", "app", "add", "i1", "i2").values == [3]
    assert device.free() == before


def test_chunks_without_a_begin(device: Bench) -> None:
    assert device.ask("chunk", 0, device.file(ADD), 0, 4).code == R.WRONG_OFFSET


def test_an_app_makes_room_for_its_successor(tmp_path: Path) -> None:
    padding = module(f'(func (export "f")) (@custom "padding" "{"x" * 13000}")')
    with bench(tmp_path, pool=32768) as device:
        assert device.deploy("app", padding).code == R.DONE
        assert device.deploy("app", padding).code == R.DONE
        assert device.deploy("other", padding).code == R.OUT_OF_MEMORY
        assert device.apps()["app"][0] == "trial"
