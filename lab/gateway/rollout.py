"""Rollouts: one package to many devices, in batches, as far as it goes well.

    pending ──▶ transferring ──▶ trial ──▶ confirmed
                     │             ├─────▶ rolled-back (the device runs the version before it)
                     └─────────────┴─────▶ failed

What a device's state is, the device has said, except for *transferring*, which is written before the first
byte is sent. Every change is in the database before the next step is taken: a gateway that is killed goes on
where it was, asking each device what has become of it meanwhile. A device that is away keeps its place and
gets its turn when it is back; the others do not wait for it.

A rollout in which more fail than may is *paused*; if none is left that it could spare, it has *failed*.
"""

from __future__ import annotations

import asyncio
import hashlib
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from lab.audit import GATEWAY, Audit
from lab.errors import LabError, NotFoundError, UsageError
from lab.events import Events
from lab.gateway import selector as selectors
from lab.gateway.deploy import RolledBackError, wanted
from lab.gateway.gateway import Gateway
from lab.gateway.registry import DeviceInfo, DeviceState, Verdict
from lab.gateway.session import SessionEndedError
from lab.packages import Package
from lab.store import Store
from lab.store.tables import Rollout, RolloutDevice
from lab.wire import messages as m

log = structlog.get_logger()

Json = dict[str, Any]

PENDING, TRANSFERRING, TRIAL = "pending", "transferring", "trial"
CONFIRMED, ROLLED_BACK, FAILED, ABORTED = "confirmed", "rolled-back", "failed", "aborted"
_UNDER_WAY = (TRANSFERRING, TRIAL)
_OPEN = (PENDING, *_UNDER_WAY)
_FAILURES = (ROLLED_BACK, FAILED)
RUNNING, PAUSED, DONE = "running", "paused", "done"

_TRANSFER_SECONDS = 300.0
_TRIAL_GRACE = 30.0  # s beyond a trial's own time in which the device says how it went


@dataclass(frozen=True, slots=True)
class Plan:
    """How a rollout goes about it.

    :param devices: their ids; or
    :param selector: a label selector (`lab.gateway.selector`); without either, all devices.
    :param batch: how many at a time.
    :param pause: seconds between batches.
    :param max_failures: how many may fail; one more pauses the rollout.
    :param canary: how many go first; unless all of these are confirmed, the rollout pauses.
    :param split: how many percent of the devices get the other package.
    :param rollback_of: the rollout that this one takes back.
    """

    devices: Sequence[str] = ()
    selector: str = ""
    batch: int = 10
    pause: float = 0.0
    max_failures: int = 0
    canary: int = 0
    split: int = 50
    rollback_of: int | None = None


@dataclass(slots=True)
class _Run:
    """A rollout that is not over: its rows as in the database, and what only lives while the process does."""

    row: Rollout
    devices: dict[str, RolloutDevice]
    arms: dict[str, Package]
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    sent: dict[str, tuple[int, int]] = field(default_factory=dict)
    task: asyncio.Task[None] | None = None

    @property
    def id(self) -> int:
        assert self.row.id is not None
        return self.row.id

    def states(self, states: Iterable[str]) -> list[RolloutDevice]:
        return [device for device in self.devices.values() if device.state in states]


