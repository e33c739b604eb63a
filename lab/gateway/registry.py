"""What the gateway knows of each device, in memory; the store holds what must outlive the process."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from lab.gateway.session import Session
from lab.store import tables
from lab.wire import messages as m


class DeviceState(StrEnum):
    """What a device is to the gateway."""

    WAITING = "waiting"  # unknown, its session kept until it is accepted or leaves
    REGISTERED = "registered"  # known, and never seen
    CONNECTED = "connected"  # it answered the welcome
    DISCONNECTED = "disconnected"  # its session ended a moment ago
    UNREACHABLE = "unreachable"  # silent for 2.5 heartbeats


@dataclass(frozen=True, slots=True)
class AppInfo:
    """An app as its device last reported it.

    :param state: `receiving`, `trial` (it runs, and may yet be given up), `running`, `stopped` or `failed`.
    :param digest: SHA-256 of its module, hex.
    :param size: bytes of the module.
    :param memory: bytes of the device's memory it holds.
    :param reason: why it failed, or why `rejected` was given up, in the device's words.
    :param sequence: of its package; 0 if nobody signed it.
    :param version: of its package.
    :param rejected: SHA-256, hex, of the module that the device gave up last; empty if there was none.
    :param instructions: WASM instructions of all its calls since it was loaded; None until the device says.
    :param peak: most of one call.
    :param budget: of one call.
    """

    name: str
    state: str
    digest: str
    size: int
    memory: int
    reason: str
    sequence: int = 0
    version: str = ""
    rejected: str = ""
    instructions: int | None = None
    peak: int | None = None
    budget: int | None = None

    @property
    def runs(self) -> bool:
        """Whether it runs, on trial or for good."""
        return self.state in ("trial", "running")

    @classmethod
    def of(cls, status: m.AppStatus, use: m.AppUse | None = None) -> AppInfo:
        """Make it from the device's own messages."""
        return cls(
            status.name,
            status.state.name.lower(),
            status.digest.hex(),
            status.size,
            status.memory,
            status.reason,
            status.sequence,
            status.version,
            status.rejected.hex(),
            *((use.instructions, use.peak, use.budget) if use else ()),
        )

    def describe(self) -> dict[str, Any]:
        """Return it as JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """A device at one moment. Memory in bytes, times in Unix seconds.

    :param address: where its session comes from, if it has one.
    :param paired: whether it was taken in; if not, it waits.
    :param apps: as it last reported them.
    :param desired: what it is to run: name to SHA-256 in hex.
    :param development: whether it takes unsigned modules.
    :param labels: what people call it by.
    """

    id: str
    uuid: str
    board: str
    engine: str
    state: DeviceState
    paired: bool
    address: str
    created: float
    last_seen: float | None
    firmware: str
    build_id: str
    boot_reason: str
    boot_detail: str
    boots: int
    memory: int
    memory_free: int
    max_module: int
    apps: tuple[AppInfo, ...]
    desired: dict[str, str]
    development: bool
    labels: dict[str, str]

    def describe(self) -> dict[str, Any]:
        """Return it as JSON. By hand: `asdict` copies everything, and a fleet's list is asked for often."""
        facts = {name: getattr(self, name) for name in _INFO}
        facts["apps"] = [app.describe() for app in self.apps]
        return facts


_INFO = tuple(entry.name for entry in fields(DeviceInfo))


@dataclass(slots=True)
class Row:
    """What the store holds of a device: `tables.Device`, cheap enough to be written at every message."""

    id: str
    board: str
    engine: str
    created: float
    uuid: UUID = field(default_factory=uuid4)
    state: str = DeviceState.REGISTERED.value
    last_seen: float | None = None
    firmware: str = ""
    build_id: str = ""
    boot_reason: str = ""
    boot_detail: str = ""
    boots: int = 0
    memory: int = 0
    memory_free: int = 0
    max_module: int = 0
    development: bool = False
    labels: dict[str, str] = field(default_factory=dict)

    def columns(self) -> dict[str, Any]:
        """Return it by column."""
        return {name: getattr(self, name) for name in _COLUMNS}


_COLUMNS = tuple(column.name for column in fields(Row))


