"""Fuzzes one Python end: ``python -m tests.fuzz.atheris_driver END [libFuzzer's options] [CORPUS]``."""

from __future__ import annotations

import logging
import sys

import atheris
import structlog

with atheris.instrument_imports(include=["lab"]):
    from tests.fuzz import ends

if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    end = ends.ENDS[sys.argv.pop(1)]
    atheris.Setup(sys.argv, end)
    atheris.Fuzz()
