"""The worlds of `wit/plugin.wit`: what each grants a plugin and wants of it."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from lab import paths

_COMMENT = re.compile(r"//.*")
_PACKAGE = re.compile(r"package\s+([\w:-]+)@([\d.]+)\s*;")
_WORLD = re.compile(r"world\s+([\w-]+)\s*\{(.*?)\}", re.DOTALL)
_ITEM = re.compile(r"(import|export)\s+([^;\s]+)\s*;")

DEFAULT = "probe"
"""The world of a plugin whose configuration names none and whose name is no world's."""


@dataclass(frozen=True, slots=True)
class World:
    """One world.

    :param imports: what the host links, by full name: ``lab:device/log@0.1.0``.
    :param exports: what the plugin must have.
    """

    name: str
    imports: frozenset[str]
    exports: frozenset[str]


@functools.cache
def worlds() -> dict[str, World]:
    """Return every world of `wit/plugin.wit` by name."""
    text = _COMMENT.sub("", (paths.data("wit") / "plugin.wit").read_text())
    package = _PACKAGE.search(text)
    assert package, "wit/plugin.wit names its package"

    def full(name: str) -> str:
        return name if "/" in name else f"{package[1]}/{name}@{package[2]}"

    return {
        name: World(
            name,
            frozenset(full(what) for how, what in _ITEM.findall(body) if how == "import"),
            frozenset(full(what) for how, what in _ITEM.findall(body) if how == "export"),
        )
        for name, body in _WORLD.findall(text)
    }
