"""The pytest plugin: fixtures `lab`, `gateway`, `board`, `device` and `fleet`; see docs/testing.md.

pytest loads this for everybody who has the lab installed, so it imports the lab only when a test needs it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

if TYPE_CHECKING:
    from lab.boards import Board
    from lab.testing.bench import Bench
    from lab.testing.device import Device
    from lab.testing.gateway import Gateway

    Scope = Literal["session", "package", "module", "class", "function"]
    Fleet = Callable[..., list[Device]]

_SCOPES = ("function", "class", "module", "package", "session")
_DEFAULT_BOARDS = ["native"]

_OPEN = pytest.StashKey[list["Bench"]]()
"""The labs that run now."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer the options."""
    group = parser.getgroup("lab")
    group.addoption(
        "--board",
        action="append",
        metavar="NAME[=PORT]",
        help="run the tests on this board, may be repeated; PORT is where a real one hangs "
        "(ini: lab_boards; default: native)",
    )
    group.addoption(
        "--lab-scope",
        choices=_SCOPES,
        help="how long a lab and its devices live (ini: lab_scope; default: function)",
    )
    group.addoption(
        "--lab-artifacts",
        metavar="DIR",
        help="keep console, events, link frames and flash of a failed test's devices in a folder "
        "there (ini: lab_artifacts; default: none are kept)",
    )
    group.addoption(
        "--lab-missing",
        choices=("skip", "fail"),
        help="what becomes of a test that needs a tool this machine lacks (ini: lab_missing; default: skip)",
    )
    parser.addini("lab_boards", "boards that tests run on, NAME or NAME=PORT", "args", _DEFAULT_BOARDS)
    parser.addini("lab_scope", "how long a lab and its devices live", default="function")
    parser.addini("lab_artifacts", "folder for what is kept of failed tests", default="")
    parser.addini("lab_missing", "a test that needs what the machine lacks: skip or fail", default="skip")
    parser.addini("lab_platforms", "folder of the project's own board files", default="")


def pytest_configure(config: pytest.Config) -> None:
    """Offer the markers."""
    for line in (
        "board(name, ...): the boards this test is for",
        "engine(name, ...): the engines this test is for: native, qemu, renode, serial",
        "needs(feature, ...): what the board must have, by the name or kind of the part: bme680, buzzer, ...",
    ):
        config.addinivalue_line("markers", line)
    config.stash[_OPEN] = []
    _one_of(config, "lab_scope", _SCOPES)
    _one_of(config, "lab_missing", ("skip", "fail"))


# -- which boards


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test once on each board."""
    if "board" not in metafunc.fixturenames or _parametrized_by_hand(metafunc):
        return
    asked: list[str] = metafunc.config.getoption("--board") or []
    marks = [mark.args for mark in metafunc.definition.iter_markers("board")]
    own = list(marks[0]) if marks else []
    if asked and own:
        names: list[Any] = [name for name in asked if _name(name) in own]
        if not names:
            reason = f"is for {', '.join(own)}; --board asks for {', '.join(asked)}"
            names = [pytest.param(own[0], marks=pytest.mark.skip(reason=reason))]
    else:
        names = asked or own or list(metafunc.config.getini("lab_boards"))
    metafunc.parametrize("board", names, indirect=True, scope=_scope("board", metafunc.config))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose board is not what it needs."""
    callspec = getattr(item, "callspec", None)
    name = callspec.params.get("board") if callspec else None
    if not isinstance(name, str):
        return
    engines = [engine for mark in item.iter_markers("engine") for engine in mark.args]
    needs = [feature for mark in item.iter_markers("needs") for feature in mark.args]
    if not engines and not needs:
        return
    board = _load(_name(name), item.config)
    if engines and board.engine not in engines:
        pytest.skip(f"needs engine {' or '.join(engines)}; {board.name} is {board.engine}")
    features = {word for part in board.parts for word in (part.name, part.kind)}
    lacking = [feature for feature in needs if feature not in features]
    if lacking:
        pytest.skip(
            f"needs {', '.join(lacking)}; {board.name} has {', '.join(sorted(features)) or 'no parts'}"
        )


# -- fixtures


def _scope(fixture_name: str, config: pytest.Config) -> Scope:
    chosen: Scope = _one_of(config, "lab_scope", _SCOPES)
    return chosen


