"""Engine `renode`: boards and buses as they are, several machines in one Renode process."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import anyio
from anyio import to_thread
from anyio.abc import ByteStream
from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError

from lab import paths
from lab.boards import Board
from lab.engines import Exit, Launch
from lab.engines._process import check_tools, memory_file
from lab.engines._renode_pool import CAPACITY, CONTROLS, Pool
from lab.engines._renode_pyrenode3 import interpreter
from lab.engines.renode_control import Control, checked_name, quoted
from lab.errors import LabError, MissingError, UsageError

OLDEST = (1, 15)
"""The first version that is known to do."""

CONTROL = "LAB_RENODE_CONTROL"
"""The variable that says how Renode is spoken to."""

_STREAMS = ("console", "link", "simbus")

# In a snapshot: what Renode has written, and what the machine is called there.
_STATE, _FACTS = "machine.renode", "machine.json"
_RESET = re.compile(r'^macro reset(?:[ \t]+"[^\n]*"|\s*\n"""\n.*?\n""")[ \t]*$', re.MULTILINE | re.DOTALL)

_INSTALL = (
    "Download a portable release from Renode's GitHub page, and put renode on PATH or name it in RENODE."
)


class RenodeEngine:
    """Boots boards in Renode, up to eight a process.

    :param control: how Renode is spoken to, ``monitor`` or ``pyrenode3``; as `chosen_control` has it unless
        said.
    """

    name = "renode"

    def __init__(self, control: str | None = None) -> None:
        self._control = control
        self._pools: list[Pool] = []
        self._choosing = anyio.Lock()
        self._renamed = itertools.count()

    def check(self, board: Board) -> None:
        """Raise `MissingError` if Renode is not installed or too old."""
        check_tools()
        program()
        if (self._control or chosen_control()) == "pyrenode3":
            interpreter()

    async def start(self, launch: Launch) -> RenodeMachine:
        """Make a machine in a process that has room; returns once it runs and its streams are open.

        :raises LabError: Renode could not be started, or refused the machine.
        """
        renode = launch.board.renode
        if renode is None:
            raise UsageError(f"board {launch.board.name} is not one for engine 'renode'")
        launch.folder.mkdir(parents=True, exist_ok=True)
        if launch.snapshot is not None:
            return await self._loaded(launch, launch.snapshot)
        name = self._named(launch.device)
        pool = await self._room(name, launch.folder)
        streams = _streams(name)
        identity = memory_file(launch.identity)
        try:
            await pool.include(script(launch, name, streams, f"/proc/{os.getpid()}/fd/{identity}"))
            machine = await self._machine(pool, name, renode.parts)
            await pool.control.run(name)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self.leave(pool, name)
            raise
        finally:
            os.close(identity)
        return machine

    async def _loaded(self, launch: Launch, snapshot: Path) -> RenodeMachine:
        """Have a machine from a snapshot, in a process of its own: Renode loads what is all it runs."""
        assert launch.board.renode is not None
        facts = json.loads(await to_thread.run_sync((snapshot / _FACTS).read_text))
        name: str = facts["machine"]
        streams = _streams(name)
        # A log of its own: the process that the machine was in may run on for others.
        folder = launch.folder / "loaded"
        folder.mkdir(exist_ok=True)
        (folder / "engine.log").unlink(missing_ok=True)
        async with self._choosing:
            pool = await Pool.start(self._control or chosen_control(), program(), folder)
            self._pools.append(pool)
            pool.machines.add(name)
            pool.guests.add(name)
        try:
            if pool.models != facts["models"]:
                raise LabError(
                    f"snapshot {snapshot.name} is of another Renode, or of other models of the lab",
                    hint=f"Save another; {CONTROL} and RENODE say which Renode it is.",
                )
            which = f"{quoted(name)} {quoted(' '.join(streams.values()))}"
            await pool.control.execute(f"emulation LoadLab {quoted(snapshot / _STATE)} {which}", still=True)
            machine = await self._machine(pool, name, launch.board.renode.parts)
            machine.frozen = True
            # What the monitor does at a reset is none of what Renode saves.
            reset = _RESET.search(script(launch, name, streams, ""))
            if reset is not None:
                await pool.include(f"mach set {quoted(name)}\n{reset[0]}\n")
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self.leave(pool, name)
            raise
        return machine

    async def _machine(self, pool: Pool, name: str, parts: Mapping[str, str]) -> RenodeMachine:
        """Return a machine whose streams connect."""
        streams = {each: await pool.arrival(called) for each, called in _streams(name).items()}
        return RenodeMachine(self, pool, name, parts, **streams)

    def _named(self, device: str) -> str:
        """Return what a device is called in Renode, where a dot leads from a thing to its part."""
        name = checked_name(device)
        return f"{name.replace('.', '_')}-{next(self._renamed)}" if "." in name else name

    async def _room(self, name: str, folder: Path) -> Pool:
        """Return a process with a place for one more, which is taken from now on."""
        async with self._choosing:
            for pool in self._pools:
                room = len(pool.machines) < CAPACITY and name not in pool.machines
                if room and not pool.process.ended:
                    pool.machines.add(name)
                    pool.guests.add(name)
                    return pool
            pool = await Pool.start(self._control or chosen_control(), program(), folder)
            self._pools.append(pool)
            pool.machines.add(name)
            pool.guests.add(name)
            return pool

    async def leave(self, pool: Pool, name: str) -> None:
        """Take a machine out of its process; the last one takes the process with it."""
        # All of it behind the lock: else the last to leave would end the process under one that is leaving.
        async with self._choosing:
            pool.machines.discard(name)
            if not pool.machines or pool.process.ended:
                if pool in self._pools:
                    self._pools.remove(pool)
                    await pool.close()
                return
            await pool.control.remove(name, _streams(name).values())


class RenodeMachine:
    """A board in a Renode process that it may share with others."""

    carried = None

    def __init__(
        self,
        engine: RenodeEngine,
        pool: Pool,
        name: str,
        parts: Mapping[str, str],
        *,
        console: ByteStream,
        link: ByteStream,
        simbus: ByteStream,
    ) -> None:
        self.console = console
        self.link = link
        self.simbus = simbus
        self._engine = engine
        self._pool = pool
        self._name = name
        self._parts = parts
        self._asked = False
        self._stopped = anyio.Event()
        self.frozen = False
        """Whether the clocks of its process stand still for it."""
        self._stopping = anyio.Lock()

    @property
    def pid(self) -> int:
        """Renode's process, which other machines may share."""
        return self._pool.process.pid

    async def stop(self) -> Exit:
        """Cut its power. Idempotent; returns when it is gone, and its process too if it was the last one."""
        self._asked = True
        async with self._stopping:
            if not self._stopped.is_set():
                with anyio.CancelScope(shield=True):
                    with contextlib.suppress(LabError):  # the process may have ended
                        await self.thaw()
                    await self._engine.leave(self._pool, self._name)
                self._stopped.set()
        return await self.wait()

    async def reset(self) -> None:
        """Press its reset button; its memory survives.

        :raises LabError: it has ended, or Renode refuses.
        """
        await self._execute("machine Reset")

    async def pause(self) -> None:
        """Halt its processor, as a debugger does; its neighbours go on, and so do its timers.

        Machines of one process share their virtual time: stopping it for one would stop it for all.
        """
        await self._control("halt it").halt(self._name, True)

    async def resume(self) -> None:
        """Let it go on after `pause`."""
        await self._control("let it go on").halt(self._name, False)
        await self.thaw()

    async def freeze(self) -> None:
        """Stop the clock of its process until `thaw`.

        :raises UsageError: others share the process, and a snapshot of it would be one of them, too.
        """
        self._check_alone()
        await self._control("stand still").execute("emulation HoldLab", still=True)
        self.frozen = True

    async def thaw(self) -> None:
        """End `freeze`; it goes on unless it is paused."""
        if self.frozen:
            self.frozen = False
            await self._control("let it go on").execute("emulation ReleaseLab", still=True)

    async def save(self, folder: Path) -> None:
        """Write what is in it to `folder`. It is frozen.

        :raises UsageError: another machine has come into its process.
        :raises LabError: it has ended, or Renode cannot write it.
        """
        self._check_alone()
        control = self._control("be saved")
        await control.execute(f"emulation SaveLab {quoted(folder / _STATE)}", still=True)
        facts = {"machine": self._name, "models": self._pool.models}
        await to_thread.run_sync((folder / _FACTS).write_text, json.dumps(facts))

    def _check_alone(self) -> None:
        others = sorted(self._pool.guests - {self._name})
        if others:
            raise UsageError(
                f"{self._name} shares, or has shared, its Renode process with {', '.join(others)}",
                hint="Renode saves a process as a whole: boot it alone, in a lab of its own (LAB_HOME).",
            )

    async def wait(self) -> Exit:
        """Return when it has ended, by itself or by `stop`."""
        code = 0
        async with anyio.create_task_group() as tasks:

            async def process_ended() -> None:
                nonlocal code
                code = await self._pool.process.wait()
                tasks.cancel_scope.cancel()

            tasks.start_soon(process_ended)
            await self._stopped.wait()
            tasks.cancel_scope.cancel()
        if self._asked:
            return Exit(code, "stopped", True)
        return Exit(code, self._pool.process.reason(), False)

    async def part(self, name: str, what: str, value: str = "") -> str:
        """Read or set a property of a part, or call a method of it, as its C# model names them.

        :param name: the part's name in the board's file.
        :param what: for example ``Temperature`` or ``Pixels``.
        :param value: what to set it to, or the method's argument; empty reads.
        :raises UsageError: there is no such part, or a name is none.
        :raises RenodeError: the model refused it.
        """
        if name not in self._parts:
            raise UsageError(
                f"there is no part {name!r}",
                hint=f"The board has: {', '.join(sorted(self._parts)) or 'none'}.",
            )
        path = checked_name(self._parts[name])
        # A signed number and a plain word are all that a part's property takes.
        if value and not re.fullmatch(r"[+-]?\w+(\.\w+)?", value):
            raise UsageError(f"{value!r} is no value for {name}.{what}", hint="Give a number or a word.")
        return await self._execute(f"sysbus.{path} {checked_name(what)} {value}".rstrip())

    async def keyword(self, request: str) -> str:
        """Answer an XML-RPC request to the Robot keywords of Renode, which reach all machines of its process.

        :raises LabError: it has ended, or Renode cannot.
        """
        return await self._pool.control.keyword(request)

    async def virtual_seconds(self) -> float:
        """Return the time that its clock shows."""
        return await self._control("tell the time").virtual_seconds(self._name)

    async def _execute(self, command: str) -> str:
        return await self._control(f"do {command!r}").execute(command, self._name)

    def _control(self, what: str) -> Control:
        if self._stopped.is_set():
            raise LabError(f"{self._name} has been stopped and cannot {what}")
        return self._pool.control


