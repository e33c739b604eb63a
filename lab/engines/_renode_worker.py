"""Renode inside a Python process: what `_renode_pyrenode3` starts, with an interpreter that has pyrenode3.

Requests come on stdin, answers go to stdout: JSON objects, each behind its length in bytes (4 bytes, little
endian). The first request loads Renode; the answers say either ``value`` or ``error``. It ends when stdin
does. What Renode prints goes to stderr.

It needs nothing of the lab, so that it runs where pyrenode3 is installed and the lab is not.
"""

from __future__ import annotations

import json
import os
import struct
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

LENGTH = struct.Struct("<I")


class Refused(Exception):
    """Renode does not do it; the message is its own."""


class Renode:
    """Renode's objects, loaded into this process.

    :param models: the C# source to compile.
    :param port: where the lab listens for streams.
    :param token: what lets them in.
    """

    def __init__(self, models: str, port: int, token: str) -> None:
        root = load()
        core = import_module("Antmicro.Renode.Core")
        interface = import_module("Antmicro.Renode.UserInterface")
        logging = import_module("Antmicro.Renode.Logging")
        utilities = import_module("Antmicro.Renode.Utilities")
        # What Renode's own Program.Main and CommandLineInterface.Run do, without a shell. It looks for its
        # platforms above the program that runs, which here is Python.
        utilities.Misc.TryGetRootDirectory(str(root), "")
        logging.ConsoleBackend.Instance.PlainMode = True
        logging.Logger.AddBackend(logging.ConsoleBackend.Instance, "console")
        import_module("Antmicro.Renode").Emulator.ShowAnalyzers = False
        self._manager = core.EmulationManager
        self._eater = interface.CommandInteractionEater
        self._monitor = interface.Monitor()
        core.ObjectCreator.Instance.OpenContext().RegisterSurrogate(interface.Monitor, self._monitor)
        self._monitor.Interaction = self._eater()
        self.execute(models, "", False)
        # An assembly is loaded when one of its types is first asked for.
        utilities.TypeManager.Instance.GetTypeByName("Antmicro.Renode.Lab.LabClocks")
        self._lab = import_module("Antmicro.Renode.Lab")
        self._lab.LabAgentExtensions.SetLab(self._emulation, port, token)

    @property
    def _emulation(self) -> Any:
        return self._manager.Instance.CurrentEmulation

    def _machine(self, name: str) -> Any:
        found, machine = self._emulation.TryGetMachineByName(name, None)
        if not found:
            raise Refused(f"There is no machine {name}")
        return machine

    @contextmanager
    def _still(self) -> Iterator[None]:
        self._lab.LabClocks.Stop()
        try:
            yield
        finally:
            self._lab.LabClocks.Start()

    def execute(self, command: str, machine: str, still: bool) -> str:
        """Run a monitor command and return what the monitor said."""
        if still:
            with self._still():
                return self.execute(command, machine, False)
        said = self._eater()
        before = self._monitor.Interaction
        self._monitor.Interaction = said  # a reset reports there what its macro says
        try:
            self._monitor.Machine = self._machine(machine) if machine else None
            parsed = self._monitor.Parse(command, said)
        finally:
            self._monitor.Interaction = before
        error: str = said.GetError()
        contents: str = said.GetContents()
        if error or not parsed:
            raise Refused(error or contents)
        return contents

    def run(self, machine: str) -> None:
        """Let a machine run that has been made."""
        with self._still():
            self._lab.LabAgentExtensions.StartLabMachine(self._emulation, machine)

    def halt(self, machine: str, halted: bool) -> None:
        """Halt a machine's processors, or let them go on."""
        self._lab.LabAgentExtensions.HaltLabMachine(self._emulation, machine, halted)

    def remove(self, machine: str) -> None:
        """Remove a machine."""
        with self._still():
            self._emulation.RemoveMachine(machine)

    def hang_up(self, stream: str) -> None:
        """Hang up and forget a stream."""
        with self._still():
            self._lab.LabAgentExtensions.RemoveLabStream(self._emulation, stream)

    def virtual_seconds(self, machine: str) -> float:
        """Return the time that a machine's clock shows."""
        seconds: float = self._machine(machine).ElapsedVirtualTime.TimeElapsed.TotalSeconds
        return seconds

    def keyword(self, request: str) -> str:
        """Answer an XML-RPC request to Renode's Robot keywords."""
        response: str = self._lab.LabKeywords.Call(request)
        return response


