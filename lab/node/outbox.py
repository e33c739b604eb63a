"""What a spoke still has to push, on disk, in order. Imported by the native agent: standard library only."""

from __future__ import annotations

import json
import sqlite3
import threading
import uuid
from pathlib import Path
from typing import Any

_SCHEMA = """
CREATE TABLE IF NOT EXISTS stream (id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS batch (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, body TEXT NOT NULL
);
"""


class Outbox:
    """A queue of batches that survives power cuts. Sequence numbers ascend by one and are never used again.

    :param file: the SQLite file.
    :param limit: batches kept; then the oldest go, and are counted.
    """

    def __init__(self, file: Path, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._db = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.executescript(_SCHEMA)
        row = self._db.execute("SELECT id FROM stream").fetchone()
        if row is None:
            row = (uuid.uuid4().hex,)
            self._db.execute("INSERT INTO stream VALUES (?)", row)
        self.stream: str = row[0]
        """Names this file: a new one counts from 1 again, and the hub must take its batches for new."""
        self.dropped = 0

    def add(self, at: float, body: dict[str, Any]) -> int:
        """Append a batch made at Unix time `at`; return its number."""
        with self._lock:
            number = self._db.execute(
                "INSERT INTO batch (at, body) VALUES (?, ?)", (at, json.dumps(body, separators=(",", ":")))
            ).lastrowid
            assert number is not None
            gone = self._db.execute("DELETE FROM batch WHERE sequence <= ?", (number - self._limit,)).rowcount
            self.dropped += gone
            return number

    def first(self, count: int) -> list[dict[str, Any]]:
        """Return the oldest batches: `sequence`, `at`, and what `add` was given."""
        with self._lock:
            rows = self._db.execute(
                "SELECT sequence, at, body FROM batch ORDER BY sequence LIMIT ?", (count,)
            ).fetchall()
        return [{"sequence": number, "at": at} | json.loads(body) for number, at, body in rows]

    def accepted(self, sequence: int) -> None:
        """Forget the batches up to `sequence`: the hub has them."""
        with self._lock:
            self._db.execute("DELETE FROM batch WHERE sequence <= ?", (sequence,))

    def __len__(self) -> int:
        with self._lock:
            return int(self._db.execute("SELECT count(*) FROM batch").fetchone()[0])

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()
