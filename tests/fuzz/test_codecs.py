"""The C and the Python codec agree: on what is a message, and on what it says."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lab import link
from tests.fuzz import corpus
from tests.fuzz.codec import CCodec, Refused, c_codec, kinds_of_c, understand

SEED = 20
SAMPLES = 120
"""Good messages of each rule, and as many bad ones."""

some = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

NAMES = "where only A-Z a-z 0-9 . _ - are allowed"
"""The one disagreement by design: the schema limits a name's size, and Python looks at its letters as well.

The device does so where it makes a name its own (`valid_name` of ``firmware/core/apps/apps.c``)."""


@pytest.fixture(scope="module")
def c() -> Iterator[CCodec]:
    with c_codec() as opened:
        yield opened


def agree(c: CCodec, rule: str, body: bytes) -> bool:
    """Hold both codecs to the same verdict and meaning; return whether they take it."""
    in_c = c.understand(rule, body)
    try:
        in_python = understand(rule, body)
    except Refused as refusal:
        assert in_c is None or NAMES in str(refusal), f"only C takes {rule} {body.hex()}: {refusal}"
        return False
    assert in_c is not None, f"only Python takes {rule} {body.hex()}"
    assert understand(rule, in_c) == in_python, f"{rule} {body.hex()} means another thing in C: {in_c.hex()}"
    return True


def test_every_message_is_compared() -> None:
    assert kinds_of_c() == corpus.KINDS


@pytest.mark.parametrize("rule", corpus.KINDS)
def test_codecs_agree(c: CCodec, rule: str) -> None:
    taken = {True: 0, False: 0}
    for sample in corpus.samples(SEED, SAMPLES, [rule]):
        if agree(c, rule, sample.body):
            taken[sample.good] += 1
        else:
            assert not sample.good, f"{rule} {sample.body.hex()} is refused, and the schema allows it"
    assert taken[True] == SAMPLES
    assert taken[False] < SAMPLES / 2, "most mistakes must be found"


@some
@given(rule=st.sampled_from(list(corpus.KINDS)), seed=st.integers(0), changes=st.integers(1, 3))
def test_codecs_agree_on_damaged_messages(c: CCodec, rule: str, seed: int, changes: int) -> None:
    random = Random(seed)
    body = corpus.Generator(random).message(rule).encode()
    for _ in range(changes):
        body = corpus.mutate(random, body)
    agree(c, rule, body)


@some
@given(
    bodies=st.lists(st.binary(min_size=1, max_size=300) | st.integers(1020, 1035).map(bytes), max_size=5),
    seed=st.integers(0),
    damage=st.booleans(),
)
def test_deframers_agree(c: CCodec, bodies: list[bytes], seed: int, damage: bool) -> None:
    stream = b"".join(map(link.frame, bodies))
    if damage:
        stream = corpus.mutate(Random(seed), stream)
    stream += b"\0"
    deframer = link.Deframer()
    assert c.deframe(stream) == (deframer.feed(stream), deframer.dropped)
