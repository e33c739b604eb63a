"""What a node knows of its cluster: the last reading of every quantity of every node, and their history.

A spoke numbers its batches; the hub remembers the last number it has taken, in the same transaction as the
readings. So a batch that is pushed twice is taken once, and what the hub has confirmed it still knows after a
restart.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

_SCHEMA = """
CREATE TABLE IF NOT EXISTS reading (
    at REAL NOT NULL, node TEXT NOT NULL, sensor TEXT NOT NULL, quantity TEXT NOT NULL,
    value REAL NOT NULL, unit TEXT NOT NULL, state TEXT NOT NULL, note TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS reading_by_time ON reading (at);
CREATE TABLE IF NOT EXISTS stream (
    node TEXT NOT NULL, stream TEXT NOT NULL, sequence INTEGER NOT NULL, PRIMARY KEY (node, stream)
);
"""
_HISTORY_SECONDS = 7 * 86400.0
_PRUNE_SECONDS = 600.0
_OFFLINE_CYCLES = 3
_SKEW_SECONDS = 2.0  # a difference of clocks that is worth a warning

Word = Annotated[str, Field(min_length=1, max_length=64)]
_MODEL = ConfigDict(extra="ignore", allow_inf_nan=False)


class PushedReading(BaseModel):
    """A reading as a spoke sends it."""

    model_config = _MODEL
    sensor: Word
    quantity: Word
    value: float
    unit: Annotated[str, Field(max_length=16)] = ""
    state: Literal["normal", "warning", "alarm"] = "normal"
    note: Annotated[str, Field(max_length=200)] = ""


class PushedLine(BaseModel):
    """A line of a spoke's log."""

    model_config = _MODEL
    at: float
    level: Literal["debug", "info", "warning", "error"]
    source: Annotated[str, Field(max_length=64)]
    text: Annotated[str, Field(max_length=4000)]
    request: Annotated[str | None, Field(max_length=64)] = None


class Batch(BaseModel):
    """One cycle of a spoke; `at` is by the spoke's clock."""

    model_config = _MODEL
    sequence: Annotated[int, Field(ge=1)]
    at: float
    readings: Annotated[list[PushedReading], Field(max_length=1000)] = []
    log: Annotated[list[PushedLine], Field(max_length=1000)] = []


class Push(BaseModel):
    """The body of `POST /push`.

    :param stream: names the spoke's buffer: numbers of another stream begin anew.
    :param now: Unix time by the spoke's clock, when it sent this.
    :param interval: seconds between its cycles.
    """

    model_config = _MODEL
    role: Literal["spoke", "agent"] = "spoke"
    stream: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    now: float
    interval: Annotated[float, Field(gt=0, le=86400)]
    batches: Annotated[list[Batch], Field(max_length=200)]
    status: dict[str, Any] = {}


@dataclass(slots=True)
class Node:
    """One node of the cluster, as far as this one knows.

    :param heard: when it was last heard, by this node's clock that never goes back; none: not since the
        start.
    :param skew: seconds its clock is ahead of ours.
    """

    role: str
    interval: float
    heard: float | None = None
    skew: float = 0.0
    sensors: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    status: dict[str, Any] = field(default_factory=dict)


class Ledger:
    """Merges readings by node, sensor and quantity. Calls come from several threads, and may wait for the
    disk.

    :param file: the SQLite file.
    :param warn: called with a node's id and a text when something is odd about it.
    :param clock: Unix time in seconds.
    :param monotonic: seconds, never going back.
    """

    def __init__(
        self,
        file: Path,
        warn: Callable[[str, str], None],
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._warn = warn
        self._clock, self._monotonic = clock, monotonic
        self._lock = threading.Lock()
        self._nodes: dict[str, Node] = {}
        self._pruned = monotonic()
        self._db = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.executescript(_SCHEMA)

    def expect(self, node: str, role: str, interval: float) -> None:
        """Show a node from the start, offline until it is heard."""
        with self._lock:
            self._nodes.setdefault(node, Node(role, interval))

    def note(self, node: str, at: float, readings: Sequence[PushedReading], status: dict[str, Any]) -> None:
        """Merge readings of this very node."""
        with self._lock, self._transaction():
            self._merge(node, at, readings)
            known = self._nodes[node]
            known.heard, known.status = self._monotonic(), status

    def push(self, node: str, push: Push) -> tuple[int, list[Batch]]:
        """Take what a spoke pushed; return the last number taken, and the batches that were new."""
        received = self._clock()
        skew = push.now - received
        with self._lock:
            known = self._nodes.setdefault(node, Node(push.role, push.interval))
            if abs(skew) > _SKEW_SECONDS >= abs(known.skew):
                self._warn(node, f"its clock is {skew:+.1f} s off ours; its readings are dated by ours")
            with self._transaction():
                row = self._db.execute(
                    "SELECT sequence FROM stream WHERE node = ? AND stream = ?", (node, push.stream)
                ).fetchone()
                last: int = row[0] if row else 0
                new = sorted(
                    (batch for batch in push.batches if batch.sequence > last), key=lambda b: b.sequence
                )
                for batch in new:
                    self._merge(node, batch.at - skew, batch.readings)
                if new:
                    last = new[-1].sequence
                    self._db.execute(
                        "INSERT INTO stream VALUES (?, ?, ?)"
                        " ON CONFLICT (node, stream) DO UPDATE SET sequence = excluded.sequence",
                        (node, push.stream, last),
                    )
            known.role, known.interval, known.skew = push.role, push.interval, skew
            known.heard, known.status = self._monotonic(), push.status
        return last, new

    def state(self) -> dict[str, Any]:
        """Return the cluster as `/api/readings` shows it."""
        now = self._monotonic()
        with self._lock:
            return {
                name: {
                    "role": node.role,
                    "online": node.heard is not None
                    and now - node.heard <= max(_OFFLINE_CYCLES * node.interval, 5.0),
                    "seconds_ago": None if node.heard is None else round(now - node.heard, 3),
                    "skew": round(node.skew, 3),
                    "sensors": {
                        sensor: {key: dict(value) for key, value in quantities.items()}
                        for sensor, quantities in node.sensors.items()
                    },
                    **node.status,
                }
                for name, node in self._nodes.items()
            }

    def history(
        self,
        *,
        node: str | None = None,
        sensor: str | None = None,
        quantity: str | None = None,
        since: float = 0.0,
        limit: int = 1000,
    ) -> list[dict[str, Any]]:
        """Return readings from Unix time `since` on, oldest first."""
        keys = ("at", "node", "sensor", "quantity", "value", "unit", "state", "note")
        wanted = {"node": node, "sensor": sensor, "quantity": quantity}
        chosen = {key: value for key, value in wanted.items() if value is not None}
        where = "".join(f" AND {key} = ?" for key in chosen)
        with self._lock:
            rows = self._db.execute(
                f"SELECT {', '.join(keys)} FROM reading WHERE at >= ?{where} ORDER BY at, rowid LIMIT ?",
                (since, *chosen.values(), limit),
            ).fetchall()
        return [dict(zip(keys, row, strict=True)) for row in rows]

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def _merge(self, node: str, at: float, readings: Iterable[PushedReading]) -> None:
        sensors = self._nodes[node].sensors
        fresh: dict[str, dict[str, dict[str, Any]]] = {}
        rows = []
        for reading in readings:
            value = reading.model_dump(exclude={"sensor", "quantity"}) | {"at": round(at, 3)}
            fresh.setdefault(reading.sensor, {})[reading.quantity] = value
            rows.append((at, node, *reading.model_dump().values()))
        # What a sensor no longer says is no longer so (a score that is being calibrated again).
        sensors.update(fresh)
        self._db.executemany("INSERT INTO reading VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def _transaction(self) -> _Transaction:
        if self._monotonic() - self._pruned > _PRUNE_SECONDS:
            self._pruned = self._monotonic()
            self._db.execute("DELETE FROM reading WHERE at < ?", (self._clock() - _HISTORY_SECONDS,))
        return _Transaction(self._db)


class _Transaction:
    """All of it, or nothing."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, _error: object, _trace: object) -> None:
        self._db.execute("COMMIT" if kind is None else "ROLLBACK")
