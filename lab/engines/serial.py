"""Engine `serial`: a real board on a real port, or on one that a network shares."""

from __future__ import annotations

import threading
from collections import deque

import anyio
import structlog
from anyio import to_thread
from anyio.abc import ByteStream
from serial import Serial, SerialException, SerialTimeoutException, serial_for_url
from serial.tools import list_ports

from lab.boards import Board
from lab.boards import Serial as Settings
from lab.engines import Exit, Launch, _carried
from lab.errors import LabError, UsageError

_READ_SECONDS = 0.2  # until a read notices that the port has been closed
_WRITE_SECONDS = 5.0
_REOPEN_SECONDS = 0.5
_RESET_SECONDS = 0.1
_CHUNK = 4096

log = structlog.get_logger()


class SerialEngine:
    """Opens real ports. The board is on already, and stays on when the lab lets go of it."""

    name = "serial"

    def check(self, board: Board) -> None:
        """Raise `UsageError` if no port is given."""
        _url(board)

    async def start(self, launch: Launch) -> SerialMachine:
        """Open the board's port.

        :raises LabError: it cannot be opened.
        """
        url, settings = _url(launch.board), launch.board.serial or Settings()
        try:
            port = await to_thread.run_sync(_opened, url, settings)
        except (SerialException, OSError, ValueError) as error:
            raise LabError(f"{url} could not be opened: {error}", hint=_advice(error)) from error
        return SerialMachine(url, settings, Port(url, settings, port))


class SerialMachine:
    """A board on a port: one UART, whose link carries the console too."""

    pid = None
    simbus = None

    def __init__(self, url: str, settings: Settings, port: Port) -> None:
        self.link = port
        self.console, self.carried = _carried.pair()
        self._url = url
        self._settings = settings
        self._port = port
        self._stopped = anyio.Event()

    async def stop(self) -> Exit:
        """Let go of the port."""
        self._stopped.set()
        await self._port.aclose()
        await self.carried.aclose()
        return await self.wait()

    async def reset(self) -> None:
        """Pull the modem line that is wired to the board's reset.

        :raises LabError: no line is, or the port is away.
        """
        line = self._settings.reset
        if line is None:
            raise LabError(
                f"the board on {self._url} has no reset line",
                hint="Press its button. If DTR or RTS is wired to its reset, set serial.reset in its file.",
            )
        if self._url.startswith("socket://"):
            raise LabError(f"{self._url} has no modem lines to reset the board with", hint="Use rfc2217://.")
        await self._port.pull(line)

    async def pause(self) -> None:
        """Raise `LabError`: nobody can stop a real board's clock from outside."""
        raise LabError(f"the board on {self._url} cannot be paused", hint="Engines 'qemu' and 'native' can.")

    async def resume(self) -> None:
        """Raise `LabError`, as `pause`."""
        raise LabError(f"the board on {self._url} was not paused")

    async def wait(self) -> Exit:
        """Return after `stop`. A port that vanishes may come back, so it ends nothing."""
        await self._stopped.wait()
        return Exit(0, "stopped", asked=True)


class Port(ByteStream):
    """A serial port as a stream.

    While the port is away (unplugged, its server gone), a receive waits for its return. What is sent
    meanwhile is lost, as on a cable; the link notices and connects anew.
    """

    def __init__(self, url: str, settings: Settings, port: Serial) -> None:
        self._url = url
        self._settings = settings
        self._port: Serial | None = port
        self._closed = False
        self._read_bytes: deque[bytes] = deque()
        self._reading = threading.Lock()
        self._threads = anyio.CapacityLimiter(3)  # a reader, a writer, an opener

    async def receive(self, max_bytes: int = 65536) -> bytes:
        """Return what has arrived; waits for it, and for the port if it is away."""
        while not self._read_bytes:
            if self._closed:
                raise anyio.EndOfStream
            if self._port is None:
                await self._reopen()
                continue
            port = self._port
            try:
                # A read that is abandoned still puts its bytes where the next receive finds them.
                await to_thread.run_sync(self._read, port, abandon_on_cancel=True, limiter=self._threads)
            except (
                SerialException,
                OSError,
                TypeError,
            ) as error:  # TypeError: pyserial, closed while reading
                self._lose(port, error)
        data = self._read_bytes.popleft()
        if len(data) > max_bytes:
            self._read_bytes.appendleft(data[max_bytes:])
        return data[:max_bytes]

    async def send(self, item: bytes) -> None:
        """Write to the port; lost if it is away."""
        if self._closed:
            raise anyio.ClosedResourceError
        port = self._port
        if port is None:
            return
        try:
            await to_thread.run_sync(port.write, bytes(item), limiter=self._threads)
        except (SerialException, SerialTimeoutException, OSError) as error:
            self._lose(port, error)

    async def send_eof(self) -> None:
        """Do nothing: a wire has no end."""

    async def aclose(self) -> None:
        """Close the port."""
        self._closed = True
        port, self._port = self._port, None
        if port is not None:
            await to_thread.run_sync(self._close, port)

    async def pull(self, line: str) -> None:
        """Assert `line` (``dtr`` or ``rts``) for a moment.

        :raises LabError: the port is away, or has no such line.
        """
        port = self._port
        if port is None:
            raise LabError(f"{self._url} is away", hint="Plug it in again.")
        try:
            setattr(port, line, True)
            await anyio.sleep(_RESET_SECONDS)
            setattr(port, line, False)
        except (SerialException, OSError) as error:
            raise LabError(f"{self._url} could not pull {line.upper()}: {error}") from error

    def _read(self, port: Serial) -> None:
        with self._reading:
            data = port.read(1)
            while data and len(data) < _CHUNK and (waiting := port.in_waiting):
                data += port.read(min(waiting, _CHUNK))
            if data:
                self._read_bytes.append(data)

    def _close(self, port: Serial) -> None:
        with self._reading:  # pyserial does not bear being closed in the middle of a read
            port.close()

    def _lose(self, port: Serial, error: BaseException) -> None:
        if self._port is port:
            self._port = None
            port.close()
            if not self._closed:
                log.warning("port lost", url=self._url, why=str(error))

    async def _reopen(self) -> None:
        try:
            port = await to_thread.run_sync(_opened, self._url, self._settings, limiter=self._threads)
        except (SerialException, OSError):
            await anyio.sleep(_REOPEN_SECONDS)
            return
        if self._closed:
            port.close()
            return
        log.info("port is back", url=self._url)
        self._port = port
        await self.send(b"\0")  # ends the frame that was under way


def _url(board: Board) -> str:
    if board.serial is None or not board.serial.url:
        raise UsageError(
            f"board {board.name} is on a real port, and none is given",
            hint="Name it: --serial /dev/ttyACM0, rfc2217://HOST:PORT or socket://HOST:PORT.",
        )
    return board.serial.url


def _opened(url: str, settings: Settings) -> Serial:
    port = serial_for_url(
        url,
        do_not_open=True,
        baudrate=settings.baud,
        timeout=_READ_SECONDS,
        write_timeout=_WRITE_SECONDS,
    )
    if settings.reset is not None:
        setattr(port, settings.reset, False)  # or opening it would hold the board in reset
    port.open()
    return port


def _advice(error: BaseException) -> str:
    if isinstance(error, PermissionError) or "Permission denied" in str(error):
        return "Join the group that owns the port: sudo usermod -aG dialout $USER, then log in again."
    known = ", ".join(port.device for port in list_ports.comports())
    return f"Ports on this machine: {known or 'none'}."
