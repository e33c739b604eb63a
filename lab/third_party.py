"""Third-party C sources: fetched by exact version and SHA-256, unpacked once into a cache outside the tree.

What is fetched stands in ``firmware/third_party.toml``. The cache is ``$LAB_CACHE``, by default
``~/.cache/lab``, and is shared by every lab on the machine. `fetch` costs a few file tests once it is filled.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import os
import platform
import shutil
import subprocess
import tarfile
import tempfile
import tomllib
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab import paths
from lab.errors import LabError, LabTimeoutError, MissingError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_FETCH_TIMEOUT = 300.0  # seconds for one download
_KINDS = ("crate", "pypi")


@dataclass(frozen=True, slots=True)
class Source:
    """One entry of ``third_party.toml``.

    :param name: what the build calls it.
    :param kind: ``crate`` or ``pypi``.
    :param package: its name in the registry.
    :param version: the exact version.
    :param folder: the part of the package that the build uses.
    :param sha256: of the archive (``crate``).
    :param files: SHA-256 by file, relative to `folder` (``pypi``).
    """

    name: str
    kind: str
    package: str
    version: str
    folder: str
    sha256: str = ""
    files: dict[str, str] = field(default_factory=dict)


def cache() -> Path:
    """Return the folder for what can be fetched or built again: ``$LAB_CACHE``, or ``~/.cache/lab``."""
    chosen = os.environ.get("LAB_CACHE", "")
    return Path(chosen).absolute() if chosen else Path.home() / ".cache" / "lab"


def sources(manifest: Path | None = None) -> dict[str, Source]:
    """Read `manifest` (default ``firmware/third_party.toml``).

    :raises UsageError: it is not TOML, or an entry lacks what its kind needs.
    """
    path = manifest or paths.data("firmware") / "third_party.toml"
    try:
        table: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"cannot read {path}: {error}") from error
    found = {}
    for name, entry in table.items():
        missing = {"kind", "package", "version", "folder"} - entry.keys()
        if missing:
            raise UsageError(f"{path}: [{name}] lacks {', '.join(sorted(missing))}")
        if entry["kind"] not in _KINDS:
            raise UsageError(f"{path}: [{name}] kind is {entry['kind']!r}; allowed are {', '.join(_KINDS)}")
        proof = "sha256" if entry["kind"] == "crate" else "files"
        if not entry.get(proof):
            raise UsageError(f"{path}: [{name}] of kind {entry['kind']!r} needs {proof}")
        found[name] = Source(
            name=name,
            kind=entry["kind"],
            package=entry["package"],
            version=entry["version"],
            folder=entry["folder"],
            sha256=entry.get("sha256", ""),
            files=entry.get("files", {}),
        )
    return found


def fetch(
    *, manifest: Path | None = None, progress: Callable[[str], None] = lambda _: None
) -> dict[str, Path]:
    """Bring every source onto this machine and return its folder by name.

    Safe against other processes that do the same: the first one unpacks, the others wait for it.

    :param manifest: what to fetch, default ``firmware/third_party.toml``.
    :param progress: is told in words what takes time.
    :raises MissingError: a tool for fetching is not installed.
    :raises LabError: a download failed, or what came has another hash than the manifest says.
    """
    return {
        name: _crate(source, progress) if source.kind == "crate" else _installed(source)
        for name, source in sources(manifest).items()
    }


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold `path` as a lock between processes; it is released when the process ends, however it does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _crate(source: Source, progress: Callable[[str], None]) -> Path:
    folder = _crate_folder(source)
    if not folder.is_dir():
        with locked(folder.with_name(folder.name + ".lock")):
            if not folder.is_dir():
                progress(f"fetching {source.package} {source.version}")
                archive = _crate_archive(source)
                check_hash(archive, source.sha256, source)
                _unpack(archive, folder)
    return folder / source.folder


def _crate_folder(source: Source) -> Path:
    # The hash is part of the name: an entry whose hash changes is a new folder, checked anew.
    return cache() / "third_party" / f"{source.package}-{source.version}-{source.sha256[:16]}"


def _crate_pattern(source: Source) -> str:
    return f"registry/cache/*/{source.package}-{source.version}.crate"


def check_hash(path: Path, expected: str, source: Source) -> None:
    """Refuse a file that is not the one the manifest names.

    :raises LabError: the SHA-256 of `path` is not `expected`.
    """
    found = sha256(path)
    if found != expected:
        raise LabError(
            f"{path} ({source.package} {source.version}) is not the file that third_party.toml names:\n"
            f"  SHA-256 expected {expected}\n"
            f"  SHA-256 found    {found}",
            hint="Delete the file and build again, so that it is fetched anew. If it comes back the same, "
            "it was changed at the source, or the version in third_party.toml was changed without its hash.",
        )


def _unpack(archive: Path, folder: Path) -> None:
    """Unpack `archive` so that `folder` exists either whole or not at all."""
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="unpack-") as scratch:
        try:
            with tarfile.open(archive) as tar:
                tar.extractall(scratch, filter="data")
        except (OSError, tarfile.TarError) as error:
            raise LabError(f"{archive} cannot be unpacked: {error}") from error
        (top,) = Path(scratch).iterdir()
        top.rename(folder)


def _cargo_home() -> Path:
    return Path(os.environ.get("CARGO_HOME", "") or Path.home() / ".cargo")


def _crate_archive(source: Source) -> Path:
    """Return the ``.crate`` file, from cargo's own cache or fetched into it by cargo."""
    for archive in _cargo_home().glob(_crate_pattern(source)):
        return archive
    cargo = find_cargo()
    if cargo is None:
        raise MissingError(
            f"cargo is missing: it fetches {source.package} {source.version}, C sources of the firmware",
            hint=f"Install it: {apt_install(cargo_package())}",
        )
    with tempfile.TemporaryDirectory(prefix="lab-fetch-") as scratch:
        project = Path(scratch)
        (project / "Cargo.toml").write_text(
            '[package]\nname = "fetch"\nversion = "0.0.0"\nedition = "2021"\n'
            f'[dependencies]\n{source.package} = "={source.version}"\n',
            encoding="utf-8",
        )
        (project / "src").mkdir()
        (project / "src" / "lib.rs").touch()
        try:
            done = subprocess.run(
                [cargo, "fetch", "--quiet"],
                cwd=project,
                capture_output=True,
                text=True,
                timeout=_FETCH_TIMEOUT,
            )
        except subprocess.TimeoutExpired as error:
            raise LabTimeoutError(
                f"fetching {source.package} {source.version} took longer than {_FETCH_TIMEOUT:.0f} s",
                hint="Look at the network and build again; what has been fetched is kept.",
            ) from error
    for archive in _cargo_home().glob(_crate_pattern(source)):
        return archive
    raise LabError(
        f"cargo could not fetch {source.package} {source.version}:\n{done.stderr.strip()}",
        hint="Look at the network (or cargo's proxy and registry settings) and build again.",
    )


