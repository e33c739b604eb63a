"""Modbus, both ways: a cluster as registers for others, others' registers as readings of this node.

As a server each node of the cluster is a device: the node itself is 1, its spokes are 2, 3… in the order of
``cluster.nodes``. Register 0 says whether it is online; from register 2 on, each quantity of `QUANTITIES` is
a 32-bit float, high word first, NaN while there is none. Nothing can be written.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from lab.node.config import ModbusRegister, ModbusSource
from lab.plugins.host import Reading

if TYPE_CHECKING:
    from pymodbus.constants import ExcCodes
    from pymodbus.server import ModbusSerialServer, ModbusTcpServer
    from pymodbus.simulator import SimDevice

    from lab.node.node import Node

QUANTITIES = (
    ("dht22", "temperature"),
    ("dht22", "humidity"),
    ("bme680", "temperature"),
    ("bme680", "humidity"),
    ("bme680", "pressure"),
    ("bme680", "gas-resistance"),
    ("bme680", "iaq"),
    ("node", "cpu-temperature"),
    ("node", "cpu-load"),
    ("node", "memory-used"),
    ("node", "memory-total"),
    ("node", "uptime"),
)
"""What the registers hold: the Nth of these is in registers 2 + 2N and 3 + 2N. New ones go to the end."""

_COUNT = 2 + 2 * len(QUANTITIES)
_FORMATS = {"int16": ">h", "uint16": ">H", "int32": ">i", "uint32": ">I", "float32": ">f"}


def registers(node: Mapping[str, Any] | None) -> list[int]:
    """Return a node's registers, from what `/api/readings` says of it; none is a node nobody knows."""
    state = node or {}
    sensors = state.get("sensors", {})
    values = [sensors.get(sensor, {}).get(quantity, {}).get("value") for sensor, quantity in QUANTITIES]
    data = struct.pack(">HH", bool(state.get("online")), 0)
    data += b"".join(struct.pack(">f", math.nan if value is None else value) for value in values)
    return list(struct.unpack(f">{_COUNT}H", data))


class Server:
    """Offers the cluster over TCP, RTU, or both.

    :param node: whose cluster.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._stack = AsyncExitStack()
        self.port: int | None = None
        """Of the TCP server, once it listens."""

    async def __aenter__(self) -> Server:
        from pymodbus.server import ModbusSerialServer, ModbusTcpServer

        settings = self._node.config.modbus
        if settings.port is not None:
            tcp = ModbusTcpServer(self._devices(), address=("127.0.0.1", settings.port))
            await self._serve(tcp)
            transport: Any = tcp.transport
            self.port = transport.sockets[0].getsockname()[1]
        if settings.serial is not None:
            await self._serve(
                ModbusSerialServer(self._devices(), port=settings.serial, baudrate=settings.baud)
            )
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._stack.aclose()

    async def _serve(self, server: ModbusTcpServer | ModbusSerialServer) -> None:
        await server.serve_forever(background=True)
        self._stack.push_async_callback(server.shutdown)

    def _devices(self) -> list[SimDevice]:
        from pymodbus.simulator import DataType, SimData, SimDevice

        names = [self._node.id, *self._node.config.cluster.nodes]
        return [
            SimDevice(
                number,
                simdata=[SimData(0, values=[0] * _COUNT, datatype=DataType.REGISTERS)],
                action=self._action(name),
            )
            for number, name in enumerate(names, 1)
        ]

    def _action(self, name: str) -> Callable[..., Any]:
        from pymodbus.constants import ExcCodes

        async def action(
            _function: int, _start: int, _address: int, _count: int, current: list[int], written: Any
        ) -> ExcCodes | None:
            if written is not None:
                return ExcCodes.ILLEGAL_FUNCTION
            current[:] = registers(self._node.ledger.state().get(name))
            return None

        return action


class Source:
    """Another device whose registers become readings.

    :param name: the sensor they become.
    """

    def __init__(self, name: str, settings: ModbusSource) -> None:
        from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient

        self.name = name
        self._settings = settings
        if settings.host is not None:
            self._client: Any = AsyncModbusTcpClient(
                settings.host, port=settings.port, timeout=2, retries=1, reconnect_delay=0
            )
        else:
            self._client = AsyncModbusSerialClient(
                settings.serial or "", baudrate=settings.baud, timeout=2, retries=1, reconnect_delay=0
            )

    async def read(self) -> list[Reading]:
        """Read every register of the configuration.

        :raises OSError: the device does not answer, or refuses.
        """
        from pymodbus.exceptions import ModbusException

        try:
            if not self._client.connected and not await self._client.connect():
                raise ConnectionError("nothing answers there")
            return [await self._read(*item) for item in self._settings.registers.items()]
        except ModbusException as error:
            self._client.close()
            raise ConnectionError(str(error)) from error

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    async def _read(self, quantity: str, register: ModbusRegister) -> Reading:
        shape = _FORMATS[register.type]
        count = struct.calcsize(shape) // 2
        answer = await self._client.read_input_registers(
            register.address, count=count, device_id=self._settings.unit
        )
        if answer.isError():
            raise ConnectionError(f"it refuses register {register.address}: {answer}")
        [value] = struct.unpack(shape, struct.pack(f">{count}H", *answer.registers))
        return Reading(self.name, quantity, value * register.scale, register.unit, "normal", "")
