"""A device of a `Bench`, as tests see it.

Two positions make waits free of races: each device has one in its console and one in its events. A wait
looks at what came after the position, past or future, and moves it behind what it found. `Device.reset`,
`Device.power_cut` and what is done to the gateway move both to the moment before they act, so nothing older
is taken for their effect.
"""

from __future__ import annotations

import codecs
import io
import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import anyio
import pexpect
from pexpect.spawnbase import SpawnBase

from lab.console import Console
from lab.errors import LabError
from lab.events import Event
from lab.lab import Json
from lab.peripherals import Peripherals
from lab.testing.faults import Faults
from lab.testing.sensors import Sensors

if TYPE_CHECKING:
    from lab.testing.bench import App, Bench

    _Spawn = SpawnBase[str]
else:
    _Spawn = SpawnBase

T = TypeVar("T")
Pattern = str | re.Pattern[str]

_TAIL = 20  # lines of console that a failure shows
_END = 16384  # bytes of console in which those lines are looked for
_RECHECK = 0.25  # s after which `wait_until` asks again although nothing of the device has changed


class ExpectationError(LabError, AssertionError):
    """What a test expected of a device did not come.

    :param message: what was expected.
    :param device: its id.
    :param hint: the device as it is (`Device.report`).
    """

    def __init__(self, message: str, *, device: str, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.device = device


class Colour(NamedTuple):
    """Of one LED, 0 to 255 each; equal to a plain tuple."""

    red: int
    green: int
    blue: int


class Buzzer(NamedTuple):
    """A buzzer as it is now.

    :param on: whether it sounds.
    :param beeps: how often it has begun to sound since power-on.
    """

    on: bool
    beeps: int


class Device:
    """One device.

    :param bench: its lab.
    :param id: its id.
    :param since: number of the last event before it was booted.
    """

    def __init__(self, bench: Bench, id: str, *, since: int) -> None:
        self.id = id
        self.bench = bench
        self.folder = bench.lab.home.device(id)
        """Its own folder: `console.log`, `engine.log`, what its flash holds."""
        self.sensors = Sensors(self)
        self.faults = Faults(bench, id)
        self._console = _Reader(bench, id)
        self._since = since

    def __repr__(self) -> str:
        return f"<Device {self.id}>"

    # -- what it is

    @property
    def info(self) -> Json:
        """All the lab knows of it, as ``lab ps --json`` has it."""
        return self.bench.lab.device(self.id)

    @property
    def board(self) -> str:
        """The board it is."""
        return str(self.info["board"])

    @property
    def engine(self) -> str:
        """What runs it."""
        return str(self.info["engine"])

    @property
    def state(self) -> str:
        """In one word: ``connected``, ``disconnected``, ``unreachable``, ``booting``, ``paused``…"""
        return str(self.info["state"])

    @property
    def console(self) -> str:
        """What its present boot has said."""
        return self.bench.lab.console(self.id).text

    @property
    def console_log(self) -> Path:
        """The file that holds all it ever said."""
        return self.folder / "console.log"

    @property
    def trace(self) -> Path:
        """The file that holds the frames of its link, if its lab keeps them (`Bench`)."""
        return self.folder / "link.jsonl"

    # -- waiting

    def expect(
        self, pattern: Pattern, *, timeout: float = 10.0, not_matching: Pattern | None = None
    ) -> re.Match[str]:
        """Return the next match of `pattern` on the console, from where the last one ended.

        As a console comes in pieces, a pattern that may end early (``\\d+``) should go on to what follows.

        :param timeout: seconds.
        :param not_matching: what must not come before it.
        :raises ExpectationError: it did not come in time, the device ended, or `not_matching` came first.
        """
        __tracebackhide__ = True
        unwanted = [] if not_matching is None else [_compiled(not_matching)]
        found = self._console.expect_list(
            [_compiled(pattern), pexpect.TIMEOUT, pexpect.EOF, *unwanted], timeout=timeout
        )
        match = self._console.match
        if found == 0:
            assert isinstance(match, re.Match)
            return match
        wanted = f"match {_shown(pattern)}"
        if found == 1:
            raise self.failure(f"{self.id} said nothing to {wanted} within {timeout:g} s")
        if found == 2:
            raise self.failure(f"{self.id} ended before it said anything to {wanted}")
        assert isinstance(match, re.Match)
        raise self.failure(f"{self.id} said {match.group()!r} before anything to {wanted}")

    def wait_for_event(
        self,
        kind: str,
        matches: Callable[[Event], bool] = lambda event: True,
        *,
        timeout: float = 10.0,
        **data: Any,
    ) -> Event:
        """Return the next event of `kind` of this device (`lab.events` lists the kinds).

        :param matches: what else must be true of it.
        :param timeout: seconds.
        :param data: what it must hold: `app`, or keys of its data.
        :raises ExpectationError: it did not come in time.
        """
        __tracebackhide__ = True

        def fits(event: Event) -> bool:
            facts = {**event.data, "app": event.app}
            return (
                event.kind == kind
                and all(facts.get(key) == value for key, value in data.items())
                and matches(event)
            )

        async def find() -> Event | None:
            with anyio.move_on_after(timeout):
                async for event in self.bench.lab.events.subscribe(self._since, device=self.id):
                    if fits(event):
                        return event
            return None

        event = self.bench.call(find)
        if event is None:
            wanted = ", ".join(f"{key}={value!r}" for key, value in data.items())
            what = f"{kind} ({wanted})" if wanted else kind
            seen = self.bench.events(device=self.id, since=self._since)
            others = ", ".join(dict.fromkeys(event.kind for event in seen)) or "none"
            raise self.failure(f"{self.id} had no event {what} within {timeout:g} s; others: {others}")
        self._since = event.sequence
        return event

    def wait_for_log(self, pattern: Pattern, *, app: str | None = None, timeout: float = 10.0) -> Event:
        """Return the next line that an app (without `app`: the firmware) logs and `pattern` is found in."""
        __tracebackhide__ = True
        expression = _compiled(pattern)
        return self.wait_for_event(
            "app.log" if app else "device.log",
            lambda event: expression.search(event.data["text"]) is not None,
            timeout=timeout,
            **({"app": app} if app else {}),
        )

    def wait_until(self, predicate: Callable[[], T], *, timeout: float = 10.0, what: str = "") -> T:
        """Return the first true value of `predicate`, asked again whenever the device or a part changes.

        :param timeout: seconds.
        :param what: what is waited for, for the message of a failure.
        :raises ExpectationError: it did not become true in time.
        """
        __tracebackhide__ = True
        deadline = time.monotonic() + timeout
        while True:
            version = self.bench.changes.version
            value = predicate()
            if value:
                return value
            left = deadline - time.monotonic()
            if left <= 0:
                raise self.failure(f"{self.id}: not {what or 'true'} within {timeout:g} s, but {value!r}")
            self.bench.changes.wait(version, min(left, _RECHECK))

    def wait_connected(self, *, timeout: float = 60.0) -> Json:
        """Return what is known of it (`info`) once it is connected."""
        __tracebackhide__ = True
        return self.bench.call(lambda: self.bench.lab.wait(self.id, timeout=timeout))

    # -- its parts

    @property
    def leds(self) -> Sequence[Colour]:
        """The colours of its LED strip, as the WS2812 decoded them."""
        return self.led_strip("ws2812")

    @property
    def buzzer(self) -> Buzzer:
        """Its buzzer."""
        state = self.part("buzzer")
        return Buzzer(bool(state["on"]), int(state["total"]))

    def led_strip(self, name: str) -> Sequence[Colour]:
        """Return the colours of the LED strip called `name`."""
        return [Colour(*colour) for colour in self.part(name)["leds"]]

    def part(self, name: str) -> Mapping[str, Any]:
        """Return what a part shows, as ``lab sensor --json`` has it.

        :raises LabError: it has no such part.
        """
        __tracebackhide__ = True
        snapshot = self.peripherals(lambda parts: parts.snapshot())
        if name not in snapshot:
            raise LabError(f"{self.id} has no part {name!r}", hint=f"It has: {', '.join(snapshot)}.")
        part: Mapping[str, Any] = snapshot[name]
        return part

    def peripherals(self, ask: Callable[[Peripherals], T]) -> T:
        """Ask something of its parts (`lab.peripherals.Peripherals`), on the lab's event loop."""
        __tracebackhide__ = True

        async def answer() -> T:
            return ask(self.bench.lab.powered(self.id).peripherals)

        return self.bench.call(answer)

    # -- apps

    def deploy(
        self,
        app: App,
        *,
        name: str | None = None,
        language: str = "c",
        confirmed: bool = False,
        timeout: float = 60.0,
    ) -> Json:
        """Have it run an app; return what it says of it. See `Bench.deploy`."""
        __tracebackhide__ = True
        [row] = self.bench.deploy(
            [self], app, name=name, language=language, confirmed=confirmed, timeout=timeout
        )
        return row

    def call(
        self, app: str, function: str, *arguments: int | float, timeout: float = 10.0
    ) -> int | float | tuple[int | float, ...]:
        """Run a function that an app exports; return its result, or all of them if it has not exactly one.

        :raises DeviceError: the device refused, or the function failed there.
        """
        __tracebackhide__ = True
        gateway = self.bench.lab.gateway
        values = self.bench.call(lambda: gateway.call(self.id, app, function, arguments, timeout=timeout))
        return values[0] if len(values) == 1 else values

    def command(self, app: str, payload: bytes | str, *, timeout: float = 10.0) -> bytes:
        """Give bytes to an app's ``on-command`` and return what it answers."""
        __tracebackhide__ = True
        content = payload.encode() if isinstance(payload, str) else payload
        gateway = self.bench.lab.gateway
        return self.bench.call(lambda: gateway.command(self.id, app, content, timeout=timeout))

    def stop(self, app: str) -> None:
        """End an app for good."""
        __tracebackhide__ = True
        self.bench.call(lambda: self.bench.lab.gateway.stop_app(self.id, app))

    def remove(self, app: str) -> None:
        """End an app and take it off its flash."""
        __tracebackhide__ = True
        self.bench.call(lambda: self.bench.lab.gateway.remove_app(self.id, app))

    @property
    def apps(self) -> dict[str, Json]:
        """Its apps by name; the device itself is asked."""
        return {row["name"]: row for row in self.bench.call(lambda: self.bench.lab.apps(self.id))}

    # -- the desk

    def label(self, **labels: str) -> None:
        """Give it labels, which selectors of rollouts pick it by."""
        self.bench.call(lambda: self.bench.lab.gateway.label(self.id, labels))

    def write_line(self, line: str) -> None:
        """Type a line on its console."""
        self.write(f"{line}\r")

    def write(self, text: str) -> None:
        """Type on its console, without a return."""
        __tracebackhide__ = True
        self.bench.call(lambda: self.bench.lab.console(self.id).write(text.encode()))

    def reset(self, *, wait: bool = True, timeout: float = 60.0) -> None:
        """Press its reset button.

        :param wait: until it is connected again.
        :param timeout: seconds for that.
        """
        __tracebackhide__ = True
        self.mark()
        self.bench.call(lambda: self.bench.lab.reset(self.id))
        if wait:
            self._back(timeout)

    def power_cut(self, *, timeout: float = 60.0) -> None:
        """Kill its machine and start it again from what survives, its flash; return once it is connected.

        :param timeout: seconds until it is.
        """
        __tracebackhide__ = True
        self.power_off()
        self.power_on(timeout=timeout)

    def power_off(self) -> None:
        """Kill its machine; it stays in the registry, and its flash as it is."""
        __tracebackhide__ = True
        self.mark()
        self.bench.call(lambda: self.bench.lab.down([self.id]))

    def power_on(self, *, timeout: float = 60.0) -> None:
        """Start it again from what survives, its flash; return once it is connected.

        :param timeout: seconds until it is.
        """
        __tracebackhide__ = True
        self.bench.power_on(self, timeout)

    def revoke(self) -> None:
        """Revoke its certificate: its session ends, and it cannot begin another."""
        __tracebackhide__ = True

        async def revoke() -> None:
            self.bench.lab.revoke(self.id)

        self.bench.call(revoke)

    def pause(self) -> None:
        """Stop its clock."""
        __tracebackhide__ = True
        self.bench.call(lambda: self.bench.lab.pause(self.id))

    def resume(self) -> None:
        """Let its clock go on."""
        __tracebackhide__ = True
        self.bench.call(lambda: self.bench.lab.resume(self.id))

    def snapshot(self, name: str) -> None:
        """Keep it as it is now, memory, clock and parts included; one that has the name is replaced.

        :param name: what `restore` calls it.
        """
        __tracebackhide__ = True
        self.bench.call(lambda: self.bench.lab.save_snapshot(self.id, name))

    def restore(self, name: str, *, timeout: float = 60.0) -> None:
        """Have it be as it was at `snapshot`; return once it is connected again, by a session of its own.

        :param timeout: seconds until it is.
        """
        __tracebackhide__ = True
        if self.info["pid"] is not None:  # `power_off` has marked the moment already
            self.mark()
        self.bench.load_snapshot(self, name, timeout)

    # -- behind it

    def mark(self) -> None:
        """Let waits from now on look only at what is yet to come."""
        self._since = self.bench.lab.events.last
        self._console.skip()

    def failure(self, what: str) -> ExpectationError:
        """Return an error that says `what`, and shows the device as it is."""
        return ExpectationError(what, device=self.id, hint=self.report())

    def report(self, lines: int = _TAIL) -> str:
        """Describe the device for people: state, where its files are, the end of its console."""
        info = self.info
        boot = f"boot {info['boots']} ({info['boot_reason'] or 'not reported yet'})"
        apps = ", ".join(f"{app['name']} {app['state']}" for app in info["apps"]) or "none"
        said = _end(self.console_log).splitlines()[-lines:] or ["(nothing)"]
        return "\n".join(
            (
                f"{self.id}: {info['board']} ({info['engine']}), {info['state']}, {boot}, apps: {apps}",
                f"files: {self.folder}",
                f"end of its console (all of it: {self.console_log}):",
                *(f"  {line}" for line in said),
            )
        )

    def _back(self, timeout: float) -> None:
        __tracebackhide__ = True
        since = self._since
        self.wait_for_event("device.connected", timeout=timeout)
        self._since = since


class _Reader(_Spawn):
    """Lets pexpect match a device's console, across its power cuts."""

    def __init__(self, bench: Bench, id: str) -> None:
        super().__init__(encoding="utf-8", codec_errors="replace")
        self.delayafterread = None
        self._bench = bench
        self._id = id
        self._source: Console = bench.lab.console(id)
        self._position = 0
        self._text = codecs.getincrementaldecoder("utf-8")("replace")

    def read_nonblocking(self, size: int = 1, timeout: float | None = None) -> str:
        """Return what was said next, as pexpect wants it."""

        async def read() -> bytes | None:
            with anyio.move_on_after(timeout):
                while True:
                    data, self._position = await self._source.read(self._position)
                    current = self._bench.lab.console(self._id)
                    if data or current is self._source:
                        return data
                    self._source, self._position = current, 0
            return None

        data = self._bench.call(read)
        if data is None:
            raise pexpect.TIMEOUT("nothing more was said")
        if not data:
            raise pexpect.EOF("the device has ended")
        return self._text.decode(data)

    def skip(self) -> None:
        """Go on with what is said from now on."""
        self._source = self._bench.lab.console(self._id)
        self._position = self._source.end
        self._buffer, self._before = io.StringIO(), io.StringIO()


def _end(log: Path) -> str:
    """Return the end of a log; it is there, too, when the device is gone."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _END))
        return file.read().decode("utf-8", "replace")


def _compiled(pattern: Pattern) -> re.Pattern[str]:
    return re.compile(pattern) if isinstance(pattern, str) else pattern


def _shown(pattern: Pattern) -> str:
    return repr(pattern if isinstance(pattern, str) else pattern.pattern)