def needs_cargo(manifest: Path | None = None) -> bool:
    """Tell whether a crate has yet to be fetched."""
    return any(
        not _crate_folder(source).is_dir() and not any(_cargo_home().glob(_crate_pattern(source)))
        for source in sources(manifest).values()
        if source.kind == "crate"
    )


def find_cargo() -> str | None:
    """Return a cargo that can read the registry's sparse index (1.70 or later), or None."""
    for name in ("cargo", "cargo-web"):
        path = shutil.which(name)
        if path and _cargo_version(path) >= (1, 70):
            return path
    return None


def cargo_package() -> str:
    """Return the package that holds a cargo of 1.70 or later: Debian 12's ``cargo`` is 0.66 (Rust 1.63)."""
    return "cargo-web" if _release().get("VERSION_CODENAME") == "bookworm" else "cargo"


def apt_install(*packages: str) -> str:
    """Return the command that installs `packages` on this machine."""
    return f"sudo apt-get install {' '.join(packages)}"


def _release() -> dict[str, str]:
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}


def _cargo_version(cargo: str) -> tuple[int, int]:
    done = subprocess.run([cargo, "--version"], capture_output=True, text=True, check=False)
    words = done.stdout.split()  # "cargo 1.75.0 (…)"
    try:
        major, minor = words[1].split(".")[:2]
        return int(major), int(minor)
    except (IndexError, ValueError):
        return 0, 0


def _installed(source: Source) -> Path:
    """Return the folder of a Python package that the lab depends on, after a check of its files."""
    try:
        distribution = importlib.metadata.distribution(source.package)
    except importlib.metadata.PackageNotFoundError as error:
        raise MissingError(
            f"the Python package {source.package} is missing",
            hint=f"pip install {source.package}=={source.version}",
        ) from error
    if distribution.version != source.version:
        raise LabError(
            f"{source.package} {distribution.version} is installed, but the firmware needs {source.version}",
            hint=f"pip install {source.package}=={source.version}",
        )
    root = Path(str(distribution.locate_file(source.package))) / source.folder
    for name, expected in source.files.items():
        if not (root / name).is_file():
            raise LabError(
                f"{root / name} is missing from the installed package",
                hint=f"pip install --force-reinstall {source.package}=={source.version}",
            )
        check_hash(root / name, expected, source)
    return root
