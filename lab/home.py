"""A lab's folder: where its state lives, and how one finds the daemon that runs it.

::

    .lab/                 $LAB_HOME, or .lab in the current folder
      daemon.json         address and token of the running daemon, readable by its owner only
      daemon.log          what the daemon said
      port                where it answered last, and answers again if it can
      lab.db              registry, deployments, events
      database.url        another database than lab.db, a SQLAlchemy URL, if the user has put it there
      pki/                the lab's CA and the certificates it issued
      vault.key           the key of its secrets, readable by its owner only
      publishers/         public keys of those whose packages its devices take
      devices/<id>/       console.log, flash.bin, trace of link frames, snapshots/
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from lab.errors import LabError, UsageError


@dataclass(frozen=True, slots=True)
class Address:
    """Where a running daemon answers: loopback `port`, requests bearing `token`."""

    pid: int
    port: int
    token: str


class Home:
    """The folder of one lab.

    :param root: the folder; made, readable by its owner only, when first needed.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    @classmethod
    def find(cls) -> Home:
        """Return the lab that the environment names: ``$LAB_HOME``, else ``.lab`` in the current folder."""
        return cls(Path(os.environ.get("LAB_HOME") or ".lab"))

    def create(self) -> Home:
        """Make the folder if it is not there.

        :raises UsageError: it cannot be made or is not a folder.
        """
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise self._unusable(error) from error
        return self

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.root / "lab.db"

    @property
    def database_url(self) -> str:
        """The database's SQLAlchemy URL: what the file ``database.url`` says, else the SQLite file."""
        try:
            return (self.root / "database.url").read_text("utf-8").strip()
        except FileNotFoundError:
            return f"sqlite:///{self.database}"

    @property
    def log(self) -> Path:
        """What the daemon said."""
        return self.root / "daemon.log"

    @property
    def publishers(self) -> Path:
        """The folder of public keys (PEM) that devices are provisioned with."""
        return self.root / "publishers"

    def device(self, name: str) -> Path:
        """Return (and make) the folder of one device."""
        folder = self.root / "devices" / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    # -- the daemon

    def lock(self) -> IO[str]:
        """Become this lab's only daemon; the lock ends with the process, however it ends.

        :raises LabError: another one holds it.
        """
        file = (self.root / "lock").open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.close()
            raise LabError(
                f"a lab already runs in {self.root}", hint="end it with: lab down, or use another LAB_HOME"
            ) from error
        return file

    def announce(self, address: Address) -> None:
        """Say where the daemon answers; replaced in one step, so a reader never sees half of it."""
        temporary = self.root / f"daemon.json.{address.pid}"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(asdict(address), file)
        temporary.replace(self.root / "daemon.json")

    def listen(self) -> socket.socket:
        """Return a listening socket on loopback: on the port of the last daemon, where pages of it still ask.

        Of the kernel's choosing, if that is taken.
        """
        last = self.root / "port"
        with contextlib.suppress(OSError, ValueError, OverflowError):
            return socket.create_server(("127.0.0.1", int(last.read_text())))
        listener = socket.create_server(("127.0.0.1", 0))
        last.write_text(f"{listener.getsockname()[1]}\n")
        return listener

    def withdraw(self) -> None:
        """Take back `announce`."""
        with contextlib.suppress(FileNotFoundError):
            (self.root / "daemon.json").unlink()

    def address(self) -> Address | None:
        """Return where the daemon said it answers, or `None`; a killed one has left its word behind.

        :raises UsageError: the folder is none, or another user's.
        """
        try:
            return Address(**json.loads((self.root / "daemon.json").read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None
        except OSError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: OSError) -> UsageError:
        return UsageError(
            f"cannot use {self.root} as the lab's folder: {error.strerror}",
            hint="name another one with LAB_HOME=/some/folder",
        )
