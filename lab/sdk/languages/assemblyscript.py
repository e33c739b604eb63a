"""AssemblyScript, by the compiler that npm installs into the lab's cache once."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from lab import third_party
from lab.errors import LabError, MissingError
from lab.sdk.languages import Job, need, run

_SDK = Path(__file__).parent.parent / "assemblyscript"
_INSTALL = "apt-get install npm"
_NODE = 18  # the oldest major version that the compiler takes


class AssemblyScript:
    """TypeScript's syntax, WebAssembly's types; its memory manager is `lab/sdk/assemblyscript/runtime.ts`."""

    name = "assemblyscript"
    suffixes = (".ts",)

    def build(self, job: Job) -> str:
        """Compile, then trim, in one run of node."""
        node = need("node", hint=_INSTALL)
        tools = _tools(node, job.progress)
        return run(
            (
                node,
                str(_SDK / "build.mjs"),
                str(tools),
                str(job.output),
                str(job.build.stack),
                str(job.build.heap),
                job.sources[0],
            ),
            job,
        )


def _tools(node: str, progress: Callable[[str], None]) -> Path:
    """Return the folder that the compiler is installed in; one for each lock file, shared by all labs."""
    lock = _SDK / "package-lock.json"
    folder = third_party.cache() / f"assemblyscript-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}"
    if folder.is_dir():
        return folder
    _check_version(node)
    npm = need("npm", hint=_INSTALL)
    with third_party.locked(folder.with_name("assemblyscript.lock")):
        if not folder.is_dir():
            progress("installing AssemblyScript (once)")
            with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
                made = Path(scratch) / "tools"
                made.mkdir()
                for file in ("package.json", "package-lock.json"):
                    shutil.copy(_SDK / file, made)
                _install(npm, made)
                made.rename(folder)
    return folder


def _install(npm: str, folder: Path) -> None:
    """Install what the lock file names; npm checks each package against the hash that is there."""
    command = (npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        raise LabError("npm does not install AssemblyScript", hint=(done.stdout + done.stderr).strip())


def _check_version(node: str) -> None:
    said = subprocess.run((node, "--version"), capture_output=True, text=True, timeout=60, check=False).stdout
    major = re.match(r"v(\d+)", said)
    if major is None or int(major[1]) < _NODE:
        raise MissingError(
            f"AssemblyScript needs Node.js {_NODE} or newer; {node} is {said.strip() or 'unknown'}",
            hint=_INSTALL,
        )
