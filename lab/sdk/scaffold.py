"""Makes an app's folder from a template: `templates/<template>/main.<suffix>`, a manifest and a README."""

from __future__ import annotations

import re
from pathlib import Path

from lab.errors import UsageError
from lab.sdk.languages import languages
from lab.sdk.manifest import FILE, NAME, allowed

_TEMPLATES = Path(__file__).parent / "templates"
_COMMON = (FILE, "README.md")


def templates() -> tuple[str, ...]:
    """Return the names of the templates."""
    return tuple(sorted(folder.name for folder in _TEMPLATES.iterdir() if folder.is_dir()))


def new(folder: Path, *, template: str, language: str) -> Path:
    """Make the app `folder` and return its main source.

    :raises UsageError: the folder holds something already, its name cannot be an app's, or there is no such
        template or language.
    """
    name = folder.absolute().name
    if not re.fullmatch(NAME, name):
        raise UsageError(
            f"an app cannot be called {name!r}", hint="1 to 32 letters, digits, '.', '_' or '-', please."
        )
    if template not in templates():
        raise UsageError(
            f"there is no template {template!r}", hint=allowed("templates", template, templates())
        )
    suffixes = {known.name: known.suffixes[0] for known in languages()}
    if language not in suffixes:
        raise UsageError(f"there is no language {language!r}", hint=allowed("languages", language, suffixes))
    source = f"main{suffixes[language]}"
    words = {"NAME": name, "LANGUAGE": language, "SOURCE": f"src/{source}"}
    try:
        if folder.exists() and any(folder.iterdir()):
            raise UsageError(f"{folder} is there already", hint="Choose another name.")
        (folder / "src").mkdir(parents=True)
        for file, target in (*((each, each) for each in _COMMON), (source, f"src/{source}")):
            text = (_TEMPLATES / template / file).read_text("utf-8")
            filled = re.sub(r"@([A-Z]+)@", lambda match: words[match[1]], text)
            (folder / target).write_text(filled, "utf-8")
        (folder / ".gitignore").write_text("build/\n", "utf-8")
    except OSError as error:
        raise UsageError(f"cannot make {folder}: {error.strerror}", hint="Choose another name.") from error
    return folder / "src" / source