def _streams(name: str) -> dict[str, str]:
    """Return what the streams of a machine are called in Renode."""
    return {each: f"{name}-{each}" for each in _STREAMS}


def chosen_control() -> str:
    """Return how Renode is spoken to: ``LAB_RENODE_CONTROL``, or ``monitor``.

    :raises UsageError: there is no such way.
    """
    named = os.environ.get(CONTROL) or "monitor"
    if named not in CONTROLS:
        raise UsageError(
            f"{CONTROL}={named} is no way to control Renode", hint=f"One of: {', '.join(CONTROLS)}."
        )
    return named


def program() -> str:
    """Return the Renode to run: ``RENODE``, or the one on PATH.

    :raises MissingError: there is none, or it is too old.
    """
    named = os.environ.get("RENODE", "renode")
    found = shutil.which(named)
    if found is None:
        raise MissingError(f"Renode is not on this machine ({named} was not found)", hint=_INSTALL)
    version = _version(found)
    if version < OLDEST:
        raise MissingError(
            f"{found} is Renode {'.'.join(map(str, version))}, and the lab needs 1.15 or newer", hint=_INSTALL
        )
    return found


@functools.cache
def _version(file: str) -> tuple[int, ...]:
    """Return the version of a Renode, for example (1, 16)."""
    try:
        said = subprocess.run(
            [file, "--version"], capture_output=True, text=True, timeout=30, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MissingError(f"{file} could not be asked for its version: {error}", hint=_INSTALL) from error
    found = re.search(r"v(\d+)\.(\d+)", said)
    if found is None:
        raise MissingError(f"{file} says no version: {said.strip()[:200]!r}", hint=_INSTALL)
    return tuple(map(int, found.groups()))


def script(launch: Launch, name: str, streams: Mapping[str, str], identity: str) -> str:
    """Return the monitor script that makes the machine.

    :param name: what Renode calls the machine.
    :param streams: names of ``console``, ``link`` and ``simbus``.
    :param identity: file that holds the identity.
    :raises UsageError: the board's template is wrong, or a name cannot be written.
    """
    board, renode, image = launch.board, launch.board.renode, launch.image
    if image is None:
        raise UsageError(
            f"there is no firmware image for {board.name}",
            hint="Its image is built from zephyr-app/ by west.",
        )
    if renode is None or board.identity is None:
        raise UsageError(f"board {board.name} is not one for engine 'renode'")
    template, platform = Path(renode.script), Path(renode.platform)
    if not platform.is_file():
        raise UsageError(
            f"board {board.name} names a platform that is not there: {platform.name}",
            hint="It is looked for beside the board's file, then among the lab's platforms.",
        )
    templates = Environment(
        loader=FileSystemLoader([template.parent, paths.data("platforms")]),
        undefined=StrictUndefined,
        autoescape=False,
        keep_trailing_newline=True,
    )
    templates.filters["quoted"] = quoted
    try:
        return templates.get_template(template.name).render(
            machine=name,
            platform=platform,
            image=image.absolute(),
            vectors=f"{start_of(image, board):#x}",
            identity=identity,
            identity_address=f"{board.identity.address:#x}",
            console=streams["console"],
            console_uart=checked_name(renode.console),
            link=streams["link"],
            link_uart=checked_name(renode.link),
            simbus=streams["simbus"],
            simbus_uart=checked_name(renode.simbus) if renode.simbus else None,
            parts=list(_attached(board)),
        )
    except TemplateError as error:
        raise UsageError(f"{template.name} of board {board.name}: {error}") from error


def _attached(board: Board) -> Iterator[tuple[str, str, int]]:
    """Yield name, path in the platform and place of every part whose world is the lab's."""
    assert board.renode is not None
    if board.renode.simbus:
        return
    for part in board.parts:
        if part.name not in board.renode.parts:
            raise UsageError(
                f"board {board.name} does not say where in its platform {part.name!r} is",
                hint=f'For example in [renode.parts]: {part.name} = "gpio0.{part.name}".',
            )
        place = part.settings.get("pin", part.settings.get("strip", 0))
        yield part.name, checked_name(board.renode.parts[part.name]), int(place)


def start_of(image: Path, board: Board) -> int:
    """Return the lowest address that an image is loaded to: on Cortex-M where its vectors are.

    An ESP32's are addresses in its flash, which the cache shows elsewhere.

    :raises UsageError: it is no ELF, or not one for `board`.
    """
    try:
        with image.open("rb") as file:
            segments = [s for s in ELFFile(file).iter_segments("PT_LOAD") if s["p_filesz"]]
            addresses = [int(segment["p_paddr"]) for segment in segments]
    except (OSError, ELFError) as error:
        raise UsageError(f"{image} is no firmware image: {error}", hint="An ELF is needed.") from error
    for address in addresses:
        if not any(m.base <= address < m.base + m.size for m in board.memory.values()):
            raise UsageError(
                f"{image} is not for {board.name}: it goes to {address:#x}, where the board has no memory",
                hint=f"Build it for the board: lab build --board {board.name}",
            )
    if not addresses:
        raise UsageError(f"{image} holds nothing to load")
    return min(addresses)