class Rollouts:
    """Every rollout of one lab.

    :param gateway: what sends packages, and hears of devices.
    :param audit: where it is written down what a rollout does by itself.
    """

    def __init__(self, gateway: Gateway, store: Store, events: Events, audit: Audit) -> None:
        self._gateway = gateway
        self._store = store
        self._events = events
        self._audit = audit
        self._runs: dict[int, _Run] = {}
        self._watcher: asyncio.Task[None] | None = None
        self._beginning = asyncio.Lock()  # between the check for another of the app and being one

    async def start(self) -> None:
        """Go on with what was not over when the last process ended."""
        self._watcher = asyncio.create_task(self._watch(self._events.last))
        for row in reversed(await self._store.rollouts()):
            if row.ended is None:
                await self._load(row)

    async def stop(self) -> None:
        """Leave off; `start` goes on, in this process or another."""
        tasks = [run.task for run in self._runs.values() if run.task is not None]
        if self._watcher is not None:
            tasks.append(self._watcher)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._runs.clear()

    # -- what people do

    async def begin(self, plan: Plan, package: str, other: str | None = None, *, by: str = "") -> Json:
        """Start a rollout; return its description.

        :param package: the id of a kept package.
        :param other: that of arm B, for `plan.split` percent of the devices.
        :param by: who asked for it.
        :raises UsageError: the plan cannot be, picks no device, or has devices that would refuse the package.
        """
        arms = {"a": await self._store.package(package)}
        if other is not None:
            arms["b"] = await self._store.package(other)
        async with self._beginning:
            self._check(plan, arms)
            row, devices = self._drawn_up(plan, arms, by)
            id = await self._store.add_rollout(row, devices)
            self._tell(row, "started", devices=len(devices))
            await self._load(row)
        return await self.show(id)

    async def pause(self, id: int, reason: str = "paused by hand") -> Json:
        """Begin with no further device; those under way are seen to their end."""
        run = self._open(id)
        if run.row.state == RUNNING:
            await self._set(run, PAUSED, reason)
        return await self.show(id)

    async def resume(self, id: int) -> Json:
        """Go on; what has failed so far is forgiven: it takes more failures than that to pause again."""
        run = self._open(id)
        if run.row.state == PAUSED:
            run.row.forgiven = len(run.states(_FAILURES))
            await self._store.save_rollout(id, forgiven=run.row.forgiven)
            await self._set(run, RUNNING, "")
            self._go(run)
        return await self.show(id)

    async def abort(self, id: int) -> Json:
        """End it: who has not had a turn, or is away, keeps what it runs; the rest is seen to its end."""
        run = self._open(id)
        await self._set(run, ABORTED, "aborted by hand")
        for device in run.states(_OPEN):
            if device.state == PENDING or not self._is_here(device.device):
                await self._move(run, device, ABORTED)
                if self._is_known(device.device):
                    await self._gateway.give_up(device.device, run.row.app, run.arms[device.arm].id)
        self._go(run)
        return await self.show(id)

    # -- what is there

    async def rollouts(self) -> list[Json]:
        """Describe every rollout, the newest first, each with the number of devices in every state."""
        counts = await self._store.rollout_counts()
        rows = await self._store.rollouts()
        return [_describe(row, counts.get(row.id or 0, {})) for row in rows]

    async def show(self, id: int) -> Json:
        """Describe a rollout and each of its devices.

        :raises NotFoundError: there is none of that number.
        """
        row = await self._store.rollout(id)
        if row is None:
            raise NotFoundError(f"there is no rollout {id}", hint="see which there are: lab rollout list")
        run = self._runs.get(id)
        devices = await self._store.rollout_devices(id)
        counts: dict[str, int] = {}
        for device in devices:
            counts[device.state] = counts.get(device.state, 0) + 1
        return {
            **_describe(row, counts),
            "arms": await self._arms(row, devices),
            "devices": [self._describe_device(device, run) for device in devices],
        }

    async def over(self, id: int, progress: Callable[[Json], None]) -> Json:
        """Return a rollout's description once it is over, or has paused; `progress` is told on the way."""
        while True:
            since = self._events.last
            found = await self.show(id)
            if found["state"] != RUNNING:
                return found
            progress({"counts": found["counts"], "total": found["total"]})
            async for event in self._events.subscribe(since):
                if event.kind.startswith("rollout.") and event.data["rollout"] == id:
                    break

    def _describe_device(self, row: RolloutDevice, run: _Run | None) -> Json:
        sent, total = run.sent.get(row.device, (0, 0)) if run else (0, 0)
        percent = round(100 * sent / total) if total and row.state == TRANSFERRING else None
        return {**row.model_dump(exclude={"rollout", "position"}), "percent": percent}

    async def _arms(self, row: Rollout, devices: Sequence[RolloutDevice]) -> dict[str, Json]:
        """Return figures of each arm, to be compared."""
        arms: dict[str, Json] = {}
        counted = await self._store.rollout_app_counts(row) if row.other else {}
        for arm, package in (("a", row.package), ("b", row.other)):
            if package is None:
                continue
            members = [device for device in devices if device.arm == arm]
            ended = [device for device in members if device.state in (CONFIRMED, *_FAILURES)]
            good = [device for device in ended if device.state == CONFIRMED]
            seconds = [each.ended - each.started for each in good if each.ended and each.started]
            memory = [status.memory for each in good if (status := self._told(each.device, row.app))]
            arms[arm] = {
                "package": package,
                "devices": len(members),
                "confirmed": len(good),
                "failed": len(ended) - len(good),
                "success": len(good) / len(ended) if ended else None,
                "seconds": statistics.median(seconds) if seconds else None,
                "memory": statistics.median(memory) if memory else None,
                "events": counted.get(arm, {}),
            }
        return arms

    # -- behind it

    def _check(self, plan: Plan, arms: dict[str, Package]) -> None:
        for what, value, low, high in (
            ("a batch", plan.batch, 1, 10_000),
            ("a pause", plan.pause, 0, 7 * 86_400),
            ("a maximum of failures", plan.max_failures, 0, 1_000_000),
            ("a canary", plan.canary, 0, 10_000),
            ("a split", plan.split, 0, 100),
        ):
            if not low <= value <= high:
                raise UsageError(f"{what} of {value:g} cannot be", hint=f"{low} to {high} are allowed")
        if len({package.name for package in arms.values()}) > 1:
            raise UsageError("both arms of a rollout have to be versions of one app")
        if plan.devices and plan.selector:
            raise UsageError("a rollout goes to devices by id or by selector, not by both")
        for run in self._runs.values():
            if run.row.app == arms["a"].name and run.row.state in (RUNNING, PAUSED):
                raise UsageError(
                    f"rollout {run.id} of {run.row.app} is not over",
                    hint=f"see it: lab rollout status {run.id}; end it: lab rollout abort {run.id}",
                )

    def _drawn_up(self, plan: Plan, arms: dict[str, Package], by: str) -> tuple[Rollout, list[RolloutDevice]]:
        targets = self._targets(plan)
        package, other = arms["a"], arms.get("b")
        split = plan.split if other else 0
        arm_of = _split([info.id for info in targets], split, package.id)
        for info in targets:
            self._check_sequence(info, arms[arm_of[info.id]])
        row = Rollout(
            app=package.name,
            package=package.id,
            other=other.id if other else None,
            split=split,
            target=",".join(plan.devices) or plan.selector or "all",
            batch=plan.batch,
            pause=plan.pause,
            max_failures=plan.max_failures,
            canary=plan.canary,
            state=RUNNING,
            rollback_of=plan.rollback_of,
            created=time.time(),
            created_by=by,
        )
        devices = [
            RolloutDevice(
                rollout=0,
                device=info.id,
                position=position,
                arm=arm_of[info.id],
                state=PENDING,
                previous=self._gateway.desired(info.id, package.name),
            )
            for position, info in enumerate(targets)
        ]
        return row, devices

    def _targets(self, plan: Plan) -> list[DeviceInfo]:
        if plan.devices:
            return [self._gateway.device(id) for id in dict.fromkeys(plan.devices)]
        terms = selectors.parse(plan.selector) if plan.selector else ()
        found = [
            info
            for info in self._gateway.devices()
            if info.paired and all(term.matches(info.labels) for term in terms)
        ]
        if not found:
            which = f"no device matches {plan.selector}" if plan.selector else "there is no device"
            raise UsageError(which, hint="see which there are, with their labels: lab ps --json")
        return sorted(found, key=lambda info: info.id)

    def _check_sequence(self, info: DeviceInfo, package: Package) -> None:
        status = self._gateway.told(info.id, package.name)
        if status is None or not package.sequence:
            return
        if status.sequence > package.sequence:
            raise UsageError(
                f"{info.id} has {package.name} of sequence number {status.sequence} and takes none below it; "
                f"this one has {package.sequence}",
                hint="who holds the key can sign the older version anew: lab rollout rollback",
            )

    async def _load(self, row: Rollout) -> None:
        assert row.id is not None
        devices = {device.device: device for device in await self._store.rollout_devices(row.id)}
        arms = {"a": await self._store.package(row.package)}
        if row.other is not None:
            arms["b"] = await self._store.package(row.other)
        run = self._runs[row.id] = _Run(row, devices, arms)
        self._go(run)

    def _open(self, id: int) -> _Run:
        run = self._runs.get(id)
        if run is None:
            raise UsageError(
                f"there is no rollout {id} under way", hint="see which there are: lab rollout list"
            )
        return run

    def _go(self, run: _Run) -> None:
        run.changed.set()
        if run.task is None or run.task.done():
            run.task = asyncio.create_task(self._run(run))

    async def _run(self, run: _Run) -> None:
        """Take a rollout on, batch by batch, until nothing is left to do."""
        try:
            while True:
                run.changed.clear()
                if not run.states(_OPEN if run.row.state == RUNNING else _UNDER_WAY):
                    break
                batch = await self._next(run)
                if not batch:
                    await run.changed.wait()
                    continue
                await asyncio.gather(*(self._update(run, device) for device in batch))
                await self._judge(run)
                if run.row.state == RUNNING and run.row.pause and run.states([PENDING]):
                    await self._rest(run)
            if run.row.state != PAUSED:
                await self._finish(run)
        except Exception as error:
            # Whatever it was, the database says how far this came, and `resume` goes on from there.
            log.exception("a rollout stopped", rollout=run.id)
            await self._set(run, PAUSED, f"the gateway failed: {error}", by=GATEWAY)

    async def _next(self, run: _Run) -> list[RolloutDevice]:
        """Choose the devices of the next batch, of those present: who is under way, then canaries."""
        here = []
        for device in run.states(_OPEN):
            if self._is_here(device.device):
                here.append(device)
            elif not self._is_known(device.device):
                await self._move(run, device, FAILED, "the device was forgotten")
                run.changed.set()
        under_way = [device for device in here if device.state in _UNDER_WAY]
        if under_way or run.row.state != RUNNING:
            return under_way
        canaries = [device for device in run.devices.values() if device.canary]
        pending = [device for device in here if device.state == PENDING]
        if len(canaries) < min(run.row.canary, len(run.devices)):
            chosen = pending[: run.row.canary - len(canaries)]
            for device in chosen:
                device.canary = True
            await self._store.save_rollout_devices(run.id, [each.device for each in chosen], canary=True)
            return chosen
        if any(device.state in _OPEN for device in canaries):
            return [device for device in pending if device.canary][: run.row.batch]
        return pending[: run.row.batch]

    def _is_known(self, device: str) -> bool:
        try:
            self._gateway.device(device)
        except NotFoundError:
            return False
        return True

    def _is_here(self, device: str) -> bool:
        return self._is_known(device) and self._gateway.device(device).state is DeviceState.CONNECTED

    async def _update(self, run: _Run, device: RolloutDevice) -> None:
        """Take one device as far as it goes in this session."""
        id, package = device.device, run.arms[device.arm]
        try:
            verdict = wanted(package).verdict(self._gateway.told(id, package.name))
            # Before the first byte, what a device says of this package is about an earlier attempt.
            if device.state == PENDING and verdict in (Verdict.FAILED, Verdict.ROLLED_BACK):
                verdict = None
            if verdict is None:
                await self._move(run, device, TRANSFERRING)
                async with asyncio.timeout(_TRANSFER_SECONDS):
                    await self._gateway.send(id, package, lambda *sent: run.sent.update({id: sent}))
            if verdict in (None, Verdict.TRIAL):
                await self._move(run, device, TRIAL)
            async with asyncio.timeout(package.trial + _TRIAL_GRACE):
                await self._gateway.judged(id, package)
            await self._move(run, device, CONFIRMED)
        except SessionEndedError:
            return  # it has its place still, and goes on from here when it is back
        except RolledBackError:
            status = self._gateway.told(id, package.name)
            await self._move(run, device, ROLLED_BACK, status.reason if status else "")
        except TimeoutError:
            seconds = _TRANSFER_SECONDS if device.state == TRANSFERRING else package.trial + _TRIAL_GRACE
            await self._move(run, device, FAILED, f"no word of it within {seconds:g} s ({device.state})")
        except LabError as error:
            if self._is_here(id):
                await self._move(run, device, FAILED, error.message)
        finally:
            run.sent.pop(id, None)

    async def _judge(self, run: _Run) -> None:
        """Pause a rollout in which too much has failed."""
        if run.row.state == RUNNING and run.states(_OPEN) and (reason := _too_much(run)):
            await self._set(run, PAUSED, reason, by=GATEWAY)

    async def _rest(self, run: _Run) -> None:
        """Wait between batches, unless the rollout is paused or aborted meanwhile."""
        ends = time.monotonic() + run.row.pause
        while run.row.state == RUNNING and (left := ends - time.monotonic()) > 0:
            run.changed.clear()
            try:
                async with asyncio.timeout(left):
                    await run.changed.wait()
            except TimeoutError:
                return

    async def _finish(self, run: _Run) -> None:
        run.row.ended = time.time()
        if run.row.state == RUNNING:
            reason = _too_much(run)
            await self._set(run, FAILED if reason else DONE, reason, by=GATEWAY, ended=run.row.ended)
        else:
            await self._store.save_rollout(run.id, ended=run.row.ended)
            self._tell(run.row, "ended")
        self._runs.pop(run.id, None)

    async def _set(self, run: _Run, state: str, reason: str, *, by: str = "", **columns: Any) -> None:
        """Write a rollout's next state, then take it. What people do to it is in the audit log already."""
        await self._store.save_rollout(run.id, state=state, reason=reason, **columns)
        if by:
            app = {"app": run.row.app}
            await self._audit.note(by, f"rollout_{state}", str(run.id), reason=reason, detail=app)
        resumed = run.row.state == PAUSED and state == RUNNING
        run.row.state, run.row.reason = state, reason
        run.changed.set()
        self._tell(run.row, "resumed" if resumed else state)

    async def _move(self, run: _Run, device: RolloutDevice, state: str, reason: str = "") -> None:
        """Write a device's next state, then take it."""
        now = time.time()
        columns: Json = {"state": state, "reason": reason}
        if state == TRANSFERRING and device.started is None:
            columns["started"] = now
        elif state == TRIAL:
            columns["trial"] = now
        elif state not in _OPEN:
            columns["ended"] = now
        await self._store.save_rollout_devices(run.id, [device.device], **columns)
        for name, value in columns.items():
            setattr(device, name, value)
        self._events.publish(
            "rollout.device",
            device.device,
            run.row.app,
            rollout=run.id,
            arm=device.arm,
            state=state,
            reason=reason,
        )

    def _tell(self, row: Rollout, what: str, **data: Any) -> None:
        self._events.publish(
            f"rollout.{what}", None, row.app, rollout=row.id, state=row.state, reason=row.reason, **data
        )

    def _told(self, device: str, app: str) -> m.AppStatus | None:
        try:
            return self._gateway.told(device, app)
        except NotFoundError:
            return None

    async def _watch(self, since: int) -> None:
        """Tell rollouts of devices that come, and of those that never will."""
        async for event in self._events.subscribe(since):
            if event.kind in ("device.connected", "device.forgotten"):
                for run in self._runs.values():
                    if event.device in run.devices:
                        run.changed.set()


def _too_much(run: _Run) -> str:
    """Return why a rollout is not to go on, nothing if it may."""
    failed = run.states(_FAILURES)
    allowed = run.row.max_failures + run.row.forgiven
    canary = next((device for device in failed if device.canary), None)
    if canary is not None and not run.row.forgiven:
        return f"the canary {canary.device} failed: {canary.reason}"
    return f"{len(failed)} devices failed, {allowed} may" if len(failed) > allowed else ""


def _describe(row: Rollout, counts: dict[str, int]) -> Json:
    return {**row.model_dump(), "counts": counts, "total": sum(counts.values())}


def _split(devices: Sequence[str], percent: int, salt: str) -> dict[str, str]:
    """Deal devices out to two arms: `percent` of them to b, chosen by nothing but their ids."""
    shuffled = sorted(devices, key=lambda id: hashlib.sha256(f"{salt} {id}".encode()).digest())
    others = set(shuffled[: round(len(shuffled) * percent / 100)])
    return {id: "b" if id in others else "a" for id in devices}
