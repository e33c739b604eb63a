"""`/boards`, `/templates`, `/compile`: what there is to boot, and apps from source to module."""

from __future__ import annotations

import base64
import tempfile
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import Annotated

import anyio
from anyio import to_thread
from fastapi import APIRouter, Query
from fastapi import Path as PathParameter
from pydantic import BaseModel, Field

from lab import boards, sdk
from lab.api.auth import Role, needs
from lab.api.context import TheLab
from lab.api.paging import ByName
from lab.errors import LabError, MissingError, NotFoundError, UsageError
from lab.lab import Json
from lab.sdk.diagnostics import diagnostics
from lab.sdk.languages import languages

router = APIRouter(tags=["catalogue"])

_FILES = 16
_SOURCES_LIMIT = 256 << 10  # characters of all files together
_compiling = anyio.CapacityLimiter(2)

# An app's name (lab.sdk.manifest) that is also a folder's.
AppName = Annotated[str, Query(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,31}$")]
Word = Annotated[str, PathParameter(pattern="^[a-z0-9-]{1,32}$")]


class CompileRequest(BaseModel):
    """An app's folder: its files by name, ``app.toml`` among them, and a board that it must fit."""

    files: dict[str, str] = Field(min_length=1, max_length=_FILES)
    board: str | None = Field(None, max_length=64)


@router.get("/boards")
async def list_boards(lab: TheLab, page: ByName) -> Json:
    """List the boards that can be booted."""
    own = lab.home.root / "platforms"
    found = await to_thread.run_sync(boards.boards, [own] if own.is_dir() else [])
    rows = [
        {
            "name": board.name,
            "title": board.title,
            "engine": board.engine,
            "cpu": board.cpu,
            "app_pool": board.app_pool,
            "parts": [{"kind": part.kind, "name": part.name} for part in board.parts],
        }
        for board in found
    ]
    return page.of("boards", rows, lambda row: str(row["name"]))


@router.get("/templates")
async def list_templates() -> Json:
    """List the templates of apps, and the languages that each is there in."""
    return {
        "templates": list(sdk.templates()),
        "languages": [{"name": known.name, "suffix": known.suffixes[0]} for known in languages()],
    }


@router.get("/templates/{template}/{language}")
async def show_template(template: Word, language: Word, name: AppName = "app") -> Json:
    """Return the files of a new app called `name`."""
    if template not in sdk.templates():
        raise NotFoundError(f"there is no template {template!r}")

    def make() -> dict[str, str]:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / name
            sdk.new(folder, template=template, language=language)
            return {
                str(file.relative_to(folder)): file.read_text("utf-8")
                for file in sorted(folder.rglob("*"))
                if file.is_file() and file.name != ".gitignore"
            }

    return {"files": await to_thread.run_sync(make)}


@router.post("/compile", dependencies=[needs(Role.OPERATOR)])
async def compile_app(lab: TheLab, what: CompileRequest) -> Json:
    """Compile an app; what the compiler says comes with its lines, the module in base64."""
    board = lab.board(what.board) if what.board else None
    if sum(map(len, what.files.values())) > _SOURCES_LIMIT:
        raise UsageError(f"sources have at most {_SOURCES_LIMIT >> 10} KiB together")

    def work() -> Json:
        with tempfile.TemporaryDirectory(prefix="lab-compile-") as scratch:
            folder = Path(scratch) / "app"
            _write(folder, what.files)
            try:
                compiled = sdk.compile(folder, board=board)
            except MissingError:
                raise
            except LabError as error:
                said = _without(str(error), folder)
                return {
                    "compiled": None,
                    "module": None,
                    "output": said,
                    "diagnostics": [asdict(each) for each in diagnostics(said)],
                }
            module = base64.b64encode(compiled.wasm.read_bytes()).decode()
            warnings = _without(compiled.warnings, folder)
            facts = compiled.as_json()
            del facts["wasm"], facts["warnings"]
            facts["version"] = compiled.manifest.version if compiled.manifest else ""
            return {
                "compiled": facts,
                "module": module,
                "output": warnings,
                "diagnostics": [asdict(each) for each in diagnostics(warnings)],
            }

    return await to_thread.run_sync(work, limiter=_compiling)


def _write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or not name or "\\" in name or "\0" in name:
            raise UsageError(f"{name!r} is outside the app's folder")
        if len(path.parts) > 4 or any(len(part) > 64 for part in path.parts):
            raise UsageError(f"{name!r} is too deep or too long a name")
        target = folder / path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, "utf-8")
        except (OSError, UnicodeError) as error:
            raise UsageError(f"{name!r} cannot be a file: {error}") from error


def _without(said: str, folder: Path) -> str:
    """Leave out where on this machine it was compiled."""
    return said.replace(f"{folder}/", "").replace(str(folder), folder.name)
