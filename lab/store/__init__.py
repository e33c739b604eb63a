"""What a lab must not forget: its devices, what they are to run, what happened.

SQLite in the lab's folder by default, any other database by SQLAlchemy URL. All access goes through one
worker thread, so the event loop never waits for a disk; what an awaited method has written survives SIGKILL.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from sqlalchemy import Connection, Engine, String, cast, create_engine, event, insert, inspect, text, update
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlmodel import Session, col, delete, func, select

from lab.errors import LabError, MissingError, NotFoundError, UsageError
from lab.home import Home
from lab.packages import Package
from lab.store import tables
from lab.store.tables import (
    App,
    Audit,
    Deployment,
    Device,
    Event,
    Module,
    Rollout,
    RolloutDevice,
    Secret,
    Setting,
)

_MIGRATIONS = Path(__file__).parent / "migrations"

KEPT_VERSIONS = 50
"""How many versions of an app are kept for no reason but that one might want to go back."""

Row = Mapping[str, Any]
"""Columns by name. Rows written often are plain: an ORM object costs half a TLS handshake."""

Json = dict[str, Any]

T = TypeVar("T")


class Store:
    """The lab's database and its folder of modules. An async context manager.

    :param home: the lab's folder.
    :param retention: how many events are kept.
    :raises LabError: on entering, if the database cannot be opened or comes from a newer version of the lab.
    """

    def __init__(self, home: Home, *, retention: int = 100_000) -> None:
        self._modules = home.root / "modules"
        self._url = home.database_url
        self._retention = retention
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._engine: Engine

    async def __aenter__(self) -> Self:
        await self._run(self._open)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._run(self._engine.dispose)
        self._worker.shutdown()

    # -- devices

    async def devices(self) -> list[Device]:
        """Return every device that was taken in."""
        return await self._read(lambda session: list(session.exec(select(Device).order_by(Device.id))))

    async def save_device(self, device: Device) -> None:
        """Add a device, or write what has changed of it."""
        await self._write(lambda session: session.merge(device))

    async def save_reports(self, devices: Sequence[Row], apps: Sequence[Row]) -> None:
        """Write what devices said of themselves. A forgotten one stays forgotten.

        :param devices: columns of `Device`, all of them.
        :param apps: columns of `App`: every app that these devices have.
        """

        def work(session: Session) -> None:
            known = {row["id"] for row in devices} & set(session.scalars(select(col(Device.id))))
            connection = session.connection()
            table = Device.__table__  # type: ignore[attr-defined]
            for row in devices:
                connection.execute(update(table).where(table.c.id == row["id"]), row)
            session.exec(delete(App).where(col(App.device).in_(known)))
            rows = [row for row in apps if row["device"] in known]
            if rows:
                connection.execute(insert(App), rows)

        await self._write(work)

    async def delete_device(self, device: str) -> None:
        """Forget a device, its apps and what it was to run."""
        await self._write(lambda session: session.exec(delete(Device).where(col(Device.id) == device)))

    async def apps(self) -> list[App]:
        """Return every app of every device, as last reported."""
        return await self._read(lambda session: list(session.exec(select(App))))

    # -- what devices are to run

    async def save_package(self, package: Package) -> None:
        """Keep a package, and with it a version of its app.

        Of an app's older versions those are dropped that no device is to run and no rollout names, except for
        the newest `KEPT_VERSIONS`.
        """
        row = tables.Package(
            id=package.id,
            name=package.name,
            version=package.version,
            sequence=package.sequence,
            publisher=package.publisher,
            digest=package.digest.hex(),
            envelope=package.envelope,
            created=time.time(),
        )

        def work(session: Session) -> list[str]:
            if session.get(tables.Package, row.id) is not None and self._file(row.digest).exists():
                return []
            self._keep(row.digest, package.module)
            session.merge(Module(digest=row.digest, size=len(package.module), created=row.created))
            session.merge(row)
            session.flush()
            return _drop_versions(session, row.name)

        def job() -> None:
            with Session(self._engine) as session, session.begin():
                unused = work(session)
            for digest in unused:
                self._file(digest).unlink(missing_ok=True)

        await self._run(job)

    async def package(self, id: str) -> Package:
        """Return a kept package.

        :raises NotFoundError: there is none.
        :raises LabError: its file is gone or damaged.
        """
        row = await self._read(lambda session: session.get(tables.Package, id))
        if row is None:
            raise NotFoundError(f"there is no package {id}", hint="see which there are: lab versions APP")
        module = await self.module(row.digest)
        if row.envelope:
            return Package.signed(row.envelope, module, row.name)
        return Package.unsigned(row.name, module)

    async def packages(self, name: str | None = None) -> list[Json]:
        """Describe the kept packages, the newest first.

        :param name: only those of this app.
        """
        query = select(tables.Package, Module.size).join(Module)
        if name is not None:
            query = query.where(tables.Package.name == name)
        query = query.order_by(col(tables.Package.created).desc(), col(tables.Package.sequence).desc())

        def work(session: Session) -> list[Json]:
            return [
                {
                    **row.model_dump(exclude={"envelope"}),
                    "size": size,
                    "signed": bool(row.envelope),
                }
                for row, size in session.exec(query)
            ]

        return await self._read(work)

    async def module(self, digest: str) -> bytes:
        """Return a module's bytes.

        :raises LabError: its file is gone or damaged.
        """

        def work() -> bytes:
            file = self._file(digest)
            try:
                content = file.read_bytes()
            except OSError as error:
                raise LabError(f"cannot read the module {file}: {error.strerror}") from error
            if hashlib.sha256(content).hexdigest() != digest:
                raise LabError(f"the module {file} is damaged", hint="remove it and deploy the app again")
            return content

        return await self._run(work)

    async def deployments(self) -> list[Deployment]:
        """Return what every device is to run."""
        return await self._read(lambda session: list(session.exec(select(Deployment))))

    async def save_deployment(self, device: str, name: str, package: str, previous: str | None) -> None:
        """Have a device run a package from now on.

        :param previous: the package it goes back to, should it give this one up.
        """
        row = Deployment(device=device, name=name, package=package, previous=previous, created=time.time())
        await self._write(lambda session: session.merge(row))

    async def delete_deployment(self, device: str, name: str) -> None:
        """Have a device no longer run an app."""

        def work(session: Session) -> None:
            session.exec(
                delete(Deployment).where(col(Deployment.device) == device, col(Deployment.name) == name)
            )

        await self._write(work)

    # -- rollouts

    async def add_rollout(self, rollout: Rollout, devices: Sequence[RolloutDevice]) -> int:
        """Keep a new rollout and its devices, all or nothing; return its number."""

        def work(session: Session) -> int:
            session.add(rollout)
            session.flush()
            assert rollout.id is not None
            for device in devices:
                device.rollout = rollout.id
                session.add(device)
            return rollout.id

        return await self._write(work)

    async def save_rollout(self, id: int, **columns: Any) -> None:
        """Write what has changed of a rollout."""
        query = update(Rollout).where(col(Rollout.id) == id).values(columns)
        await self._write(lambda session: session.connection().execute(query))

    async def save_rollout_devices(self, id: int, devices: Sequence[str], **columns: Any) -> None:
        """Write what has changed of some of a rollout's devices."""
        query = update(RolloutDevice).where(
            col(RolloutDevice.rollout) == id, col(RolloutDevice.device).in_(devices)
        )
        await self._write(lambda session: session.connection().execute(query.values(columns)))

    async def rollouts(self) -> list[Rollout]:
        """Return every rollout, the newest first."""
        query = select(Rollout).order_by(col(Rollout.id).desc())
        return await self._read(lambda session: list(session.exec(query)))

    async def rollout(self, id: int) -> Rollout | None:
        """Return a rollout."""
        return await self._read(lambda session: session.get(Rollout, id))

    async def rollout_counts(self) -> dict[int, dict[str, int]]:
        """Return how many devices of each rollout are in which state."""
        query = select(RolloutDevice.rollout, RolloutDevice.state, func.count()).group_by(
            col(RolloutDevice.rollout), col(RolloutDevice.state)
        )

        def work(session: Session) -> dict[int, dict[str, int]]:
            counts: dict[int, dict[str, int]] = {}
            for rollout, state, count in session.exec(query):
                counts.setdefault(rollout, {})[state] = count
            return counts

        return await self._read(work)

    async def rollout_app_counts(self, rollout: Rollout) -> dict[str, dict[str, int]]:
        """Return what the app has said on each arm's devices since its trial: events, and logs by level."""
        level = col(Event.data)["level"].as_string()
        query = (
            select(RolloutDevice.arm, Event.kind, level, func.count())
            .join(Event, col(Event.device) == RolloutDevice.device)
            .where(RolloutDevice.rollout == rollout.id, Event.app == rollout.app)
            .where(col(Event.time) >= RolloutDevice.trial, col(Event.kind).in_(("app.log", "app.event")))
            .group_by(RolloutDevice.arm, Event.kind, level)
        )

        def work(session: Session) -> dict[str, dict[str, int]]:
            counts: dict[str, dict[str, int]] = {}
            for arm, kind, found, count in session.execute(query):
                counts.setdefault(arm, {})[kind if found is None else f"{kind}.{found}"] = count
            return counts

        return await self._read(work)

    async def rollout_devices(self, id: int) -> list[RolloutDevice]:
        """Return the devices of a rollout, in their order."""
        query = select(RolloutDevice).where(RolloutDevice.rollout == id).order_by(col(RolloutDevice.position))
        return await self._read(lambda session: list(session.exec(query)))

    # -- the audit log

    async def add_audit(self, row: Audit) -> int:
        """Add a row to the audit log; return its number."""

        def work(session: Session) -> int:
            session.add(row)
            session.flush()
            assert row.id is not None
            return row.id

        return await self._write(work)

    async def audit(
        self, match: Mapping[str, str], *, limit: int, before: int | None = None, since: int | None = None
    ) -> list[Audit]:
        """Return rows of the audit log: the newest ones, or those after the row `since`, oldest first.

        :param match: columns and the values they are to have.
        :param before: only rows before this one.
        """
        query = select(Audit).limit(limit).filter_by(**match)
        if before is not None:
            query = query.where(col(Audit.id) < before)
        if since is None:
            query = query.order_by(col(Audit.id).desc())
        else:
            query = query.where(col(Audit.id) > since).order_by(col(Audit.id))
        return await self._read(lambda session: list(session.exec(query)))

    # -- events

    async def append(self, events: Sequence[Row]) -> None:
        """Keep events, columns of `Event`, and drop the oldest beyond the retention."""

        def work(session: Session) -> None:
            session.connection().execute(insert(Event), events)
            oldest = events[-1]["sequence"] - self._retention
            session.exec(delete(Event).where(col(Event.sequence) <= oldest))

        await self._write(work)

    async def events(self, since: int, limit: int) -> list[Event]:
        """Return at most `limit` events after the sequence number `since`, oldest first."""
        query = select(Event).where(Event.sequence > since).order_by(col(Event.sequence)).limit(limit)
        return await self._read(lambda session: list(session.exec(query)))

    async def find_events(
        self,
        *,
        limit: int,
        before: int | None = None,
        kinds: Sequence[str] = (),
        without: Sequence[str] = (),
        device: str | None = None,
        fields: Mapping[str, Sequence[str]] | None = None,
        text: str = "",
    ) -> list[Event]:
        """Return the newest events that match, newest first.

        :param before: only those with a lower sequence number.
        :param kinds: any of these.
        :param without: none of these.
        :param fields: per key of an event's data the values that are wanted.
        :param text: found anywhere in its data.
        """
        query = select(Event).order_by(col(Event.sequence).desc()).limit(limit)
        if before is not None:
            query = query.where(Event.sequence < before)
        if kinds:
            query = query.where(col(Event.kind).in_(kinds))
        if without:
            query = query.where(col(Event.kind).not_in(without))
        if device is not None:
            query = query.where(Event.device == device)
        for key, values in (fields or {}).items():
            query = query.where(col(Event.data)[key].as_string().in_(values))
        if text:
            query = query.where(cast(col(Event.data), String).contains(text, autoescape=True))
        return await self._read(lambda session: list(session.exec(query)))

    async def last_sequence(self) -> int:
        """Return the highest sequence number kept, or 0."""
        return await self._read(
            lambda session: session.exec(select(func.coalesce(func.max(Event.sequence), 0))).one()
        )

    # -- settings

    async def setting(self, key: str, default: Any) -> Any:
        """Return a choice of the user's, or `default`."""
        row = await self._read(lambda session: session.get(Setting, key))
        return default if row is None else row.value

    async def save_setting(self, key: str, value: Any) -> None:
        """Remember a choice (JSON) of the user's."""
        await self._write(lambda session: session.merge(Setting(key=key, value=value)))

    # -- secrets

    async def secrets(self) -> list[Secret]:
        """Return every sealed secret, by name."""
        query = select(Secret).order_by(col(Secret.name))
        return await self._read(lambda session: list(session.exec(query)))

    async def secret(self, name: str) -> Secret | None:
        """Return a sealed secret."""
        return await self._read(lambda session: session.get(Secret, name))

    async def save_secret(self, row: Secret) -> None:
        """Keep a sealed secret, in place of the one of that name."""
        await self._write(lambda session: session.merge(row))

    async def delete_secret(self, name: str) -> bool:
        """Drop a secret; tell whether there was one."""
        query = delete(Secret).where(col(Secret.name) == name)
        return bool(await self._write(lambda session: session.connection().execute(query).rowcount))

    # -- files

    def _file(self, digest: str) -> Path:
        return self._modules / f"{digest}.wasm"

    def _keep(self, digest: str, content: bytes) -> None:
        """Write a module's file, whole or not at all, and such that it outlives a power cut."""
        self._modules.mkdir(parents=True, exist_ok=True)
        file = self._file(digest)
        temporary = file.with_suffix(".new")
        with temporary.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(file)

    # -- the worker

    async def _run(self, work: Callable[[], T]) -> T:
        def translated() -> T:
            try:
                return work()
            except SQLAlchemyError as error:
                raise LabError(
                    f"the lab's database failed: {error}",
                    hint=f"it is {make_url(self._url).render_as_string(hide_password=True)}",
                ) from error

        # Shielded: the worker finishes what it began, whether or not its caller still waits.
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._worker, translated))

    async def _read(self, work: Callable[[Session], T]) -> T:
        def job() -> T:
            with Session(self._engine, expire_on_commit=False) as session:
                return work(session)

        return await self._run(job)

    async def _write(self, work: Callable[[Session], T]) -> T:
        def job() -> T:
            with Session(self._engine, expire_on_commit=False) as session, session.begin():
                return work(session)

        return await self._run(job)

    def _open(self) -> None:
        try:
            self._engine = create_engine(self._url, hide_parameters=True)  # what failed may be a secret
        except ArgumentError as error:
            raise UsageError(
                "database.url in the lab's folder holds no SQLAlchemy URL",
                hint="such as postgresql+psycopg://USER@HOST/DATABASE; without the file it is SQLite",
            ) from error
        except ImportError as error:
            raise MissingError(
                f"the driver of the lab's database is not here: {error}",
                hint="pip install 'wasm-mcu-lab[postgresql]'",
            ) from error
        if self._engine.dialect.name == "sqlite":
            event.listen(self._engine, "connect", _set_up_sqlite)
        with self._engine.connect() as connection:
            _migrate(connection)


