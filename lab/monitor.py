"""Watches one lab: what is wrong now (alerts, told to webhooks), whether its parts work, how its load went.

It follows the stream of events; nothing here asks a device.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import http.client
import json
import resource
import shutil
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Literal
from urllib.parse import urlencode, urlsplit

import anyio
import structlog
from anyio import to_thread
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from pydantic import BaseModel, Field

from lab.errors import LabError, LabTimeoutError, NotFoundError, UsageError
from lab.events import BACKLOG_LIMIT, Event
from lab.lab import Lab
from lab.logs import REQUEST_ID, current_request

log = structlog.get_logger()

Json = dict[str, Any]
_Letter = tuple[str, bytes]  # a webhook's sealed secret, and what it is told

_SAMPLE_SECONDS = 5.0
_SAMPLES = 720  # an hour
_NODE_SECONDS = 5.0
_HEAR_SECONDS = 2.0  # for a node's answer when somebody waits for its log
_LINES = 500  # of a node's log at once
_WEBHOOKS = "webhooks"
_NODES = "nodes"
_HEARD = "node-logs"
_WEBHOOK_LIMIT = 16
_WAITING = 256  # messages to webhooks, and to one of them
_DELIVERY_TRIES = 3
_BACKOFF = 1.0  # s until the second try, twice that until the third
_REQUEST_SECONDS = 10.0
_ANSWER_LIMIT = 4 << 20
_LEAST_DISK = 64 << 20
_AMISS = ("crashed", "unreachable")  # states that no device is in by anybody's wish


_REFUSALS: dict[int, type[LabError]] = {404: NotFoundError, 422: UsageError, 504: LabTimeoutError}


class NodeLine(BaseModel):
    """A line of a node's log, as it tells it."""

    node: str = Field(max_length=64)
    number: int
    at: float
    level: Literal["debug", "info", "warning", "error"]
    source: str = Field(max_length=64)
    text: str
    request: str | None = Field(None, max_length=64)


class NodeLog(BaseModel):
    """What a node tells of its log; a number is one of its stream."""

    stream: str = Field(max_length=64)
    lines: list[NodeLine]


@dataclass(frozen=True, slots=True)
class Alert:
    """Something that wants attention until it is over.

    :param id: what it is about: a rule and what broke it.
    :param severity: ``critical`` or ``warning``.
    :param text: what happened, for people.
    :param since: Unix time, s.
    :param device: the device it is about, if it is about one.
    """

    id: str
    severity: str
    text: str
    since: float
    device: str | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """Whether a part of the lab works.

    :param detail: how one sees it, or what is wrong.
    :param vital: the lab is not ready without it.
    """

    name: str
    healthy: bool
    detail: str
    vital: bool = True


