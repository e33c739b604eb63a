"""A gateway in the test's own process, over a folder of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from lab.audit import Audit
from lab.events import Event, Events
from lab.gateway import Config, DeviceState, Gateway
from lab.gateway.rollout import Rollouts
from lab.home import Home
from lab.packages import Package
from lab.pki import Authority, Issued
from lab.publisher import Publisher
from lab.store import Store

from .device_client import DeviceClient, Firmware, client_context

MODULE = b"\0asm\1\0\0\0"


def version(publisher: Publisher, number: int) -> Package:
    """Return a version of the app; each has a module of its own, and a trial of a second."""
    module = MODULE + bytes([0, 2, 0, number])
    return publisher.sign("app", module, version=f"{number}.0.0", sequence=number, trial_seconds=1)


class Site:
    """A gateway, and what belongs to it; `restart` makes a new one over the same folder."""

    def __init__(self, home: Home, config: Config) -> None:
        self.home = home
        self.config = config
        self.clients: list[DeviceClient] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        self.authority = Authority(self.home)
        self.store = await Store(self.home).__aenter__()
        self.events = await Events(self.store).__aenter__()
        self.gateway = Gateway(self.store, self.events, self.authority, self.config)
        await self.gateway.start()
        self.audit = Audit(self.store)
        self.rollouts = Rollouts(self.gateway, self.store, self.events, self.audit)
        await self.rollouts.start()

    async def stop(self) -> None:
        for client in self.clients:
            await client.close()
        for task in self.tasks:
            task.cancel()
        self.clients.clear()
        self.tasks.clear()
        await self.rollouts.stop()
        await self.gateway.stop()
        await self.events.__aexit__(None, None, None)
        await self.store.__aexit__(None, None, None)

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    async def open(self, device: str = "dev-1", issued: Issued | None = None) -> DeviceClient:
        context = client_context(self.authority.certificate_file, issued or self.authority.issue(device))
        client = await DeviceClient.open(self.gateway.address, context, device)
        self.clients.append(client)
        return client

    async def device(self, device: str = "dev-1", **hello: Any) -> tuple[DeviceClient, Firmware]:
        """Register and connect a device that answers by itself."""
        await self.gateway.register(device, "native", "native")
        client = await self.open(device)
        await client.connect(**hello)
        firmware = Firmware(client, {status.name: status for status in hello.get("apps", ())})
        self.tasks.append(asyncio.create_task(firmware.run()))
        await self.connected(device)
        return client, firmware

    async def connected(self, device: str = "dev-1") -> None:
        async with asyncio.timeout(10):
            await self.gateway.connected(device)

    async def seen(self, kind: str, since: int = 0, **data: Any) -> Event:
        """Return the first event of a kind, once it happens."""
        async with asyncio.timeout(10):
            async for event in self.events.subscribe(since):
                if event.kind == kind and data.items() <= event.data.items():
                    return event
        raise AssertionError

    async def until(self, state: DeviceState, device: str = "dev-1") -> None:
        async with asyncio.timeout(10):
            async for _ in self.events.subscribe():
                if self.gateway.device(device).state is state:
                    return


@asynccontextmanager
async def running(folder: Path, **config: Any) -> AsyncIterator[Site]:
    site = Site(Home(folder).create(), Config(**config))
    await site.start()
    try:
        yield site
    finally:
        await site.stop()
