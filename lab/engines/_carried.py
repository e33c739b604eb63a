"""The console of a board with one UART, whose link carries it."""

from __future__ import annotations

import anyio
from anyio.abc import ByteStream
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

_CHUNKS = 1024


class _End(ByteStream):
    def __init__(
        self, incoming: MemoryObjectReceiveStream[bytes], outgoing: MemoryObjectSendStream[bytes]
    ) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._rest = b""

    async def receive(self, max_bytes: int = 65536) -> bytes:
        data = self._rest or await self._incoming.receive()
        self._rest = data[max_bytes:]
        return data[:max_bytes]

    async def send(self, item: bytes) -> None:
        if item:
            await self._outgoing.send(bytes(item))

    async def send_eof(self) -> None:
        await self._outgoing.aclose()

    async def aclose(self) -> None:
        await self._incoming.aclose()
        await self._outgoing.aclose()


def pair() -> tuple[ByteStream, ByteStream]:
    """Return two ends of a stream within the lab: the console, and the end that the bridge serves."""
    out_send, out_receive = anyio.create_memory_object_stream[bytes](_CHUNKS)
    in_send, in_receive = anyio.create_memory_object_stream[bytes](_CHUNKS)
    return _End(out_receive, in_send), _End(in_receive, out_send)
