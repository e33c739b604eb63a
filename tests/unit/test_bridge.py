"""The bridge between a device played by a program and real TCP servers."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import ByteStream, SocketAttribute, SocketStream
from anyio.streams.stapled import StapledByteStream

from lab.bridge import Bridge
from lab.engines import _carried
from lab.link import Reason
from tests.device_end import DeviceEnd, line, played

pytestmark = pytest.mark.anyio

Handler = Callable[[SocketStream], Awaitable[Any]]


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param}


async def echo(stream: SocketStream) -> None:
    async with stream:
        async for data in stream:
            await stream.send(data)


class Server:
    """A gateway: a TCP server that can be taken down and put up again on the same port."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.port = 0
        self.peers: list[int] = []
        self._scope = anyio.CancelScope()
        self._down = anyio.Event()

    async def up(self, tasks: anyio.abc.TaskGroup) -> None:
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=self.port)
        self.port = listener.extra(SocketAttribute.local_port)
        for (
            each
        ) in listener.listeners:  # else the kernel takes in tens of megabytes for a gateway that sleeps
            each.extra(SocketAttribute.raw_socket).setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        self._scope, self._down = anyio.CancelScope(), anyio.Event()
        tasks.start_soon(self._serve, listener)

    async def down(self) -> None:
        self._scope.cancel()
        await self._down.wait()

    async def _serve(self, listener: Any) -> None:
        async def handle(stream: SocketStream) -> None:
            self.peers.append(stream.extra(SocketAttribute.remote_port))
            await self.handler(stream)

        with self._scope:
            async with listener:
                await listener.serve(handle)
        self._down.set()


@asynccontextmanager
async def bridged(
    handler: Handler = echo, *, window: int = 4096, stream: ByteStream | None = None, **options: Any
) -> AsyncIterator[tuple[Bridge, DeviceEnd, Server, anyio.abc.TaskGroup]]:
    near, far = await line()
    async with anyio.create_task_group() as tasks:
        server = Server(handler)
        await server.up(tasks)
        bridge = Bridge(stream or near, ("127.0.0.1", server.port), **options)
        tasks.start_soon(bridge.run)
        async with played(far, window) as device:
            yield bridge, device, server, tasks
        tasks.cancel_scope.cancel()


async def test_bytes_go_both_ways_whole_and_in_order() -> None:
    async with bridged() as (bridge, device, server, _):
        sent = os.urandom(300_000)
        await device.connected()
        await device.send(sent)
        await device.until(lambda: len(device.received) == len(sent))
        assert device.received == sent
        assert bridge.counters.bytes_received == bridge.counters.bytes_sent == len(sent)
        assert bridge.counters.frames_dropped == 0
        assert server.peers == [bridge.local_port]


async def test_the_last_bytes_before_a_close_reach_the_gateway() -> None:
    got = bytearray()
    ended = anyio.Event()

    async def sink(stream: SocketStream) -> None:
        async for data in stream:
            got.extend(data)
        ended.set()

    async with bridged(sink) as (bridge, device, _, _):
        await device.connected()
        await device.send(b"the last words")
        device.link.close(Reason.DONE)
        await ended.wait()
        assert got == b"the last words"
        await device.until(lambda: bridge.local_port is None)


async def test_a_gateway_that_closes_closes_the_device() -> None:
    async def greet(stream: SocketStream) -> None:
        async with stream:
            await stream.send(b"goodbye")

    async with bridged(greet) as (_, device, _, _):
        await device.connected()
        await device.until(lambda: bool(device.closes))
        assert device.received == b"goodbye"
        assert device.closes[0].reason == Reason.DONE


async def test_a_gateway_that_is_down_is_said_and_found_again() -> None:
    async with bridged() as (bridge, device, server, tasks):
        await device.connected()
        await server.down()
        await device.until(lambda: device.link.connection is None)
        device.connect()
        await device.until(lambda: device.closes[-1].reason == Reason.GATEWAY_UNREACHABLE)
        assert "refused" in device.closes[-1].text
        assert bridge.counters.refused == 1
        await server.up(tasks)
        await device.connected()
        await device.send(b"again")
        await device.until(lambda: device.received == b"again")
        assert bridge.counters.reconnects == 1


