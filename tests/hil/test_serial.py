"""Engine `serial` on a pseudo-terminal and on a network socket, with a program that plays the board."""

from __future__ import annotations

import os
import tty
from pathlib import Path

import anyio
import pytest
from anyio.abc import ByteStream, SocketAttribute, SocketStream, TaskGroup

from lab import boards
from lab.bridge import Bridge
from lab.console import Console
from lab.engines import Launch
from lab.engines.serial import SerialEngine
from lab.errors import LabError, UsageError
from tests.device_end import DeviceEnd, played
from tests.listener import Listener

pytestmark = [pytest.mark.anyio, pytest.mark.hil]


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param}


def on(url: str, folder: Path) -> Launch:
    return Launch("desk", boards.with_serial(boards.load("serial"), url), None, b"", folder)


async def echo(stream: SocketStream) -> None:
    async with stream:
        async for data in stream:
            await stream.send(data)


class TerminalServer(Listener):
    """A board's UART as a TCP port, as ser2net and many USB bridges offer it."""

    def __init__(self) -> None:
        super().__init__()
        self.plugged: SocketStream | None = None
        self._changed = anyio.Event()

    async def down(self) -> None:
        await super().down()
        self.plugged = None

    async def board(self) -> SocketStream:
        while self.plugged is None:
            await self._changed.wait()
        return self.plugged

    async def handle(self, stream: SocketStream) -> None:
        async with stream:
            self.plugged = stream
            self._changed.set()
            self._changed = anyio.Event()
            await anyio.sleep_forever()


async def gateway(tasks: TaskGroup) -> int:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    tasks.start_soon(listener.serve, echo)
    port: int = listener.extra(SocketAttribute.local_port)
    return port


async def test_a_board_behind_a_network_port_goes_away_and_comes_back(tmp_path: Path) -> None:
    async with anyio.create_task_group() as tasks:
        server = TerminalServer()
        await server.up(tasks)
        machine = await SerialEngine().start(on(f"socket://127.0.0.1:{server.port}", tmp_path))
        console = Console(machine.console, tmp_path / "console.log")
        bridge = Bridge(machine.link, ("127.0.0.1", await gateway(tasks)), console=machine.carried)
        tasks.start_soon(console.run)
        tasks.start_soon(bridge.run)

        async with played(await server.board()) as device:
            device.link.write_console(b"booted\r\n")
            await device.connected()
            sent = os.urandom(20_000)
            await device.send(sent)
            await device.until(lambda: len(device.received) == len(sent))
            assert device.received == sent
            await console.write(b"help\r")
            await device.until(lambda: device.console == b"help\r")
            await device.send(b"half of a fra")
            await server.down()

        await server.up(tasks)
        async with played(await server.board()) as device:
            await device.connected()
            await device.send(b"back again")
            await device.until(lambda: device.received == b"back again")
        assert bridge.counters.reconnects == 1
        assert console.text == "booted\r\n"

        ended = await machine.stop()
        assert (ended.code, ended.asked) == (0, True)
        assert await machine.wait() == ended
        tasks.cancel_scope.cancel()


class Pty(ByteStream):
    """The board's end of a pseudo-terminal."""

    def __init__(self) -> None:
        self.master, slave = os.openpty()
        tty.setraw(slave)
        self.path = os.ttyname(slave)
        os.close(slave)
        os.set_blocking(self.master, False)

    async def receive(self, max_bytes: int = 65536) -> bytes:
        while True:
            try:
                return os.read(self.master, max_bytes)
            except BlockingIOError:
                await anyio.wait_readable(self.master)
            except OSError:
                raise anyio.EndOfStream from None

    async def send(self, item: bytes) -> None:
        while item:
            try:
                item = item[os.write(self.master, item) :]
            except BlockingIOError:
                await anyio.wait_writable(self.master)

    async def send_eof(self) -> None:
        raise NotImplementedError

    async def aclose(self) -> None:
        os.close(self.master)


async def test_a_board_on_a_tty_takes_every_byte_as_it_is(tmp_path: Path) -> None:
    async with anyio.create_task_group() as tasks:
        pty = Pty()
        machine = await SerialEngine().start(on(pty.path, tmp_path))
        bridge = Bridge(machine.link, ("127.0.0.1", await gateway(tasks)), console=machine.carried)
        tasks.start_soon(bridge.run)
        device = DeviceEnd(pty)
        with anyio.CancelScope() as playing:
            async with anyio.create_task_group() as board:
                board.start_soon(device.run)
                await device.connected()
                sent = bytes(range(256)) * 40  # XON, XOFF, CR and NUL among them
                await device.send(sent)
                await device.until(lambda: len(device.received) == len(sent))
                playing.cancel()
        assert device.received == sent
        assert bridge.counters.frames_dropped == 0
        await machine.stop()
        await pty.aclose()
        tasks.cancel_scope.cancel()


async def test_the_streams_end_when_the_lab_lets_go(tmp_path: Path) -> None:
    pty = Pty()
    machine = await SerialEngine().start(on(pty.path, tmp_path))
    console = Console(machine.console, tmp_path / "console.log")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(console.run)
        tasks.start_soon(Bridge(machine.link, ("127.0.0.1", 1), console=machine.carried).run)
        await machine.stop()
    assert console.closed
    await pty.aclose()


@pytest.mark.parametrize("url", ["/dev/no-such-port", "socket://127.0.0.1:1", "nonsense://x"])
async def test_a_port_that_cannot_be_opened_is_said(url: str, tmp_path: Path) -> None:
    with pytest.raises(LabError, match="could not be opened") as caught:
        await SerialEngine().start(on(url, tmp_path))
    assert url in caught.value.message
    assert "Ports on this machine" in caught.value.hint


async def test_a_board_without_a_port_is_said() -> None:
    with pytest.raises(UsageError, match="none is given"):
        SerialEngine().check(boards.load("serial"))


async def test_what_a_real_board_cannot_do_is_said(tmp_path: Path) -> None:
    (tmp_path / "wired.toml").write_text('like = "serial"\n[serial]\nreset = "rts"\n')
    pty = Pty()
    plain = await SerialEngine().start(on(pty.path, tmp_path))
    for command, words in ((plain.reset, "no reset line"), (plain.pause, "cannot be paused")):
        with pytest.raises(LabError, match=words):
            await command()
    await plain.stop()
    wired = boards.with_serial(boards.load("wired", [tmp_path]), pty.path)
    machine = await SerialEngine().start(Launch("desk", wired, None, b"", tmp_path))
    with pytest.raises(LabError, match="could not pull RTS"):  # a pseudo-terminal has no modem lines
        await machine.reset()
    await machine.stop()
    await pty.aclose()
