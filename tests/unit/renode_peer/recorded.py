"""A Renode that knows what a real one has answered: ``tests/vectors/renode.json``.

Besides, it knows the commands ``die``, ``clocks``, and ``wait FIFO``, which it answers when somebody has
written there. ``PEER=fail`` has it fail at the start.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "renode.json").read_text("utf-8"))
FAILS = os.environ.get("PEER") == "fail"
WHY = "There were compilation errors: Wrong.cs(3,11)"


class Recorded:
    def __init__(self) -> None:
        self._answers = list(VECTORS["answers"])
        self.still = False

    def execute(self, command: str, machine: str) -> tuple[bool, str]:
        """Return whether it is done, and what is said, with the line ends of a monitor."""
        if command == "die":
            print("all is lost", file=sys.stderr, flush=True)
            os._exit(3)
        if command.startswith("wait "):
            return True, Path(command.removeprefix("wait ")).read_text()
        if command == "clocks":
            return True, "stand still" if self.still else "go on"
        if command.startswith("emulation SetGlobalQuantum") and "x" not in command:
            return True, "\r\n"
        if command == "machine ElapsedVirtualTime":
            return True, VECTORS["time"]["said"] + "\r\r\n"
        for number, row in enumerate(self._answers):
            if (row["command"], row["machine"]) == (command, machine):
                del self._answers[number]
                return "said" in row, row.get("said", row.get("refused", "")) + "\r\r\n"
        return False, f"never asked: {command}\n"

    def keyword(self, request: str) -> tuple[bool, str]:
        return (False, "no method call") if request == "nonsense" else (True, f"<answer>{request}</answer>")