class Monitor:
    """Watches one lab while `run` runs."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._alerts: dict[str, Alert] = {}
        self._samples: deque[Json] = deque(maxlen=_SAMPLES)
        self._send, self._receive = anyio.create_memory_object_stream[Json](_WAITING)
        self._plugins: dict[str, list[Json]] = {}
        self._hearing = anyio.Lock()
        self._running = False
        self._sampled = anyio.Event()
        self.kinds: Counter[str] = Counter()
        """How many events of each kind there were since the start."""

    async def run(self) -> None:
        """Watch until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._sample)
            tasks.start_soon(self._deliver)
            tasks.start_soon(self._watch_nodes)
            self._running = True
            try:
                async for event in self._lab.events.subscribe(self._lab.events.last):
                    self.kinds[event.kind] += 1
                    self._judge(event)
            finally:
                self._running = False

    # -- alerts

    def alerts(self) -> list[Alert]:
        """Return the alerts that stand, newest first."""
        return sorted(self._alerts.values(), key=lambda alert: -alert.since)

    def dismiss(self, id: str) -> None:
        """Clear an alert that has been seen to.

        :raises NotFoundError: it does not stand.
        """
        if id not in self._alerts:
            raise NotFoundError(f"there is no alert {id!r}", hint="it may have cleared by itself")
        self._clear(id)

    def _judge(self, event: Event) -> None:
        device = event.device or ""
        match event.kind:
            case "device.exited" if not event.data["asked"]:
                self._raise(
                    f"device-offline:{device}",
                    "critical",
                    f"{device} ended by itself: {event.data['reason']}",
                    device,
                )
            case "device.unreachable" if self._has_power(device):
                silent = event.data["silent"]
                self._raise(
                    f"device-offline:{device}",
                    "critical",
                    f"{device} has been silent for {silent:g} s",
                    device,
                )
            case "device.connected":
                self._clear(f"device-offline:{device}")
            case "device.exited":
                self._clear(f"device-offline:{device}")
            case "device.forgotten":
                for id in [id for id, alert in self._alerts.items() if alert.device == device]:
                    self._clear(id)
            case "app.state":
                id = f"app-failed:{device}/{event.app}"
                if event.data["state"] == "failed":
                    reason = event.data.get("reason") or "it does not say why"
                    self._raise(id, "warning", f"{event.app} failed on {device}: {reason}", device)
                else:
                    self._clear(id)
            case "app.not-restored":
                self._raise(
                    f"app-failed:{device}/{event.app}",
                    "warning",
                    f"{device} came back without {event.app}: {event.data['reason']}",
                    device,
                )
            case "rollout.paused" | "rollout.failed" if event.data["reason"] != "paused by hand":
                rollout, reason = event.data["rollout"], event.data["reason"]
                self._raise(f"rollout:{rollout}", "critical", f"rollout {rollout} of {event.app}: {reason}")
            case "rollout.resumed" | "rollout.done" | "rollout.aborted":
                self._clear(f"rollout:{event.data['rollout']}")

    def _has_power(self, device: str) -> bool:
        try:
            return bool(self._lab.device(device)["state"] != "off")
        except UsageError:
            return False

    def _raise(self, id: str, severity: str, text: str, device: str | None = None) -> None:
        if id in self._alerts:
            return
        alert = self._alerts[id] = Alert(id, severity, text, time.time(), device)
        self._lab.events.publish("alert.raised", device, alert=id, severity=severity, text=text)
        log.warning("alert raised", alert=id, reason=text)
        self._tell("raised", alert)

    def _clear(self, id: str) -> None:
        alert = self._alerts.pop(id, None)
        if alert is None:
            return
        self._lab.events.publish("alert.cleared", alert.device, alert=id, text=alert.text)
        self._tell("cleared", alert)

    # -- webhooks

    async def webhooks(self) -> list[Json]:
        """Return who is told of alerts; secrets are not."""
        return [
            {"url": hook["url"], "signed": bool(hook["sealed"])}
            for hook in await self._lab.store.setting(_WEBHOOKS, [])
        ]

    async def add_webhook(self, url: str, secret: str = "") -> None:
        """Tell `url` of alerts from now on, by POST.

        :param secret: if given, ``X-Lab-Signature`` holds the body's HMAC-SHA-256 under it, in hex.
        :raises UsageError: it is no such address, or there are too many.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise UsageError(f"{url!r} cannot be a webhook", hint="http://HOST/… or https://HOST/…")
        hooks = [hook for hook in await self._lab.store.setting(_WEBHOOKS, []) if hook["url"] != url]
        if len(hooks) >= _WEBHOOK_LIMIT:
            raise UsageError(f"{_WEBHOOK_LIMIT} webhooks are enough", hint="remove one first")
        sealed = self._lab.vault.seal(url, secret.encode()).hex() if secret else ""
        await self._lab.store.save_setting(_WEBHOOKS, [*hooks, {"url": url, "sealed": sealed}])

    async def drop_webhook(self, url: str) -> None:
        """Tell `url` no more.

        :raises NotFoundError: it was not told.
        """
        hooks = await self._lab.store.setting(_WEBHOOKS, [])
        left = [hook for hook in hooks if hook["url"] != url]
        if len(left) == len(hooks):
            raise NotFoundError(f"{url!r} is no webhook of this lab")
        await self._lab.store.save_setting(_WEBHOOKS, left)

    def _tell(self, state: str, alert: Alert) -> None:
        try:
            self._send.send_nowait({"state": state, "alert": asdict(alert)})
        except (anyio.WouldBlock, anyio.BrokenResourceError):
            log.warning("webhooks not told", alert=alert.id, reason="too many wait to be delivered")

    async def _deliver(self) -> None:
        """Give each webhook its messages in order; one that is slow holds up no other."""
        async with anyio.create_task_group() as tasks:
            queues: dict[str, MemoryObjectSendStream[_Letter]] = {}
            async for message in self._receive:
                body = json.dumps(message).encode()
                hooks = {hook["url"]: hook for hook in await self._lab.store.setting(_WEBHOOKS, [])}
                for url in queues.keys() - hooks.keys():
                    queues.pop(url).close()
                for url, hook in hooks.items():
                    if url not in queues:
                        queues[url], waiting = anyio.create_memory_object_stream[_Letter](_WAITING)
                        tasks.start_soon(self._serve_webhook, url, waiting)
                    try:
                        queues[url].send_nowait((hook["sealed"], body))
                    except anyio.WouldBlock:
                        log.warning("webhook not told", url=url, reason="too much waits to be delivered")

    async def _serve_webhook(self, url: str, waiting: MemoryObjectReceiveStream[_Letter]) -> None:
        async for sealed, body in waiting:
            try:
                secret = self._lab.vault.open(url, bytes.fromhex(sealed)) if sealed else b""
            except LabError as error:
                log.warning("webhook not told", url=url, reason=error.message)
                continue
            await self._post(url, secret, body)

    async def _post(self, url: str, secret: bytes, body: bytes) -> None:
        headers = {"Content-Type": "application/json", "User-Agent": "lab"}
        if secret:
            headers["X-Lab-Signature"] = hmac.new(secret, body, hashlib.sha256).hexdigest()
        for attempt in range(_DELIVERY_TRIES):
            try:
                status, _answer = await to_thread.run_sync(
                    partial(_request, "POST", url, body, headers), abandon_on_cancel=True
                )
            except (OSError, http.client.HTTPException) as error:
                reason = str(error) or type(error).__name__
            else:
                if status < 300:
                    return
                reason = f"it answered {status}"
            if attempt + 1 < _DELIVERY_TRIES:
                await anyio.sleep(_BACKOFF * 2**attempt)
        log.warning("webhook failed", url=url, reason=reason)

    # -- nodes, which run plugins in processes of their own

    async def nodes(self) -> dict[str, int]:
        """Return the gateway nodes that are watched: name and port of their local face."""
        found: dict[str, int] = await self._lab.store.setting(_NODES, {})
        return found

    async def add_node(self, name: str, port: int) -> None:
        """Watch the node whose local face is on loopback `port`."""
        await self._lab.store.save_setting(_NODES, {**await self.nodes(), name: port})

    async def drop_node(self, name: str) -> None:
        """Watch a node no more.

        :raises NotFoundError: it is not watched.
        """
        known = await self.nodes()
        if known.pop(name, None) is None:
            raise NotFoundError(f"there is no node {name!r}")
        await self._lab.store.save_setting(_NODES, known)
        self._plugins.pop(name, None)
        async with self._hearing:
            heard = await self._heard()
            heard.pop(name, None)
            await self._lab.store.save_setting(_HEARD, heard)
        for id in [id for id in self._alerts if id == f"node:{name}" or id.startswith(f"plugin:{name}/")]:
            self._clear(id)

    async def ask_node(
        self, name: str, path: str, body: Json | None = None, *, timeout: float = _REQUEST_SECONDS
    ) -> Any:
        """Return what a node's local face answers to GET `path`, or to POST if there is a body.

        :param timeout: seconds for each step on the network.
        :raises LabError: it does not answer, or refuses.
        """
        port = (await self.nodes()).get(name)
        if port is None:
            raise NotFoundError(f"there is no node {name!r}")
        headers = {"Content-Type": "application/json"}
        if request := current_request():
            headers[REQUEST_ID] = request
        method, sent = ("GET", None) if body is None else ("POST", json.dumps(body).encode())
        ask = partial(_request, method, f"http://127.0.0.1:{port}{path}", sent, headers, timeout)
        try:
            status, answer = await to_thread.run_sync(ask, abandon_on_cancel=True)
            said = json.loads(answer)
            if status >= 300:
                why = said.get("detail") if isinstance(said, dict) else None
                raise _REFUSALS.get(status, LabError)(f"node {name}: {why or f'it answered {status}'}")
            return said
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise LabError(
                f"node {name} does not answer on port {port}: {error or type(error).__name__}",
                hint="start it with: lab node --config FILE",
            ) from error

    @property
    def plugins(self) -> dict[str, list[Json]]:
        """The plugins of each node that is watched, as it last said."""
        return dict(self._plugins)

    async def hear_nodes(self) -> None:
        """Take what nodes have logged since they were asked last into the stream of events.

        A node that does not answer is left out: what it has logged comes when it does again.
        """
        async with self._hearing:
            heard = await self._heard()
            before = dict(heard)
            async with anyio.create_task_group() as tasks:
                for name in await self.nodes():
                    tasks.start_soon(self._hear, name, heard)
            if heard != before:
                await self._lab.store.save_setting(_HEARD, heard)

    async def _heard(self) -> dict[str, Json]:
        """Return up to where each node's log is known: the stream, and the last number in it."""
        found: dict[str, Json] = await self._lab.store.setting(_HEARD, {})
        return found

    async def _hear(self, name: str, heard: dict[str, Json]) -> None:
        query = urlencode({"since": 0, "limit": _LINES, **heard.get(name, {})})
        try:
            said = NodeLog.model_validate(
                await self.ask_node(name, f"/api/logs?{query}", timeout=_HEAR_SECONDS)
            )
        except (LabError, ValueError):
            return
        plugins = {plugin["name"] for plugin in self._plugins.get(name, ())}
        for line in said.lines:
            self._lab.events.publish(
                "node.log",
                node=line.node,
                level=line.level,
                component="plugin" if line.source in plugins else "node",
                source=line.source,
                at=line.at,
                text=line.text,
                request=line.request,
            )
            heard[name] = {"stream": said.stream, "since": line.number}

    async def _watch_nodes(self) -> None:
        while True:
            await self.hear_nodes()
            for name in await self.nodes():
                try:
                    found = (await self.ask_node(name, "/api/plugins"))["plugins"]
                except LabError as error:
                    self._raise(f"node:{name}", "critical", error.message)
                    continue
                self._clear(f"node:{name}")
                self._plugins[name] = found
                for plugin in found:
                    id = f"plugin:{name}/{plugin['name']}"
                    if plugin["state"] in ("failing", "rejected"):
                        text = f"plugin {plugin['name']} of {name} is {plugin['state']}: {plugin['error']}"
                        self._raise(id, "warning", text)
                    else:
                        self._clear(id)
            await anyio.sleep(_NODE_SECONDS)

    # -- health

    async def health(self) -> list[Part]:
        """Look at every part of the lab.

        Boards that ended or fell silent make it red too, but the lab can do without them.
        """
        parts = [
            Part("monitor", self._running, "follows events" if self._running else "does not run"),
            Part(
                "gateway",
                self._lab.gateway.listening,
                "{}:{}".format(*self._lab.gateway.address)
                if self._lab.gateway.listening
                else "does not listen: lab gateway --restart",
            ),
        ]
        try:
            with anyio.fail_after(2):
                await self._lab.store.last_sequence()
            parts.append(Part("store", True, "answers"))
        except (LabError, TimeoutError) as error:
            parts.append(Part("store", False, str(error) or "does not answer within 2 s"))
        backlog = self._lab.events.backlog
        parts.append(Part("events", backlog < BACKLOG_LIMIT, f"{backlog} not written yet"))
        free = shutil.disk_usage(self._lab.home.root).free
        parts.append(Part("disk", free > _LEAST_DISK, f"{free >> 20} MiB free"))
        unserved = self._lab.unserved()
        failed = "; ".join(f"{name}: {why}" for name, why in unserved.items())
        parts.append(Part("bridges", not unserved, failed or "all carry"))
        states = {str(device["id"]): str(device["state"]) for device in self._lab.devices()}
        amiss = [f"{name} is {state}" for name, state in states.items() if state in _AMISS]
        count = sum(state != "off" for state in states.values())
        parts.append(Part("devices", not amiss, "; ".join(amiss[:8]) or f"{count} under power", vital=False))
        return parts

    # -- history

    def history(self) -> list[Json]:
        """Return the load of the last hour, one sample each five seconds, oldest first."""
        return list(self._samples)

    async def samples(self) -> AsyncIterator[Json]:
        """Yield each sample as it is taken."""
        while True:
            await self._sampled.wait()
            yield self._samples[-1]

    async def _sample(self) -> None:
        cpu, at, events = time.process_time(), time.monotonic(), self.kinds.total()
        while True:
            self._samples.append(self._take_sample(cpu, at, events))
            self._sampled.set()
            self._sampled = anyio.Event()
            cpu, at, events = time.process_time(), time.monotonic(), self.kinds.total()
            await anyio.sleep(_SAMPLE_SECONDS)

    def _take_sample(self, cpu: float, at: float, events: int) -> Json:
        passed = max(time.monotonic() - at, 1e-3)
        states = Counter(str(device["state"]) for device in self._lab.devices())
        return {
            "time": time.time(),
            "connected": states["connected"],
            "devices": states.total(),
            "alerts": len(self._alerts),
            "events_per_second": (self.kinds.total() - events) / passed if self._samples else 0.0,
            "cpu_percent": (time.process_time() - cpu) / passed * 100 if self._samples else 0.0,
            "memory_bytes": _resident(),
        }


def _resident() -> int:
    """Return this process's resident memory, bytes (proc(5), statm)."""
    with open("/proc/self/statm", "rb") as file:  # noqa: PTH123
        return int(file.read().split()[1]) * resource.getpagesize()


def _request(
    method: str, url: str, body: bytes | None, headers: dict[str, str], timeout: float = _REQUEST_SECONDS
) -> tuple[int, bytes]:
    """Send one request, follow nothing; return status and body."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    with contextlib.closing(kind(parts.hostname or "", parts.port, timeout=timeout)) as connection:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request(method, target, body, headers)
        response = connection.getresponse()
        return response.status, response.read(_ANSWER_LIMIT)


def readiness(parts: Iterable[Part]) -> str:
    """Return ``ready``, ``degraded`` if something it can do without is amiss, or else ``failing``."""
    amiss = [part for part in parts if not part.healthy]
    return "failing" if any(part.vital for part in amiss) else "degraded" if amiss else "ready"
