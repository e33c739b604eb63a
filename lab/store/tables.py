"""What a lab remembers, as tables. Times are Unix seconds."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import JSON, BigInteger, Column, ForeignKey
from sqlmodel import Field, SQLModel


class Device(SQLModel, table=True):
    """A device that was taken in, and what it last said of itself."""

    id: str = Field(primary_key=True)
    uuid: UUID = Field(default_factory=uuid4, unique=True)
    board: str
    engine: str
    created: float
    state: str
    last_seen: float | None = None
    firmware: str = ""
    build_id: str = ""
    boot_reason: str = ""
    boot_detail: str = ""
    boots: int = Field(default=0, sa_type=BigInteger)
    memory: int = Field(default=0, sa_type=BigInteger)
    memory_free: int = Field(default=0, sa_type=BigInteger)
    max_module: int = Field(default=0, sa_type=BigInteger)
    development: bool = False
    labels: dict[str, str] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))


class Module(SQLModel, table=True):
    """A WebAssembly module; its bytes are in the lab's folder, under ``modules/<digest>.wasm``."""

    digest: str = Field(primary_key=True)
    size: int = Field(sa_type=BigInteger)
    created: float


class Package(SQLModel, table=True):
    """A kept version of an app. `envelope` is what its publisher signed, empty if nobody did."""

    id: str = Field(primary_key=True)
    name: str = Field(index=True)
    version: str
    sequence: int = Field(sa_type=BigInteger)
    publisher: str
    digest: str = Field(foreign_key="module.digest")
    envelope: bytes
    created: float


class Deployment(SQLModel, table=True):
    """An app that a device is to run, and what it ran before, should it give this one up."""

    device: str = Field(sa_column=Column(ForeignKey("device.id", ondelete="CASCADE"), primary_key=True))
    name: str = Field(primary_key=True)
    package: str = Field(foreign_key="package.id")
    previous: str | None = Field(default=None, foreign_key="package.id")
    created: float


class App(SQLModel, table=True):
    """An app as its device last reported it."""

    device: str = Field(sa_column=Column(ForeignKey("device.id", ondelete="CASCADE"), primary_key=True))
    name: str = Field(primary_key=True)
    state: int
    digest: str
    size: int = Field(sa_type=BigInteger)
    memory: int = Field(sa_type=BigInteger)
    reason: str
    sequence: int = Field(default=0, sa_type=BigInteger)
    version: str = ""
    rejected: str = ""


class Rollout(SQLModel, table=True):
    """A package on its way to many devices, and how it goes about it. `other` is arm B's package."""

    id: int | None = Field(default=None, primary_key=True)
    app: str
    package: str = Field(foreign_key="package.id")
    other: str | None = Field(default=None, foreign_key="package.id")
    split: int = 0
    target: str
    batch: int
    pause: float
    max_failures: int
    canary: int
    forgiven: int = 0
    state: str
    reason: str = ""
    rollback_of: int | None = Field(default=None, foreign_key="rollout.id")
    created: float
    created_by: str
    ended: float | None = None


class RolloutDevice(SQLModel, table=True):
    """One device of a rollout. It stays when the device is forgotten: it is what happened."""

    __tablename__ = "rollout_device"

    rollout: int = Field(foreign_key="rollout.id", primary_key=True)
    device: str = Field(primary_key=True)
    position: int
    arm: str
    canary: bool = False
    state: str
    reason: str = ""
    previous: str | None = Field(default=None, foreign_key="package.id")
    started: float | None = None
    trial: float | None = None
    ended: float | None = None


class Audit(SQLModel, table=True):
    """Something that was begun, or done. Rows are only added. `begun`: the row that it is the result of."""

    id: int | None = Field(default=None, primary_key=True)
    time: float
    who: str
    role: str
    action: str
    target: str
    result: str
    reason: str
    begun: int | None = Field(default=None, foreign_key="audit.id")
    detail: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))


class Event(SQLModel, table=True):
    """Something that happened. `sequence` ascends for ever, with gaps where the lab was killed."""

    sequence: int = Field(primary_key=True, sa_type=BigInteger)
    time: float
    kind: str
    device: str | None = Field(default=None, index=True)
    app: str | None = None
    data: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))


class Setting(SQLModel, table=True):
    """A choice of the user that outlives the process."""

    key: str = Field(primary_key=True)
    value: Any = Field(sa_column=Column(JSON, nullable=False))


class Secret(SQLModel, table=True):
    """A secret as `lab.vault` has sealed it."""

    name: str = Field(primary_key=True)
    sealed: bytes
    changed: float
