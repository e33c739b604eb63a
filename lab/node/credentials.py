"""Who may push to a hub: a token for each spoke, of which the hub keeps the hash."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from lab.home import Home
from lab.pki import Authority


class Credentials:
    """A hub's spokes and their tokens.

    :param folder: the node's folder.
    :param nodes: the spokes the configuration names; others are refused even if they once had a token.
    """

    def __init__(self, folder: Path, nodes: Iterable[str]) -> None:
        self._authority = Authority(Home(folder))
        self._folder = folder / "credentials"
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._hashes: dict[str, str] = {}
        for node in nodes:
            self._hashes[self._issued(node)] = node
        hub = self._authority.gateway()
        self.certificate, self.key = hub.certificate, hub.key

    def file(self, node: str) -> Path:
        """Return the file to give to a spoke."""
        return self._folder / f"{node}.json"

    def node_of(self, token: str) -> str | None:
        """Return whose token this is, or none."""
        given = _hash(token)
        for known, node in self._hashes.items():
            if hmac.compare_digest(known, given):
                return node
        return None

    def _issued(self, node: str) -> str:
        """Write a spoke's file unless it has one; return the hash of its token.

        The file may be moved away to the spoke: what the hub needs is beside it.
        """
        file, mark = self.file(node), self._folder / f"{node}.sha256"
        if mark.exists():
            return mark.read_text().strip()
        token = secrets.token_urlsafe(32)
        given = {"token": token, "ca": self._authority.certificate_file.read_text()}
        _write(file, json.dumps(given))
        _write(mark, _hash(token))
        return _hash(token)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _write(file: Path, text: str) -> None:
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
    temporary.replace(file)
