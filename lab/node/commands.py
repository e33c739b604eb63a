"""What a hub asks of its spokes: kept until the spoke's own request fetches it, answered by the spoke's own
word.

A spoke asks for commands and the hub lets it wait: so one direction of connection, and one of trust, is
enough.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from dataclasses import dataclass
from typing import Any

from lab.errors import LabError, LabTimeoutError

_QUEUE = 32


@dataclass(slots=True)
class _Asked:
    node: str
    command: dict[str, Any]
    answer: asyncio.Future[dict[str, Any]]


class Commands:
    """The commands on their way."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._waiting: dict[str, asyncio.Queue[int | None]] = {}
        self._asked: dict[int, _Asked] = {}

    async def ask(self, node: str, command: dict[str, Any], timeout: float) -> dict[str, Any]:
        """Send a command; return what the node says it did.

        :param timeout: seconds until it counts as not done; it is withdrawn then, if it was not fetched yet.
        :raises LabTimeoutError: it did not answer.
        :raises LabError: it could not do it.
        """
        number = next(self._numbers)
        asked = _Asked(node, command, asyncio.get_running_loop().create_future())
        queue = self._waiting.setdefault(node, asyncio.Queue(_QUEUE))
        try:
            queue.put_nowait(number)
        except asyncio.QueueFull:
            raise LabError(f"{node} has not fetched its last {_QUEUE} commands") from None
        self._asked[number] = asked
        try:
            async with asyncio.timeout(timeout):
                answer = await asked.answer
        except TimeoutError:
            raise LabTimeoutError(
                f"{node} did not answer within {timeout:g} s", hint="is it running?"
            ) from None
        finally:
            del self._asked[number]
        if error := answer.get("error"):
            raise LabError(f"{node}: {error}")
        return answer

    def close(self) -> None:
        """Let every node that waits go: this hub ends."""
        for queue in self._waiting.values():
            with contextlib.suppress(asyncio.QueueFull):
                queue.put_nowait(None)

    async def fetch(self, node: str, wait: float) -> dict[str, Any] | None:
        """Return the next command for a node; none if there is none within `wait` seconds."""
        queue = self._waiting.setdefault(node, asyncio.Queue(_QUEUE))
        try:
            async with asyncio.timeout(wait):
                while True:
                    number = await queue.get()
                    if number is None:
                        return None
                    if number in self._asked:  # else it was withdrawn
                        return {"id": number, **self._asked[number].command}
        except TimeoutError:
            return None

    def answered(self, node: str, number: int, answer: dict[str, Any]) -> bool:
        """Take a node's answer; false if nobody waits for it (any more)."""
        asked = self._asked.get(number)
        if asked is None or asked.node != node or asked.answer.done():
            return False
        asked.answer.set_result(answer)
        return True
