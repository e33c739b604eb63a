"""A NOR flash, as in Winbond's W25Q datasheets: an erase sets the bits of a sector, programming clears bits.

Its contents are a file in the device's folder and outlive a power cut, also one amid an operation.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from lab.errors import UsageError
from lab.peripherals.model import Bench, BusError, FlashModel, Json, Kept, Settings, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class NorFlashSettings(Settings):
    """The part's keys in a board's TOML.

    :param size: bytes, a multiple of `sector`.
    :param sector: bytes that one erase sets to 0xff.
    :param unit: bytes that are programmed together: address and length are multiples of it.
    :param endurance: erases a sector survives; each one past it leaves one more bit at 0.
    :param file: name of the file in the device's folder.
    """

    size: Annotated[int, Field(gt=0, le=1 << 28)] = 1 << 20
    sector: Annotated[int, Field(gt=0)] = 4096
    unit: Annotated[int, Field(gt=0)] = 1
    endurance: Annotated[int, Field(gt=0)] = 100_000
    file: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*$")] = "flash.bin"


class NorFlash(FlashModel):
    """A NOR flash. Without a folder on its bench it forgets when power is cut.

    :ivar erases: how often each sector was erased while this model lived.
    :ivar power_cut: called before every program and erase with how many bytes it will touch; returns for how
        many of them power lasts. Fewer than all: the rest keeps what it had, and the part is dead until
        `reset`.
    :ivar fails_from: programming and erasing fail from this address on; none if nowhere.
    :ivar weak: how many bits of a sector stay 0 after an erase, by its number.
    """

    settings_type = NorFlashSettings

    def __init__(self, name: str, settings: NorFlashSettings, bench: Bench) -> None:
        super().__init__(name, settings, bench)
        if settings.size % settings.sector or settings.sector % settings.unit:
            raise UsageError(
                f"{name}: sectors of {settings.sector} bytes do not fit",
                hint="size must be a multiple of sector, and sector one of unit.",
            )
        self.settings = settings
        self.erases = [0] * (settings.size // settings.sector)
        self.power_cut: Callable[[int], int] = lambda length: length
        self.fails_from: int | None = None
        self.weak: dict[int, int] = {}
        self._powered = True
        self._path = bench.folder / settings.file if bench.folder else None
        self._content = self._load(self._path)

    def _load(self, path: Path | None) -> bytearray:
        size = self.settings.size
        if path is None:
            return bytearray(b"\xff" * size)
        if not path.exists():
            path.write_bytes(b"\xff" * size)
        content = bytearray(path.read_bytes())
        if len(content) != size:
            raise UsageError(
                f"{path} holds {len(content)} bytes, the board's flash {size}",
                hint="It belongs to another board; remove it to start with an empty flash.",
            )
        return content

    def read(self, address: int, length: int) -> bytes:
        """Return `length` bytes."""
        self._check(address, length, 1)
        return bytes(self._content[address : address + length])

    def program(self, address: int, data: bytes) -> None:
        """Clear the bits that are 0 in `data`."""
        self._check(address, len(data), self.settings.unit)
        old = self._content[address : address + len(data)]
        self._change(address, bytes(a & b for a, b in zip(old, data, strict=True)))

    def erase(self, address: int) -> None:
        """Set all bits of the sector at `address`."""
        sector = self.settings.sector
        self._check(address, sector, sector)
        index = address // sector
        self.erases[index] += 1
        worn = max(self.erases[index] - self.settings.endurance, 0) + self.weak.get(index, 0)
        worn = min(worn, sector * 8)
        self._change(address, (((1 << sector * 8) - 1) >> worn).to_bytes(sector, "big"))

    def flip(self, address: int, bit: int) -> None:
        """Change one bit (0 is the lowest) of the byte at `address`, as radiation or age does."""
        self._store(address, bytes([self._content[address] ^ 1 << bit]))

    def save(self) -> Kept:
        """Return its contents and how worn it is."""
        content = zlib.compress(self._content, level=1)
        return super().save() | {"content": content, "erases": self.erases, "powered": self._powered}

    def load(self, kept: Kept) -> None:
        """Hold what it held at `save`, in its file too."""
        super().load(kept)
        content = zlib.decompressobj().decompress(kept["content"], self.settings.size)
        if len(content) != self.settings.size or len(kept["erases"]) != len(self.erases):
            raise ValueError(f"{self.name} holds {self.settings.size} bytes, and {len(content)} were saved")
        self.erases, self._powered = list(kept["erases"]), kept["powered"]
        self._store(0, content)

    def state(self) -> Mapping[str, Json]:
        """Return how often sectors were erased: in all, and the one most worn."""
        return {"erases": sum(self.erases), "most_worn": max(self.erases)}

    def reset(self) -> None:
        """Power is back, if it was cut."""
        self._powered = True

    def _check(self, address: int, length: int, unit: int) -> None:
        if not self._powered:
            raise BusError(Status.POWER_FAILED)
        if address % unit or length % unit or address + length > self.settings.size:
            raise BusError(Status.BAD_ARGUMENT)

    def _change(self, address: int, new: bytes) -> None:
        if self.fails_from is not None and address + len(new) > self.fails_from:
            raise BusError(Status.TIMEOUT)
        lasts = min(self.power_cut(len(new)), len(new))
        self._store(address, new[:lasts])
        if lasts < len(new):
            self._powered = False
            raise BusError(Status.POWER_FAILED)

    def _store(self, address: int, new: bytes) -> None:
        self._content[address : address + len(new)] = new
        if self._path is not None and new:
            with self._path.open("r+b") as file:
                file.seek(address)
                file.write(new)


MODEL = NorFlash
