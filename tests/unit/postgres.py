"""A PostgreSQL of the tests' own, reached by a socket in its folder and nothing else."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_DEBIAN = Path("/usr/lib/postgresql")  # Debian keeps the server's programs off PATH


class Cluster:
    """A running server, on which each test has a database of its own."""

    def __init__(self, folder: Path, user: str) -> None:
        self._folder = folder
        self._user = user
        self._made = 0

    def database(self) -> str:
        """Make an empty database; return its SQLAlchemy URL."""
        import psycopg

        self._made += 1
        name = f"lab_{self._made}"
        with psycopg.connect(host=str(self._folder), user=self._user, dbname="postgres") as connection:
            connection.autocommit = True
            connection.execute(f"CREATE DATABASE {name}")
        return f"postgresql+psycopg://{self._user}@/{name}?host={self._folder}"


@contextmanager
def cluster() -> Iterator[Cluster]:
    """Run a cluster, in a folder that is gone afterwards; skip the test where there is no PostgreSQL."""
    programs = sorted(_DEBIAN.glob("*/bin/pg_ctl"), key=lambda file: file.parts[-3])
    found = str(programs[-1]) if programs else shutil.which("pg_ctl")
    if found is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    user = pwd.getpwuid(os.getuid()).pw_name
    if os.getuid() == 0:  # which the server refuses to run as
        user = "postgres"
        if user not in {entry.pw_name for entry in pwd.getpwall()}:
            pytest.skip("PostgreSQL does not run as root, and there is no user postgres")

    def run(*command: str) -> None:
        subprocess.run(
            [found, *command],
            user=user if os.getuid() == 0 else None,
            cwd="/",
            stdout=subprocess.DEVNULL,
            check=True,
            timeout=120,
        )

    with tempfile.TemporaryDirectory(prefix="lab-postgres-") as scratch:
        folder, data = Path(scratch), f"{scratch}/data"
        if os.getuid() == 0:
            shutil.chown(folder, user)
        run("initdb", "--silent", "--pgdata", data, "--options", f"--auth=trust --username={user} --no-sync")
        options = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off"
        run("start", "--silent", "--wait", "--pgdata", data, "--options", options, "--log", f"{folder}/log")
        try:
            yield Cluster(folder, user)
        finally:
            run("stop", "--silent", "--mode", "immediate", "--pgdata", data)