class Verdict(StrEnum):
    """What a device says has become of a package."""

    TRIAL = "trial"
    CONFIRMED = "confirmed"
    ROLLED_BACK = "rolled-back"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A package that a device is to run.

    :param package: its id.
    :param digest: SHA-256 of its module.
    :param sequence: its sequence number; 0 if nobody signed it.
    :param previous: what the device goes back to, should it give this one up.
    """

    package: str
    digest: bytes
    sequence: int
    previous: Wanted | None = None

    def verdict(self, status: m.AppStatus | None) -> Verdict | None:
        """Return what a device's word on the app says of this package; none if it does not speak of it."""
        if status is None:
            return None
        if status.digest == self.digest and status.sequence == self.sequence:
            return _VERDICTS.get(status.state)
        return Verdict.ROLLED_BACK if status.rejected == self.digest else None

    def lacked_by(self, status: m.AppStatus | None) -> bool:
        """Tell whether a device that says this is to be sent it (again)."""
        if status is None or status.state is m.AppState.RECEIVING:
            return True
        if status.digest == self.digest and status.sequence == self.sequence:
            return False
        # What it gave up it would give up again; and below what it has, it takes nothing.
        return status.rejected != self.digest and status.sequence <= self.sequence


_VERDICTS = {
    m.AppState.TRIAL: Verdict.TRIAL,
    m.AppState.RUNNING: Verdict.CONFIRMED,
    m.AppState.FAILED: Verdict.FAILED,
}


class Record:
    """A device, while the gateway lives.

    :param row: what the store holds of it.
    """

    def __init__(self, row: Row) -> None:
        self.row = row
        self.session: Session | None = None
        self.apps: dict[str, m.AppStatus] = {}
        self.use: dict[str, m.AppUse] = {}
        self.desired: dict[str, Wanted] = {}
        self.news = asyncio.Event()
        self.online = asyncio.Event()
        self.deploying = asyncio.Lock()
        self.silence: asyncio.TimerHandle | None = None
        self.last_heard = 0.0

    @property
    def state(self) -> DeviceState:
        """What the device is to the gateway."""
        return DeviceState(self.row.state)

    @state.setter
    def state(self, state: DeviceState) -> None:
        self.row.state = state.value
        if state is DeviceState.CONNECTED:
            self.online.set()
        else:
            self.online.clear()

    def take(self, hello: m.Hello) -> None:
        """Note what the device says of itself."""
        self.row.firmware = hello.firmware
        self.row.build_id = hello.build_id.hex()
        self.row.boot_reason = hello.boot_reason.name.lower().replace("_", "-")
        self.row.boot_detail = hello.boot_detail
        self.row.boots = hello.boots
        self.row.memory = hello.memory
        self.row.memory_free = hello.memory_free
        self.row.max_module = hello.max_module
        self.row.development = bool(hello.development)
        self.use.clear()

    def note(self) -> None:
        """Wake whoever waits for something to change here (`news`)."""
        self.news.set()
        self.news = asyncio.Event()

    def describe(self, *, paired: bool = True) -> DeviceInfo:
        """Return a picture of it."""
        facts = self.row.columns()
        facts |= {
            "uuid": str(self.row.uuid),
            "state": self.state,
            "paired": paired,
            "address": self.session.address if self.session else "",
            "apps": self.app_infos(),
            "desired": {name: wanted.digest.hex() for name, wanted in self.desired.items()},
        }
        return DeviceInfo(**facts)

    def app_infos(self) -> tuple[AppInfo, ...]:
        """Return its apps as it last reported them."""
        return tuple(AppInfo.of(status, self.use.get(name)) for name, status in self.apps.items())

    def app_columns(self) -> list[dict[str, Any]]:
        """Return its apps by column of `tables.App`."""
        return [
            {
                "device": self.row.id,
                "name": status.name,
                "state": int(status.state),
                "digest": status.digest.hex(),
                "size": status.size,
                "memory": status.memory,
                "reason": status.reason,
                "sequence": status.sequence,
                "version": status.version,
                "rejected": status.rejected.hex(),
            }
            for status in self.apps.values()
        ]


def status_of(row: tables.App) -> m.AppStatus:
    """Return an app's status from what the store holds."""
    return m.AppStatus(
        row.name,
        m.AppState(row.state),
        bytes.fromhex(row.digest),
        row.size,
        row.memory,
        row.reason,
        row.sequence,
        row.version,
        bytes.fromhex(row.rejected),
    )
