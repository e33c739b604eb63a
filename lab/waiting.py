"""What one task waits on and others set."""

from __future__ import annotations

import anyio


class Signal:
    """Wakes the one task that waits for it; set before the wait, the wait returns at once."""

    def __init__(self) -> None:
        self._event = anyio.Event()

    def set(self) -> None:
        """Wake whoever waits, or will."""
        self._event.set()

    async def wait(self) -> None:
        """Return once it is set; it is not set any more then."""
        await self._event.wait()
        self._event = anyio.Event()


class Gate:
    """Lets any number of tasks pass, or has them wait. Open at first."""

    def __init__(self) -> None:
        self._opened: anyio.Event | None = None

    @property
    def is_open(self) -> bool:
        """Whether `passage` returns at once."""
        return self._opened is None

    def close(self) -> None:
        """Have whoever comes wait."""
        if self._opened is None:
            self._opened = anyio.Event()

    def open(self) -> None:
        """Let them go on."""
        if self._opened is not None:
            self._opened.set()
            self._opened = None

    async def passage(self) -> None:
        """Return once it is open."""
        while self._opened is not None:
            await self._opened.wait()
