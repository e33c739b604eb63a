"""A node's configuration: one TOML file; docs/nodes.md explains every key, the classes here are the schema.

Paths are relative to the file.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from lab.errors import UsageError

_STRICT = ConfigDict(extra="forbid", strict=True)

Port = Annotated[int, Field(ge=0, le=65535)]
Pin = Annotated[int, Field(ge=0, le=255)]
NodeId = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,30}[A-Za-z0-9])?$")]
Address = Annotated[int, Field(ge=0x08, le=0x77)]
Seconds = Annotated[
    float, Field(gt=0, le=86400), BeforeValidator(lambda v: float(v) if type(v) is int else v)
]
Level = Literal["debug", "info", "warning", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Who this node is, and whom it reports to.

    :param listen: hub: where spokes reach it, port 0 for any.
    :param port: hub: see `listen`.
    :param nodes: hub: the spokes it takes; it writes each one's credentials to `<folder>/credentials/`.
    :param hub_url: spoke: ``https://host:port``.
    :param credentials: spoke: the file that the hub wrote for it.
    :param buffer: spoke: how many cycles it keeps on disk while the hub is away; then the oldest go.
    """

    role: Literal["hub", "spoke"] = "hub"
    node_id: NodeId = "hub"
    listen: str = "127.0.0.1"
    port: Port = 8443
    nodes: tuple[NodeId, ...] = ()
    hub_url: Annotated[str, Field(pattern=r"^https://[^/]+$")] | None = None
    credentials: Path | None = None
    buffer: Annotated[int, Field(ge=1)] = 100_000

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """The node's folders.

    :param folder: what it keeps: buffer, history, credentials.
    :param plugins: where its plugins' ``.wasm`` files are.
    :param sources: folder of plugins' Python sources; what is missing or older is built at start.
    """

    folder: Path = Path(".lab/node")
    plugins: Path = Path("build/plugins")
    sources: Path | None = None

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Http:
    """Where people and programs on this machine reach it: loopback, unencrypted; port 0 for any."""

    port: Port = 8080

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Polling:
    """How often: seconds from the start of a cycle to the start of the next."""

    interval: Seconds = 2.0

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """What the sensors and outputs are.

    :param kind: ``simulated`` parts, a ``linux`` board's buses, a lab's ``device``, or none.
    :param device: `device`: its id.
    :param app: `device`: the app on it that has its LEDs, buzzer and fan; without one they are not used.
    :param i2c_bus: `linux`: N of ``/dev/i2c-N``.
    :param gpio_chip: `linux`: the GPIO controller.
    :param spi: `linux`: the SPI port whose data line drives the LEDs.
    :param thermal: file with the CPU's temperature in m°C.
    """

    kind: Literal["simulated", "linux", "device", "none"] = "simulated"
    device: str | None = None
    app: str | None = None
    i2c_bus: Annotated[int, Field(ge=0, le=255)] = 1
    gpio_chip: str = "/dev/gpiochip0"
    spi: str = "/dev/spidev0.0"
    thermal: Path = Path("/sys/class/thermal/thermal_zone0/temp")

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Dht22:
    """The pin of a DHT22's data line."""

    pin: Pin = 4

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Bme680:
    """A BME680.

    :param address: on the I2C bus.
    :param shared: another node uses it as well: reads are arbitrated through the hub.
    """

    address: Literal[0x76, 0x77] = 0x77
    shared: bool = False

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensors:
    """The sensors a node has; a headless hub has none."""

    dht22: Dht22 | None = None
    bme680: Bme680 | None = None

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Leds:
    """A WS2812 strip; 0 is none."""

    count: Annotated[int, Field(ge=0, le=1024)] = 11

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """An output on a pin.

    :param pin: its GPIO; none if there is no such output.
    :param active_low: it is on while the pin is low.
    """

    pin: Pin | None = None
    active_low: bool = False

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Logging:
    """What is logged: lines from `level` on; readings of every cycle only if `show_sensor_data`."""

    level: Level = "info"
    show_sensor_data: bool = False

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """Network health: ``name = "host:port"`` of each peer; a spoke's hub is probed anyway."""

    interval: Seconds = 10.0
    peers: Mapping[str, str] = field(default_factory=dict)

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Modbus:
    """Modbus: what this node offers as a server, and the registers it reads as a client.

    :param port: of the TCP server, 0 for any; none for no server.
    :param serial: the port of an RTU server (``/dev/ttyUSB0``).
    :param baud: of `serial`.
    :param sources: registers of other devices, by the name of the sensor they become.
    """

    port: Port | None = None
    serial: str | None = None
    baud: Annotated[int, Field(gt=0)] = 19200
    sources: Mapping[str, ModbusSource] = field(default_factory=dict)

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class ModbusSource:
    """A Modbus device that this node reads.

    :param host: of a TCP device; else `serial` is a port with an RTU device.
    :param registers: input registers by the quantity they hold.
    """

    host: str | None = None
    port: Port = 502
    serial: str | None = None
    baud: Annotated[int, Field(gt=0)] = 19200
    unit: Annotated[int, Field(ge=0, le=247)] = 1
    registers: Mapping[str, ModbusRegister]

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class ModbusRegister:
    """One quantity: ``value = register × scale``.

    :param type: how it is encoded; two registers hold the high word first.
    """

    address: Annotated[int, Field(ge=0, le=0xFFFF)]
    type: Literal["int16", "uint16", "int32", "uint32", "float32"] = "int16"
    scale: float = 1.0
    unit: str = ""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """One plugin's table; keys that are not named here reach the plugin as its settings.

    :param world: its world in wit/plugin.wit; its own name if that is one, else ``probe``.
    :param led: the LED it shows on, or several; it can then set no other.
    :param i2c: the I2C addresses it may talk to.
    :param gpio: the pins it may use.
    :param seconds: of computing it may use a poll.
    :param memory: MiB it may use.
    """

    enabled: bool = True
    world: str | None = None
    led: tuple[int, ...] = ()
    i2c: tuple[Address, ...] = ()
    gpio: tuple[Pin, ...] = ()
    seconds: Annotated[float, Field(gt=0, le=60)] = 2.0
    memory: Annotated[int, Field(ge=16, le=1024)] = 64
    settings: Mapping[str, str] = field(default_factory=dict)

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A node."""

    cluster: Cluster = field(default_factory=Cluster)
    node: Paths = field(default_factory=Paths)
    http: Http = field(default_factory=Http)
    polling: Polling = field(default_factory=Polling)
    hardware: Hardware = field(default_factory=Hardware)
    sensors: Sensors = field(default_factory=Sensors)
    leds: Leds = field(default_factory=Leds)
    buzzer: Switch = field(default_factory=lambda: Switch(active_low=True))
    fan: Switch = field(default_factory=Switch)
    logging: Logging = field(default_factory=Logging)
    probe: Probe = field(default_factory=Probe)
    modbus: Modbus = field(default_factory=Modbus)
    plugins: Mapping[str, Plugin] = field(default_factory=dict)

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    def plugin(self, name: str) -> Plugin:
        """Return the table of a plugin; the default one if the file has none."""
        return self.plugins.get(name, Plugin())


_COMMAND_LEDS = 41  # as many colours in hex fit into a command: 256 bytes (wit/device.wit, `on-command`)
_OWN = frozenset(each.name for each in fields(Plugin)) - {"settings"}


def load(file: Path) -> Config:
    """Read a node's configuration.

    :raises UsageError: it cannot be read, or says what cannot be; names the key.
    """
    try:
        table = tomllib.loads(file.read_text())
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from error
    except ValueError as error:  # UnicodeDecodeError is one, too
        raise UsageError(f"{file} is no TOML: {error}") from error
    return parse(table, file.parent, str(file))


def parse(table: Mapping[str, Any], base: Path, name: str = "the configuration") -> Config:
    """Make a configuration of a TOML table.

    :param base: what paths are relative to.
    :raises UsageError: it says what cannot be.
    """
    table = dict(table)
    if isinstance(plugins := table.get("plugins"), dict):
        table["plugins"] = {key: _plugin(value) for key, value in plugins.items()}
    if isinstance(buzzer := table.get("buzzer"), dict):
        table["buzzer"] = {"active_low": True, **buzzer}
    for part, keys in (("node", ("folder", "plugins", "sources")), ("cluster", ("credentials",))):
        if isinstance(section := table.get(part), dict):
            table[part] = section | {
                key: str((base / section[key]).resolve()) for key in keys if isinstance(section.get(key), str)
            }
    try:
        # JSON because strict mode takes a JSON array for a tuple and a string for a path, but not Python's.
        config = TypeAdapter(Config).validate_json(json.dumps(table))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(step) for step in first["loc"])
        unknown = first["type"] == "unexpected_keyword_argument"
        why = "there is no such key" if unknown else first["msg"].removeprefix("Value error, ")
        raise UsageError(f"{name}: {key}: {why}", hint="docs/nodes.md explains every key") from None
    except TypeError as error:  # a TOML date
        raise UsageError(f"{name}: {error}") from None
    _check(config, name)
    return config


def _plugin(table: Any) -> Any:
    """Move a plugin's own keys to its settings, as text; one LED is a list of one."""
    if not isinstance(table, dict):
        return table
    known = {key: value for key, value in table.items() if key in _OWN}
    if isinstance(known.get("led"), int):
        known["led"] = [known["led"]]
    own = {key: _text(value) for key, value in table.items() if key not in _OWN}
    if "led" in known:
        own["led"] = _text(known["led"])
    return known | {"settings": own}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(str(each) for each in value) if isinstance(value, list) else str(value)


