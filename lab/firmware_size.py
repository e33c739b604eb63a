"""What a firmware image takes of flash and RAM, by component, from its ELF and the linker's map."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile

from lab.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# The app pool is counted apart: how much of it there is, is the user's choice.
_POOL_SECTION = ".pool"

# An output section: ".text           0x00000000    0x312ac"; a long name has a line of its own.
_OUTPUT = re.compile(r"^([A-Za-z_.][\w.-]*)(?:\s+0x|$)")
# A part of one: " .text.f        0x00001000       0x24 path/libcore.a(file.c.o)"; likewise.
_INPUT = re.compile(r"^ (?:\S+)?\s+0x([0-9a-f]+)\s+0x([0-9a-f]+) (\S.*)$")

# Which component a file of the link belongs to; the first that matches.
_COMPONENTS = (
    ("mbedtls", re.compile(r"libmbedtls\.a")),
    ("wamr", re.compile(r"libwamr\.a")),
    ("cbor", re.compile(r"libwire\.a")),
    ("core", re.compile(r"libcore\.a")),
    ("port", re.compile(r"CMakeFiles/firmware\.dir|libapp\.a")),
    ("libc", re.compile(r"lib(c|m|gcc)\.a|/crt\w*\.o|linker stubs")),
    ("zephyr", re.compile(r"^(zephyr|modules)/")),
)
_OTHER = "other"


@dataclass(frozen=True, slots=True)
class Component:
    """Bytes of flash and RAM that one part of the firmware takes; initial data counts in both."""

    flash: int
    ram: int


@dataclass(frozen=True, slots=True)
class Size:
    """What an image takes; see `lab.build.BuildResult` for the fields."""

    build_id: str
    flash: int
    ram: int
    pool: int
    components: dict[str, Component]


@dataclass(frozen=True, slots=True)
class _Section:
    size: int
    flash: bool
    ram: bool


def measure(image: Path, linker_map: Path) -> Size:
    """Measure an image.

    :param image: the ELF.
    :param linker_map: what GNU ld wrote with ``-Map``.
    :raises LabError: the image has no GNU build id.
    """
    with image.open("rb") as file:
        elf = ELFFile(file)
        sections = {}
        pool = 0
        build_id = ""
        for section in elf.iter_sections():
            if section.name == ".note.gnu.build-id":
                build_id = section.data()[-20:].hex()
            if not section["sh_flags"] & SH_FLAGS.SHF_ALLOC:
                continue
            if section.name == _POOL_SECTION:
                pool = section["sh_size"]
                continue
            if section.name.startswith(".flash.") and section["sh_type"] == "SHT_NOBITS":
                continue  # Espressif's linker scripts keep addresses free so: no memory is behind them
            sections[section.name] = _Section(
                section["sh_size"],
                flash=section["sh_type"] != "SHT_NOBITS",
                ram=bool(section["sh_flags"] & SH_FLAGS.SHF_WRITE),
            )
    if not build_id:
        raise LabError(f"{image} has no GNU build id", hint="It has to be linked with -Wl,--build-id=sha1.")
    flash = sum(section.size for section in sections.values() if section.flash)
    ram = sum(section.size for section in sections.values() if section.ram)
    return Size(build_id, flash, ram, pool, _by_component(linker_map, sections, flash, ram))


def _by_component(
    linker_map: Path, sections: dict[str, _Section], flash: int, ram: int
) -> dict[str, Component]:
    flash_of: dict[str, int] = defaultdict(int)
    ram_of: dict[str, int] = defaultdict(int)
    for name, size, file in _inputs(linker_map.read_text(errors="replace")):
        section = sections.get(name)
        if section is None:
            continue
        component = next((name for name, pattern in _COMPONENTS if pattern.search(file)), _OTHER)
        flash_of[component] += size if section.flash else 0
        ram_of[component] += size if section.ram else 0
    # What no file accounts for: padding, the stack, tables that the linker makes.
    flash_of[_OTHER] += flash - sum(flash_of.values())
    ram_of[_OTHER] += ram - sum(ram_of.values())
    names = sorted(flash_of, key=lambda name: -flash_of[name])
    return {name: Component(flash_of[name], ram_of[name]) for name in names}


def _inputs(text: str) -> Iterator[tuple[str, int, str]]:
    """Yield output section, bytes and file of every input section that was linked."""
    output = ""
    for line in text.partition("Linker script and memory map")[2].splitlines():
        if match := _OUTPUT.match(line):
            output = match[1]
        elif match := _INPUT.match(line):
            yield output, int(match[2], 16), match[3]
