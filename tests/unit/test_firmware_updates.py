"""Packages, trial and rollback on the firmware's core, under the sanitizers, and power cuts everywhere."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from wasmtime import wat2wasm

from tests.unit.firmware import folder
from tests.unit.packages import Publisher


def app(version: int, *, poll: str = "", size: int = 0, interval: int = 100) -> bytes:
    """Return a module that is polled every `interval` ms and says its version."""
    text = f"""(module (@custom "padding" "{"x" * size}")
        (func (export "init") (result i32) (i32.const {interval}))
        (func (export "poll") {poll})
        (func (export "version") (result i32) (i32.const {version})))"""
    return bytes(wat2wasm(text))


def test_power_cut_at_every_flash_operation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    publisher = Publisher()
    (tmp_path / "public.key").write_bytes(publisher.public)
    packages = {
        "v1": ("app", app(1, size=5000)),
        "v2": ("app", app(2, size=9000)),
        "v3": ("app", app(3, size=300)),
        "v4": ("app", app(4, size=4000)),
        "bad": ("app", app(5, poll="unreachable", size=2000)),
        "other": ("other", app(6)),
    }
    for sequence, (file, (name, module)) in enumerate(packages.items(), 1):
        number = 2 if file == "bad" else sequence
        (tmp_path / f"{file}.wasm").write_bytes(module)
        (tmp_path / f"{file}.cose").write_bytes(publisher.envelope(name, module, number))
    program = folder() / "tests" / "power_cut"
    done = subprocess.run([program, tmp_path], capture_output=True, text=True, timeout=900)
    with capsys.disabled():
        print("\n" + done.stdout, end="")
    assert done.returncode == 0, done.stderr
