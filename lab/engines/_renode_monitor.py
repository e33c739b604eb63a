"""Renode, controlled by commands of its monitor. Needs nothing but Renode.

Its agent (``renode/agent/LabAgent.cs``) connects out to the lab, once for commands and once for each stream;
Renode ends when the first of these connections does.
"""

from __future__ import annotations

import contextlib
import os
import re
import struct
from collections.abc import Iterable

from anyio import to_thread
from anyio.streams.buffered import BufferedByteReceiveStream

from lab.engines._process import Process
from lab.engines.renode_control import (
    COMMAND_TIMEOUT,
    KEYWORD_TIMEOUT,
    Conversation,
    Conversing,
    RenodeError,
    included,
    quoted,
    ready,
    refused,
    write_private,
)
from lab.errors import LabError

_OPTIONS = ("--disable-gui", "--plain", "--console", "--hide-analyzers")
_LENGTH = struct.Struct("<i")
_COMMAND, _STILL, _KEYWORD = range(3)  # kinds of request, as the agent counts them


class MonitorControl(Conversing):
    """A Renode of its own, with the lab's agent in it."""

    _stdin: int | None = None

    async def start(self) -> None:
        """Start Renode; returns when its agent has connected."""
        setup = self._setup
        script = setup.folder / "renode.resc"
        serve = f"emulation ConnectLab {setup.arrivals.port} {quoted(setup.arrivals.token)}"
        await to_thread.run_sync(write_private, script, f"{included(setup.models)}\n{serve}\n")
        # Renode's console reads its stdin in a busy loop once that has ended: it gets a pipe that does not.
        # It reads when the script is over: after a failed one, for the agent does not return.
        end, self._stdin = os.pipe()
        os.write(self._stdin, b"quit\n")
        try:
            self.process = Process(
                [setup.program, *_OPTIONS, "-e", included(script)],
                [],
                setup.log,
                stdin=end,
                environment={"XDG_CONFIG_HOME": os.fspath(setup.settings)},
            )
            control = await ready(self.process, lambda: setup.arrivals.arrival("control"))
        finally:
            os.close(end)
            script.unlink()  # it holds the token
        self._conversation = Conversation(self.process, control)

    async def execute(self, command: str, machine: str = "", *, still: bool = False) -> str:
        """Run a monitor command and return what the monitor said."""
        done, said = await self._request(_STILL if still else _COMMAND, machine, command, what=command)
        said = said.strip()
        if not done:
            raise refused(command, said, self._setup.log)
        return said

    async def run(self, machine: str) -> None:
        """Let a machine run that has been made."""
        await self.execute(f"emulation StartLabMachine {quoted(machine)}", still=True)

    async def halt(self, machine: str, halted: bool) -> None:
        """Halt a machine's processors, or let them go on."""
        await self.execute(f"emulation HaltLabMachine {quoted(machine)} {str(halted).lower()}")

    async def remove(self, machine: str, streams: Iterable[str]) -> None:
        """Remove a machine and its streams, or what there is of them."""
        removals = [f"emulation RemoveLabStream {quoted(each)}" for each in streams]
        for command in (f"mach rem {quoted(machine)}", *removals):
            with contextlib.suppress(RenodeError):
                await self.execute(command, still=True)

    async def virtual_seconds(self, machine: str) -> float:
        """Return the time that a machine's clock shows."""
        said = await self.execute("machine ElapsedVirtualTime", machine)
        found = re.search(r"(\d+):(\d+):(\d+(?:\.\d+)?)", said)
        if found is None:
            raise LabError(f"Renode said {said!r} when asked for the time")
        hours, minutes, seconds = found.groups()
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)

    async def keyword(self, request: str) -> str:
        """Answer an XML-RPC request to Renode's Robot keywords."""
        done, said = await self._request(
            _KEYWORD, "", request, what="a Robot keyword", timeout=KEYWORD_TIMEOUT
        )
        if not done:
            raise RenodeError(f"Renode could not run a Robot keyword: {said}")
        return said

    async def close(self) -> None:
        """End the process; returns when it is gone."""
        await super().close()
        if self._stdin is not None:
            os.close(self._stdin)
            self._stdin = None

    async def _request(
        self, kind: int, machine: str, command: str, *, what: str, timeout: float = COMMAND_TIMEOUT
    ) -> tuple[bool, str]:
        """Return whether the agent did it, and what it said."""
        assert self._conversation is not None
        texts = (machine.encode(), command.encode())
        request = bytes([kind]) + b"".join(_LENGTH.pack(len(text)) + text for text in texts)
        return await self._conversation.ask(request, _answer, what=what, timeout=timeout)


async def _answer(stream: BufferedByteReceiveStream) -> tuple[bool, str]:
    done = await stream.receive_exactly(1)
    (length,) = _LENGTH.unpack(await stream.receive_exactly(_LENGTH.size))
    return done == b"\x01", (await stream.receive_exactly(length)).decode()