def load() -> Path:
    """Load Renode as pyrenode3's variables say; return its folder, which is the current one from now on.

    Not by importing pyrenode3's wrappers: these need classes of Renode's windows, which a build without
    them does not have.
    """
    os.environ["PYRENODE_SKIP_LOAD"] = "1"
    env = import_module("pyrenode3.env")
    loader = import_module("pyrenode3.loader").RenodeLoader
    ways: dict[tuple[str, str], Callable[[str], Any]] = {
        ("mono", "pkg"): loader.from_mono_arch_pkg,
        ("mono", "build"): loader.from_mono_build,
        ("coreclr", "pkg"): loader.from_net_pkg,
        ("coreclr", "build"): loader.from_net_build,
        ("coreclr", "bin"): loader.from_net_bin,
    }
    places = {"pkg": env.pyrenode_pkg, "build": env.pyrenode_build_dir, "bin": env.pyrenode_bin}
    given = {kind: place for kind, place in places.items() if place}
    if len(given) > 1:
        raise Refused("more than one of PYRENODE_PKG, PYRENODE_BUILD_DIR and PYRENODE_BIN is set")
    for kind, place in given.items():
        way = ways.get((env.pyrenode_runtime, kind))
        if way is None:
            raise Refused(f"PYRENODE_RUNTIME={env.pyrenode_runtime} does not go with PYRENODE_{kind.upper()}")
        try:
            way(place)
        except SystemExit as error:  # its log has said why
            raise Refused(f"there is no Renode in {place}") from error
    if not given:
        loader.from_installed()
    try:
        import_module("Antmicro.Renode")
    except ImportError as error:
        raise Refused("it found none that is installed as a package") from error
    root = Path(loader().root)
    os.chdir(root)
    return root


def read(stream: BinaryIO) -> dict[str, Any] | None:
    """Return the next object; none at the end."""
    header = stream.read(LENGTH.size)
    if len(header) < LENGTH.size:
        return None
    found: dict[str, Any] = json.loads(stream.read(*LENGTH.unpack(header)))
    return found


def frame(content: dict[str, Any]) -> bytes:
    """Return an object as it is sent."""
    text = json.dumps(content).encode()
    return LENGTH.pack(len(text)) + text


def write(stream: BinaryIO, content: dict[str, Any]) -> None:
    """Send one object."""
    stream.write(frame(content))
    stream.flush()


def words(error: BaseException) -> str:
    """Return what an exception says, of C# without its stack and the wrapping of reflection."""
    inner = getattr(error, "InnerException", None) or error
    return str(getattr(inner, "Message", None) or inner) or type(error).__name__


def serve(requests: BinaryIO, answers: BinaryIO) -> int:
    """Answer requests until there are no more; return the exit code."""
    first = read(requests)
    if first is None:
        return 0
    try:
        renode = Renode(**first)
    except Exception as error:
        traceback.print_exc()
        write(answers, {"error": words(error)})
        requests.read()  # to end now could be noticed before the answer is
        return 1
    write(answers, {"value": None})
    while (request := read(requests)) is not None:
        try:
            answer = {"value": getattr(renode, request.pop("do"))(**request)}
        except Exception as error:
            answer = {"error": words(error)}
        write(answers, answer)
    return 0


def main() -> int:
    """Serve on stdin and stdout, and give Renode others."""
    with os.fdopen(os.dup(0), "rb") as requests, os.fdopen(os.dup(1), "wb") as answers:
        with Path(os.devnull).open() as nothing:
            os.dup2(nothing.fileno(), 0)
        os.dup2(2, 1)
        return serve(requests, answers)


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    # Renode's threads would keep the interpreter from ending.
    os._exit(code)
