"""The Robot Framework library: ``Library    lab.testing.LabLibrary``.

Keywords are named as Renode's own where there is one (`Wait For Line On Uart`, `Write Line To Uart`), so that
suites move both ways. What they do is `lab.testing.Bench` and `lab.testing.Device`; nothing is done here but
to put it into words.
"""

from __future__ import annotations

import fnmatch
import re
import ssl
from collections.abc import Callable, Sequence
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
from robot.api import logger
from robot.api.deco import keyword, library
from robot.libraries.BuiltIn import BuiltIn, RobotNotRunningError

from lab import faults
from lab.engines.renode import RenodeMachine
from lab.engines.renode_keywords import KeywordServer
from lab.errors import LabError
from lab.gateway.rollout import Plan
from lab.home import Home
from lab.packages import Package
from lab.pki import Authority
from lab.publisher import Publisher
from lab.testing import records
from lab.testing.bench import Bench
from lab.testing.device import Device

if TYPE_CHECKING:
    from robot import result, running

Words = dict[str, Any]


class Client(Enum):
    """Who should not be let in."""

    NO_CERTIFICATE = "no certificate"
    STRANGER = "a certificate of another lab"
    OLD_TLS = "TLS 1.2"


COLOURS = {
    "off": (0, 0, 0),
    "black": (0, 0, 0),
    "red": (255, 0, 0),
    "orange": (255, 120, 0),
    "yellow": (255, 255, 0),
    "lime": (128, 255, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
    "purple": (128, 0, 128),
    "white": (255, 255, 255),
}
"""The colours that have a name; any other is ``#ff7800``."""

SOON = timedelta(seconds=10)
LONG = timedelta(seconds=60)


@library(scope="SUITE", doc_format="MARKDOWN", auto_keywords=False)
class LabLibrary:
    """Boots boards that run WebAssembly, emulated or real, and tests them together with their gateway.

    Each suite has a lab of its own, with its own folder and ports: suites run side by side under pabot.
    Boards that a suite created end with it, however it ends.

    ## Devices

    `Create Device` boots a board and makes it the current one; every keyword is about the current device
    unless `device` names another.

    ## Waiting

    Keywords that wait look at what came after what the keyword before them found, so nothing is missed and
    nothing old is taken for new. Times are Robot's: `10 s`, `1 min`.

    ## Failures

    A failure shows the device's state, where its files are and the end of its console. What its devices left
    (console, events, frames of the link, flash) is kept in the folder `lab-artifacts` beside Robot's log.
    """

    ROBOT_LISTENER_API_VERSION = 3

    def __init__(self) -> None:
        self.ROBOT_LIBRARY_LISTENER = self
        self._bench: Bench | None = None
        self._current: Device | None = None
        self._closing: list[Callable[[], None]] = []

    # -- Robot tells

    def end_test(self, data: running.TestCase, outcome: result.TestCase) -> None:
        """Keep what the devices of a failed test left."""
        if self._bench is None or not outcome.failed:
            return
        folder = records.keep([self._bench], _artifacts(), outcome.full_name)
        outcome.message += f"\nkept: {folder}"

    def end_suite(self, data: running.TestSuite, outcome: result.TestSuite) -> None:
        """End the suite's lab."""
        while self._closing:
            self._closing.pop()()
        bench, self._bench, self._current = self._bench, None, None
        if bench is not None:
            bench.__exit__(None, None, None)

    # -- devices

    @keyword
    def create_device(
        self, board: str = "mps2-an385", name: str | None = None, timeout: timedelta = LONG
    ) -> str:
        """Boots a board and returns its id once it is connected to the gateway; makes it the current device.

        `lab boards` lists what `board` can be.
        """
        self._current = self._lab.up(board, name=name, timeout=timeout.total_seconds())
        return self._current.id

    @keyword
    def create_fleet(
        self, count: int, board: str = "native", label: str | None = None, timeout: timedelta = LONG
    ) -> list[str]:
        """Boots `count` boards of a kind at once and returns their ids once all are connected.

        `label` is `key=value`: what rollouts find them by.
        """
        fleet = self._lab.fleet(count, board, timeout=timeout.total_seconds())
        if label:
            key, _, value = label.partition("=")
            for device in fleet:
                device.label(**{key: value})
        self._current = fleet[0]
        return [device.id for device in fleet]

    @keyword
    def use_device(self, device: str) -> None:
        """Makes another device the current one."""
        self._current = self._find(device)

    @keyword
    def device_should_be(self, state: str, device: str | None = None, timeout: timedelta = SOON) -> None:
        """Waits until the device is `connected`, `disconnected`, `unreachable`, `crashed`, …"""
        one = self._find(device)
        one.wait_until(lambda: one.state == state, timeout=timeout.total_seconds(), what=state)

    @keyword
    def get_device(self, device: str | None = None) -> Words:
        """Returns all that the lab knows of the device, as `lab ps --json` has it."""
        return self._find(device).info

    @keyword
    def wait_until_connected(self, device: str | None = None, timeout: timedelta = LONG) -> None:
        """Waits until the device has a session with the gateway."""
        self._find(device).wait_connected(timeout=timeout.total_seconds())

    @keyword
    def reset_device(self, wait: bool = True, device: str | None = None) -> None:
        """Presses the reset button; unless `wait` is false, waits until the device is connected again."""
        self._find(device).reset(wait=wait)

    @keyword
    def power_cut(self, device: str | None = None) -> None:
        """Kills the machine and starts it again from its flash; waits until the device is connected again."""
        self._find(device).power_cut()

    @keyword
    def power_off(self, device: str | None = None) -> None:
        """Cuts the device's power; it stays in the registry."""
        self._find(device).power_off()

    @keyword
    def power_on(self, device: str | None = None) -> None:
        """Gives a device that was switched off its power again, and waits until it is connected."""
        self._find(device).power_on()

    @keyword
    def pause_device(self, device: str | None = None) -> None:
        """Stops the device's clock."""
        self._find(device).pause()

    @keyword
    def resume_device(self, device: str | None = None) -> None:
        """Lets the device's clock go on."""
        self._find(device).resume()

    @keyword
    def save_snapshot(self, name: str, device: str | None = None) -> None:
        """Keeps the device as it is now: memory, apps, clock and parts. Its engine is QEMU or Renode.

        One that has the name already is replaced.
        """
        self._find(device).snapshot(name)

    @keyword
    def load_snapshot(self, name: str, device: str | None = None, timeout: timedelta = LONG) -> None:
        """Has the device be as it was at `Save Snapshot`, and waits until it is connected again."""
        self._find(device).restore(name, timeout=timeout.total_seconds())

    # -- the console

    @keyword
    def wait_for_line_on_uart(
        self,
        pattern: str,
        timeout: timedelta = SOON,
        treatAsRegex: bool = False,
        not_matching: str | None = None,
        device: str | None = None,
    ) -> str:
        """Waits for a line on the console that holds `pattern`, and returns the whole line.

        `treatAsRegex` takes it for a regular expression. With `not_matching`, a line that holds this
        before it is a failure.
        """
        found = self._find(device).expect(
            _line(pattern, treatAsRegex),
            timeout=timeout.total_seconds(),
            not_matching=None if not_matching is None else _line(not_matching, treatAsRegex),
        )
        return found.group(1)

    @keyword
    def write_line_to_uart(self, line: str = "", device: str | None = None) -> None:
        """Types a line on the console."""
        self._find(device).write_line(line)

    @keyword
    def write_to_uart(self, text: str, device: str | None = None) -> None:
        """Types on the console, without a return."""
        self._find(device).write(text)

    # -- events and logs

    @keyword
    def wait_for_event(
        self, kind: str, timeout: timedelta = SOON, device: str | None = None, **data: str
    ) -> Words:
        """Waits for the next event of a kind and returns it.

        `data` are patterns (`*` and `?`) for what it holds, e.g. `app=alarm` or `reason=*budget*`.
        """

        def fits(event: Any) -> bool:
            facts = {**event.data, "app": event.app}
            return all(fnmatch.fnmatchcase(str(facts.get(key)), value) for key, value in data.items())

        event = self._find(device).wait_for_event(kind, fits, timeout=timeout.total_seconds())
        return event.describe()

    @keyword
    def wait_for_log(
        self, pattern: str, app: str | None = None, timeout: timedelta = SOON, device: str | None = None
    ) -> str:
        """Waits for a line that an app (without `app`: the firmware) logs, and returns it.

        `*` and `?` in the pattern are wildcards.
        """
        found = self._find(device).wait_for_log(_wildcards(pattern), app=app, timeout=timeout.total_seconds())
        return str(found.data["text"])

    # -- parts

    @keyword
    def set_sensor(self, quantity: str, value: str, device: str | None = None) -> None:
        """Sets what a part senses, e.g. `dht22.temperature  31.5` or `dht22.fault  unplugged`.

        Numbers are in the datasheet's unit unless one is given: `88 °F`.
        """
        self._find(device).sensors[quantity] = value

    @keyword
    def get_sensor(self, quantity: str, device: str | None = None) -> float | str:
        """Returns what a part is set to sense."""
        return self._find(device).sensors[quantity]

    @keyword
    def wait_for_sensor_to_be_read(
        self, part: str, times: int = 1, timeout: timedelta = SOON, device: str | None = None
    ) -> None:
        """Waits until the firmware has read a part `times` more times."""
        one = self._find(device)
        before = one.part(part)["reads"]
        one.wait_until(
            lambda: one.part(part)["reads"] >= before + times,
            timeout=timeout.total_seconds(),
            what=f"{part} read {times} times",
        )

    @keyword
    def led_should_be(
        self,
        led: int,
        colour: str,
        timeout: timedelta = SOON,
        strip: str = "ws2812",
        device: str | None = None,
    ) -> None:
        """Waits until an LED, counted from 0, has a colour: `red`, `off`, … or `#ff7800`."""
        one, wanted = self._find(device), rgb(colour)

        def shows() -> bool:
            leds = one.led_strip(strip)
            if not 0 <= led < len(leds):
                raise AssertionError(f"{one.id}: {strip} has LEDs 0 to {len(leds) - 1}, not {led}")
            return leds[led] == wanted

        try:
            one.wait_until(shows, timeout=timeout.total_seconds(), what=f"LED {led} {colour}")
        except LabError as error:
            now = hex_of(one.led_strip(strip)[led])
            raise AssertionError(f"LED {led} is {now}, not {colour} ({hex_of(wanted)})\n{error}") from None

    @keyword
    def buzzer_should_have_beeped(
        self, times: int = 1, timeout: timedelta = SOON, device: str | None = None
    ) -> None:
        """Waits until the buzzer has begun to sound at least `times` times since power-on."""
        one = self._find(device)
        one.wait_until(
            lambda: one.buzzer.beeps >= times, timeout=timeout.total_seconds(), what=f"{times} beeps"
        )

    @keyword
    def buzzer_should_not_have_beeped(self, device: str | None = None) -> None:
        """Fails if the buzzer has sounded since power-on."""
        one = self._find(device)
        if one.buzzer.beeps:
            raise one.failure(f"{one.id} has beeped {one.buzzer.beeps} times")

    # -- apps

    @keyword
    def sign_app(
        self,
        app: str,
        name: str | None = None,
        version: str = "",
        sequence: int | None = None,
        publisher: str | None = None,
    ) -> Package:
        """Signs an app and returns the package, for `Deploy App` or `Deploying Should Fail`.

        `sequence` is what devices order packages by; it goes up by itself. `publisher` names another one
        than the lab's own, whom no device of this suite knows.
        """
        key = None if publisher is None else Publisher.new(self._lab.folder / f"{publisher}.pem")
        return self._lab.package(_app(app), name=name, version=version, sequence=sequence, publisher=key)

    @keyword
    def deploy_app(
        self,
        app: str | Package,
        name: str | None = None,
        confirmed: bool = True,
        language: str = "c",
        version: str = "",
        device: str | None = None,
        timeout: timedelta = LONG,
    ) -> Words:
        """Signs an app, sends it, and returns what the device says of it once it has passed its trial.

        `app` is a template (`lab new` lists them), a source, an app's folder, a module or a package.
        `confirmed=False` returns as soon as it runs on trial.
        """
        package = self._lab.package(_app(app), name=name, language=language, version=version)
        return self._find(device).deploy(package, confirmed=confirmed, timeout=timeout.total_seconds())

    @keyword
    def deploying_should_fail(
        self,
        app: str | Package,
        reason: str,
        name: str | None = None,
        version: str = "",
        device: str | None = None,
    ) -> str:
        """Fails if the device takes the app, or refuses it for another reason (`*` and `?` allowed)."""
        one = self._find(device)
        try:
            one.deploy(self._lab.package(_app(app), name=name, version=version), confirmed=True)
        except LabError as error:
            said = str(error)
            if not _wildcards(reason).search(said):
                raise AssertionError(f"{app} was refused, but not for {reason!r}: {said}") from error
            return said
        raise one.failure(f"{one.id} took {app}")

    @keyword
    def call_app(self, app: str, function: str, *arguments: int | float, device: str | None = None) -> Any:
        """Runs a function that the app exports, on the device, and returns its result."""
        return self._find(device).call(app, function, *arguments)

    @keyword
    def command_app(self, app: str, payload: str, device: str | None = None) -> str:
        """Gives text to the app's `on-command` and returns its answer."""
        return self._find(device).command(app, payload).decode("utf-8", "replace")

    @keyword
    def stop_app(self, app: str, device: str | None = None) -> None:
        """Ends an app; it stays on the device, and does not start by itself."""
        self._find(device).stop(app)

    @keyword
    def remove_app(self, app: str, device: str | None = None) -> None:
        """Ends an app and removes it from the device."""
        self._find(device).remove(app)

    @keyword
    def app_should_be(
        self,
        app: str,
        state: str,
        reason: str | None = None,
        version: str | None = None,
        device: str | None = None,
        timeout: timedelta = SOON,
    ) -> None:
        """Waits until the device says an app is `running`, `failed`, … or that it has none: `absent`.

        `reason` (`*` and `?` are wildcards) is what the device must say besides.
        """
        one = self._find(device)

        def so() -> bool:
            found = one.apps.get(app)
            if found is None:
                return state == "absent"
            return (
                found["state"] == state
                and (reason is None or _wildcards(reason).search(found["reason"]) is not None)
                and (version is None or found["version"] == version)
            )

        wanted = " ".join(filter(None, (app, state, version, reason)))
        try:
            one.wait_until(so, timeout=timeout.total_seconds(), what=wanted)
        except LabError as error:
            raise AssertionError(f"{app} is {one.apps.get(app, 'absent')}\n{error}") from None

    # -- rollouts

    @keyword
    def start_rollout(
        self,
        app: str | Package,
        selector: str = "",
        batch: int = 10,
        max_failures: int = 0,
        canary: int = 0,
        name: str | None = None,
        version: str = "",
    ) -> int:
        """Begins to bring an app to all devices whose labels `selector` picks; returns the rollout's number.

        `batch` devices get it at a time; `canary` devices go first and must all confirm it; more than
        `max_failures` pause it.
        """
        plan = Plan(selector=selector, batch=batch, max_failures=max_failures, canary=canary)
        return self._lab.rollout(self._lab.package(_app(app), name=name, version=version), plan)

    @keyword
    def rollout_should_end_as(
        self, rollout: int, state: str, timeout: timedelta = LONG, **devices: int
    ) -> None:
        """Waits until a rollout is `done`, `paused` or `aborted`.

        `devices` are how many must be in a state then: `confirmed=10`, `rolled-back=1`.
        """
        rollouts = self._lab.lab.rollouts

        async def ended() -> Words:
            with anyio.move_on_after(timeout.total_seconds()):
                await rollouts.over(rollout, lambda progress: None)
            return await rollouts.show(rollout)

        found = self._lab.call(ended)
        counts = {name: found["counts"].get(name, 0) for name in devices}
        if found["state"] != state or counts != devices:
            raise AssertionError(
                f"rollout {rollout} is {found['state']} ({found['reason'] or 'no reason'}), devices: "
                f"{found['counts']}; expected: {state}, {devices}"
            )

    @keyword
    def resume_rollout(self, rollout: int) -> None:
        """Lets a rollout that has paused go on."""
        self._lab.call(lambda: self._lab.lab.rollouts.resume(rollout))

    @keyword
    def abort_rollout(self, rollout: int) -> None:
        """Ends a rollout; devices whose turn has not come keep what they run."""
        self._lab.call(lambda: self._lab.lab.rollouts.abort(rollout))

    # -- the gateway

    @keyword
    def stop_gateway(self) -> None:
        """Lets the gateway crash: sessions are cut without a goodbye, and nobody can connect."""
        self._lab.gateway.down()

    @keyword
    def start_gateway(self) -> None:
        """Lets the gateway listen again; devices come back by themselves."""
        self._lab.gateway.up()

    @keyword
    def restart_gateway(self) -> None:
        """Ends every session and starts the gateway anew, on the same port."""
        self._lab.gateway.restart()

    @keyword
    def set_heartbeat(self, interval: timedelta) -> None:
        """Tells devices how often to give a sign of life; after 2.5 times that one is `unreachable`."""
        self._lab.gateway.heartbeat = interval.total_seconds()

    @keyword
    def gateway_sessions_should_be(self, count: int, timeout: timedelta = SOON) -> None:
        """Waits until so many devices have a session."""
        one = self._find(None)
        one.wait_until(
            lambda: self._lab.gateway.sessions == count,
            timeout=timeout.total_seconds(),
            what=f"{count} sessions",
        )

    @keyword
    def revoke_certificate(self, device: str | None = None) -> None:
        """Revokes the device's certificate: its session ends, and it cannot begin another."""
        self._find(device).revoke()

    @keyword
    def connecting_should_be_refused(self, client: Client) -> None:
        """Fails if the gateway admits a TLS client that should not be.

        It has `No Certificate`, is a `Stranger` (its certificate is another lab's), or speaks `Old TLS`
        (1.2).
        """
        if self._lab.gateway.admits(self._context(client), timeout=5.0):
            raise AssertionError(f"the gateway admitted a client with {client.value}")

    # -- faults

    @keyword
    def set_fault(
        self, fault: str, duration: timedelta | None = None, device: str | None = None, **parameters: str
    ) -> None:
        """Makes something go wrong, for `duration` or until it is cleared; docs/faults.md says what can.

        Set Fault    link.corrupt    rate=0.001
        Set Fault    gateway.down    duration=3 s    device=gateway.lab
        """
        seconds = None if duration is None else duration.total_seconds()
        self._faults(device).set(fault, duration=seconds, **parameters)

    @keyword
    def skip_unless_fault_is_possible(self, fault: str, device: str | None = None) -> None:
        """Skips the test, with the reason, where the device's engine cannot have a fault.

        It cannot kill one board of a Renode process that others share, for example.
        """
        why = faults.why_not(fault, self._find(device).engine)
        if why:
            BuiltIn().skip(why)

    @keyword
    def clear_faults(self, fault: str | None = None, device: str | None = None) -> None:
        """Ends one fault, or all of them."""
        self._faults(device).clear(fault)

    # -- Renode

    @keyword
    def get_renode_remote(self, device: str | None = None) -> str:
        """Returns where Robot's `Remote` finds Renode's own keywords; skips where the board is not in Renode.

        Import Library    Remote    ${uri}    AS    Renode
        Renode.Create Terminal Tester    sysbus.usart1    machine=${DEVICE}

        They reach all boards of the process, up to eight, until the suite ends. `Reset Emulation` would end
        the boards.
        """
        one = self._find(device)
        machine = self._lab.lab.powered(one.id).machine
        if not isinstance(machine, RenodeMachine):
            BuiltIn().skip(f"{one.board} runs in engine {one.engine!r}, not in Renode")
        server = KeywordServer(lambda request: self._lab.call(lambda: machine.keyword(request)))
        self._closing.append(server.close)
        return server.uri

    # -- behind it

    def _context(self, client: Client) -> ssl.SSLContext:
        own = self._lab.lab.authority
        context = ssl.create_default_context(cafile=str(own.certificate_file))
        if client is not Client.NO_CERTIFICATE:
            stranger = client is Client.STRANGER
            authority = Authority(Home(self._lab.folder / "stranger")) if stranger else own
            issued = authority.issue("intruder")
            context.load_cert_chain(issued.certificate, issued.key)
        if client is Client.OLD_TLS:
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        return context

    @property
    def _lab(self) -> Bench:
        if self._bench is None:
            bench = Bench(trace=True)
            bench.__enter__()
            self._bench = bench
        return self._bench

    def _find(self, device: str | None) -> Device:
        known = {one.id: one for one in self._lab.devices}
        if device is None:
            if self._current is None:
                raise AssertionError("no device was created yet: begin with `Create Device`")
            return self._current
        if device not in known:
            raise AssertionError(f"this suite has no device {device!r}; it has: {', '.join(known) or 'none'}")
        return known[device]

    def _faults(self, device: str | None) -> Any:
        gateway = self._lab.gateway
        return gateway.faults if device == "gateway.lab" else self._find(device).faults


def _artifacts() -> Path:
    try:
        folder = BuiltIn().get_variable_value("${OUTPUT DIR}", ".")
    except RobotNotRunningError:
        folder = "."
    target = Path(folder) / "lab-artifacts"
    target.mkdir(parents=True, exist_ok=True)
    logger.info(f"artifacts: {target}")
    return target


def _app(app: str | Package) -> str | Path | Package:
    """Return a package, a template's name, or a path: from the suite's own folder if it is there."""
    if isinstance(app, Package):
        return app
    try:
        suite = Path(str(BuiltIn().get_variable_value("${SUITE SOURCE}", ".")))
    except RobotNotRunningError:
        return app
    beside = suite.parent / app
    return beside if beside.exists() else app


def _line(pattern: str, regular: bool) -> re.Pattern[str]:
    inner = pattern if regular else re.escape(pattern)
    return re.compile(rf"([^\r\n]*(?:{inner})[^\r\n]*)\r?\n")


def _wildcards(pattern: str) -> re.Pattern[str]:
    """Return what finds text with `*` and `?`, anywhere unless the pattern says where."""
    return re.compile(fnmatch.translate(f"*{pattern}*"), re.DOTALL)


def rgb(text: str) -> Sequence[int]:
    """Return what a colour's name, or ``#rrggbb``, stands for."""
    if text.lower() in COLOURS:
        return COLOURS[text.lower()]
    if re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        return tuple(bytes.fromhex(text[1:]))
    raise AssertionError(f"{text!r} is no colour: {', '.join(COLOURS)} and #rrggbb are")


def hex_of(colour: Sequence[int]) -> str:
    """Return a colour as ``#rrggbb``."""
    return "#" + bytes(colour).hex()
