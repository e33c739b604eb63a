"""Turns on a bus that two nodes share: one has it at a time, and loses it if it does not give it back.

I²C itself settles who of two masters may send a byte (UM10204, section 3.1.8), but a sensor's reading is many
transactions: without turns, two nodes read each other's half-finished measurements.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Protocol

from lab.node.uplink import Uplink, UplinkError
from lab.plugins.refusal import Error, Refused

BUS = "i2c"
SECONDS = 5.0
"""How long a turn lasts at most."""
WAIT = 5.0
"""How long one waits for it at most, s."""


class Leases:
    """The turns, kept by the hub: first come, first served."""

    def __init__(self) -> None:
        self._locks: dict[str, asyncio.Lock] = {}
        self._held: dict[str, tuple[str, asyncio.TimerHandle]] = {}

    async def acquire(self, resource: str, holder: str) -> bool:
        """Wait for a turn; false if there was none in time."""
        lock = self._locks.setdefault(resource, asyncio.Lock())
        try:
            async with asyncio.timeout(WAIT):
                await lock.acquire()
        except TimeoutError:
            return False
        timer = asyncio.get_running_loop().call_later(SECONDS, self.release, resource, holder)
        self._held[resource] = holder, timer
        return True

    def release(self, resource: str, holder: str) -> None:
        """Give a turn back; nothing if it is not this holder's any more."""
        held = self._held.get(resource)
        if held is not None and held[0] == holder:
            held[1].cancel()
            del self._held[resource]
            self._locks[resource].release()


class Arbiter(Protocol):
    """Takes turns on a bus, from a plugin's thread."""

    def __call__(self) -> contextlib.AbstractContextManager[None]:
        """Hold the bus; raises `Refused` if no turn came."""


class HubArbiter:
    """The hub's own turns."""

    def __init__(self, leases: Leases, node: str) -> None:
        self._leases, self._node = leases, node
        self._loop = asyncio.get_running_loop()

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        """Hold the bus."""
        got = asyncio.run_coroutine_threadsafe(self._leases.acquire(BUS, self._node), self._loop)
        if not got.result(WAIT + 1):
            raise Refused(Error.TIMEOUT)
        try:
            yield
        finally:
            self._loop.call_soon_threadsafe(self._leases.release, BUS, self._node)


class SpokeArbiter:
    """A spoke's turns, asked of the hub. Without it there are none: no reading is better than a wrong one."""

    def __init__(self, uplink: Uplink) -> None:
        self._uplink = uplink

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        """Hold the bus."""
        try:
            if not self._uplink.post("/lease", {"resource": BUS}, wait=WAIT)["granted"]:
                raise Refused(Error.TIMEOUT)
        except UplinkError as error:
            raise Refused(Error.TIMEOUT) from error
        try:
            yield
        finally:
            with contextlib.suppress(UplinkError):  # it ends by itself
                self._uplink.post("/release", {"resource": BUS})
