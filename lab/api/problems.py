"""Errors as problem documents (RFC 9457), with the exit code `lab` returns for them."""

from __future__ import annotations

import re
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from lab.errors import ExitCode, LabError, NotFoundError
from lab.lab import Json

_STATUS = {ExitCode.FAILED: 409, ExitCode.USAGE: 422, ExitCode.MISSING: 424, ExitCode.TIMEOUT: 504}
MEDIA = "application/problem+json"
_CHOICES = re.compile(r"\^\(([\w|]+)\)\$")  # a pattern that lists words


class Problem(BaseModel):
    """What every error of the API looks like (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    hint: str
    exit_code: int


class Refused(HTTPException):
    """A request that is refused before any work is done.

    :param status: of HTTP.
    :param title: in a word or two.
    :param detail: what was wrong with it.
    :param headers: that belong to this status.
    """

    def __init__(
        self,
        status: int,
        title: str,
        detail: str,
        *,
        exit_code: ExitCode = ExitCode.FAILED,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(status, detail, headers)
        self.title = title
        self.exit_code = exit_code

    def document(self) -> Json:
        """Return it as a problem document."""
        return document(self.status_code, self.title, self.detail, exit_code=self.exit_code)


def problem(error: LabError) -> Json:
    """Describe `error` as a problem document."""
    return document(
        404 if isinstance(error, NotFoundError) else _STATUS.get(error.exit_code, 500),
        type(error).__name__,
        error.message,
        hint=error.hint,
        exit_code=error.exit_code,
    )


def document(
    status: int, title: str, detail: str, *, hint: str = "", exit_code: ExitCode = ExitCode.FAILED
) -> Json:
    """Return a problem document; every one of the API has these members and no others."""
    return {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
        "hint": hint,
        "exit_code": int(exit_code),
    }


def answer(body: Json, headers: dict[str, str] | None = None) -> JSONResponse:
    """Make a response of a problem document."""
    return JSONResponse(body, body["status"], headers, media_type=MEDIA)


def words(error: RequestValidationError) -> str:
    """Say what is wrong with a request, and not what was in it."""
    return "; ".join(f"{'.'.join(map(str, item['loc'][1:]))}: {_message(item)}" for item in error.errors())


def _message(item: dict[str, Any]) -> str:
    choices = _CHOICES.fullmatch(str(item.get("ctx", {}).get("pattern", "")))
    return f"one of {choices[1].replace('|', ', ')} is allowed" if choices else str(item["msg"])


REFUSAL: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "It was refused, or failed; the problem says why.",
        "content": {MEDIA: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
}
"""What OpenAPI is told of every answer that is no success."""


def install(api: FastAPI) -> None:
    """Have `api` answer every error with a problem document."""

    @api.exception_handler(LabError)
    async def on_lab_error(request: Request, error: LabError) -> JSONResponse:
        return answer(problem(error))

    @api.exception_handler(Refused)
    async def on_refused(request: Request, error: Refused) -> JSONResponse:
        return answer(error.document(), dict(error.headers or {}))

    @api.exception_handler(HTTPException)
    async def on_http(request: Request, error: HTTPException) -> JSONResponse:
        code = ExitCode.USAGE if error.status_code < 500 else ExitCode.FAILED
        detail = f"{request.method} {request.url.path}: {error.detail}"
        return answer(
            document(error.status_code, error.detail, detail, exit_code=code), dict(error.headers or {})
        )

    @api.exception_handler(RequestValidationError)
    async def on_validation(request: Request, error: RequestValidationError) -> JSONResponse:
        return answer(document(422, "UsageError", words(error), exit_code=ExitCode.USAGE))
