"""A device played by a program: `DeviceLink` on a real stream."""

from __future__ import annotations

import random
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
from anyio.abc import ByteStream

from lab.engines._stream import SocketByteStream
from lab.link import Accepted, Closed, ConsoleText, Data, DeviceLink


async def line() -> tuple[ByteStream, ByteStream]:
    """Return the two ends of a cable."""
    one, other = socket.socketpair()
    return SocketByteStream(one), SocketByteStream(other)


class DeviceEnd:
    """The device's end of a link. `reset` forgets everything, as a power cut does."""

    def __init__(self, stream: ByteStream, window: int = 4096) -> None:
        self.stream = stream
        self.window = window
        self.received = bytearray()
        self.console = bytearray()
        self.closes: list[Closed] = []
        self.connections = 0
        self.consuming = True
        self.reset()

    def reset(self) -> None:
        self.link = DeviceLink(self.window)
        self._waiting: anyio.Event = getattr(self, "_waiting", anyio.Event())
        self._changed()

    def connect(self) -> None:
        self.link.open(random.randint(1, 0xFFFF), anyio.current_time())
        self._changed()

    async def connected(self) -> None:
        """Connect, and again after each refusal, as a device does."""
        self.connect()
        while not self.link.established:
            if self.link.connection is None:
                await anyio.sleep(0.1)  # the protocol's back-off
                self.connect()
            await self.changed()

    async def send(self, data: bytes) -> None:
        while data:
            part = data[: self.link.credit]
            if part:
                self.link.send(part, anyio.current_time())
                data = data[len(part) :]
                self._changed()
            else:
                assert self.link.connection is not None, self.closes
                await self.changed()

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await self.changed()

    async def changed(self) -> None:
        with anyio.move_on_after(0.05):
            await self._waiting.wait()

    def _changed(self) -> None:
        self._waiting.set()
        self._waiting = anyio.Event()

    async def run(self) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._write)
            try:
                while True:
                    data = await self.stream.receive()
                    for event in self.link.receive(data, anyio.current_time()):
                        match event:
                            case Accepted():
                                self.connections += 1
                            case Data(payload):
                                self.received += payload
                                if self.consuming:
                                    self.link.consumed(len(payload))
                            case Closed():
                                self.closes.append(event)
                            case ConsoleText(payload):
                                self.console += payload
                    self._changed()
            except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
                tasks.cancel_scope.cancel()

    async def _write(self) -> None:
        while True:
            for event in self.link.tick(anyio.current_time()):
                if isinstance(event, Closed):
                    self.closes.append(event)
            output = self.link.take_output()
            if output:
                try:
                    await self.stream.send(output)
                except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                    return
            else:
                await self.changed()


@asynccontextmanager
async def played(stream: ByteStream, window: int = 4096) -> AsyncIterator[DeviceEnd]:
    """Run a `DeviceEnd` on `stream`."""
    async with anyio.create_task_group() as tasks:
        device = DeviceEnd(stream, window)
        tasks.start_soon(device.run)
        yield device
        tasks.cancel_scope.cancel()
