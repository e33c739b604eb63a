"""What is kept of a device as it was at one moment: its machine and its parts, in files of its folder.

::

    devices/<id>/snapshots/<name>/
      snapshot.json    what it is of, and the digest of each file beside it
      parts.cbor       the parts (`lab.peripherals.Peripherals.save`)
      ...              what the engine wrote (`lab.engines.Keepable.save`)

The device's private key is in it, as it is in its memory: only the owner of the lab can read it.
"""

from __future__ import annotations

import builtins
import functools
import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lab.errors import LabError, NotFoundError, UsageError

FORMAT = 1
LIMIT = 64
"""Snapshots a device may have."""

_MANIFEST = "snapshot.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a snapshot is of.

    :param device: the device's id.
    :param board: the board it is.
    :param engine: what ran it.
    :param firmware: SHA-256 of the image, in hex.
    :param development: whether it takes unsigned modules.
    :param saved: when, Unix time in s.
    """

    device: str
    board: str
    engine: str
    firmware: str
    development: bool
    saved: float


class Snapshots:
    """The snapshots of one device.

    :param folder: the device's folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "snapshots"

    def list(self) -> builtins.list[Json]:
        """Describe all, the oldest first; one that cannot be read has `damage`, in words."""
        found = [self.describe(each.name) for each in self._folder.glob("[!.]*")]
        return sorted(found, key=lambda row: (row["saved"] or 0, row["name"]))

    def describe(self, name: str) -> Json:
        """Describe one: name, when it was saved, of which board and engine, bytes.

        :raises NotFoundError: there is none of that name.
        """
        path = self._path(name)
        row: Json = {"name": name, "saved": None, "board": None, "engine": None, "damage": None}
        try:
            what, _ = self._manifest(path)
        except LabError as error:
            row["damage"] = error.message
        else:
            row |= {"saved": what.saved, "board": what.board, "engine": what.engine}
        return {**row, "size": sum(file.stat().st_size for file in path.iterdir())}

    @contextmanager
    def draft(self, name: str) -> Iterator[Path]:
        """Yield a folder for the files of a snapshot; what `keep` has not taken is gone afterwards.

        :raises UsageError: it cannot be called so, or the device has too many.
        :raises LabError: the files cannot be written.
        """
        if not _NAME.fullmatch(name):
            raise UsageError(
                f"a snapshot cannot be called {name!r}",
                hint="up to 64 letters, digits, '.', '_' and '-'; the first a letter or digit",
            )
        if not (self._folder / name).exists() and len(self.list()) >= LIMIT:
            raise UsageError(
                f"the device has {LIMIT} snapshots already", hint="drop one: lab snapshot remove ID NAME"
            )
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            draft = Path(tempfile.mkdtemp(prefix=".", dir=self._folder))
            try:
                yield draft
            finally:
                shutil.rmtree(draft, ignore_errors=True)
        except OSError as error:
            raise LabError(
                f"snapshot {name} could not be written: {error.strerror or error}",
                hint=f"It belongs into {self._folder}.",
            ) from error

    def keep(self, draft: Path, name: str, what: Snapshot) -> None:
        """Make what is in `draft` the snapshot of that name, in the place of one that has it."""
        files = {file.name: _digest(file) for file in sorted(draft.iterdir())}
        manifest = {"format": FORMAT, **asdict(what), "files": files}
        (draft / _MANIFEST).write_text(json.dumps(manifest, indent=1), "utf-8")
        path = self._folder / name
        if path.exists():
            path.rename(self._folder / f"{draft.name}.before")
        draft.rename(path)
        shutil.rmtree(self._folder / f"{draft.name}.before", ignore_errors=True)

    def verified(self, name: str) -> tuple[Snapshot, Path]:
        """Return what a snapshot is of, and the folder of its files, which are as they were written.

        :raises NotFoundError: there is none of that name.
        :raises LabError: it is damaged.
        """
        path = self._path(name)
        what, files = self._manifest(path)
        for file, digest in files.items():
            try:
                found = _digest(path / file)
            except OSError as error:
                raise _damaged(path, f"{file} cannot be read: {error.strerror}") from error
            if found != digest:
                raise _damaged(path, f"{file} is not what was written")
        return what, path

    def remove(self, name: str) -> None:
        """Erase a snapshot.

        :raises NotFoundError: there is none of that name.
        """
        shutil.rmtree(self._path(name))

    def remove_all(self) -> None:
        """Erase every snapshot."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _path(self, name: str) -> Path:
        path = self._folder / name
        if not _NAME.fullmatch(name) or not path.is_dir():
            names = ", ".join(sorted(each.name for each in self._folder.glob("[!.]*"))) or "none"
            raise NotFoundError(f"there is no snapshot {name!r}", hint=f"There is: {names}.")
        return path

    @staticmethod
    def _manifest(path: Path) -> tuple[Snapshot, dict[str, str]]:
        try:
            manifest = json.loads((path / _MANIFEST).read_text("utf-8"))
            version, files = manifest.pop("format"), dict(manifest.pop("files"))
            what = Snapshot(**manifest)
        except OSError as error:
            raise _damaged(path, f"{_MANIFEST} cannot be read: {error.strerror}") from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise _damaged(path, f"{_MANIFEST} makes no sense") from error
        if version != FORMAT:
            raise _damaged(path, f"it has format {version}, and this lab reads {FORMAT}")
        return what, files


@contextmanager
def aside(folder: Path) -> Iterator[None]:
    """Have what a device's memory chips hold out of the way: back if the block fails, gone if it does not."""
    kept = folder / "chips-before"
    kept.mkdir(exist_ok=True)
    moved = [chip.rename(kept / chip.name) for chip in folder.glob("*.bin")]
    try:
        yield
    except BaseException:
        for chip in folder.glob("*.bin"):
            chip.unlink()
        for chip in moved:
            chip.rename(folder / chip.name)
        raise
    finally:
        shutil.rmtree(kept)


def digest_of(image: Path | None) -> str:
    """Return the SHA-256 of a firmware image, in hex; of none, nothing."""
    if image is None:
        return ""
    facts = image.stat()
    return _digest_once(image, facts.st_mtime_ns, facts.st_size)


@functools.lru_cache
def _digest_once(image: Path, _written: int, _size: int) -> str:
    return _digest(image)  # for boards are started by the hundred


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _damaged(path: Path, why: str) -> LabError:
    return LabError(
        f"snapshot {path.name} is damaged: {why}", hint=f"Save another, and remove this one. It is in {path}."
    )
