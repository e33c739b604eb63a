"""What a route needs of the process it runs in."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from lab.lab import Lab


def _lab(connection: HTTPConnection) -> Lab:
    lab: Lab = connection.app.state.lab
    return lab


TheLab = Annotated[Lab, Depends(_lab)]
"""Annotate a route's parameter with this to be given the lab."""