async def test_a_device_reset_in_mid_connection_connects_anew() -> None:
    async with bridged() as (bridge, device, server, _):
        await device.connected()
        await device.send(b"half a messa")
        await device.until(lambda: len(device.received) == 12)
        first = bridge.local_port
        device.received.clear()
        device.reset()
        await device.connected()
        await device.send(b"whole")
        await device.until(lambda: device.received == b"whole")
        assert server.peers == [first, bridge.local_port]
        assert bridge.counters.reconnects == 1


async def test_a_bridge_that_is_replaced_ends_the_old_connection() -> None:
    near, far = await line()
    async with anyio.create_task_group() as tasks, played(far) as device:
        server = Server(echo)
        await server.up(tasks)
        with anyio.CancelScope() as first:
            async with anyio.create_task_group() as inner:
                inner.start_soon(Bridge(near, ("127.0.0.1", server.port)).run)
                await device.connected()
                first.cancel()
        tasks.start_soon(Bridge(near, ("127.0.0.1", server.port)).run)
        await device.until(lambda: device.link.connection is None)
        assert device.closes[-1].reason == Reason.BRIDGE_STARTED
        await device.connected()
        await device.send(b"new")
        await device.until(lambda: device.received == b"new")
        tasks.cancel_scope.cancel()


async def test_garbage_on_the_line_costs_a_connection_at_most() -> None:
    async with bridged() as (bridge, device, _, _):
        await device.connected()
        await device.stream.send(os.urandom(20_000) + b"\0")
        await device.stream.send(b"\x07" * 5000 + b"\0")
        if device.link.connection is None:
            await device.connected()
        await device.send(b"still there")
        await device.until(lambda: device.received == b"still there")
        assert bridge.counters.frames_dropped > 0


class Lossy(StapledByteStream):
    """A line that swallows the `at`-th chunk the device sends."""

    def __init__(self, stream: ByteStream, at: int) -> None:
        super().__init__(stream, stream)
        self.at = at

    async def receive(self, max_bytes: int = 65536) -> bytes:
        data = await super().receive(max_bytes)
        self.at -= 1
        return data if self.at else await super().receive(max_bytes)


async def test_a_lost_chunk_becomes_a_close_and_never_a_gap() -> None:
    got = bytearray()

    async def sink(stream: SocketStream) -> None:
        async for data in stream:
            got.extend(data)

    near, far = await line()
    async with anyio.create_task_group() as tasks, played(far) as device:
        server = Server(sink)
        await server.up(tasks)
        tasks.start_soon(Bridge(Lossy(near, 4), ("127.0.0.1", server.port)).run)
        await device.connected()
        sent = b"".join(bytes([n]) * 10 for n in range(50))
        for start in range(0, len(sent), 10):
            if device.link.credit < 10:
                break
            device.link.send(sent[start : start + 10], anyio.current_time())
            device._changed()
            await anyio.sleep(0.001)
        await device.until(lambda: bool(device.closes))
        assert device.closes[0].reason == Reason.FRAME_LOST
        assert sent.startswith(got)
        assert len(got) < len(sent)
        tasks.cancel_scope.cancel()


async def test_a_gateway_that_does_not_read_stops_the_device() -> None:
    reading = anyio.Event()
    got = bytearray()

    async def slow(stream: SocketStream) -> None:
        got.extend(await stream.receive(1))  # before the first, asyncio takes in all there is
        await reading.wait()
        async for data in stream:
            got.extend(data)

    async with bridged(slow) as (bridge, device, _, tasks):
        await device.connected()
        sent = os.urandom(16 * 1024 * 1024)
        tasks.start_soon(device.send, sent)
        carried = -1
        while device.link.credit or carried != bridge.counters.bytes_received:  # until TCP's buffers are full
            carried = bridge.counters.bytes_received
            await anyio.sleep(0.3)
        assert 0 < carried < len(sent)
        assert device.link.connection is not None
        reading.set()
        await device.until(lambda: len(got) == len(sent))
        assert got == sent


