"""The Python ends on bytes from outside: seeds of the corpus, damaged ones, and what once broke them."""

from __future__ import annotations

import functools
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz import corpus, ends, targets


@functools.cache
def seeds(end: str) -> list[bytes]:
    return list(ends.seeds(end))


@pytest.mark.parametrize("end", ends.ENDS)
def test_seeds(end: str) -> None:
    for data in (b"", *seeds(end), *targets.known(f"python-{end}")):
        ends.ENDS[end](data)


@pytest.mark.parametrize("end", ends.ENDS)
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_damaged_seeds(end: str, data: st.DataObject) -> None:
    chosen = data.draw(st.integers(0, len(seeds(end)) - 1))
    random = Random(data.draw(st.integers(0)))
    content = seeds(end)[chosen]
    for _ in range(random.randrange(1, 5)):
        content = corpus.mutate(random, content)
    ends.ENDS[end](content)
