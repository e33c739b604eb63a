"""`app.toml`: what an app is, what it may touch, what it may use up. docs/apps.md explains every key."""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from lab.errors import UsageError
from lab.sdk.binary import with_custom
from lab.wire import messages

FILE = "app.toml"
SECTION = "lab:manifest"
NAME = r"^[A-Za-z0-9._-]{1,32}$"

_STRICT = ConfigDict(extra="forbid", strict=True)

Address = Annotated[int, Field(ge=0x08, le=0x77)]  # I²C specification UM10204, table 4: the rest is reserved


@dataclass(frozen=True, slots=True, kw_only=True)
class Permissions:
    """What an app may touch; all else is refused.

    :param interfaces: of the contract, by their short names (`log`, `led-controller`).
    :param i2c: 7-bit addresses that `i2c.transfer` may go to.
    """

    interfaces: Annotated[tuple[str, ...], Field(max_length=24)] = ()
    i2c: Annotated[tuple[Address, ...], Field(max_length=16)] = ()

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What an app may use up.

    :param memory: bytes of linear memory; none leaves it to the device.
    :param instructions: WebAssembly instructions of one call; none leaves it to the device.
    """

    memory: Annotated[int, Field(ge=1, le=0xFFFF_FFFF)] | None = None
    instructions: Annotated[int, Field(ge=1, le=0x7FFF_FFFF)] | None = None

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """How its linear memory is laid out besides data.

    :param stack: bytes for what the compiler keeps in memory of running functions; a multiple of 16.
    :param heap: bytes for objects, a multiple of 16; AssemblyScript alone has a heap.
    """

    stack: Annotated[int, Field(ge=64, le=0x10_0000, multiple_of=16)] = 1024
    heap: Annotated[int, Field(ge=64, le=0x10_0000, multiple_of=16)] = 2048

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """An app's manifest.

    :param name: what devices call it.
    :param version: `major.minor.patch`.
    :param language: what it is written in.
    :param sources: files of its folder; the first is the one that others are reached from.
    """

    name: Annotated[str, Field(pattern=NAME)]
    version: Annotated[str, Field(pattern=r"^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)$")]
    language: str
    sources: Annotated[tuple[str, ...], Field(min_length=1)]
    permissions: Permissions = field(default_factory=Permissions)
    limits: Limits = field(default_factory=Limits)
    build: Build = field(default_factory=Build)

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT


_MANIFEST = TypeAdapter(Manifest)
_TABLES = {"permissions": Permissions, "limits": Limits, "build": Build}
_WORDS = {
    "name": "1 to 32 letters, digits, '.', '_' or '-'",
    "version": "three numbers, such as '1.0.0'",
}


def embed(manifest: Manifest, module: bytes) -> bytes:
    """Return `module` with its manifest in the section where devices look for it (wire.cddl, `manifest`)."""
    record = messages.Manifest(
        version=1,
        interfaces=manifest.permissions.interfaces,
        i2c=manifest.permissions.i2c,
        memory=manifest.limits.memory or 0,
        instructions=manifest.limits.instructions or 0,
    )
    return with_custom(module, SECTION, messages.pack(record))


def load(folder: Path) -> Manifest:
    """Return the manifest of the app in `folder`.

    :raises UsageError: it is missing, or says something it cannot; the message names the file and the key.
    """
    file = folder / FILE
    try:
        table = tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        raise UsageError(f"there is no {file}", hint="`lab new` makes an app's folder with one.") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{file}: {error}") from error
    try:
        # JSON because strict mode takes a JSON array for a tuple, but not a list.
        manifest = _MANIFEST.validate_json(json.dumps(table, default=str), strict=True)
    except ValidationError as error:
        raise _explained(error, file) from None
    for source in manifest.sources:
        _check_source(source, folder, file)
    return manifest


def _check_source(source: str, folder: Path, file: Path) -> None:
    path = PurePosixPath(source)
    if path.is_absolute() or ".." in path.parts:
        raise UsageError(f"{file}: sources: {source!r} is outside the app's folder")
    if not (folder / path).is_file():
        raise UsageError(f"{file}: sources: there is no {source!r}")


def _explained(error: ValidationError, file: Path) -> UsageError:
    """Turn what pydantic found first into file, key and what is allowed; a wrong key before a missing one."""
    found = error.errors(include_url=False)
    first = next((each for each in found if each["type"] == "unexpected_keyword_argument"), found[0])
    location = first["loc"]
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")
    match first["type"]:
        case "unexpected_keyword_argument":
            table: Any = _TABLES[str(location[0])] if len(location) > 1 else Manifest
            known = [option.name for option in fields(table)]
            return UsageError(f"{file}: unknown key '{key}'", hint=allowed("keys", str(location[-1]), known))
        case "missing" | "missing_argument":
            return UsageError(f"{file}: key '{key}' is missing", hint="docs/apps.md says what it means.")
    wanted = _WORDS.get(key) or first["msg"].removeprefix("Input should ")
    return UsageError(
        f"{file}: {key} = {first['input']!r}: it should be {wanted.removeprefix('be ')}",
        hint="docs/apps.md says what it means.",
    )


def allowed(what: str, given: str, names: Iterable[str]) -> str:
    """Return a hint: the name that was perhaps meant, and all there are."""
    known = sorted(names)
    close = difflib.get_close_matches(given, known, n=1)
    guess = f"Did you mean {close[0]!r}? " if close else ""
    return f"{guess}Allowed {what}: {', '.join(known)}."
