"""A TCP server that can go away and come back on its port."""

from __future__ import annotations

import anyio
from anyio.abc import SocketAttribute, SocketStream, TaskGroup


class Listener:
    """Listens on loopback; whoever derives from it serves each connection in `handle`."""

    def __init__(self) -> None:
        self.port = 0
        self._scope = anyio.CancelScope()
        self._down = anyio.Event()

    async def up(self, tasks: TaskGroup) -> None:
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=self.port)
        self.port = listener.extra(SocketAttribute.local_port)
        self._scope, self._down = anyio.CancelScope(), anyio.Event()

        async def serve() -> None:
            with self._scope:
                async with listener:
                    await listener.serve(self.handle)
            self._down.set()

        tasks.start_soon(serve)

    async def down(self) -> None:
        self._scope.cancel()
        await self._down.wait()

    async def handle(self, stream: SocketStream) -> None:
        raise NotImplementedError
