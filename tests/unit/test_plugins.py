"""The plugin host with real components: what a plugin cannot do, what its failures do not do to others."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import shutil
import socket
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from lab import paths
from lab.codegen import wit
from lab.errors import UsageError
from lab.node.capabilities import Parts, functions
from lab.node.config import Plugin
from lab.node.hardware import Hardware
from lab.node.outputs import Buzzer, Fan, Leds
from lab.node.system import System
from lab.plugins import engine, guest, host
from lab.plugins.build import build
from lab.plugins.engine import Runtime
from lab.plugins.guest import Functions, Limits, record
from lab.plugins.host import Grant, Host, State
from lab.plugins.outline import outline
from lab.plugins.refusal import Error, Refused
from lab.plugins.worlds import worlds

from .plugins import built, install

pytestmark = pytest.mark.anyio

MIB = 1 << 20
ESCAPED = Path("/tmp/escaped")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Bench:
    """A host whose plugins have a settable bench for hardware."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = 0.0
        self.lines: list[tuple[str, str, str]] = []
        self.settings: dict[str, dict[str, str]] = {}
        self.limits = Limits()
        self.temperature = 22.0
        self.worlds: dict[str, str] = {}
        self.reading: Callable[[], Any] = lambda: record(temperature=self.temperature, humidity=45.0)
        self.i2c: Callable[[int, bytes, int], bytes] = lambda address, out, length: b"\x61" * length
        self.runtime = Runtime()
        self.host = Host(
            folder,
            self.runtime,
            self.grant,
            lambda level, source, text: self.lines.append((level, source, text)),
            clock=lambda: self.now,
        )

    def grant(self, name: str) -> Grant:
        settings = self.settings.setdefault(name, {})

        def nothing(*_arguments: object) -> None:
            return None

        device = "lab:device/{}@0.1.0".format
        granted: Functions = {
            device("log"): {"write": lambda level, text: self.lines.append((level, name, text))},
            device("clock"): {"now": lambda: 1},
            device("dht22"): {"read": lambda: self.reading()},
            device("bme680"): {"read": nothing},
            device("system-info"): {"get": nothing},
            device("i2c"): {"transfer": lambda *arguments: self.i2c(*arguments)},
            device("led-controller"): dict.fromkeys(
                ("length", "set", "set-two", "set-all", "clear"), lambda *_: True
            ),
            device("buzzer-controller"): dict.fromkeys(("on-for", "beep", "off"), nothing),
            "lab:plugin/settings@0.1.0": {"get": settings.get},
        }
        return Grant(granted, self.worlds.get(name), limits=self.limits)

    async def tried(self, what: str, **settings: str) -> str:
        """Return why mischief failed."""
        self.settings["mischief"] = {"what": what, **settings}
        install(built("mischief"), self.folder)
        await self.host.load_all()
        assert await self.host.poll("mischief") is None
        plugin = self.host.plugins["mischief"]
        assert plugin.state is State.FAILING
        return plugin.error

    async def value(self, name: str = "mischief") -> float:
        readings = await self.host.poll(name)
        assert readings, self.lines
        return readings[0].value


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.host.close()
    made.runtime.close()


# -- the contract


def test_the_node_offers_every_function_of_every_interface(tmp_path: Path) -> None:
    async def offered() -> Functions:
        hardware = Hardware()
        parts = Parts(
            hardware,
            Leds(hardware, 11),
            Buzzer(hardware, None, True),
            Fan(hardware, None, False),
            System(),
            lambda *_: None,
            tuple,
        )
        return functions("any", Plugin(), parts)

    found = asyncio.run(offered())
    device = wit.read(paths.data("wit") / "device.wit")
    plugin = wit.read(paths.data("wit") / "plugin.wit", device)
    for interface in {each for world in plugin.worlds.values() for each in world.imports}:
        functions_of_it = {function.name for function in interface.functions}
        assert set(found[interface.full_name]) == functions_of_it, interface.full_name


def test_no_world_but_full_reaches_pins() -> None:
    grants = {name: "lab:device/gpio-provider@0.1.0" in world.imports for name, world in worlds().items()}
    assert [name for name, granted in grants.items() if granted] == ["full"]
    hardware = re.compile("dht22|bme680|i2c|led|buzzer|fan|gpio")
    assert not [name for name in worlds()["dashboard"].imports if hardware.search(name)]


