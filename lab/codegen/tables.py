"""The contract as Python data, for who checks a module before it goes to a device."""

from __future__ import annotations

from lab.codegen import abi, wit
from lab.codegen.words import BANNER


def module(package: wit.Package, world: wit.World) -> str:
    """Return ``lab/contract.py``."""
    lines = [
        f'"""The contract of apps with their device: world {world.name} of {package.title}.',
        "",
        BANNER,
        '"""',
        "",
        "from collections.abc import Mapping",
        "from types import MappingProxyType",
        "from typing import Final, NamedTuple",
        "",
        "",
        "class Signature(NamedTuple):",
        '    """The core type of a function, in the names of WebAssembly\'s text format."""',
        "",
        "    parameters: tuple[str, ...]",
        "    results: tuple[str, ...]",
        "",
        "",
        f'WORLD: Final = "{package.namespace}:{package.name}/{world.name}@{package.version}"',
        "",
        "IMPORTS: Final[Mapping[str, Mapping[str, Signature]]] = MappingProxyType(",
        "    {",
    ]
    for interface in world.imports:
        lines.append(f'        "{interface.full_name}": MappingProxyType(')
        lines.append("            {")
        for function in interface.functions:
            lines.append(f'                "{function.name}": {_signature(abi.imported(function))},')
        lines += ["            }", "        ),"]
    lines += [
        "    }",
        ")",
        '"""What an app may import: per interface its functions."""',
        "",
        "EXPORTS: Final[Mapping[str, Signature]] = MappingProxyType(",
        "    {",
    ]
    for function in world.functions:
        lines.append(f'        "{function.name}": {_signature(abi.exported(function))},')
    lines += [
        "    }",
        ")",
        '"""What an app may export for its host to call; it need not have all of them."""',
        "",
        f"REALLOC: Final = {_signature(abi.Signature(('i32',) * 4, ('i32',)))}",
        '"""The type of `cabi_realloc`, which an app exports if it is ever given bytes."""',
    ]
    return "".join(f"{line}\n" for line in lines)


def _signature(signature: abi.Signature) -> str:
    return f"Signature({_tuple(signature.parameters)}, {_tuple(signature.results)})"


def _tuple(names: tuple[str, ...]) -> str:
    inner = ", ".join(f'"{name}"' for name in names)
    return f"({inner},)" if len(names) == 1 else f"({inner})"
