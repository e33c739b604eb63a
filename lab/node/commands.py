"""What a hub asks of its spokes: kept until the spoke's own request fetches it, answered by the spoke's own
word.

A spoke asks for commands and the hub lets it wait: so one direction of connection, and one of trust, is
enough.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict, deque
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
        self._queues: defaultdict[str, deque[int]] = defaultdict(deque)
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._asked: dict[int, _Asked] = {}

    async def ask(self, node: str, command: dict[str, Any], timeout: float) -> dict[str, Any]:
        """Send a command; return what the node says it did.

        :param timeout: seconds until it counts as not done; it is withdrawn then, if it was not fetched yet.
        :raises LabTimeoutError: it did not answer.
        :raises LabError: it could not do it.
        """
        queue = self._queues[node]
        if len(queue) >= _QUEUE:
            raise LabError(f"{node} has not fetched its last {_QUEUE} commands")
        number = next(self._numbers)
        asked = self._asked[number] = _Asked(node, command, asyncio.get_running_loop().create_future())
        queue.append(number)
        self._wake(node)
        try:
            async with asyncio.timeout(timeout):
                answer = await asked.answer
        except TimeoutError:
            raise LabTimeoutError(
                f"{node} did not answer within {timeout:g} s", hint="is it running?"
            ) from None
        finally:
            del self._asked[number]
            if number in queue:
                queue.remove(number)
        if error := answer.get("error"):
            raise LabError(f"{node}: {error}")
        return answer

    async def fetch(self, node: str, wait: float) -> dict[str, Any] | None:
        """Return the next command for a node; none if there is none within `wait` seconds.

        A newer call for the same node ends an older one: its connection may have died with the node, and must
        not swallow a command.
        """
        self._wake(node)
        waiter = self._waiting[node] = asyncio.get_running_loop().create_future()
        try:
            if not self._queues[node]:
                async with asyncio.timeout(wait):
                    await waiter
        except TimeoutError:
            return None
        finally:
            current = self._waiting.get(node) is waiter
            if current:
                del self._waiting[node]
        if not current or not self._queues[node]:
            return None
        number = self._queues[node].popleft()
        return {"id": number, **self._asked[number].command}

    def close(self) -> None:
        """Let every node that waits go: this hub ends."""
        for node in list(self._waiting):
            self._wake(node)

    def _wake(self, node: str) -> None:
        waiter = self._waiting.get(node)
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def answered(self, node: str, number: int, answer: dict[str, Any]) -> bool:
        """Take a node's answer; false if nobody waits for it (any more)."""
        asked = self._asked.get(number)
        if asked is None or asked.node != node or asked.answer.done():
            return False
        asked.answer.set_result(answer)
        return True