def test_plugins_share_what_is_large() -> None:
    first, second = (outline(built(name).read_bytes()) for name in ("dht22", "mischief"))
    assert first.modules.keys() == second.modules.keys()
    assert sum(map(len, first.modules.values())) > 5 * MIB


@pytest.mark.parametrize("damage", [b"", b"\0asm\1\0\0\0", b"MZ\x90\0" * 100])
def test_outline_refuses_what_is_no_component(damage: bytes) -> None:
    with pytest.raises(ValueError, match="component"):
        outline(damage)


def test_outline_refuses_half_a_component() -> None:
    whole = built("mischief").read_bytes()
    for length in (9, 100, len(whole) // 2, len(whole) - 1):
        with pytest.raises(ValueError, match="too early"):
            outline(whole[:length])


def test_build_names_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no plugin"):
        build(tmp_path, tmp_path / "out.wasm")
    (tmp_path / "plugin.py").write_text("")
    with pytest.raises(UsageError, match="which world"):
        build(tmp_path, tmp_path / "out.wasm")
    with pytest.raises(UsageError, match="no world 'moon'"):
        build(tmp_path, tmp_path / "out.wasm", "moon")


# -- the sandbox


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("read file", "No such file"),
        ("write file", "No such file"),
        ("list folder", "No such file|Bad file|not permitted|Capabilities insufficient"),
        ("import", "cannot import name 'i2c'"),
    ],
)
async def test_guest_has_no_files_and_no_other_world(bench: Bench, what: str, said: str) -> None:
    assert re.search(said, await bench.tried(what))
    assert not ESCAPED.exists()  # noqa: ASYNC240


