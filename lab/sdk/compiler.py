"""Sources in, a checked module out."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.errors import UsageError
from lab.modules import check_module
from lab.sdk import manifest as manifests
from lab.sdk import optimise
from lab.sdk.binary import without_custom
from lab.sdk.languages import Job, Language, languages
from lab.sdk.manifest import Build, Manifest, allowed
from lab.sdk.validate import check

if TYPE_CHECKING:
    from lab.boards import Board


@dataclass(frozen=True, slots=True)
class Compiled:
    """A module that was made and found good.

    :param name: the app's.
    :param wasm: its file.
    :param size: bytes of the module.
    :param memory: bytes of linear memory that a device gives it.
    :param imports: what it asks of its host, as ``module#name``.
    :param exports: the functions it offers.
    :param language: what it was written in.
    :param manifest: its manifest; none if it is a source without one.
    :param optimiser: what made it smaller than the compiler had; empty if nothing did.
    :param warnings: what the compiler said, as it wrote it.
    """

    name: str
    wasm: Path
    size: int
    memory: int
    imports: list[str]
    exports: list[str]
    language: str
    manifest: Manifest | None = None
    optimiser: str = ""
    warnings: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        permissions = self.manifest.permissions if self.manifest else None
        return {
            "name": self.name,
            "wasm": str(self.wasm),
            "language": self.language,
            "size": self.size,
            "memory": self.memory,
            "imports": self.imports,
            "exports": self.exports,
            "permissions": permissions
            and {"interfaces": list(permissions.interfaces), "i2c": list(permissions.i2c)},
            "optimiser": self.optimiser or None,
            "warnings": self.warnings,
        }


def compile(
    path: Path,
    *,
    output: Path | None = None,
    board: Board | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Compiled:
    """Make a module of one source file, or of an app's folder.

    :param output: where it goes; ``build/NAME.wasm`` in the app's folder unless said.
    :param board: check that it fits there.
    :param progress: told what is being done.
    :raises LabError: the compiler refuses the source (its words are the hint), or the module is not one that
        devices run, or asks for more than its manifest permits.
    :raises MissingError: a compiler is not on this machine.
    :raises UsageError: there is no such source, no language has its suffix, or its manifest is wrong.
    """
    path = path.absolute()
    app, language, manifest = _app(path, progress)
    target = output.absolute() if output else app.folder / "build" / f"{app.name}.wasm"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # Beside the output, so that it becomes visible whole or not at all, and only if it is good.
        beside = tempfile.TemporaryDirectory(prefix=".", dir=target.parent)
    except OSError as error:
        raise UsageError(
            f"cannot write to {target.parent}: {error.strerror}", hint="lab compile -o FILE writes elsewhere."
        ) from error
    with beside as scratch:
        made = Path(scratch) / "module.wasm"
        progress(f"compiling {app.name} ({language.name})")
        warnings = language.build(replace(app, output=made))
        optimiser = optimise.shrink(made)
        check_module(made.read_bytes(), app.name)
        content = without_custom(made.read_bytes())
        if manifest is not None:
            content = manifests.embed(manifest, content)
        made.write_bytes(content)
        progress(f"checking {app.name}")
        module = check(content, app.name, board=board)
        made.replace(target)
    return Compiled(
        name=app.name,
        wasm=target,
        size=len(content),
        memory=module.memory,
        imports=[str(entry) for entry in module.imports],
        exports=[str(entry) for entry in module.exports if entry.kind == "func"],
        language=language.name,
        manifest=manifest,
        optimiser=optimiser,
        warnings=warnings,
    )


def _app(path: Path, progress: Callable[[str], None]) -> tuple[Job, Language, Manifest | None]:
    """Return what there is to compile at `path`; its output is yet to be set."""
    build = Build()
    manifest = None
    if (path / manifests.FILE).is_file():
        manifest = manifests.load(path)
        name, folder, sources, build = manifest.name, path, manifest.sources, manifest.build
        language = next((known for known in languages() if known.name == manifest.language), None)
        if language is None:
            raise UsageError(
                f"{path / manifests.FILE}: language = {manifest.language!r} is not allowed",
                hint=allowed("languages", manifest.language, (known.name for known in languages())),
            )
    elif path.is_dir():
        found = sorted(file.name for file in path.iterdir() if _language(file.name))
        if not found:
            raise UsageError(f"there is neither {manifests.FILE} nor a source in {path}", hint=_known())
        name, folder, sources, language = path.name, path, tuple(found), _language(found[0])
    elif path.is_file():
        name, folder, sources, language = path.stem, path.parent, (path.name,), _language(path.name)
    else:
        raise UsageError(f"there is no {path}")
    if language is None:
        raise UsageError(f"{path.name} is in no language the lab knows", hint=_known())
    for source in sources:
        if not source.endswith(language.suffixes):
            raise UsageError(
                f"{source} is no source in {language.name}",
                hint=f"They end in {', '.join(language.suffixes)}.",
            )
    return Job(name, folder, sources, path, build, progress), language, manifest


def _language(file: str) -> Language | None:
    return next((known for known in languages() if file.endswith(known.suffixes)), None)


def _known() -> str:
    return "Sources end in " + ", ".join(suffix for known in languages() for suffix in known.suffixes) + "."
