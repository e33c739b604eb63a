"""Sources in, a checked module out."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.errors import UsageError
from lab.sdk.languages import Job, Language, languages
from lab.sdk.validate import check


@dataclass(frozen=True, slots=True)
class Compiled:
    """A module that was made and found good.

    :param wasm: its file.
    :param size: bytes of the module.
    :param memory: bytes of linear memory that a device gives it.
    :param imports: what it asks of its host, as ``module#name``.
    :param exports: the functions it offers.
    :param language: what it was written in.
    :param warnings: what the compiler said, as it wrote it.
    """

    wasm: Path
    size: int
    memory: int
    imports: list[str]
    exports: list[str]
    language: str
    warnings: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "wasm": str(self.wasm),
            "language": self.language,
            "size": self.size,
            "memory": self.memory,
            "imports": self.imports,
            "exports": self.exports,
            "warnings": self.warnings,
        }


def compile(
    path: Path, *, output: Path | None = None, progress: Callable[[str], None] = lambda _: None
) -> Compiled:
    """Make a module of one source file, or of an app's folder.

    :param output: where it goes; ``build/NAME.wasm`` beside the source unless said.
    :param progress: told what is being done.
    :raises LabError: the compiler refuses the source (its words are the hint), or the module is not one that
        devices run.
    :raises MissingError: a compiler is not on this machine.
    :raises UsageError: there is no such source, or no language has its suffix.
    """
    job, language = _job(path, output)
    job.output.parent.mkdir(parents=True, exist_ok=True)
    # Beside the output, so that it becomes visible whole or not at all, and only if it is good.
    with tempfile.TemporaryDirectory(prefix=".", dir=job.output.parent) as scratch:
        made = Path(scratch) / "module.wasm"
        progress(f"compiling {job.name} ({language.name})")
        warnings = language.build(Job(job.name, job.folder, job.sources, made))
        content = made.read_bytes()
        progress(f"checking {job.name}")
        module = check(content, job.name)
        made.replace(job.output)
    return Compiled(
        wasm=job.output,
        size=len(content),
        memory=module.memory,
        imports=[str(entry) for entry in module.imports],
        exports=[str(entry) for entry in module.exports if entry.kind == "func"],
        language=language.name,
        warnings=warnings,
    )


def _job(path: Path, output: Path | None) -> tuple[Job, Language]:
    path = path.absolute()
    if path.is_dir():
        sources = sorted(
            file for file in path.iterdir() if any(file.suffix in known.suffixes for known in languages())
        )
        if not sources:
            raise UsageError(f"there is no source in {path}", hint=_known())
        folder, name = path, path.name
    elif path.is_file():
        sources, folder, name = [path], path.parent, path.stem
    else:
        raise UsageError(f"there is no {path}")
    language = next((known for known in languages() if sources[0].suffix in known.suffixes), None)
    if language is None:
        raise UsageError(f"{path.name} is in no language the lab knows", hint=_known())
    target = output.absolute() if output else folder / "build" / f"{name}.wasm"
    return Job(name, folder, tuple(file.name for file in sources), target), language


def _known() -> str:
    return "Sources end in " + ", ".join(suffix for known in languages() for suffix in known.suffixes) + "."
