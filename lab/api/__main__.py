"""``python -m lab.api``: check the published API against this version, or publish it anew."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from lab.api import contract

PUBLISHED = Path(__file__).parents[2] / "docs" / "openapi.json"


def main() -> int:
    """Return 0 if `docs/openapi.json` says what this version does, else 1."""
    parser = argparse.ArgumentParser(prog="lab.api", description=__doc__)
    parser.add_argument("--write", action="store_true", help="publish this version's API")
    parser.add_argument("--break", dest="may_break", action="store_true", help="although it breaks clients")
    options = parser.parse_args()
    now = contract.current()
    published = json.loads(PUBLISHED.read_text("utf-8")) if PUBLISHED.exists() else now
    broken = contract.breaks(published, now)
    for each in broken:
        print(f"breaking: {each}", file=sys.stderr)
    if broken and not options.may_break:
        print("clients of the published API would fail; --write --break if that is meant", file=sys.stderr)
        return 1
    text = contract.text(now)
    if options.write:
        PUBLISHED.write_text(text, "utf-8")
    elif not PUBLISHED.exists() or PUBLISHED.read_text("utf-8") != text:
        print(f"{PUBLISHED.name} is not of this version: python -m lab.api --write", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