@pytest.fixture(scope=_scope)
def lab(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Bench]:
    """A lab of the tests' own (`lab.testing.bench.Bench`): ``lab.up("mps2-an385")``."""
    from lab.testing.bench import Bench

    bench = Bench(
        tmp_path_factory.mktemp("lab"),
        platforms=_platforms(pytestconfig),
        trace=bool(_option(pytestconfig, "lab_artifacts")),
    )
    opened = pytestconfig.stash[_OPEN]
    with bench:
        opened.append(bench)
        yield bench
        opened.remove(bench)


@pytest.fixture(scope=_scope)
def gateway(lab: Bench) -> Iterator[Gateway]:
    """The lab's gateway (`lab.testing.gateway.Gateway`); its faults end with the fixture's scope."""
    yield lab.gateway
    lab.gateway.faults.clear()


@pytest.fixture(scope=_scope)
def board(request: pytest.FixtureRequest, pytestconfig: pytest.Config) -> Board:
    """The board this test runs on (`lab.boards.Board`): its name, engine, parts, pins."""
    from lab import boards

    name, _, port = str(request.param).partition("=")
    board = _load(name, pytestconfig)
    return boards.with_serial(board, port) if port else board


@pytest.fixture(scope=_scope)
def device(lab: Bench, board: Board) -> Iterator[Device]:
    """A device (`lab.testing.device.Device`), booted and connected; gone when its scope ends."""
    device = lab.up(board.name, serial=board.serial.url if board.serial else None)
    yield device
    lab.forget([device])


@pytest.fixture(scope=_scope)
def fleet(lab: Bench, board: Board) -> Iterator[Fleet]:
    """Boots several devices at once: ``fleet(20)``, or ``fleet(3, "mps2-an385")`` of another board."""
    booted: list[Device] = []

    def boot(count: int, kind: str = board.name, *, timeout: float = 120.0) -> list[Device]:
        devices = lab.fleet(count, kind, timeout=timeout)
        booted.extend(devices)
        return devices

    yield boot
    lab.forget(booted)


# -- reports


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add what the lab knows: properties to every report, state and files of the devices to a failed one."""
    benches = item.config.stash[_OPEN]
    if call.excinfo is not None and _option(item.config, "lab_missing") == "skip":
        _skip_for_missing(call)
    if benches and call.when == "call":
        from lab.testing import records

        item.user_properties += records.properties(benches)
    report = yield
    if report.skipped and isinstance(report.longrepr, tuple) and report.longrepr[0] == __file__:
        # Where the test is tells more than where in this file it was decided.
        report.longrepr = (str(item.path), (item.location[1] or 0) + 1, report.longrepr[2])
    if benches and report.failed and call.when in ("setup", "call"):
        from lab.testing import records

        assert call.excinfo is not None
        report.sections += records.sections(benches, call.excinfo.value)
        folder = _option(item.config, "lab_artifacts")
        if folder:
            kept = records.keep(benches, item.config.rootpath / folder, item.nodeid)
            report.sections.append(("lab artifacts", str(kept)))
    return report


def _skip_for_missing(call: pytest.CallInfo[None]) -> None:
    """Turn the lab's word that this machine lacks something into a skip (as pytest does for unittest's)."""
    from lab.errors import MissingError

    assert call.excinfo is not None
    error = call.excinfo.value
    if isinstance(error, MissingError):
        reason = f"{error.message} ({error.hint})" if error.hint else error.message
        skipped = pytest.CallInfo.from_call(lambda: pytest.skip(reason), "call")
        call.excinfo = skipped.excinfo


# -- configuration


def _option(config: pytest.Config, name: str) -> str:
    """Return what the command line says, else the configuration file."""
    chosen = config.getoption(name) or config.getini(name)
    return str(chosen)


def _one_of(config: pytest.Config, name: str, allowed: tuple[str, ...]) -> Any:
    chosen = _option(config, name)
    if chosen not in allowed:
        raise pytest.UsageError(f"{name} = {chosen!r} is not allowed; one of {', '.join(allowed)} is")
    return chosen


def _platforms(config: pytest.Config) -> Path | None:
    folder = config.getini("lab_platforms")
    return config.rootpath / folder if folder else None


@functools.cache
def _load(name: str, config: pytest.Config) -> Board:
    from lab import boards

    folder = _platforms(config)
    return boards.load(name, [folder] if folder else [])


def _name(board: str) -> str:
    return board.partition("=")[0]


def _parametrized_by_hand(metafunc: pytest.Metafunc) -> bool:
    return any(
        "board" in ([each.strip() for each in names.split(",")] if isinstance(names, str) else names)
        for mark in metafunc.definition.iter_markers("parametrize")
        for names in mark.args[:1]
    )
