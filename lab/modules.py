"""WebAssembly modules as files: compiled if they are sources yet, read, checked for being WASM at all."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from lab.errors import UsageError

MAGIC = b"\0asm"
CORE_VERSION = b"\x01\0\0\0"
COMPONENT_VERSION = b"\x0d\0\x01\0"


class App(NamedTuple):
    """An app as its author has it.

    :param name: its folder's or file's, unless its manifest says another.
    :param module: a core module.
    :param version: its manifest's; empty without one.
    """

    name: str
    module: bytes
    version: str = ""


def read_app(path: Path, *, language: str = "c", progress: Callable[[str], None] = lambda _: None) -> App:
    """Return the app in a module; a source or an app's folder is compiled first, and so is a template.

    :param path: a template's name counts where nothing of that name is there.
    :param language: of a template.
    :param progress: told what is being done, if it takes long.
    :raises UsageError: it cannot be read, is not a core module of version 1, or is in no known language.
    :raises LabError: it does not compile, or is not a module that devices run.
    """
    from lab import sdk

    if not path.exists() and str(path) in sdk.templates():
        with tempfile.TemporaryDirectory(prefix="lab-app-") as scratch:
            folder = Path(scratch) / path
            sdk.new(folder, template=str(path), language=language)
            return read_app(folder, progress=progress)
    if path.suffix == ".wasm" and not path.is_dir():
        try:
            content = path.read_bytes()
        except OSError as error:
            raise UsageError(f"cannot read {path}: {error.strerror}") from error
        sdk.check(content, str(path))
        return App(path.stem, content)
    compiled = sdk.compile(path, progress=progress)
    version = compiled.manifest.version if compiled.manifest else ""
    return App(compiled.wasm.stem, compiled.wasm.read_bytes(), version)


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
