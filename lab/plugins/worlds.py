"""The worlds of `wit/plugin.wit`: what each grants a plugin and wants of it."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from lab import paths
from lab.codegen import wit

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
    folder = paths.data("wit")
    package = wit.read(folder / "plugin.wit", wit.read(folder / "device.wit"))
    return {
        name: World(
            name,
            frozenset(each.full_name for each in world.imports),
            frozenset(each.full_name for each in world.exports if isinstance(each, wit.Interface)),
        )
        for name, world in package.worlds.items()
    }
