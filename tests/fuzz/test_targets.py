"""A short run of every fuzz target: the corpus, what once crashed it, and some thousand inputs more."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.errors import MissingError
from tests.fuzz import targets

RUNS = {"device": 8_000, "link": 6_000, "log": 3_000, "module": 15_000, "simbus": 20_000}
"""Inputs of a short run where it is not `USUAL_RUNS`: each of these is a whole conversation."""
USUAL_RUNS = 40_000


@pytest.fixture(autouse=True)
def built() -> None:
    try:
        targets.folder()
    except MissingError as error:
        pytest.skip(f"{error}. {error.hint}")


@pytest.mark.parametrize("target", targets.NAMES)
def test_target(target: str, tmp_path: Path) -> None:
    targets.write_corpus(tmp_path / target, [*targets.seeds(target), *targets.known(target)])
    seeds = len(list((tmp_path / target).iterdir()))
    run = targets.run(target, tmp_path / target, f"-runs={RUNS.get(target, USUAL_RUNS)}", "-seed=1")
    assert run.crash is None, run.output[-6000:]
    assert seeds > 1 and run.executions >= seeds
