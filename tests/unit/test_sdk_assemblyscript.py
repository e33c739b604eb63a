"""The memory manager of apps in AssemblyScript, lab/sdk/assemblyscript/runtime.ts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import wasmtime

from lab import sdk
from lab.errors import MissingError

APP = """\
class Node {
  constructor(public value: i32, public next: Node | null) {}
}

let list: Node | null = null;
const numbers: i32[] = [];
const names = new Map<string, string>();
let text = "";

export function push(value: i32): void { list = new Node(value, list); }
export function drop(count: i32): void { while (count-- > 0 && list) list = list!.next; }
export function sum(): i32 {
  let all = 0;
  for (let node = list; node; node = node!.next) all += node!.value;
  return all;
}

export function append(value: i32): void { numbers.push(value); }
export function shorten(count: i32): void { numbers.length = numbers.length - count; }
export function total(): i32 {
  let all = 0;
  for (let i = 0; i < numbers.length; i++) all += numbers[i];
  return all;
}

export function name(key: i32, value: i32): void {
  names.set("key" + key.toString(), "value" + value.toString());
}
export function named(key: i32, value: i32): bool {
  const own = "key" + key.toString();
  return names.has(own) && names.get(own) == "value" + value.toString();
}
export function forget(key: i32): void { names.delete("key" + key.toString()); }

// Only on the stack of references while it grows.
export function words(count: i32): i32 {
  let all = "";
  for (let i = 0; i < count; i++) all = all.slice(0, 40) + "," + i.toString();
  return all.length;
}

export function keep(count: i32): void { for (let i = 0; i < count; i++) text += "x"; }
export function kept(): i32 { return text.length; }

export function pinned(value: i32): usize {
  const node = new Node(value, null);
  return __pin(changetype<usize>(node));
}
export function unpin(at: usize): i32 {
  const value = changetype<Node>(at).value;
  __unpin(at);
  return value;
}
export function cycle(): void {
  const a = new Node(1, null);
  const b = new Node(2, a);
  a.next = b;
}
"""


class Running:
    def __init__(self, wasm: Path) -> None:
        self.store = wasmtime.Store()
        module = wasmtime.Module(self.store.engine, wasm.read_bytes())
        self.exports = wasmtime.Instance(self.store, module, []).exports(self.store)
        self("_initialize")

    def __call__(self, name: str, *arguments: int) -> Any:
        function = self.exports[name]
        assert isinstance(function, wasmtime.Func)
        return function(self.store, *arguments)


@pytest.fixture(scope="module")
def wasm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("heap")
    (folder / "app.ts").write_text(APP)
    try:
        made = sdk.compile(folder / "app.ts")
    except MissingError as error:
        pytest.skip(str(error))
    assert made.memory < 8192
    return made.wasm


def test_what_is_reachable_stays_and_what_is_not_is_used_again(wasm: Path) -> None:
    app = Running(wasm)
    values: list[int] = []
    numbers: list[int] = []
    names: dict[int, int] = {}
    for turn in range(3000):
        app("push", turn)
        values.append(turn)
        if len(values) > 12:
            app("drop", 7)
            del values[-7:]
        app("append", turn * 3)
        numbers.append(turn * 3)
        if len(numbers) > 20:
            app("shorten", 18)
            del numbers[-18:]
        key = turn * 7 % 5
        if turn % 3:
            app("name", key, turn)
            names[key] = turn
        else:
            app("forget", key)
            names.pop(key, None)
        app("cycle")
        assert app("words", 5) > 0
        assert app("sum") == sum(values)
        assert app("total") == sum(numbers)
        assert all(app("named", key, value) for key, value in names.items())


def test_a_pinned_object_survives_though_nothing_refers_to_it(wasm: Path) -> None:
    app = Running(wasm)
    at = app("pinned", 42)
    for _ in range(100):
        app("words", 10)
    assert app("unpin", at) == 42


def test_a_full_heap_ends_the_app(wasm: Path) -> None:
    app = Running(wasm)
    with pytest.raises(wasmtime.Trap, match="unreachable"):
        app("keep", 2000)
    assert 100 < app("kept") < 1024


def test_the_heap_is_as_large_as_the_manifest_says(tmp_path: Path, wasm: Path) -> None:
    (tmp_path / "app.ts").write_text(APP)
    (tmp_path / "app.toml").write_text(
        'name = "app"\nversion = "0.1.0"\nlanguage = "assemblyscript"\nsources = ["app.ts"]\n'
        "[build]\nheap = 16384\n"
    )
    made = sdk.compile(tmp_path)
    app = Running(made.wasm)
    app("keep", 2000)
    assert app("kept") == 2000
    assert made.memory == sdk.check(wasm.read_bytes(), "").memory + 16384 - 2048
