"""Update nodes of a cluster, each by its own hand: fetch, check, try, go back if it is bad."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from lab.errors import LabError
from lab.node.releases import Releases
from lab.plugins.host import NOT_TAKEN, Host, Identity, State, identity

_TRIAL_SECONDS = 60.0
_POLL_SECONDS = 0.1
LIMIT = 64 << 20
"""Bytes of an artifact at most."""

Fetch = Callable[[str], Awaitable[bytes]]


class Artifacts:
    """What a hub hands out for updates, by SHA-256.

    :param folder: kept until the hub ends, as a node may fetch again.
    """

    def __init__(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700, parents=True)
        self._folder = folder

    def add(self, content: bytes) -> str:
        """Keep an artifact; return its digest."""
        digest = hashlib.sha256(content).hexdigest()
        (self._folder / digest).write_bytes(content)
        return digest

    def get(self, digest: str) -> bytes | None:
        """Return an artifact; none if there is no such."""
        if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
            return None
        try:
            return (self._folder / digest).read_bytes()
        except FileNotFoundError:
            return None


async def fetched(digest: str, fetch: Fetch) -> bytes:
    """Fetch an artifact and check that it is the one.

    :raises LabError: it is not.
    """
    content = await fetch(digest)
    if hashlib.sha256(content).hexdigest() != digest:
        raise LabError(f"what came is not {digest[:12]}: the transfer was damaged, or the hub changed it")
    return content


async def update_plugins(host: Host, wanted: dict[str, str], fetch: Fetch) -> dict[str, Any]:
    """Replace plugins; all stay as they were if one of the new ones is not healthy.

    :param wanted: per plugin the digest of its component; those that this node does not run are left out.
    :raises LabError: it was rolled back; says why.
    """
    for name in wanted:
        if not name.replace("-", "").replace("_", "").isalnum():
            raise LabError(f"{name!r} cannot be a plugin's name")
    wanted = {name: digest for name, digest in wanted.items() if host.runs(name)}
    if not wanted:
        raise LabError("this node runs none of these plugins")
    contents = {name: await fetched(digest, fetch) for name, digest in wanted.items()}
    files = {name: host.folder / f"{name}.wasm" for name in wanted}
    before = {name: file.read_bytes() if file.exists() else None for name, file in files.items()}
    try:
        placed = {name: _place(files[name], content) for name, content in contents.items()}
        await asyncio.gather(*(_settled(host, name, wanted[name], placed[name]) for name in wanted))
    except LabError as error:
        for name, old in before.items():
            if old is None:
                files[name].unlink(missing_ok=True)
            else:
                _place(files[name], old)
        raise LabError(f"{error.message}; rolled back") from error
    return {"plugins": wanted}


async def update_program(releases: Releases, digest: str, fetch: Fetch) -> dict[str, Any]:
    """Unpack a release and put it on trial; the caller ends the process, and the launcher tries it.

    :raises LabError: it is no release, or another one is still on trial.
    """
    content = await fetched(digest, fetch)
    try:
        return {"trial": await asyncio.to_thread(releases.add, content)}
    except ValueError as error:
        raise LabError(f"the release was not taken: {error}") from error


async def _settled(host: Host, name: str, digest: str, placed: Identity) -> None:
    """Return when the plugin of this digest, in the file that was placed, has answered.

    :raises LabError: it was not taken, fails, or does not answer in time.
    """
    for _ in range(int(_TRIAL_SECONDS / _POLL_SECONDS)):
        plugin = host.plugins.get(name)
        if plugin is not None and plugin.seen == placed:  # what is said of an older file is not of this one
            if plugin.error.startswith(NOT_TAKEN):
                raise LabError(f"{name}: {plugin.error}")
            loaded = plugin.successor is not None and plugin.successor[0].digest == digest
            if plugin.digest == digest and plugin.answered:  # a complaint about its sensor is an answer
                return
            if plugin.digest == digest and plugin.state is State.FAILING:
                raise LabError(f"{name}: it fails: {plugin.error}")
            if loaded and not host.measures(name):  # a page, which nobody may ask for now
                return
        await asyncio.sleep(_POLL_SECONDS)
    raise LabError(f"{name}: it has not answered after {_TRIAL_SECONDS:g} s")


def _place(file: Path, content: bytes) -> Identity:
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    temporary.write_bytes(content)
    placed = identity(temporary)  # which a rename does not change
    temporary.replace(file)
    return placed