async def test_guest_has_no_network(bench: Bench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert "PermissionError" in await bench.tried("socket", port=str(listener.getsockname()[1]))
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()


async def test_guest_sees_no_environment(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_HOST", "x")
    bench.settings["mischief"] = {"what": "environment"}
    install(built("mischief"), bench.folder)
    await bench.host.load_all()
    readings = await bench.host.poll("mischief")
    assert readings is not None
    assert "SECRET_OF_THE_HOST" not in readings[0].note


async def test_guest_that_computes_without_end_is_ended(bench: Bench) -> None:
    bench.limits = Limits(seconds=0.3, wait=1.0)  # one that goes on beyond `wait` is given up, and not ended
    assert "computed for more than 0.3 s" in await bench.tried("loop")
    bench.settings["mischief"]["what"] = "loop of calls"
    bench.now += 100
    assert await bench.host.poll("mischief") is None
    assert "computed for more than 0.3 s" in bench.host.plugins["mischief"].error


async def test_waiting_for_a_sensor_is_not_computing(bench: Bench) -> None:
    bench.limits = Limits(seconds=0.2)
    release = threading.Event()

    def slow() -> Any:
        release.wait(0.6)
        return record(temperature=21.0, humidity=40.0)

    bench.reading = slow
    bench.settings["mischief"] = {"what": "measure"}
    install(built("mischief"), bench.folder)
    await bench.host.load_all()
    assert await bench.value() == 21.0


async def test_guest_gets_no_gigabyte(bench: Bench) -> None:
    assert "MemoryError" in await bench.tried("memory")


async def test_guest_ends_itself_only(bench: Bench) -> None:
    assert "exit" in await bench.tried("exit")


async def test_guest_that_sleeps_is_given_up_and_its_thread_kept_to_one(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "_GRACE", 0.0)
    bench.limits = Limits(wait=0.2)
    error = await bench.tried("sleep", seconds="1")
    assert "not come back" in error
    bench.now += 100
    threads = threading.active_count()
    assert await bench.host.poll("mischief") is None, "it still sleeps"
    assert threading.active_count() == threads
    worker = bench.host.plugins["mischief"].worker
    await worker.run(lambda: None)  # comes after the call that was given up
    bench.settings["mischief"]["what"] = ""
    assert await bench.value() == 1.0, "a new instance"


# -- failures


async def test_exceptions_are_told_and_back_off(bench: Bench) -> None:
    error = await bench.tried("raise")
    assert "ValueError: as told" in error
    assert "plugin.py" in error, "with the traceback"
    assert "wasm" not in error, "and nothing else"
    tried = []
    for _ in range(200):
        bench.now += 1
        before = bench.host.plugins["mischief"].failures
        assert await bench.host.poll("mischief") is None
        if bench.host.plugins["mischief"].failures > before:
            tried.append(bench.now)
    assert [b - a for a, b in zip([0.0, *tried], tried, strict=False)] == [1, 2, 4, 8, 16, 32, 60, 60]


async def test_plugin_recovers(bench: Bench) -> None:
    bench.settings["mischief"] = {"what": "raise", "after": "1"}
    install(built("mischief"), bench.folder)
    await bench.host.load_all()
    assert await bench.value() == 1.0
    assert await bench.host.poll("mischief") is None
    bench.now += 1
    assert await bench.value() == 1.0, "restarted: its globals are new"
    plugin = bench.host.plugins["mischief"]
    assert (plugin.state, plugin.failures, plugin.error) == (State.RUNNING, 0, "")


async def test_complaint_is_no_failure_of_the_instance(bench: Bench) -> None:
    assert await bench.tried("complain") == "the sensor is cold"
    assert await bench.host.poll("mischief") is None
    said = [text for level, _, text in bench.lines if level == "warning"]
    assert said == ["the sensor is cold"], "once, not every cycle"
    bench.settings["mischief"]["what"] = ""
    assert await bench.value() == 3.0, "the same instance"


async def test_a_failure_after_many_complaints_costs_what_the_first_does(bench: Bench) -> None:
    await bench.tried("complain")
    for _ in range(1100):  # more than a power of two in a float can have
        assert await bench.host.poll("mischief") is None
    bench.settings["mischief"]["what"] = "raise"
    assert await bench.host.poll("mischief") is None
    assert bench.lines[-1][2].startswith("failed, restarted in 1 s")


async def test_sensor_that_does_not_answer_reaches_the_plugin_as_an_error(bench: Bench) -> None:
    def refuse() -> Any:
        raise Refused(Error.NO_ANSWER)

    bench.reading = refuse
    install(built("dht22"), bench.folder)
    await bench.host.load_all()
    assert await bench.host.poll("dht22") is None
    assert bench.host.plugins["dht22"].error == "the DHT22 gives no reading: no_answer"


@pytest.mark.parametrize(
    "answer",
    [lambda: record(temperature=21.0), lambda: record(temperature="21", humidity=40.0), lambda: 1 / 0],
)
async def test_host_that_answers_wrong_is_to_blame(bench: Bench, answer: Callable[[], Any]) -> None:
    bench.reading = answer
    assert "the host failed" in await bench.tried("measure")
    bench.reading = lambda: record(temperature=21.0, humidity=40.0)
    bench.now += 1
    assert await bench.value() == 21.0


async def test_what_a_plugin_prints_is_logged(bench: Bench) -> None:
    bench.settings["mischief"] = {"what": "log"}
    install(built("mischief"), bench.folder)
    await bench.host.load_all()
    await bench.value()
    assert ("info", "mischief", "printed") in bench.lines
    assert any(level == "warning" and text.startswith("xxx") for level, _, text in bench.lines)


async def test_one_bad_plugin_keeps_no_other_waiting(bench: Bench) -> None:
    bench.limits = Limits(seconds=0.2)
    bench.settings["bad"] = {"what": "loop"}
    for name in ("bad", "good"):
        install(built("mischief"), bench.folder, name)
    await bench.host.load_all()
    for expected in (1.0, 2.0, 3.0):
        assert await bench.host.poll("bad") is None
        assert await bench.value("good") == expected


# -- loading


async def test_state_persists_between_polls(bench: Bench) -> None:
    install(built("mischief"), bench.folder)
    await bench.host.load_all()
    assert [await bench.value() for _ in range(5)] == [1, 2, 3, 4, 5]


async def test_new_file_is_found_and_a_removed_one_ends(bench: Bench) -> None:
    await bench.host.load_all()
    assert bench.host.order() == []
    file = install(built("mischief"), bench.folder, "surprise")
    await bench.host.load_all()
    assert await bench.value("surprise") == 1.0
    file.unlink()
    await bench.host.scan()
    assert bench.host.order() == []
    assert await bench.host.poll("surprise") is None


async def test_replaced_file_acts_at_the_next_poll_with_new_globals(bench: Bench) -> None:
    install(built("mischief"), bench.folder)
    await bench.host.load_all()
    assert [await bench.value() for _ in range(3)] == [1, 2, 3]
    install(built("mischief", change=("polls = 0", "polls = 100")), bench.folder)
    assert await bench.value() == 4.0, "the old one until the new one is loaded"
    await bench.host.load_all()
    assert await bench.value() == 101.0


@pytest.mark.parametrize(
    "damage", [lambda wasm: wasm[: len(wasm) // 2], lambda wasm: b"", lambda wasm: wasm[:8] + b"\xff" * 1000]
)
async def test_old_plugin_is_kept_when_the_new_one_is_bad(
    bench: Bench, damage: Callable[[bytes], bytes]
) -> None:
    file = install(built("mischief"), bench.folder)
    await bench.host.load_all()
    assert await bench.value() == 1.0
    file.write_bytes(damage(file.read_bytes()))
    await bench.host.load_all()
    assert await bench.value() == 2.0
    plugin = bench.host.plugins["mischief"]
    assert plugin.state is State.RUNNING
    assert "not taken" in plugin.error
    assert bench.lines[-1][0] == "error"
    install(built("mischief"), bench.folder)
    await bench.host.load_all()
    assert await bench.value() == 1.0
    assert plugin.error == ""


async def test_half_written_file_is_waited_for(bench: Bench) -> None:
    whole = built("mischief").read_bytes()
    file = bench.folder / "mischief.wasm"
    with file.open("wb") as stream:
        for part in range(0, len(whole), len(whole) // 4 + 1):
            stream.write(whole[part : part + len(whole) // 4 + 1])
            stream.flush()
            await bench.host.scan()  # each look sees another file
    assert not [line for line in bench.lines if line[0] == "error"]
    await bench.host.load_all()
    assert await bench.value() == 1.0


async def test_component_of_another_world_is_refused(bench: Bench) -> None:
    install(built("dht22"), bench.folder, "stranger")  # an unknown name: world probe
    await bench.host.load_all()
    plugin = bench.host.plugins["stranger"]
    assert plugin.state is State.REJECTED
    assert "lab:device/led-controller@0.1.0" in plugin.error
    assert "world probe does not grant" in plugin.error
    install(built("dashboard"), bench.folder, "stranger")
    await bench.host.load_all()
    assert "does not export lab:plugin/sensor@0.1.0" in plugin.error


async def test_nothing_is_linked_but_the_worlds_own(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guest, "_check", lambda *_: None)  # it says why; what is not linked it does not need
    install(built("dht22"), bench.folder, "stranger")
    await bench.host.load_all()
    assert bench.host.plugins["stranger"].state is State.REJECTED
    assert "cannot be instantiated in world probe" in bench.host.plugins["stranger"].error


async def test_world_comes_from_the_configuration(bench: Bench) -> None:
    bench.worlds["stranger"] = "dht22"
    install(built("dht22"), bench.folder, "stranger")
    await bench.host.load_all()
    assert await bench.value("stranger") == 22.0


async def test_damaged_cache_is_made_again(bench: Bench, tmp_path: Path) -> None:
    wasm = built("mischief").read_bytes()
    await bench.runtime.load(wasm)
    cache = tmp_path / "cache"
    shutil.copytree(bench.runtime._cache, cache, copy_function=os.link)
    for file in cache.glob("*.component"):
        start = file.read_bytes()[:1000]
        file.unlink()
        file.write_bytes(start)
    runtime = Runtime(cache)
    try:
        assert (await runtime.load(wasm)).modules
    finally:
        runtime.close()


def test_the_cache_keeps_what_was_used_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_KEPT", 2)
    components = [b"\0asm\x0d\0\1\0" + bytes([0, 2, 1, name]) for name in b"abc"]  # empty, but for a name
    keys = [engine._key(hashlib.sha256(wasm).hexdigest()) for wasm in components]
    for number in (0, 1):
        engine._compile(tmp_path, components[number])
        os.utime(tmp_path / f"{keys[number]}.json", (number, number))
    runtime = Runtime(tmp_path)
    try:
        asyncio.run(runtime.load(components[0]))
    finally:
        runtime.close()
    engine._compile(tmp_path, components[2])
    assert {file.stem for file in tmp_path.glob("*.json")} == {keys[0], keys[2]}
    assert {file.stem for file in tmp_path.glob("*.component")} == {keys[0], keys[2]}
