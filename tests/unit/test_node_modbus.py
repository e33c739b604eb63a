"""Modbus both ways, over TCP and over a serial line."""

from __future__ import annotations

import asyncio
import math
import os
import struct
import tty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient

from lab.node.modbus import QUANTITIES, Server, registers

from .plugins import built, install
from .test_node import anyio_backend, hub, lit
from .test_node_cluster import Site, keep, push_all, site

__all__ = ["anyio_backend", "site"]  # fixtures

pytestmark = pytest.mark.anyio


def value(read: list[int], sensor: str, quantity: str) -> float:
    at = 2 + 2 * QUANTITIES.index((sensor, quantity))
    [found] = struct.unpack(">f", struct.pack(">HH", *read[at : at + 2]))
    return float(found)


@asynccontextmanager
async def line() -> AsyncIterator[tuple[str, str]]:
    """Yield the two ends of a serial line."""
    ends = [os.openpty(), os.openpty()]
    loop = asyncio.get_running_loop()
    for (master, slave), (other, _) in (ends, ends[::-1]):
        tty.setraw(slave)
        os.set_blocking(master, False)
        loop.add_reader(master, lambda master=master, other=other: os.write(other, os.read(master, 4096)))
    try:
        yield os.ttyname(ends[0][1]), os.ttyname(ends[1][1])
    finally:
        for master, slave in ends:
            loop.remove_reader(master)
            os.close(master)
            os.close(slave)


def test_registers_of_a_node_nobody_knows_are_nan_and_offline() -> None:
    found = registers(None)
    assert found[:2] == [0, 0]
    assert math.isnan(value(found, "dht22", "temperature"))


async def test_cluster_is_read_over_tcp(site: Site) -> None:
    async with site.hub(modbus={"port": 0}) as node, site.spoke() as spoke, Server(node) as server:
        keep(node, 21.5)
        keep(spoke, 27.25)
        await push_all(spoke, site.uplink())
        client = AsyncModbusTcpClient("127.0.0.1", port=server.port or 0)
        assert await client.connect()
        for unit, expected in ((1, 21.5), (2, 27.25)):
            answer = await client.read_input_registers(0, count=26, device_id=unit)
            assert answer.registers[0] == 1, "online"
            assert value(answer.registers, "dht22", "temperature") == expected
            assert math.isnan(value(answer.registers, "bme680", "iaq"))
        unheard = await client.read_holding_registers(0, count=2, device_id=3)
        assert unheard.registers == [0, 0]
        assert (await client.write_register(0, 1, device_id=1)).isError()
        assert (await client.read_input_registers(26, count=1, device_id=1)).isError()
        client.close()


async def test_node_is_read_over_rtu(tmp_path: Path) -> None:
    async with line() as (ours, theirs):
        config = hub(tmp_path, modbus={"serial": ours})
        async with lit(config, "dht22") as it, Server(it.node):
            await it.cycle()
            client = AsyncModbusSerialClient(theirs, baudrate=19200)
            assert await client.connect()
            answer = await client.read_input_registers(0, count=26, device_id=1)
            assert value(answer.registers, "dht22", "humidity") == 45.0
            client.close()


@pytest.mark.parametrize("transport", ["tcp", "rtu"])
async def test_node_reads_another_device(tmp_path: Path, transport: str) -> None:
    source: dict[str, Any] = {
        "unit": 1,
        "registers": {
            "temperature": {"address": 2, "type": "float32", "unit": "°C"},
            "online": {"address": 0, "type": "uint16", "scale": 10.0},
        },
    }
    async with line() as (ours, theirs):
        offered = {"port": 0} if transport == "tcp" else {"serial": ours}
        offering = lit(hub(tmp_path / "other", modbus=offered), "dht22")
        async with offering as other, Server(other.node) as server:
            await other.cycle()
            source |= {"host": "127.0.0.1", "port": server.port} if transport == "tcp" else {"serial": theirs}
            config = hub(tmp_path, modbus={"sources": {"boiler": source}})
            async with lit(config) as it:
                readings = await it.cycle()
                assert readings["boiler.temperature"].value == 22.0
                assert readings["boiler.online"].value == 10.0


async def test_device_that_is_not_there_is_told_once(tmp_path: Path) -> None:
    source = {"host": "127.0.0.1", "port": 9, "registers": {"x": {"address": 0}}}
    config = hub(tmp_path, modbus={"sources": {"boiler": source}})
    config.node.plugins.mkdir(parents=True)
    install(built("dht22"), config.node.plugins)
    async with lit(config) as it:
        for _ in range(2):
            assert "dht22.temperature" in await it.cycle()
        told = [one for one in it.node.journal.lines(level="warning") if one.source == "boiler"]
        assert len(told) == 1