def _drop_versions(session: Session, name: str) -> list[str]:
    """Drop what is too old of an app; return the digests of modules that nothing needs any more."""
    rows = session.exec(
        select(tables.Package.id, tables.Package.digest)
        .where(tables.Package.name == name)
        .order_by(col(tables.Package.created).desc(), col(tables.Package.sequence).desc())
        .offset(KEPT_VERSIONS)
    ).all()
    if not rows:
        return []
    named: set[str | None] = set()
    for column in (
        Deployment.package,
        Deployment.previous,
        Rollout.package,
        Rollout.other,
        RolloutDevice.previous,
    ):
        named |= set(session.exec(select(column).distinct()))
    old = {id: digest for id, digest in rows if id not in named}
    session.exec(delete(tables.Package).where(col(tables.Package.id).in_(old)))
    kept = session.exec(select(tables.Package.digest).where(col(tables.Package.digest).in_(old.values())))
    unused = set(old.values()) - set(kept)
    session.exec(delete(Module).where(col(Module.digest).in_(unused)))
    return sorted(unused)


def _set_up_sqlite(connection: Any, _record: Any) -> None:
    # A commit in WAL survives SIGKILL without a sync; a sync a commit would only guard against a power cut.
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "busy_timeout=5000"):
        connection.execute(f"PRAGMA {pragma}")


def _migrate(connection: Connection) -> None:
    """Bring the tables up to date. Alembic takes a quarter of a second to import: only if there is work."""
    known = sorted(file.stem for file in (_MIGRATIONS / "versions").glob("[0-9]*.py"))
    found = None
    if inspect(connection).has_table("alembic_version"):
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    if found == known[-1]:
        return
    if found is not None and found not in known:
        raise LabError(
            f"the lab's database is of a newer version ({found}) than this lab ({known[-1]})",
            hint="update the lab, or use another LAB_HOME",
        )
    connection.rollback()
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    connection.commit()
