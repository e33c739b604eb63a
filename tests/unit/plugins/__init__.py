"""Plugins built once a machine for all tests: componentize-py takes some ten seconds for each."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
from importlib.metadata import version
from pathlib import Path

from lab import paths, third_party
from lab.plugins.build import build

MISCHIEF = Path(__file__).parent / "mischief"


def built(name: str, world: str | None = None, change: tuple[str, str] | None = None) -> Path:
    """Return the component of a plugin: one the lab ships, or `mischief`.

    :param world: to build it for, instead of its own.
    :param change: text in its source, and what to put there.
    """
    source = MISCHIEF if name == "mischief" else paths.data("plugins") / name
    text = (source / "plugin.py").read_text()
    if change is not None:
        assert change[0] in text
        text = text.replace(*change)
    wit = (paths.data("wit") / "device.wit").read_text() + (paths.data("wit") / "plugin.wit").read_text()
    what = "\0".join([name, world or "", text, wit, version("componentize-py")])
    folder = third_party.cache() / "test-plugins" / hashlib.sha256(what.encode()).hexdigest()[:32]
    folder.mkdir(parents=True, exist_ok=True)
    output = folder / f"{name}.wasm"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not output.exists():
            changed = folder / name
            changed.mkdir(exist_ok=True)
            (changed / "plugin.py").write_text(text)
            build(changed, output, world or (name if name != "mischief" else "probe"))
    return output


def install(file: Path, folder: Path, name: str | None = None) -> Path:
    """Put a component into a plugins folder, whole, as `lab plugin build` does."""
    target = folder / f"{name or file.stem}.wasm"
    part = target.with_name(f".{target.name}")
    shutil.copyfile(file, part)
    part.replace(target)
    return target
