"""The audit log: what is written of whom, and that nothing of it can be changed."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from lab.audit import Audit
from lab.errors import LabError
from lab.home import Home
from lab.store import Store

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": True}


async def test_an_action_is_written_before_and_after(tmp_path: Path) -> None:
    async with Store(Home(tmp_path).create()) as store:
        audit = Audit(store)
        async with audit.entry("anna", "deploy", "dev-1", role="operator", detail={"app": "fib"}) as entry:
            [begun] = await audit.rows(limit=10)
            assert (begun.who, begun.action, begun.target, begun.result) == (
                "anna",
                "deploy",
                "dev-1",
                "begun",
            )
            entry.detail["package"] = "abc"
        await audit.written()
        with pytest.raises(LabError):
            async with audit.entry("bob", "reset", "dev-2"):
                raise LabError("it is off")
        rows = [(row.who, row.result, row.reason, row.detail) async for row in audit.export()]
        assert rows == [
            ("anna", "begun", "", {"app": "fib"}),
            ("anna", "done", "", {"package": "abc"}),
            ("bob", "begun", "", {}),
            ("bob", "failed", "it is off", {}),
        ]
        [done] = await audit.rows(limit=10, who="anna", result="done")
        assert done.begun == begun.id
        assert [row.who for row in await audit.rows(limit=1, before=done.id)] == ["anna"]


@pytest.mark.parametrize("statement", ["UPDATE audit SET who = 'nobody'", "DELETE FROM audit"])
async def test_nothing_of_it_can_be_changed(tmp_path: Path, statement: str) -> None:
    home = Home(tmp_path).create()
    async with Store(home) as store:
        await Audit(store).note("anna", "deploy")
    with (
        sqlite3.connect(home.database) as connection,
        pytest.raises(sqlite3.IntegrityError, match="only added to"),
    ):
        connection.execute(statement)
    async with Store(home) as store:
        assert [row.who for row in await Audit(store).rows(limit=10)] == ["anna"]