def _check(config: Config, name: str) -> None:
    cluster = config.cluster
    if cluster.role == "spoke" and (cluster.hub_url is None or cluster.credentials is None):
        raise UsageError(
            f"{name}: a spoke needs cluster.hub_url and cluster.credentials",
            hint="the hub writes the credentials of each of its cluster.nodes to <its folder>/credentials/",
        )
    if config.hardware.kind == "device" and config.hardware.device is None:
        raise UsageError(f'{name}: hardware.kind = "device" needs hardware.device, the device\'s id')
    if config.hardware.kind in ("device", "none"):
        for key, switch in (("buzzer", config.buzzer), ("fan", config.fan)):
            if switch.pin is not None:
                raise UsageError(
                    f'{name}: {key}.pin: hardware.kind = "{config.hardware.kind}" has no pins',
                    hint=f"leave out [{key}], or choose another kind of hardware",
                )
    if config.hardware.app and config.hardware.kind != "device":
        raise UsageError(f'{name}: hardware.app: only a device has apps; hardware.kind is to be "device"')
    if config.hardware.app and config.leds.count > _COMMAND_LEDS:
        raise UsageError(f"{name}: leds.count: a command to a device's app has room for {_COMMAND_LEDS}")
    for plugin, table in config.plugins.items():
        if any(not 0 <= led < config.leds.count for led in table.led):
            raise UsageError(f"{name}: plugins.{plugin}.led: the strip has LEDs 0 to {config.leds.count - 1}")