async def test_a_device_that_does_not_read_stops_the_gateway() -> None:
    sent = os.urandom(200_000)

    async def flood(stream: SocketStream) -> None:
        await stream.send(sent)
        await anyio.sleep_forever()

    async with bridged(flood, window=4096) as (bridge, device, _, _):
        device.consuming = False
        await device.connected()
        await device.until(lambda: len(device.received) == 4096)
        await anyio.sleep(0.6)  # two rounds of SYNC
        assert len(device.received) == bridge.counters.bytes_sent == 4096
        device.consuming = True
        device.link.consumed(4096)
        await device.until(lambda: len(device.received) == len(sent))
        assert device.received == sent


async def test_a_device_whose_clock_is_stopped_keeps_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.link.SYNC_AFTER", 0.01)
    greeted = anyio.Event()

    async def greet(stream: SocketStream) -> None:
        await greeted.wait()
        await stream.send(b"while you slept")
        await anyio.sleep_forever()

    near, far = await line()
    async with anyio.create_task_group() as tasks:
        server = Server(greet)
        await server.up(tasks)
        bridge = Bridge(near, ("127.0.0.1", server.port))
        tasks.start_soon(bridge.run)
        device = DeviceEnd(far)
        with anyio.CancelScope() as power:
            async with anyio.create_task_group() as inner:
                inner.start_soon(device.run)
                await device.connected()
                power.cancel()
        bridge.hold()
        greeted.set()
        await anyio.sleep(0.5)  # 20 tries of 10 ms are over
        bridge.release()
        tasks.start_soon(device.run)
        await device.until(lambda: device.received == b"while you slept")
        assert not device.closes
        tasks.cancel_scope.cancel()


async def test_a_device_that_falls_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.link.SYNC_AFTER", 0.01)
    ended = anyio.Event()

    async def greet(stream: SocketStream) -> None:
        await stream.send(b"hello?")
        async for _ in stream:
            pass
        ended.set()

    near, far = await line()
    async with anyio.create_task_group() as tasks:
        server = Server(greet)
        await server.up(tasks)
        tasks.start_soon(Bridge(near, ("127.0.0.1", server.port)).run)
        device = DeviceEnd(far)
        with anyio.CancelScope() as power:
            async with anyio.create_task_group() as inner:
                inner.start_soon(device.run)
                await device.connected()
                power.cancel()
        await ended.wait()
        tasks.cancel_scope.cancel()


async def test_the_bridge_ends_with_the_line() -> None:
    near, far = await line()
    async with anyio.create_task_group() as tasks:
        server = Server(echo)
        await server.up(tasks)
        await far.aclose()
        await Bridge(near, ("127.0.0.1", server.port)).run()
        tasks.cancel_scope.cancel()


async def test_the_console_of_a_board_with_one_uart_comes_out_of_the_link() -> None:
    console, carried = _carried.pair()
    async with bridged(console=carried) as (_, device, _, _):
        device.link.write_console(b"booted\n")
        device._changed()
        assert await console.receive() == b"booted\n"
        await console.send(b"help\r")
        await device.until(lambda: device.console == b"help\r")


async def test_the_trace_holds_every_frame(tmp_path: Path) -> None:
    trace = tmp_path / "link.jsonl"
    async with bridged(trace=trace) as (_, device, _, _):
        await device.connected()
        await device.send(b"ping")
        await device.until(lambda: device.received == b"ping")
    entries = [json.loads(text) for text in trace.read_text().splitlines()]
    assert [(e["from"], e["type"]) for e in entries][:4] == [
        ("device", "OPEN"),
        ("host", "ACCEPT"),
        ("device", "DATA"),
        ("host", "DATA"),
    ]
    assert bytes.fromhex(entries[2]["payload"]) == b"ping"
    assert entries[0]["connection"] == entries[3]["connection"] != 0


async def test_many_bridges_share_one_gateway() -> None:
    async with anyio.create_task_group() as tasks:
        server = Server(echo)
        await server.up(tasks)

        async def one(number: int) -> None:
            near, far = await line()
            async with anyio.create_task_group() as own, played(far) as device:
                own.start_soon(Bridge(near, ("127.0.0.1", server.port)).run)
                await device.connected()
                sent = bytes([number]) * 20_000
                await device.send(sent)
                await device.until(lambda: len(device.received) == len(sent))
                assert device.received == sent
                own.cancel_scope.cancel()

        async with anyio.create_task_group() as devices:
            for number in range(20):
                devices.start_soon(one, number)
        assert len(set(server.peers)) == 20
        tasks.cancel_scope.cancel()
