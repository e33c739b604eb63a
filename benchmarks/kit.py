"""Our test kit beside pytest-embedded-qemu and Renode's runner, on one ELF; and what a second worker gains.

Per tool: from the start of the test to the first match on the console, and the whole command, as a user waits
for it. The ELF is our firmware for mps2-an385 and the match its first line. What is not the same:

- Ours makes keys, starts a gateway and has the board connected over TLS 1.3 before the test begins to look;
  its whole command loads every pytest plugin of the lab's own environment too.
- pytest-embedded-qemu runs QEMU with a console and no identity: the firmware says its first line and halts.
  It appends a drive that QEMU's MPS2 machines refuse ("machine type does not support if=mtd"), so QEMU is
  reached by a script that leaves it out (kit/qemu).
- renode-test runs the same ELF on UARTs, memory and core of an MPS2 (kit/mps2-an385.repl), without identity.
  It starts Renode before the test: that is in the whole command only.

Run: .venv/bin/python benchmarks/kit.py [--runs 5] [--suite tests/hil/test_faults.py]…
Installs pytest-embedded-qemu from PyPI into a virtual environment that ends with it. Figures to quote are to
be taken on a quiet machine, with nobody at work in the checkout: a changed firmware is built within a test.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from harness import machine, report
from robot.api import ExecutionResult

from lab import boards, build

HERE = Path(__file__).parent / "kit"
BOARD = "mps2-an385"
EMBEDDED = "pytest-embedded-qemu==2.9.3"
SUITES = ["tests/hil/test_faults.py"]
PLAIN = ["-q", "-c", os.devnull, "--rootdir", str(HERE), "-p", "no:cacheprovider"]


@dataclass(frozen=True)
class Tool:
    """A tool that runs one test.

    :param name: as the table has it.
    :param command: what runs it.
    :param first_match: reads the milliseconds from the test's start to the match from what it left.
    """

    name: str
    command: list[str | Path]
    first_match: Callable[[], float]


def run(command: list[str | Path]) -> float:
    """Run a command; return its seconds."""
    started = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    seconds = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout}")
    return seconds


def by_pytest(file: Path) -> Callable[[], float]:
    """Return what finds the figure in a JUnit report."""

    def read() -> float:
        [row] = ElementTree.parse(file).iterfind(".//property[@name='first_match_ms']")
        return float(row.attrib["value"])

    return read


def by_robot(file: Path) -> Callable[[], float]:
    """Return what finds the figure in Robot's output: from the test's start to the match."""

    def read() -> float:
        [test] = ExecutionResult(file).suite.all_tests
        [*_, match] = [each for each in test.body if each.name == "Wait For Line On Uart"]
        return (match.end_time - test.start_time).total_seconds() * 1000

    return read


def tools(folder: Path, elf: Path) -> list[Tool]:
    """Return the tools this machine has; say which it has not."""
    xml = folder / "junit.xml"
    ours: list[str | Path] = [sys.executable, "-m"]
    found = [
        Tool(
            "lab, pytest",
            [*ours, "pytest", *PLAIN, "--board", BOARD, f"--junitxml={xml}", HERE / "test_lab.py"],
            by_pytest(xml),
        ),
        Tool(
            "lab, Robot",
            [*ours, "robot", "--outputdir", folder / "robot", HERE / "lab.robot"],
            by_robot(folder / "robot" / "output.xml"),
        ),
    ]
    environment = folder / "venv"
    venv.create(environment, with_pip=True)
    run([environment / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", EMBEDDED])
    qemu = f"-nographic -machine {BOARD} -kernel {elf}"
    embedded: list[str | Path] = ["--embedded-services", "qemu", "--root-logdir", folder / "logs"]
    embedded += ["--qemu-prog-path", HERE / "qemu", "--qemu-image-path", elf, "--qemu-cli-args", qemu]
    found.append(
        Tool(
            EMBEDDED,
            [
                environment / "bin" / "pytest",
                *PLAIN,
                *embedded,
                f"--junitxml={xml}",
                HERE / "test_pytest_embedded.py",
            ],
            by_pytest(xml),
        )
    )
    if shutil.which("renode-test") is None:
        print("renode-test: not on this machine", flush=True)
        return found
    found.append(
        Tool(
            "renode-test",
            ["renode-test", "-r", folder / "renode", "--variable", f"ELF:{elf}", HERE / "renode.robot"],
            by_robot(folder / "renode" / "robot_output.xml"),
        )
    )
    return found


def compare(runs: int) -> None:
    """Print each tool's figures. They take turns, so that what else the machine does hits all alike."""
    firmware = boards.load(BOARD).firmware
    assert firmware
    elf = build.build(firmware).image
    with tempfile.TemporaryDirectory(prefix="lab-bench-") as name:
        found = tools(Path(name), elf)
        matches: dict[str, list[float]] = {tool.name: [] for tool in found}
        commands: dict[str, list[float]] = {tool.name: [] for tool in found}
        for number in range(runs + 1):
            for tool in found:
                seconds = run(tool.command)
                if number > 0:  # the first fills the page cache
                    matches[tool.name].append(tool.first_match())
                    commands[tool.name].append(seconds * 1000)
        for tool in found:
            report(f"{tool.name}: test's start to first match", matches[tool.name], "ms")
            report(f"{tool.name}: whole command", commands[tool.name], "ms")


def scale(suites: list[str], runs: int) -> None:
    """Print how long suites take in one process, with two workers, and how many times as fast that is."""
    one, two = [], []
    command: list[str | Path] = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *suites]
    for _ in range(runs):
        one.append(run([*command, "-n", "0"]))
        two.append(run([*command, "-n", "2"]))
    what = " ".join(suites)
    report(f"{what}, -n 0", one, "s")
    report(f"{what}, -n 2", two, "s")
    report("  times as fast", [a / b for a, b in zip(one, two, strict=True)], "")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--suite", action="append", help=f"for -n 0 and -n 2; default: {SUITES[0]}")
    parser.add_argument("--suite-runs", type=int, default=2)
    options = parser.parse_args()
    print(machine(), f"load {os.getloadavg()[0]:.1f}", sep=", ")
    compare(options.runs)
    if options.suite_runs:
        scale(options.suite or SUITES, options.suite_runs)
