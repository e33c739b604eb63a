"""Third-party code for the browser: fetched from npm by exact version and SHA-256 into the lab's cache.

What it is stands in ``third_party.toml`` beside this file. `lab panel` fetches it; without it the panel works
and has no plots.
"""

from __future__ import annotations

import subprocess
import tarfile
import tempfile
import tomllib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

from lab import third_party
from lab.errors import LabError, LabTimeoutError
from lab.sdk.languages import need

_MANIFEST = Path(__file__).with_name("third_party.toml")
_SECONDS = 300.0


@cache
def _entries() -> Mapping[str, dict[str, str]]:
    return MappingProxyType(tomllib.loads(_MANIFEST.read_text("utf-8")))


def _folder(name: str) -> Path:
    # The hash is part of the name: an entry whose hash changes is a new folder, checked anew.
    entry = _entries()[name]
    return third_party.cache() / "panel" / f"{name}-{entry['version']}-{entry['sha256'][:16]}"


def _wanted(name: str) -> list[str]:
    return _entries()[name]["files"].split()


def present(name: str = "uplot") -> bool:
    """Tell whether a package has been fetched."""
    return _folder(name).is_dir()


def file(name: str) -> Path | None:
    """Return where a file of a fetched package is; only those that the manifest names are there."""
    for package in _entries():
        for wanted in _wanted(package):
            path = _folder(package) / wanted
            if path.name == name and path.is_file():
                return path
    return None


def fetch(name: str, *, progress: Callable[[str], None] = lambda _: None) -> Path:
    """Bring a package's files onto this machine and return their folder.

    :raises MissingError: npm is not installed.
    :raises LabError: npm could not fetch it, or what came has another hash than the manifest says.
    """
    entry, folder = _entries()[name], _folder(name)
    with third_party.locked(folder.with_name(folder.name + ".lock")):
        if folder.is_dir():
            return folder
        npm = need("npm", hint=third_party.apt_install("npm"))
        package = f"{entry['package']}@{entry['version']}"
        progress(f"fetching {package}")
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            archive = _pack(npm, package, Path(scratch))
            found = third_party.sha256(archive)
            if found != entry["sha256"]:
                raise LabError(
                    f"{package} is not what {_MANIFEST.name} names:\n"
                    f"  SHA-256 expected {entry['sha256']}\n  SHA-256 found    {found}",
                    hint="It was changed at the source, or the version was changed without its hash.",
                )
            made = Path(scratch) / "made"
            made.mkdir()
            with tarfile.open(archive) as tar:
                for wanted in _wanted(name):
                    member = tar.extractfile(f"package/{wanted}")
                    if member is None:
                        raise LabError(f"{package} has no file {wanted}")
                    target = made / wanted
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(member.read())
            made.rename(folder)
    return folder


def _pack(npm: str, package: str, folder: Path) -> Path:
    command = (npm, "pack", package, "--ignore-scripts", "--silent")
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise LabTimeoutError(f"npm has not fetched {package} within {_SECONDS:.0f} s") from error
    archives = list(folder.glob("*.tgz"))
    if done.returncode or not archives:
        raise LabError(f"npm does not fetch {package}", hint=(done.stdout + done.stderr).strip())
    return archives[0]
