"""WebAssembly modules as files: read, checked for being WASM at all."""

from __future__ import annotations

from pathlib import Path

from lab.errors import UsageError

MAGIC = b"\0asm"
CORE_VERSION = b"\x01\0\0\0"
COMPONENT_VERSION = b"\x0d\0\x01\0"


def read_module(file: Path) -> bytes:
    """Return the core module in `file`; a WebAssembly text (``.wat``) is translated.

    :raises UsageError: it cannot be read, or is not a core module of version 1.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from error
    if file.suffix == ".wat":
        content = _translate(file, content)
    check_module(content, str(file))
    return content


def check_module(content: bytes, what: str) -> None:
    """Refuse what is not a core module before it goes anywhere; the device checks the rest.

    :param what: how to name it in the error.
    :raises UsageError: it is not a core module of version 1 (WebAssembly core specification, 5.5.16).
    """
    if content[:4] != MAGIC:
        raise UsageError(f"{what} is not WebAssembly", hint="a module begins with the bytes 00 61 73 6d")
    if content[4:8] == COMPONENT_VERSION:
        raise UsageError(
            f"{what} is a component; a device runs core modules",
            hint="deploy the core module that it was made from",
        )
    if content[4:8] != CORE_VERSION:
        raise UsageError(f"{what} is not a WebAssembly module of version 1")


def _translate(file: Path, text: bytes) -> bytes:
    import wasmtime

    try:
        return bytes(wasmtime.wat2wasm(text))
    except wasmtime.WasmtimeError as error:
        raise UsageError(f"{file} does not translate", hint=str(error)) from error
