"""Fetching: what is refused, what is said, and that two builds at once unpack once."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from lab import third_party
from lab.errors import LabError, MissingError, UsageError

PACKAGE = "lab-test-no-such-crate"


def make_crate(cargo_home: Path, text: bytes = b"int main(void);\n") -> str:
    """Put a crate where cargo keeps what it has fetched; return its SHA-256."""
    archive = cargo_home / "registry" / "cache" / "registry-1" / f"{PACKAGE}-1.2.3.crate"
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive, "w:gz") as tar:
        member = tarfile.TarInfo(f"{PACKAGE}-1.2.3/inner/file.c")
        member.size = len(text)
        tar.addfile(member, io.BytesIO(text))
    return hashlib.sha256(archive.read_bytes()).hexdigest()


def make_manifest(folder: Path, sha256: str) -> Path:
    manifest = folder / "third_party.toml"
    manifest.write_text(
        f'[thing]\nkind = "crate"\npackage = "{PACKAGE}"\nversion = "1.2.3"\n'
        f'folder = "inner"\nsha256 = "{sha256}"\n'
    )
    return manifest


@pytest.fixture
def cargo_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CARGO_HOME", str(tmp_path / "cargo"))
    return tmp_path / "cargo"


def test_a_crate_with_the_right_hash_is_unpacked(tmp_path: Path, cargo_home: Path) -> None:
    manifest = make_manifest(tmp_path, make_crate(cargo_home))
    folder = third_party.fetch(manifest=manifest)["thing"]
    assert (folder / "file.c").read_text() == "int main(void);\n"
    assert folder.is_relative_to(tmp_path / "cache")


def test_a_wrong_hash_stops_and_says_both(tmp_path: Path, cargo_home: Path) -> None:
    found = make_crate(cargo_home)
    expected = "0" * 64
    with pytest.raises(LabError) as failure:
        third_party.fetch(manifest=make_manifest(tmp_path, expected))
    message = str(failure.value)
    assert f"{PACKAGE}-1.2.3.crate" in message
    assert expected in message
    assert found in message
    assert "Delete the file" in message
    assert not list((tmp_path / "cache").rglob("file.c")), "nothing of it may be used"


def test_an_archive_that_changed_after_it_was_pinned_is_refused(tmp_path: Path, cargo_home: Path) -> None:
    manifest = make_manifest(tmp_path, make_crate(cargo_home))
    make_crate(cargo_home, b"int evil(void);\n")
    with pytest.raises(LabError, match="SHA-256 found"):
        third_party.fetch(manifest=manifest)


def test_a_member_that_climbs_out_of_the_archive_is_refused(tmp_path: Path, cargo_home: Path) -> None:
    make_crate(cargo_home)
    archive = next(cargo_home.rglob("*.crate"))
    with tarfile.open(archive, "w:gz") as tar:
        member = tarfile.TarInfo("../../escaped")
        tar.addfile(member, io.BytesIO())
    manifest = make_manifest(tmp_path, hashlib.sha256(archive.read_bytes()).hexdigest())
    with pytest.raises(LabError, match="cannot be unpacked"):
        third_party.fetch(manifest=manifest)
    assert not list(tmp_path.rglob("escaped"))


def test_a_missing_cargo_is_said_with_the_command(
    tmp_path: Path, cargo_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingError) as failure:
        third_party.fetch(manifest=make_manifest(tmp_path, "0" * 64))
    assert "apt-get install cargo" in failure.value.hint
    assert PACKAGE in failure.value.message


def test_what_cargo_says_is_passed_on(
    tmp_path: Path, cargo_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    cargo = tools / "cargo"
    cargo.write_text(
        "#!/bin/sh\n"
        'if [ "$1" = --version ]; then echo "cargo 1.75.0 (x)"; exit; fi\n'
        "echo 'error: no route to the registry' >&2\n"
        "exit 101\n"
    )
    cargo.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}/usr/bin{os.pathsep}/bin")
    with pytest.raises(LabError, match="no route to the registry"):
        third_party.fetch(manifest=make_manifest(tmp_path, "0" * 64))


def test_a_cargo_too_old_for_the_registry_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cargo = tmp_path / "cargo"
    cargo.write_text('#!/bin/sh\necho "cargo 0.66.0 (x)"\n')
    cargo.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert third_party.find_cargo() is None


def fetch_once(manifest: Path) -> str:
    return str(third_party.fetch(manifest=manifest)["thing"])


def test_two_at_once_agree(tmp_path: Path, cargo_home: Path) -> None:
    manifest = make_manifest(tmp_path, make_crate(cargo_home, b"x" * 1_000_000))
    with ProcessPoolExecutor(4) as pool:
        folders = set(pool.map(fetch_once, [manifest] * 4))
    assert len(folders) == 1
    assert (Path(folders.pop()) / "file.c").stat().st_size == 1_000_000
    assert not list((tmp_path / "cache").rglob("unpack-*"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("kind", '"tarball"'), "allowed are crate, pypi"),
        (("sha256", '""'), "needs sha256"),
    ],
)
def test_a_bad_manifest_names_file_and_key(tmp_path: Path, change: tuple[str, str], words: str) -> None:
    manifest = make_manifest(tmp_path, "0" * 64)
    key, value = change
    lines = [
        f"{key} = {value}" if line.startswith(key) else line for line in manifest.read_text().splitlines()
    ]
    manifest.write_text("\n".join(lines))
    with pytest.raises(UsageError, match=words) as failure:
        third_party.fetch(manifest=manifest)
    assert str(manifest) in str(failure.value)


def test_the_installed_code_generator_is_the_pinned_one(tmp_path: Path) -> None:
    pinned = third_party.sources()["zcbor"]
    manifest = tmp_path / "third_party.toml"
    manifest.write_text(
        f'[zcbor]\nkind = "pypi"\npackage = "zcbor"\nversion = "{pinned.version}"\nfolder = "."\n'
        f'[zcbor.files]\n"src/zcbor_common.c" = "{"0" * 64}"\n'
    )
    with pytest.raises(LabError, match=r"zcbor_common\.c"):
        third_party.fetch(manifest=manifest)
