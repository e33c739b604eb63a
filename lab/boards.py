"""The catalogue of boards: each is one file of `platforms/`, or of a user's own folder, and no Python.

A file may say ``like = "other-board"`` and then holds only what differs. Tables are merged key by key,
lists are replaced. docs/boards.md explains every key; `Board` and its parts below are the schema.
"""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from lab import paths
from lab.errors import UsageError
from lab.home import Home

Address = Annotated[int, Field(ge=0, le=0xFFFF_FFFF)]
Size = Annotated[int, Field(gt=0, le=0x1_0000_0000)]
UartIndex = Annotated[int, Field(ge=0, le=15)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,32}$")]
Setting = bool | int | float | str

_STRICT = ConfigDict(extra="forbid", strict=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """One memory of the board.

    :param base: its address.
    :param size: bytes.
    :param file: name of the file in the device's folder that holds its contents. Such a memory survives a
        power cut, so the firmware may use it as flash; engine `qemu` can do it for `Qemu.ram` only.
    """

    base: Address
    size: Size
    file: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*$")] | None = None

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Uarts:
    """Which UART carries which stream, counted as the emulator counts them (from 0).

    :param link: the link to the gateway.
    :param console: the console; none if the link carries it in CONSOLE frames.
    :param simbus: the bus to the simulated parts; none if the board has parts of its own.
    """

    link: UartIndex
    console: UartIndex | None = None
    simbus: UartIndex | None = None

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Where the firmware finds the device's identity (docs/protocol.md, section 4).

    :param address: of at least 4096 bytes, written by the engine before the first instruction.
    """

    address: Address

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Qemu:
    """How QEMU is told to be this board.

    :param machine: for ``-machine``.
    :param cpu: for ``-cpu``; none leaves the machine's own.
    :param ram: the entry of `Board.memory` that is the machine's main RAM object.
    :param arguments: further arguments, as they are.
    """

    machine: str
    cpu: str | None = None
    ram: str | None = None
    arguments: tuple[str, ...] = ()

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Serial:
    """The real port a board hangs on.

    :param url: what `serial.serial_for_url` takes; none if it is given when the device is started.
    :param baud: bits per second.
    :param reset: the modem line that is wired to the board's reset; none if there is no such wire.
    """

    url: str | None = None
    baud: Annotated[int, Field(gt=0)] = 115200
    reset: Literal["dtr", "rts"] | None = None

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Renode:
    """How Renode is told to be this board.

    :param script: the template of the monitor script that makes the machine, found beside the board's file or
        among the lab's: an absolute path once the board is loaded.
    :param platform: the platform description it loads, found as the template is.
    :param link: the UART that carries the link, as the platform calls it.
    :param console: the UART that carries the console.
    :param simbus: the UART that carries the simbus, where the platform has no buses for parts to be on.
    :param parts: where each part is in the platform, by the name that commands call it.
    """

    script: str
    platform: str
    link: str
    console: str
    simbus: str | None = None
    parts: Mapping[str, str] = field(default_factory=dict)

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A simulated part on the simbus.

    :param kind: which model of `lab.peripherals` it is.
    :param name: what commands call it; its kind unless said.
    :param settings: the rest of its table (bus, address, pin…), for the model to judge. A `pin` given by
        name has become the number that `Board.pins` holds.
    """

    kind: Name
    name: Name
    settings: Mapping[str, Setting] = field(default_factory=dict)

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """A kind of board.

    :param name: the name of its file without ``.toml``.
    :param title: one line for people.
    :param engine: what runs it.
    :param firmware: the target `lab.build.build` makes its image from; none if the image is already on it.
    :param cpu: the core, for people.
    :param app_pool: bytes its firmware keeps for apps; none if only the board knows.
    :param memory: its memories by name.
    :param uarts: which UART carries what; none where the engine has no UARTs (`native`).
    :param identity: where in memory its identity is; none if the engine hands it over as a file.
    :param pins: pin numbers by name.
    :param parts: what is attached to its simbus.
    """

    name: Name
    title: str
    engine: Literal["qemu", "native", "renode", "serial"]
    firmware: Name | None = None
    cpu: str = ""
    app_pool: Size | None = None
    memory: Mapping[str, Memory] = field(default_factory=dict)
    uarts: Uarts | None = None
    identity: Identity | None = None
    pins: Mapping[str, Annotated[int, Field(ge=0, le=255)]] = field(default_factory=dict)
    parts: tuple[Part, ...] = ()
    qemu: Qemu | None = None
    renode: Renode | None = None
    serial: Serial | None = None

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT


_BOARD = TypeAdapter(Board)
_UNKNOWN = "unexpected_keyword_argument"  # pydantic's word for a key the schema does not have
_TABLES: Mapping[str, type] = {
    "memory": Memory,
    "uarts": Uarts,
    "identity": Identity,
    "qemu": Qemu,
    "renode": Renode,
    "serial": Serial,
    "parts": Part,
}


def folders(extra: Iterable[Path] = ()) -> list[Path]:
    """Return where boards are looked for: `extra`, then ``$LAB_HOME/platforms``, then the lab's own.

    :raises UsageError: a folder of `extra` does not exist.
    """
    found = []
    for folder in extra:
        if not folder.is_dir():
            raise UsageError(f"{folder} is not a folder", hint="Boards are looked for in it: files *.toml.")
        found.append(folder)
    own = Home.find().root / "platforms"
    return [*found, *([own] if own.is_dir() else []), paths.data("platforms")]


def catalogue(extra: Iterable[Path] = ()) -> Mapping[str, Path]:
    """Return the file of every board by name, unread; the first of `folders` that has a name wins."""
    found: dict[str, Path] = {}
    for folder in folders(extra):
        for file in sorted(folder.glob("*.toml")):
            found.setdefault(file.stem, file)
    return MappingProxyType(found)


def boards(extra: Iterable[Path] = ()) -> list[Board]:
    """Return every board of the catalogue, by name.

    :raises UsageError: as `load`.
    """
    files = catalogue(extra)
    return [_read(name, files) for name in sorted(files)]


def load(name: str, extra: Iterable[Path] = ()) -> Board:
    """Return the board called `name`.

    :param extra: folders of the user's own boards, before all others.
    :raises UsageError: there is no such board, or its file is wrong (the message names file and key).
    """
    files = catalogue(extra)
    if name not in files:
        raise UsageError(f"there is no board {name!r}", hint=_allowed("boards", name, files))
    return _read(name, files)


def with_serial(board: Board, url: str) -> Board:
    """Return `board` on the port `url`.

    :raises UsageError: it is not one of engine `serial`.
    """
    if board.serial is None:
        raise UsageError(
            f"board {board.name} is not on a real port: its engine is {board.engine!r}",
            hint='Use --board serial, or a board of your own with engine = "serial".',
        )
    return replace(board, serial=replace(board.serial, url=url))


def _read(name: str, files: Mapping[str, Path]) -> Board:
    file = files[name]
    table = _merged(name, files, ())
    table["name"] = name
    _name_parts(table, file)
    try:
        # JSON because strict mode takes a JSON array for a tuple, but not a list.
        board = _BOARD.validate_json(json.dumps(table, default=str), strict=True)
    except ValidationError as error:
        raise _explained(error, file) from None
    _check(board, file)
    if board.renode is not None:
        script, platform = (_beside(file, name) for name in (board.renode.script, board.renode.platform))
        board = replace(board, renode=replace(board.renode, script=script, platform=platform))
    return board


def _beside(file: Path, name: str) -> str:
    """Return the path of what a board's file names: beside it, or else where the lab's own would be."""
    mine = file.parent / name
    return str((mine if mine.is_file() else paths.data("platforms") / name).absolute())


def _merged(name: str, files: Mapping[str, Path], descendants: tuple[str, ...]) -> dict[str, Any]:
    file = files[name]
    try:
        table = tomllib.loads(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{file}: {error}", hint="A board is one TOML file; see docs/boards.md.") from error
    if "name" in table:
        raise UsageError(f"{file}: key 'name' is not allowed", hint="A board is called as its file is.")
    base = table.pop("like", None)
    if base is None:
        return table
    if base == name or base in descendants:
        raise UsageError(f"{file}: 'like' leads back to {base!r}", hint="Let one of them stand on its own.")
    if base not in files:
        raise UsageError(
            f"{file}: 'like' names no board: {base!r}", hint=_allowed("boards", str(base), files)
        )
    return _overlay(_merged(base, files, (*descendants, name)), table)


def _overlay(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _overlay(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _name_parts(table: dict[str, Any], file: Path) -> None:
    """Bring the free-form tables of ``[[parts]]`` into the form of `Part`."""
    parts = table.get("parts")
    if not isinstance(parts, list):
        return  # absent, or wrong in a way the schema reports
    pins = table.get("pins", {})
    shaped = []
    for index, entry in enumerate(parts):
        if not isinstance(entry, dict) or "kind" not in entry:
            raise UsageError(f"{file}: parts[{index}] needs a 'kind'", hint='For example: kind = "bme680".')
        settings = dict(entry)
        kind = settings.pop("kind")
        pin = settings.get("pin")
        if isinstance(pin, str):
            if pin not in pins:
                raise UsageError(
                    f"{file}: parts[{index}].pin: there is no pin {pin!r}", hint=_allowed("pins", pin, pins)
                )
            settings["pin"] = pins[pin]
        shaped.append({"kind": kind, "name": settings.pop("name", kind), "settings": settings})
    table["parts"] = shaped


def _check(board: Board, file: Path) -> None:
    """Judge what one key alone cannot show."""

    def wrong(what: str, hint: str) -> UsageError:
        return UsageError(f"{file}: {what}", hint=hint)

    seen: set[str] = set()
    for part in board.parts:
        if part.name in seen:
            raise wrong(f"two parts are called {part.name!r}", "Give one of them a name of its own.")
        seen.add(part.name)
    if board.parts and board.uarts and board.uarts.simbus is None:
        raise wrong("parts need a simbus", "Set uarts.simbus, or leave [[parts]] out.")
    if board.uarts:
        used = [
            uart for uart in (board.uarts.console, board.uarts.link, board.uarts.simbus) if uart is not None
        ]
        if len(set(used)) < len(used):
            raise wrong(
                "two streams share one UART",
                "Leave uarts.console out where the link carries the console too.",
            )
    if board.engine == "qemu":
        for key, value in (("qemu", board.qemu), ("uarts", board.uarts), ("identity", board.identity)):
            if value is None:
                raise wrong(f"table [{key}] is missing", "Engine 'qemu' needs it; see docs/boards.md.")
        if board.firmware is None:
            raise wrong("key 'firmware' is missing", "Engine 'qemu' needs an image to start.")
        ram = board.qemu.ram if board.qemu else None
        if ram is not None and ram not in board.memory:
            raise wrong(f"qemu.ram: there is no memory {ram!r}", _allowed("memories", ram, board.memory))
        for name, memory in board.memory.items():
            if memory.file and name != ram:
                raise wrong(
                    f"memory.{name}.file: QEMU keeps only its main RAM in a file", "Let qemu.ram name it."
                )
    if board.engine == "renode":
        for key, missing in (("renode", board.renode is None), ("identity", board.identity is None)):
            if missing:
                raise wrong(f"table [{key}] is missing", "Engine 'renode' needs it; see docs/boards.md.")
    if board.engine == "serial" and board.serial is None:
        raise wrong("table [serial] is missing", "Engine 'serial' needs it; it may be empty.")


def _explained(error: ValidationError, file: Path) -> UsageError:
    """Turn the first thing pydantic found into file, key and what is allowed."""
    # A misspelt key makes two errors, one unknown and one missing: the first is the one to fix.
    first = min(error.errors(include_url=False), key=lambda each: each["type"] != _UNKNOWN)
    location = first["loc"]
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")
    match first["type"]:
        case kind if kind == _UNKNOWN:
            table = Board if len(location) == 1 else _TABLES[str(location[0])]
            keys = [option.name for option in fields(table) if option.name != "name"]
            return UsageError(f"{file}: unknown key '{key}'", hint=_allowed("keys", str(location[-1]), keys))
        case "missing":
            return UsageError(f"{file}: key '{key}' is missing", hint="docs/boards.md says what it means.")
        case "literal_error":
            choices = re.findall(r"'([^']*)'", first["ctx"]["expected"])
            hint = _allowed("values", str(first["input"]), choices)
            return UsageError(f"{file}: {key} = {first['input']!r} is not allowed", hint=hint)
    what = first["msg"].removeprefix("Input ")
    return UsageError(
        f"{file}: {key} = {first['input']!r}: it {what}", hint="docs/boards.md says what it means."
    )


def _allowed(what: str, given: str, names: Iterable[str]) -> str:
    known = sorted(names)
    close = difflib.get_close_matches(given, known, n=1)
    guess = f"Did you mean {close[0]!r}? " if close else ""
    return f"{guess}Allowed {what}: {', '.join(known) or 'none'}."
