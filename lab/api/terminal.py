"""`/terminal`: a few verbs of `lab` for who has no shell there. What is not listed here does not run."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import anyio
from fastapi import APIRouter
from pydantic import BaseModel, Field

from lab.api.auth import Principal, Role, Who
from lab.api.context import TheLab
from lab.api.problems import Refused
from lab.errors import ExitCode, LabTimeoutError, UsageError
from lab.lab import Json

router = APIRouter(tags=["terminal"])

_SECONDS = 60.0
_OUTPUT_LIMIT = 256 << 10


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb that may be run here.

    :param role: who may.
    :param options: those it takes here. Options that name files or ports of this machine are none of them.
    """

    role: Role
    options: frozenset[str] = frozenset()


def _verb(role: Role, *options: str) -> Verb:
    return Verb(role, frozenset({"--help", "-h", "--json", *options}))


VERBS: Mapping[str, Verb] = MappingProxyType(
    {
        "ps": _verb(Role.VIEWER),
        "apps": _verb(Role.VIEWER),
        "boards": _verb(Role.VIEWER),
        "logs": _verb(Role.VIEWER),
        "doctor": _verb(Role.OPERATOR),
        "sensor": _verb(Role.OPERATOR),
        "leds": _verb(Role.VIEWER),
        "gateway": _verb(Role.ADMIN, "--heartbeat", "--restart"),
        "up": _verb(Role.OPERATOR, "--board", "--count", "--name", "--timeout"),
        "wait": _verb(Role.OPERATOR, "--app", "--boots", "--timeout"),
        "reset": _verb(Role.OPERATOR),
        "pause": _verb(Role.OPERATOR),
        "resume": _verb(Role.OPERATOR),
        "call": _verb(Role.OPERATOR),
        "command": _verb(Role.OPERATOR, "--hex"),
        "stop": _verb(Role.OPERATOR),
        "pair": _verb(Role.ADMIN, "--seconds"),
    }
)


class TerminalRequest(BaseModel):
    """A line as one would type it, with or without ``lab`` in front."""

    line: str = Field(min_length=1, max_length=1000)


@router.get("/terminal")
async def list_verbs(who: Who) -> Json:
    """List the verbs that whoever asks may run here."""
    return {"verbs": [name for name, verb in VERBS.items() if who.role >= verb.role]}


@router.post("/terminal")
async def run_verb(lab: TheLab, who: Who, what: TerminalRequest) -> Json:
    """Run one verb and return what it printed. No shell takes part, and only listed verbs and options run."""
    arguments = parse(what.line, who)
    environment = {
        key: os.environ[key]
        for key in ("PATH", "HOME", "LANG", "LAB_CACHE", "VIRTUAL_ENV")
        if key in os.environ
    }
    environment |= {"LAB_HOME": str(lab.home.root), "NO_COLOR": "1", "COLUMNS": "120"}
    output = bytearray()
    code = ExitCode.FAILED.value
    process = None
    try:
        with anyio.fail_after(_SECONDS):
            process = await anyio.open_process(
                [sys.executable, "-m", "lab", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=lab.home.root,
            )
            assert process.stdout is not None
            async for piece in process.stdout:
                output += piece
                if len(output) > _OUTPUT_LIMIT:
                    output[_OUTPUT_LIMIT:] = b"\n[the rest is left out]\n"
                    process.kill()
                    break
            code = await process.wait()
    except TimeoutError as error:
        raise LabTimeoutError(f"lab {arguments[0]} has not ended after {_SECONDS:g} s") from error
    finally:
        if process is not None:
            with anyio.CancelScope(shield=True):
                if process.returncode is None:
                    process.kill()
                await process.aclose()
    return {"output": output.decode(errors="replace"), "exit_code": code}


def parse(line: str, who: Principal) -> list[str]:
    """Return a line's words, if it may be run.

    :raises UsageError: it is no line, or says what is not allowed here.
    :raises Refused: it takes another role.
    """
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise UsageError(f"this is no line: {error}") from error
    if words and words[0] == "lab":
        words = words[1:]
    if not words:
        raise UsageError("nothing to run", hint=f"one of: {', '.join(VERBS)}")
    verb = VERBS.get(words[0])
    if verb is None:
        raise UsageError(f"lab {words[0]} does not run here", hint=f"these do: {', '.join(VERBS)}")
    if who.role < verb.role:
        raise Refused(
            403,
            "Forbidden",
            f"lab {words[0]} takes the role {verb.role.name.lower()}; {who.name} is {who.role.name.lower()}",
        )
    for word in words[1:]:
        option = word.partition("=")[0]
        if word.startswith("-") and not _is_number(word) and option not in verb.options:
            raise UsageError(
                f"lab {words[0]} {option} is not allowed here",
                hint=f"these are: {', '.join(sorted(verb.options))}",
            )
    return words


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
