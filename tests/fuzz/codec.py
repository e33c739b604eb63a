"""Both codecs on the same bytes: C behind a pipe (``firmware/tests/codec_bench.c``), Python right here."""

from __future__ import annotations

import re
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple

import cbor2

from lab.wire import messages as m
from tests.fuzz.corpus import ENVELOPE, KINDS
from tests.unit.firmware import folder

_FRAMES = 255
_CLASSES: dict[str, type[m.Record]] = {
    re.sub(r"(?<!^)(?=[A-Z])", "-", type_.__name__).lower(): type_
    for type_ in (*m.MESSAGES.values(), *m.Record.__subclasses__())
}


class CCodec:
    """The C codec, under the sanitizers."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def _ask(self, kind: int, body: bytes) -> bytes:
        assert self._process.stdin and self._process.stdout and self._process.stderr
        self._process.stdin.write(struct.pack("<IB", len(body) + 1, kind) + body)
        self._process.stdin.flush()
        head = self._process.stdout.read(4)
        assert len(head) == 4, f"the C codec died of {body.hex()}:\n{self._process.stderr.read().decode()}"
        return self._process.stdout.read(*struct.unpack("<I", head))

    def understand(self, rule: str, body: bytes) -> bytes | None:
        """Return what the C codec says that it understood, or None if it refuses."""
        return self._ask(KINDS[rule], body) or None

    def deframe(self, stream: bytes) -> tuple[list[bytes], int]:
        """Return the bodies that the C deframer finds in a stream, and how many frames it dropped."""
        answer = self._ask(_FRAMES, stream)
        bodies, at = [], 0
        while at < len(answer) - 4:
            (size,) = struct.unpack_from("<H", answer, at)
            bodies.append(answer[at + 2 : at + 2 + size])
            at += 2 + size
        return bodies, struct.unpack_from("<I", answer, at)[0]


@contextmanager
def c_codec() -> Iterator[CCodec]:
    """Run the C codec; it must end without a word from the sanitizers."""
    with subprocess.Popen(
        [folder() / "tests" / "codec_bench"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        yield CCodec(process)
        _, err = process.communicate()
    assert process.returncode == 0, err.decode()


def kinds_of_c() -> dict[str, int]:
    """Return the C codec's own table: each rule's number."""
    table = subprocess.run([folder() / "tests" / "codec_bench", "table"], capture_output=True, check=True)
    rows = [line.split() for line in table.stdout.decode().splitlines()]
    return {name.replace("_", "-"): int(kind) for kind, name in rows}


class Refused(Exception):
    """The Python codec does not take it."""


def understand(rule: str, body: bytes) -> bytes:
    """Return what the Python codec understood, encoded again. Raises `Refused`, and nothing else."""
    try:
        if KINDS[rule] == ENVELOPE:
            return cbor2.dumps(list(astuple(m._envelope(body))))
        return m.pack(m.unpack(_CLASSES[rule], body))
    except (m.FrameError, m.BodyError) as error:
        raise Refused(str(error)) from error
