"""`lab plugin build`: make a component of a plugin's Python source, with componentize-py."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from lab import paths
from lab.errors import LabError, MissingError, UsageError
from lab.plugins.worlds import worlds

_MODULE = "plugin"


def build(source: Path, output: Path, world: str | None = None) -> Path:
    """Build the plugin in folder `source` and put it at `output`, in one step, so that no host sees half of
    it.

    :param source: holds ``plugin.py``, and ``plugin.toml`` with ``world = "…"`` unless `world` is given.
    :raises UsageError: there is no such source or world.
    :raises MissingError: componentize-py is not installed.
    :raises LabError: the build failed; says why in componentize-py's words.
    """
    if not (source / f"{_MODULE}.py").is_file():
        raise UsageError(
            f"{source} is no plugin: it holds no {_MODULE}.py", hint="plugins/dht22 is one to begin with"
        )
    world = world or _world_of(source)
    if world not in worlds():
        raise UsageError(f"there is no world {world!r}", hint=f"wit/plugin.wit has: {', '.join(worlds())}")
    if importlib.util.find_spec("componentize_py") is None:
        raise MissingError(
            "componentize-py is not installed", hint="install it with: pip install 'wasm-mcu-lab[plugins]'"
        )
    output.parent.mkdir(parents=True, exist_ok=True)
    wit = paths.data("wit")
    with tempfile.TemporaryDirectory(prefix="lab-plugin-") as folder:
        made = Path(folder) / "plugin.wasm"
        command = [sys.executable, "-c", "import componentize_py; componentize_py.script()", "--quiet"]
        for file in ("device.wit", "plugin.wit"):
            command += ["--wit-path", str(wit / file)]
        command += ["--world", f"lab:plugin/{world}", "componentize", "--python-path", str(source.resolve())]
        command += ["--output", str(made), _MODULE]
        # componentize-py packs the packages of the environment that VIRTUAL_ENV names; a plugin brings its
        # own.
        done = subprocess.run(
            command,
            env={**os.environ, "VIRTUAL_ENV": folder},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise LabError(f"{source.name} was not built", hint=(done.stderr or done.stdout).strip()[-2000:])
        placed = output.with_name(f".{output.name}.{os.getpid()}")
        placed.write_bytes(made.read_bytes())
        placed.replace(output)
    return output


def _world_of(source: Path) -> str:
    try:
        named = tomllib.loads((source / "plugin.toml").read_text()).get("world")
    except FileNotFoundError:
        named = source.name if source.name in worlds() else None
    except ValueError as error:  # UnicodeDecodeError is one, too
        raise UsageError(f"{source / 'plugin.toml'} is no TOML: {error}") from error
    if not isinstance(named, str):
        raise UsageError(
            f"nothing says which world {source.name} is of",
            hint=f'write world = "…" into {source / "plugin.toml"}; there are: {", ".join(worlds())}',
        )
    return named
