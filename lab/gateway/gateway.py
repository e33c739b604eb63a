"""The TLS server and what it decides: who is taken in, what each device is to run, who is silent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import structlog

from lab.errors import DeviceError, LabError, LabTimeoutError, NotFoundError, UsageError
from lab.events import BACKLOG_LIMIT, Events
from lab.gateway.deploy import Progress, transfer, wanted, why_not
from lab.gateway.registry import (
    AppInfo,
    DeviceInfo,
    DeviceState,
    Record,
    Row,
    Verdict,
    Wanted,
    status_of,
)
from lab.gateway.selector import LABELS_LIMIT, check_labels
from lab.gateway.session import Phase, Session, SessionEndedError, refusal
from lab.gateway.tls import Connection
from lab.packages import Package, check_name
from lab.pki import Authority, check_device_id
from lab.store import Store
from lab.store.tables import Device as DeviceRow
from lab.wire import messages as m

log = structlog.get_logger()

_SILENCE = 2.5  # heartbeats without a sign of life (docs/protocol.md, section 3)
_SAVE_DELAY = 0.1  # s; reports are written together
_THROTTLE = 0.1  # s that a device is not read from while events pile up


@dataclass(frozen=True, slots=True)
class Config:
    """How a gateway behaves; times in seconds.

    :param host: the address it listens on.
    :param port: its port; 0 lets the kernel choose, once: a restarted gateway keeps it.
    :param heartbeat: the interval devices are told, unless `Gateway.set_heartbeat` chose another before.
    :param handshake_timeout: for TLS, for hello and for ready.
    :param request_timeout: for the answer to a short request.
    :param restore_timeout: for one app that a device gets back after it has connected.
    """

    host: str = "127.0.0.1"
    port: int = 0
    heartbeat: float = 30.0
    handshake_timeout: float = 30.0
    request_timeout: float = 10.0
    restore_timeout: float = 120.0


def _no_progress(_taken: int, _all: int) -> None:
    pass


class Gateway:
    """One lab's gateway; to be used on one event loop.

    A method that names a device raises `UsageError` if there is no such device. One that needs its answer
    raises `LabError` if it is not connected, `LabTimeoutError` if it does not answer, and `DeviceError`, in
    the device's own words, if it refuses.
    """

    def __init__(
        self, store: Store, events: Events, authority: Authority, config: Config | None = None
    ) -> None:
        self.events = events
        self.on_the_line: Callable[[str, str], AbstractContextManager[None]] = _unwatched
        """Surrounds each request to a device, told its id and the message's name: for who watches lines."""
        self._store = store
        self._authority = authority
        self._config = config or Config()
        self._heartbeat = self._config.heartbeat
        self._port = self._config.port
        self._clock_offsets: dict[str | None, float] = {}
        self._server: asyncio.Server | None = None
        self._records: dict[str, Record] = {}
        self._waiting: dict[str, Record] = {}
        self._sessions: set[Session] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._saver: asyncio.Task[None] | None = None
        self._taking_in = asyncio.Lock()
        self._unsaved: set[str] = set()
        self._pairing_ends = 0.0

    # -- life

    async def start(self) -> int:
        """Listen; return the port.

        :raises LabError: the address cannot be had.
        """
        self._heartbeat = float(await self._store.setting("heartbeat", self._heartbeat))
        await self._load()
        for record in self._records.values():
            if record.state is DeviceState.DISCONNECTED:
                self._listen_for(record)
        context = self._authority.server_context()

        def connection() -> Connection:
            return Connection(context, self._accept, self._refuse, self._config.handshake_timeout)

        try:
            self._server = await asyncio.get_running_loop().create_server(
                connection, self._config.host, self._port, backlog=1024
            )
        except OSError as error:
            raise LabError(
                f"the gateway cannot listen on {self._config.host}:{self._port}: {error.strerror or error}",
                hint="another program may use the port; port 0 takes a free one",
            ) from error
        self._port = self._server.sockets[0].getsockname()[1]
        log.info("gateway listens", host=self._config.host, port=self._port)
        return self._port

    async def stop(self, *, goodbye: bool = True) -> None:
        """Say goodbye to every device and write what is not written. `start` goes on where this ended.

        :param goodbye: if not, cut every connection without a word, as a gateway does that crashes.
        """
        if self._server is None:
            return
        self._server.close()
        for session in list(self._sessions):
            if goodbye:
                session.end("the gateway stops")
            else:
                session.cut("the gateway is down")
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for record in self._records.values():
            self._quiet(record)
        await self._save()
        self._server = None

    @property
    def address(self) -> tuple[str, int]:
        """Where devices connect."""
        return self._config.host, self._port

    @property
    def listening(self) -> bool:
        """Whether devices can connect."""
        return self._server is not None and self._server.is_serving()

    @property
    def sessions(self) -> int:
        """How many devices have a session now, waiting ones included."""
        return len(self._sessions)

    @property
    def heartbeat(self) -> float:
        """The interval devices are told, s."""
        return self._heartbeat

    async def set_heartbeat(self, seconds: float) -> None:
        """Choose another interval; connected devices are told now, the others when they come.

        :raises UsageError: less than 0.1 s, or more than a day.
        """
        if not 0.1 <= seconds <= 86400:
            raise UsageError(f"a heartbeat every {seconds:g} s cannot be", hint="0.1 to 86400 s are allowed")
        await self._store.save_setting("heartbeat", seconds)
        self._heartbeat = seconds
        for record in self._records.values():
            if record.session is not None and record.session.phase is Phase.CONNECTED:
                record.session.send(m.Configure(round(seconds * 1000)))
                self._listen_for(record)

    def set_clock(self, offset: float, device: str | None = None) -> None:
        """Tell devices a time that is `offset` seconds ahead of the host's; connected ones are told now.

        :param device: only this one; its offset and that of all add up.
        """
        self._clock_offsets[device] = offset
        for record in self._records.values():
            if record.session is not None and device in (None, record.row.id):
                record.session.send(m.HeartbeatAck(self.unix_ms(record.row.id)))

    def unix_ms(self, device: str) -> int:
        """Return the time as `device` is to be told it, by the protocol's clock."""
        offset = self._clock_offsets.get(None, 0.0) + self._clock_offsets.get(device, 0.0)
        return max(0, time.time_ns() // 1_000_000 + round(offset * 1000))

    # -- the registry

    def devices(self) -> list[DeviceInfo]:
        """Return every device that was taken in, then those that wait."""
        return [record.describe() for record in self._records.values()] + [
            record.describe(paired=False) for record in self._waiting.values()
        ]

    def device(self, id: str) -> DeviceInfo:
        """Return one device."""
        record = self._waiting.get(id)
        return record.describe(paired=False) if record else self._known(id).describe()

    async def register(self, id: str, board: str, engine: str) -> DeviceInfo:
        """Take in a device that the lab itself makes; it needs no pairing. Idempotent.

        :raises UsageError: `id` cannot be a device's id.
        """
        check_device_id(id)
        record = self._records.get(id)
        if record is None:
            return await self._take_in(id, board, engine)
        record.row.board, record.row.engine = board, engine
        await self._store.save_device(DeviceRow(**record.row.columns()))
        return record.describe()

    async def label(self, id: str, labels: Mapping[str, str], drop: Collection[str] = ()) -> dict[str, str]:
        """Give a device labels; return all it has.

        :param drop: names of labels to take away.
        :raises UsageError: one cannot be a label, or there are too many.
        """
        record = self._known(id)
        check_labels(labels)
        kept = {name: value for name, value in record.row.labels.items() if name not in drop}
        changed = {**kept, **labels}
        if len(changed) > LABELS_LIMIT:
            raise UsageError(f"{id} would have {len(changed)} labels; {LABELS_LIMIT} are allowed")
        record.row.labels = changed
        await self._store.save_device(DeviceRow(**record.row.columns()))
        self.events.publish("device.labelled", id, labels=changed)
        return changed

    async def forget(self, id: str) -> None:
        """Drop a device from the registry, with what it was to run; it has to pair again."""
        record = self._waiting.get(id) or self._known(id)
        await self._store.delete_device(id)
        self._records.pop(id, None)
        self._unsaved.discard(id)
        self._quiet(record)
        if record.session is not None:
            record.session.end("this device was forgotten")
        self.events.publish("device.forgotten", id, board=record.row.board)

    def cut_off(self, id: str, reason: str) -> None:
        """End the sessions of a device, if it has any: what it may no longer be, it may not finish either."""
        for session in [each for each in self._sessions if each.device == id]:
            session.end(reason)

    def open_pairing(self, seconds: float) -> None:
        """Take in every device that waits or comes within `seconds`; 0 ends it.

        :raises UsageError: a negative time.
        """
        if not seconds >= 0:
            raise UsageError(f"pairing cannot be open for {seconds:g} s")
        self._pairing_ends = time.monotonic() + seconds
        if seconds:
            for id in list(self._waiting):
                self._spawn(self._pair(id))

    @property
    def pairing(self) -> float:
        """For how many more seconds unknown devices are taken in."""
        return max(0.0, self._pairing_ends - time.monotonic())

    async def accept(self, id: str, engine: str = "serial") -> DeviceInfo:
        """Take in a device that waits.

        :raises UsageError: it does not wait.
        """
        waiting = self._waiting.get(id)
        if waiting is None:
            if id in self._records:
                return self._records[id].describe()
            raise NotFoundError(f"no device {id} waits to be accepted", hint="see who does: lab ps")
        return await self._take_in(id, waiting.row.board, engine)

    async def connected(self, id: str) -> DeviceInfo:
        """Return once a device is connected; the caller bounds the wait."""
        record = self._known(id)
        await record.online.wait()
        return record.describe()

    # -- apps

    async def deploy(
        self,
        id: str,
        package: Package,
        *,
        timeout: float = 60.0,
        confirmed: bool = False,
        progress: Progress = _no_progress,
    ) -> AppInfo:
        """Have a device run a package, and return when it says that it does, on trial or for good.

        A device that loses its connection meanwhile gets the rest when it is back. The app then belongs to
        the device: should it come back without it, it gets it again, until `stop_app`. A package that the
        device refused or gave up does not; the device keeps what it was to run before.

        :param timeout: seconds for all of it.
        :param confirmed: return only when the trial is over.
        :param progress: told the bytes the device has taken, and all there are.
        :raises UsageError: more than the device takes.
        """
        record = self._known(id)
        self._online(record)
        size, name = len(package.module), package.name
        if size > record.row.max_module:
            raise UsageError(
                f"{name} has {size} bytes; {id} takes modules of up to {record.row.max_module}",
                hint="optimise it for size (-Oz, wasm-opt), or use a board with more memory",
            )
        hoped = "is confirmed" if confirmed else "runs"
        try:
            async with asyncio.timeout(timeout):
                async with record.deploying:
                    status = await self._deploy(record, package, progress)
                if confirmed:
                    status = await self._judged(record, wanted(package), name)
                return AppInfo.of(status)
        except TimeoutError as error:
            raise LabTimeoutError(
                f"{id} did not say within {timeout:g} s that {name} {hoped}",
                hint=f"it gets {name} when it connects again; see what it says: lab console {id}",
            ) from error

    def told(self, id: str, name: str) -> m.AppStatus | None:
        """Return a device's last word on an app, none if it has not got it."""
        return self._known(id).apps.get(name)

    def desired(self, id: str, name: str) -> str | None:
        """Return the package that a device is to run as the app `name`."""
        target = self._known(id).desired.get(name)
        return target.package if target else None

    async def send(self, id: str, package: Package, progress: Progress = _no_progress) -> m.AppStatus:
        """Have a device run a package, within its present session; return its word, that of a trial too.

        :raises SessionEndedError: the session ended. The device gets the rest when it is back.
        """
        record = self._known(id)
        async with record.deploying:
            session = self._online(record)
            await self._store.save_package(package)
            target = await self._want(record, package)
            status = record.apps.get(package.name)
            if status and target.verdict(status) in (Verdict.TRIAL, Verdict.CONFIRMED):
                return status  # it got it while this waited for its turn
            return await self._transfer(record, session, package, target, progress)

    async def judged(self, id: str, package: Package) -> m.AppStatus:
        """Return a device's word on a package once its trial is over; the caller bounds the wait.

        :raises DeviceError: it was given up, or has failed.
        :raises SessionEndedError: the device has left before that.
        """
        record = self._known(id)
        return await self._judged(record, wanted(package), package.name, here=True)

    async def give_up(self, id: str, name: str, package: str) -> None:
        """Have a device run again what it was to run before a package, if that is what it is to run."""
        await self._give_up(self._known(id), name, package)

    async def want(self, id: str, package: Package) -> None:
        """Have a device run a package from now on: it is sent it now, or when it is back.

        What becomes of it is told by the events `app.state` and `app.not-restored`.
        """
        record = self._known(id)
        await self._store.save_package(package)
        await self._want(record, package)
        if record.session is not None and record.state is DeviceState.CONNECTED:
            self._spawn(self._reconcile(record, record.session))

    async def stop_app(self, id: str, name: str) -> None:
        """Have a device end an app and free its memory; it will not get it back."""
        await self._end_app(id, m.Stop(check_name(name)))

    async def remove_app(self, id: str, name: str) -> None:
        """Have a device end an app and free its flash too; all that it keeps of it is the sequence number."""
        await self._end_app(id, m.Remove(check_name(name)))
        record = self._known(id)
        if name in record.apps:
            self._drop_app(record, name)
            self._later_save(record)

    async def _end_app(self, id: str, message: m.Stop | m.Remove) -> None:
        record = self._known(id)
        session = self._online(record)
        target = record.desired.pop(message.name, None)
        await self._store.delete_deployment(id, message.name)
        ack = await session.request(message, m.Ack, self._config.request_timeout)
        if ack.code is m.ResultCode.NO_SUCH_APP and target:
            return
        if ack.code is not m.ResultCode.DONE:
            raise refusal(id, f"to {type(message).__name__.lower()} {message.name}", ack.code, ack.text)

    async def call(
        self,
        id: str,
        app: str,
        function: str,
        arguments: Sequence[int | float] = (),
        *,
        timeout: float = 10.0,
    ) -> tuple[int | float, ...]:
        """Run a function that an app exports, on the device; return its results.

        :raises UsageError: arguments that the protocol cannot carry.
        """
        session = self._online(self._known(id))
        try:
            message = m.Call(app, function, tuple(arguments))
            m.encode(message)
        except m.BodyError as error:
            raise UsageError(f"{app}.{function} cannot be called like that: {error.message}") from error
        result = await session.request(message, m.CallResult, timeout)
        if result.code is not m.ResultCode.DONE:
            words = result.text or result.code.name.lower().replace("_", " ")
            raise DeviceError(f"{app}.{function} failed on {id}: {words}")
        return result.values

    async def command(self, id: str, app: str, payload: bytes, *, timeout: float = 10.0) -> bytes:
        """Give bytes to an app's ``on-command``, on the device; return what it answers, 256 bytes at most.

        :raises UsageError: more bytes than the protocol carries.
        """
        session = self._online(self._known(id))
        try:
            message = m.Command(app, payload)
            m.encode(message)
        except m.BodyError as error:
            raise UsageError(f"{app} cannot be given that: {error.message}") from error
        result = await session.request(message, m.CommandResult, timeout)
        if result.code is not m.ResultCode.DONE:
            raise refusal(id, f"{app}.on-command", result.code, result.text)
        return result.answer

    async def list_apps(self, id: str) -> list[AppInfo]:
        """Ask a device for its apps. `DeviceInfo.apps` is what it said last, without asking."""
        record = self._known(id)
        answer = await self._online(record).request(m.ListApps(), m.AppList, self._config.request_timeout)
        self._take_apps(record, answer.apps)
        return list(record.app_infos())

    async def reset(self, id: str) -> None:
        """Have a device restart; returns when it has said that it will."""
        session = self._online(self._known(id))
        ack = await session.request(m.Reset(), m.Ack, self._config.request_timeout)
        if ack.code is not m.ResultCode.DONE:
            raise refusal(id, "to restart", ack.code, ack.text)

    # -- what sessions tell (session.Owner)

    def on_hello(self, session: Session) -> None:
        """Welcome a known device; have an unknown one wait, unless pairing is open."""
        id, hello = session.device, session.hello
        record = self._records.get(id)
        older = record or self._waiting.get(id)
        if older is not None and older.session is not None:
            self.events.publish("device.replaced", id, address=older.session.address)
            replaced, older.session = older.session, None
            if older.state is DeviceState.CONNECTED:
                older.state = DeviceState.DISCONNECTED
            replaced.end("a newer connection of this device replaces this one")
        if record is None:
            record = Record(Row(id, hello.board, "serial", time.time()))
            record.state = DeviceState.WAITING
            self._waiting[id] = record
        record.session = session
        record.take(hello)
        if id in self._records:
            self._welcome(record)
        elif self.pairing:
            self._spawn(self._pair(id))
        else:
            session.wait("unknown to this lab; accept it, or open pairing")
            self.events.publish("device.waiting", id, board=hello.board, address=session.address)

    def on_ready(self, session: Session) -> None:
        """The device is connected: give it what it lacks."""
        record = self._records[session.device]
        hello = session.hello
        record.state = DeviceState.CONNECTED
        self.events.publish(
            "device.connected",
            session.device,
            boot_reason=record.row.boot_reason,
            boot_detail=hello.boot_detail,
            boots=hello.boots,
            uptime=hello.uptime,
            address=session.address,
        )
        if hello.development:
            log.warning("a development device: it runs unsigned apps, too", device=session.device)
        self._take_apps(record, hello.apps)
        self._listen_for(record)
        self._later_save(record)
        self._spawn(self._reconcile(record, session))

    def on_heard(self, session: Session) -> None:
        """Whatever it says, it lives."""
        record = self._records.get(session.device)
        if record is None or record.session is not session or session.phase is not Phase.CONNECTED:
            return
        record.row.last_seen = time.time()
        if record.state is DeviceState.UNREACHABLE:
            record.state = DeviceState.CONNECTED
            self.events.publish("device.connected", session.device, address=session.address, resumed=True)
            self._listen_for(record)

    def on_message(self, session: Session, message: m.Message) -> None:
        """Pass on what the device reports."""
        record = self._records.get(session.device)
        if record is None or record.session is not session:
            return
        id = session.device
        match message:
            case m.Heartbeat(uptime, memory_free, apps_running, frames_dropped):
                record.row.memory_free = memory_free
                self.events.publish(
                    "device.heartbeat",
                    id,
                    uptime=uptime,
                    memory_free=memory_free,
                    apps_running=apps_running,
                    frames_dropped=frames_dropped,
                )
            case m.AppStatusChanged(status):
                self._take_app(record, status)
                self._later_save(record)
            case m.AppUse(app, instructions, peak, budget):
                record.use[app] = message
                self.events.publish("app.use", id, app, instructions=instructions, peak=peak, budget=budget)
            case m.LogLine(uptime, level, app, text):
                kind = "app.log" if app else "device.log"
                self.events.publish(kind, id, app or None, uptime=uptime, level=level.name.lower(), text=text)
            case m.Event(uptime, app, topic, payload):
                self.events.publish(
                    "app.event", id, app, uptime=uptime, topic=topic, payload=payload.hex(), **_text(payload)
                )
        if self.events.backlog > BACKLOG_LIMIT:
            session.throttle(_THROTTLE)

    def exchange(self, session: Session, asked: str) -> AbstractContextManager[None]:
        """Let whoever watches the device's line watch this request."""
        return self.on_the_line(session.device, asked)

    def on_refused(self, session: Session, reason: str) -> None:
        """Say that somebody with a good certificate was refused all the same."""
        self.events.publish("gateway.refused", session.device, reason=reason, address=session.address)
        log.warning("device refused", device=session.device, reason=reason, address=session.address)

    def on_over(self, session: Session, reason: str) -> None:
        """Note that the device is gone, unless a newer session took over."""
        id = session.device
        self._sessions.discard(session)
        waiting = self._waiting.get(id)
        if waiting is not None and waiting.session is session:
            del self._waiting[id]
            self.events.publish("device.disconnected", id, reason=reason)
        record = self._records.get(id)
        if record is None or record.session is not session:
            return
        record.session = None
        if record.state is DeviceState.CONNECTED:
            record.state = DeviceState.DISCONNECTED
        record.note()
        self.events.publish("device.disconnected", id, reason=reason)
        self._later_save(record)

    # -- connections

    def _accept(self, connection: Connection) -> Session:
        device = self._authority.device_of(connection.certificate)
        session = Session(self, connection, device, self._config.handshake_timeout)
        self._sessions.add(session)
        return session

    def _refuse(self, address: str, reason: str) -> None:
        self.events.publish("gateway.refused", reason=reason, address=address)
        log.warning("client refused", reason=reason, address=address)

    def _welcome(self, record: Record) -> None:
        assert record.session is not None
        record.session.welcome(record.row.uuid.bytes, self._heartbeat)

    async def _pair(self, id: str) -> None:
        waiting = self._waiting.get(id)
        if waiting is not None:
            await self._take_in(id, waiting.row.board, "serial")

    async def _take_in(self, id: str, board: str, engine: str) -> DeviceInfo:
        """Make a device known: first to the store, then to everyone."""
        async with self._taking_in:
            if id in self._records:
                return self._records[id].describe()
            row = Row(id, board, engine, time.time())
            await self._store.save_device(DeviceRow(**row.columns()))
        record = self._records[id] = Record(row)
        self.events.publish("device.paired", id, board=board)
        waiting = self._waiting.pop(id, None)
        if waiting is not None and waiting.session is not None:
            record.session = waiting.session
            record.take(waiting.session.hello)
            self._welcome(record)
        return record.describe()

    # -- silence

    def _listen_for(self, record: Record) -> None:
        """Have a device's silence noticed, counting from now."""
        self._quiet(record)
        record.last_heard = time.monotonic()
        record.silence = asyncio.get_running_loop().call_later(
            self._heartbeat * _SILENCE, self._check_silence, record
        )

    def _quiet(self, record: Record) -> None:
        if record.silence is not None:
            record.silence.cancel()
            record.silence = None

    def _check_silence(self, record: Record) -> None:
        # The timer is not moved at every message; it looks, when due, whether there was one.
        if record.session is not None:
            record.last_heard = max(record.last_heard, record.session.heard)
        silent = time.monotonic() - record.last_heard
        left = self._heartbeat * _SILENCE - silent
        if left > 0:
            record.silence = asyncio.get_running_loop().call_later(left, self._check_silence, record)
            return
        record.silence = None
        record.state = DeviceState.UNREACHABLE
        self.events.publish("device.unreachable", record.row.id, silent=round(silent, 3))
        self._later_save(record)

    # -- apps

    def _take_apps(self, record: Record, apps: Sequence[m.AppStatus]) -> None:
        """Note all the apps a device has."""
        for name in set(record.apps) - {status.name for status in apps}:
            self._drop_app(record, name)
        for status in apps:
            if record.apps.get(status.name) != status:
                self._take_app(record, status)
        self._later_save(record)

    def _drop_app(self, record: Record, name: str) -> None:
        gone = record.apps.pop(name)
        record.use.pop(name, None)
        self.events.publish("app.state", record.row.id, name, state="absent", digest=gone.digest.hex())

    def _take_app(self, record: Record, status: m.AppStatus) -> None:
        known = record.apps.get(status.name)
        record.apps[status.name] = status
        if status.state is not m.AppState.RUNNING or known is None or known.digest != status.digest:
            record.use.pop(status.name, None)  # of a version that was loaded before
        facts = {key: value for key, value in AppInfo.of(status).describe().items() if value is not None}
        self.events.publish("app.state", record.row.id, facts.pop("name"), **facts)
        target = record.desired.get(status.name)
        # An app's status also repeats what was given up long ago, which is no news of a later attempt.
        news = known is None or known.rejected != status.rejected or (target and target.verdict(known))
        if target is not None and target.verdict(status) is Verdict.ROLLED_BACK and news:
            self._go_back(record, status.name, target.package)
            self._spawn(self._save_wanted(record, status.name))
        record.note()

    async def _deploy(self, record: Record, package: Package, progress: Progress) -> m.AppStatus:
        id, name = record.row.id, package.name
        await self._store.save_package(package)
        target = await self._want(record, package)
        while True:
            session = await self._until_online(record)
            try:
                return await self._transfer(record, session, package, target, progress)
            except SessionEndedError as error:
                log.info("deployment goes on when the device is back", device=id, app=name, reason=str(error))
            await self._until_online(record)
            status = record.apps.get(name)
            if status and target.verdict(status):
                return _running(id, target, status)

    async def _transfer(
        self, record: Record, session: Session, package: Package, target: Wanted, progress: Progress
    ) -> m.AppStatus:
        try:
            return await transfer(session, package, progress)
        except DeviceError:
            await self._give_up(record, package.name, target.package)
            raise

    async def _judged(self, record: Record, target: Wanted, name: str, *, here: bool = False) -> m.AppStatus:
        """Return a device's word on a package once its trial is over.

        :param here: give up waiting when its session ends.
        """
        while True:
            news = record.news
            status = record.apps.get(name)
            if status and target.verdict(status) not in (None, Verdict.TRIAL):
                return _running(record.row.id, target, status)
            if here and record.session is None:
                raise SessionEndedError(f"{record.row.id} has left during the trial of {name}")
            await news.wait()

    async def _want(self, record: Record, package: Package) -> Wanted:
        """Have a device run a package from now on."""
        before = record.desired.get(package.name)
        if before is not None and before.package == package.id:
            return before
        target = replace(wanted(package), previous=before and replace(before, previous=None))
        record.desired[package.name] = target
        await self._save_wanted(record, package.name)
        return target

    async def _give_up(self, record: Record, name: str, package: str) -> None:
        if self._go_back(record, name, package):
            await self._save_wanted(record, name)

    def _go_back(self, record: Record, name: str, package: str) -> bool:
        """Want of a device what was wanted before a package, if that is what is wanted now."""
        target = record.desired.get(name)
        if target is None or target.package != package:
            return False
        if target.previous is None:
            del record.desired[name]
        else:
            record.desired[name] = target.previous
        return True

    async def _save_wanted(self, record: Record, name: str) -> None:
        target = record.desired.get(name)
        if target is None:
            await self._store.delete_deployment(record.row.id, name)
        else:
            previous = target.previous.package if target.previous else None
            await self._store.save_deployment(record.row.id, name, target.package, previous)

    async def _reconcile(self, record: Record, session: Session) -> None:
        """Give a device that has just connected the apps it is to run and has not."""
        async with record.deploying:
            for name, target in list(record.desired.items()):
                if not target.lacked_by(record.apps.get(name)):
                    continue
                try:
                    async with asyncio.timeout(self._config.restore_timeout):
                        await transfer(session, await self._store.package(target.package), _no_progress)
                except SessionEndedError:
                    return
                except (LabError, TimeoutError) as error:
                    reason = str(error) or f"no word of it within {self._config.restore_timeout:g} s"
                    log.warning("app not restored", device=record.row.id, app=name, reason=reason)
                    self.events.publish("app.not-restored", record.row.id, name, reason=reason)

    # -- helpers

    def _known(self, id: str) -> Record:
        record = self._records.get(id)
        if record is None:
            what = "waits to be accepted" if id in self._waiting else "is not known"
            raise NotFoundError(f"the device {id} {what}", hint="see which there are: lab ps")
        return record

    def _online(self, record: Record) -> Session:
        if record.session is None or record.state is not DeviceState.CONNECTED:
            raise LabError(
                f"{record.row.id} is not connected: it is {record.state}",
                hint=f"see what it says: lab console {record.row.id}",
            )
        return record.session

    async def _until_online(self, record: Record) -> Session:
        while record.session is None or record.state is not DeviceState.CONNECTED:
            await record.online.wait()
        return record.session

    async def _load(self) -> None:
        if self._records:
            return
        for row in await self._store.devices():
            record = self._records[row.id] = Record(Row(**row.model_dump()))
            if record.state is DeviceState.CONNECTED:
                record.state = DeviceState.DISCONNECTED
        for app in await self._store.apps():
            self._records[app.device].apps[app.name] = status_of(app)
        kept = {
            package["id"]: Wanted(package["id"], bytes.fromhex(package["digest"]), package["sequence"])
            for package in await self._store.packages()
        }
        for deployment in await self._store.deployments():
            previous = kept[deployment.previous] if deployment.previous else None
            target = replace(kept[deployment.package], previous=previous)
            self._records[deployment.device].desired[deployment.name] = target

    def _later_save(self, record: Record) -> None:
        self._unsaved.add(record.row.id)
        if self._saver is None or self._saver.done():
            self._saver = self._spawn(self._save_soon())

    async def _save_soon(self) -> None:
        await asyncio.sleep(_SAVE_DELAY)
        await self._save()

    async def _save(self) -> None:
        while self._unsaved:
            records = [self._records[id] for id in self._unsaved if id in self._records]
            self._unsaved.clear()
            await self._store.save_reports(
                [record.row.columns() for record in records],
                [columns for record in records for columns in record.app_columns()],
            )

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._note_end)
        return task

    def _note_end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a task of the gateway failed", exc_info=task.exception())


def _running(device: str, target: Wanted, status: m.AppStatus) -> m.AppStatus:
    if failure := why_not(device, target, status):
        raise failure
    return status


def _text(payload: bytes) -> dict[str, str]:
    try:
        return {"text": payload.decode()}
    except UnicodeDecodeError:
        return {}


def _unwatched(_device: str, _asked: str) -> AbstractContextManager[None]:
    return nullcontext()
