"""The audit log: who did what, when, and what came of it.

An action writes a row before it begins and another when it has ended, so that one the lab was killed in the
middle of is there too. Rows are only ever added; in SQLite a trigger refuses anything else.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from lab.store import Store
from lab.store.tables import Audit as Row

GATEWAY = "gateway"
"""Who does what nobody asked for, such as pausing a rollout that fails too often."""
BEGUN, DONE, FAILED, REFUSED = "begun", "done", "failed", "refused"
_PAGE = 500


@dataclass(slots=True)
class Entry:
    """An action under way. Whoever carries it out may add to `detail`, and say in `reason` why it failed."""

    detail: dict[str, Any] = field(default_factory=dict)
    reason: str = ""


class Audit:
    """The audit log of one lab."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._writing: set[asyncio.Task[int]] = set()

    async def note(
        self,
        who: str,
        action: str,
        target: str = "",
        *,
        role: str = "",
        result: str = DONE,
        reason: str = "",
        begun: int | None = None,
        detail: Mapping[str, Any] | None = None,
    ) -> int:
        """Add a row; return its number.

        :param who: a token's name, or a user of this machine.
        :param result: `begun`, `done`, `failed` or `refused`.
        :param begun: the row that this is the result of.
        :param detail: JSON.
        """
        return await self._store.add_audit(
            Row(
                time=time.time(),
                who=who,
                role=role,
                action=action,
                target=target,
                result=result,
                reason=reason,
                begun=begun,
                detail=dict(detail or {}),
            )
        )

    @asynccontextmanager
    async def entry(
        self,
        who: str,
        action: str,
        target: str = "",
        *,
        role: str = "",
        detail: Mapping[str, Any] | None = None,
    ) -> AsyncIterator[Entry]:
        """Write down an action that the block carries out; an error that leaves it is its result."""
        number = await self.note(who, action, target, role=role, result=BEGUN, detail=detail)
        entry = Entry()

        def end(result: str, reason: str) -> None:
            # In a task of its own: that the client has left, or was cut off, does not undo what was done.
            note = self.note(
                who,
                action,
                target,
                role=role,
                result=result,
                reason=reason,
                begun=number,
                detail=entry.detail,
            )
            task = asyncio.create_task(note)
            self._writing.add(task)
            task.add_done_callback(self._writing.discard)

        try:
            yield entry
        except BaseException as error:
            refused = getattr(error, "status_code", 0) == 403
            reason = entry.reason or str(error) or type(error).__name__
            end(REFUSED if refused else FAILED, reason)
            raise
        end(FAILED if entry.reason else DONE, entry.reason)

    async def written(self) -> None:
        """Return once what has ended so far is in the log."""
        await asyncio.gather(*self._writing)

    async def rows(self, *, limit: int, before: int | None = None, **match: str | None) -> list[Row]:
        """Return the newest rows.

        :param before: only rows before this number.
        :param match: values of `who`, `action`, `target` and `result`.
        """
        asked = {name: value for name, value in match.items() if value is not None}
        await self.written()
        return await self._store.audit(asked, limit=limit, before=before)

    async def export(self) -> AsyncIterator[Row]:
        """Yield every row, the oldest first."""
        await self.written()
        since = 0
        while rows := await self._store.audit({}, limit=_PAGE, since=since):
            for row in rows:
                yield row
            since = rows[-1].id or since


def local_user() -> str:
    """Return who runs this process: for the lab's owner has no other name."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
