"""Who may do what."""

from __future__ import annotations

import secrets

from starlette.requests import HTTPConnection

from lab.api.problems import Refused


def authorize(connection: HTTPConnection) -> None:
    """Let a request pass that bears the lab's token.

    :raises Refused: it does not.
    """
    given = connection.headers.get("authorization", "")
    expected = f"Bearer {connection.app.state.token}"
    if not secrets.compare_digest(given.encode(), expected.encode()):
        raise Refused(
            401,
            "Unauthorized",
            "this lab's token is missing or wrong",
            headers={"WWW-Authenticate": "Bearer"},
        )
