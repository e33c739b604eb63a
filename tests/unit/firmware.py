"""The firmware's core on this host, under the sanitizers: built once, and driven by its test programs."""

from __future__ import annotations

import functools
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab import build
from lab.errors import MissingError


@functools.cache
def _built() -> Path:
    return build.build("native-asan").image.parent


def folder() -> Path:
    """Return where the sanitized firmware and its test programs are, built if they were not."""
    try:
        return _built()
    except MissingError as error:
        pytest.skip(str(error))


@dataclass(frozen=True)
class Answer:
    """What the bench said to one command.

    :param code: a result code of the protocol.
    :param number: an offset, a wait in ms, or bytes; what the command returns.
    :param words: the device's own words.
    :param said: what apps logged, published and became meanwhile, and a call's values, one line each.
    """

    code: int
    number: int
    words: str
    said: list[str]

    @property
    def values(self) -> list[float]:
        """A call's results."""
        return [float(line.removeprefix("value ")) for line in self.said if line.startswith("value ")]

    def logs(self) -> list[str]:
        """Return the texts that apps logged."""
        texts = [line.split(" ") for line in self.said if line.startswith("log ")]
        return [bytes.fromhex(parts[3]).decode("latin-1") for parts in texts]


class Bench:
    """`firmware/tests/apps_bench.c`: the app runtime behind a prompt."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self._process = process
        self._folder = folder

    def ask(self, *words: object) -> Answer:
        """Give a command and return its answer."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(" ".join(map(str, words)) + "\n")
        self._process.stdin.flush()
        said: list[str] = []
        for line in self._process.stdout:
            if line.startswith("= "):
                _, code, number, text = line.rstrip("\n").split(" ", 3)
                return Answer(int(code), int(number), text, said)
            said.append(line.rstrip("\n"))
        raise AssertionError("the bench died:\n" + self._process.stderr.read())  # type: ignore[union-attr]

    def file(self, content: bytes) -> Path:
        """Return a file with this content."""
        path = self._folder / "module.wasm"
        path.write_bytes(content)
        return path

    def deploy(self, name: str, module: bytes) -> Answer:
        """Deploy a module in one go."""
        return self.ask("deploy", name, self.file(module))

    def free(self) -> int:
        """Return the bytes free in the pool."""
        return self.ask("free").number

    def apps(self) -> dict[str, list[str]]:
        """Return the listed apps: state, size, memory, words."""
        lines = [line.split(" ", 5) for line in self.ask("list").said if line.startswith("app ")]
        return {line[1]: line[2:] for line in lines}


@contextmanager
def bench(folder_of_test: Path, pool: int = 131072) -> Iterator[Bench]:
    """Run a bench with a pool of that many bytes; it must end without a word from the sanitizers."""
    with subprocess.Popen(
        [folder() / "tests" / "apps_bench", str(pool)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        yield Bench(process, folder_of_test)
        out, err = process.communicate()
    assert process.returncode == 0, out + err
