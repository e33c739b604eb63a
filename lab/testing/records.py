"""What is told and kept of a test's devices: properties, the sections of a failure, files."""

from __future__ import annotations

import gzip
import json
import re
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lab.testing import pcapng
from lab.testing.device import ExpectationError

if TYPE_CHECKING:
    from lab.testing.bench import Bench
    from lab.testing.device import Device

Property = tuple[str, object]

_SHOWN = 5  # devices that a failure shows in full
_LOGS = ("console.log", "console.log.1", "engine.log")


def properties(benches: Iterable[Bench]) -> list[Property]:
    """Describe the devices of a test for JUnit XML; times in ms, of the slowest device."""
    infos = [device.info for device in _devices(benches)]
    if not infos:
        return []
    found: list[Property] = [("devices", len(infos))]
    for name, key in (("board", "board"), ("engine", "engine"), ("firmware_digest", "build_id")):
        found += [(name, value) for value in dict.fromkeys(info[key] for info in infos) if value]
    for key in ("boot_ms", "connect_ms"):
        times = [info[key] for info in infos if info[key] is not None]
        if times:
            found.append((key, round(max(times), 1)))
    return found


def sections(benches: Iterable[Bench], error: BaseException) -> list[tuple[str, str]]:
    """Show the devices of a failed test, but for the one that `error` shows already."""
    shown = error.device if isinstance(error, ExpectationError) else None
    devices = [device for device in _devices(benches) if device.id != shown]
    found = [(f"lab device {device.id}", device.report()) for device in devices[:_SHOWN]]
    if devices[_SHOWN:]:
        lines = "\n".join(f"{device.id}: {device.state}, {device.folder}" for device in devices[_SHOWN:])
        found.append(("lab devices besides", lines))
    return found


def keep(benches: Sequence[Bench], folder: Path, test: str) -> Path:
    """Copy what the devices of a failed test left into a folder of that test; return it.

    Per device: its console, the engine's log, its events, its description, the frames of its link and what
    its flash holds.
    """
    target = folder / re.sub(r"[^\w.-]+", "-", test).strip("-")
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for device in _devices(benches):
        _keep_device(device, target / device.id)
    for bench in benches:
        events = [json.dumps(event.describe()) for event in bench.events()]
        with (target / "events.jsonl").open("a") as file:
            file.writelines(f"{line}\n" for line in events)
    return target


def _keep_device(device: Device, target: Path) -> None:
    target.mkdir()
    for name in _LOGS:
        if (device.folder / name).exists():
            shutil.copyfile(device.folder / name, target / name)
    (target / "device.json").write_text(json.dumps(device.info, indent=2) + "\n")
    if device.trace.exists():
        pcapng.convert(device.trace, target / "link.pcapng")
    flash = device.folder / "flash.bin"
    if flash.exists():  # mostly empty, and of up to 16 MiB
        with flash.open("rb") as source, gzip.open(target / "flash.bin.gz", "wb", 1) as file:
            shutil.copyfileobj(source, file, 1 << 20)


def _devices(benches: Iterable[Bench]) -> list[Device]:
    return [device for bench in benches for device in bench.devices]
