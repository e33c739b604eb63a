"""Stands in for the package `pyrenode3` and for the namespaces of Renode, as far as the lab asks."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from recorded import FAILS, VECTORS, WHY, Recorded

RENODE = Recorded()


class CSharpError(Exception):
    """As Python.NET shows an exception of C#."""

    def __init__(self, message: str) -> None:
        super().__init__(f"{message}\n  at Somewhere () in <0>:0")
        self.Message = message
        self.InnerException = None


class Interaction:
    """A CommandInteractionEater."""

    contents = ""
    error = ""

    def GetContents(self) -> str:
        return self.contents

    def GetError(self) -> str:
        return self.error


class Monitor:
    Interaction: Any = None
    Machine: Any = None

    def Parse(self, command: str, said: Interaction) -> bool:
        if command.startswith("include @") and command.endswith(".cs"):
            if FAILS:
                raise CSharpError(WHY)
            return True
        machine = self.Machine.name if self.Machine else ""
        done, words = RENODE.execute(command, machine)
        if words.startswith("Given machine"):
            raise CSharpError(words)  # which the monitor lets through
        setattr(said, "contents" if done else "error", words)
        return done


class Emulation:
    def TryGetMachineByName(self, name: str, _out: None) -> tuple[bool, Any]:
        if name == "none":
            return False, None
        seconds = VECTORS["time"]["seconds"]
        time = SimpleNamespace(TimeElapsed=SimpleNamespace(TotalSeconds=seconds))
        return True, SimpleNamespace(name=name, ElapsedVirtualTime=time)

    def RemoveMachine(self, name: str) -> None:
        command(f'mach rem "{name}"')


class Clocks:
    @staticmethod
    def Stop() -> None:
        RENODE.still = True

    @staticmethod
    def Start() -> None:
        RENODE.still = False


def command(text: str) -> None:
    done, said = RENODE.execute(text, "")
    if not done:
        raise CSharpError(said)


def call(request: str) -> str:
    done, said = RENODE.keyword(request)
    if not done:
        raise CSharpError(said)
    return said


def module(name: str, **content: Any) -> None:
    made = ModuleType(name)
    vars(made).update(content)
    sys.modules[name] = made


class RenodeLoader:
    root = Path.cwd()

    @staticmethod
    def from_mono_build(place: str) -> None:
        if not Path(place).is_dir():
            sys.exit(1)
        extensions = SimpleNamespace(
            SetLab=lambda _emulation, _port, _token: None,
            StartLabMachine=lambda _emulation, name: command(f'emulation StartLabMachine "{name}"'),
            HaltLabMachine=lambda _emulation, name, halted: command(
                f'emulation HaltLabMachine "{name}" {str(halted).lower()}'
            ),
            RemoveLabStream=lambda _emulation, name: command(f'emulation RemoveLabStream "{name}"'),
        )
        module("Antmicro")
        module("Antmicro.Renode", Emulator=SimpleNamespace(ShowAnalyzers=True))
        module(
            "Antmicro.Renode.Core",
            EmulationManager=SimpleNamespace(Instance=SimpleNamespace(CurrentEmulation=Emulation())),
            ObjectCreator=SimpleNamespace(
                Instance=SimpleNamespace(
                    OpenContext=lambda: SimpleNamespace(RegisterSurrogate=lambda _kind, _one: None)
                )
            ),
        )
        module(
            "Antmicro.Renode.Lab",
            LabAgentExtensions=extensions,
            LabClocks=Clocks,
            LabKeywords=SimpleNamespace(Call=call),
        )
        module(
            "Antmicro.Renode.Logging",
            ConsoleBackend=SimpleNamespace(Instance=SimpleNamespace(PlainMode=False)),
            Logger=SimpleNamespace(AddBackend=lambda _backend, _name: None),
        )
        module("Antmicro.Renode.UserInterface", Monitor=Monitor, CommandInteractionEater=Interaction)
        module(
            "Antmicro.Renode.Utilities",
            Misc=SimpleNamespace(TryGetRootDirectory=lambda _folder, _out: (True, _folder)),
            TypeManager=SimpleNamespace(Instance=SimpleNamespace(GetTypeByName=lambda _name: None)),
        )
        print("Renode says something")  # which must not get among the answers

    from_mono_arch_pkg = from_net_pkg = from_net_build = from_net_bin = from_mono_build

    @staticmethod
    def from_installed() -> None:
        """Find nothing."""


module(
    "pyrenode3.env",
    **{
        name.lower(): os.environ.get(name)
        for name in ("PYRENODE_PKG", "PYRENODE_BUILD_DIR", "PYRENODE_BIN", "PYRENODE_RUNTIME")
    },
)
module("pyrenode3.loader", RenodeLoader=RenodeLoader)
module("pyrenode3.__about__", __version__="0.0.1")
