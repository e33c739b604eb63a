"""The table of kinds in `lab.events`, held against the source: it has what is published, and no more."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import lab.events

SOURCES = sorted(Path(lab.events.__file__).parent.rglob("*.py"))
KIND = re.compile(r"[a-z]+(\.[a-z-]+)+")


def listed() -> set[str]:
    """Return the kinds in the table's first column; `.paused` goes on where the kind before it did."""
    kinds: list[str] = []
    for line in (lab.events.__doc__ or "").splitlines():
        for word in re.findall(r"`([a-z.-]+)`", line.split("|")[1]) if line.startswith("| `") else ():
            kinds.append(word if not word.startswith(".") else kinds[-1].partition(".")[0] + word)
    return set(kinds)


def published(tree: ast.Module) -> Iterator[str]:
    """Yield the kinds that a module publishes: text, or a name that was given one of several texts."""
    given: dict[str, list[ast.expr]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            given.setdefault(node.targets[0].id, []).append(node.value)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if called != "publish":
            continue
        kind = node.args[0]
        for source in given.get(kind.id, []) if isinstance(kind, ast.Name) else [kind]:
            for each in ast.walk(source):
                if isinstance(each, ast.Constant) and KIND.match(str(each.value) + "x"):
                    yield str(each.value)


def test_the_table_has_every_kind_that_is_published_and_no_other() -> None:
    found = {kind for source in SOURCES for kind in published(ast.parse(source.read_text()))}
    assert {kind for kind in found if kind.endswith(".")} == {"rollout."}  # f"rollout.{state}"
    whole = {kind for kind in found if not kind.endswith(".")}
    assert whole <= listed()
    assert {kind for kind in listed() if not kind.startswith("rollout.")} <= whole
