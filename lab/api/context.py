"""What a route needs of the process it runs in."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Path
from starlette.requests import HTTPConnection

from lab.audit import Entry
from lab.lab import Lab
from lab.monitor import Monitor
from lab.readings import Readings

ENTRY = "lab.audit"
"""Where in a request's scope its entry in the audit log is."""


def the_lab(connection: HTTPConnection) -> Lab:
    """Return the lab behind this connection."""
    lab: Lab = connection.app.state.lab
    return lab


def entry_of(connection: HTTPConnection) -> Entry:
    """Return what the audit log is told of this request, for its route to add to."""
    entry: Entry = connection.scope.get(ENTRY) or Entry()
    return entry


def the_monitor(connection: HTTPConnection) -> Monitor:
    """Return the lab's monitor."""
    monitor: Monitor = connection.app.state.monitor
    return monitor


def the_readings(connection: HTTPConnection) -> Readings:
    """Return what the lab's boards sensed lately."""
    readings: Readings = connection.app.state.readings
    return readings


Number = Annotated[int, Path(ge=0, le=2**31 - 1)]
"""A number in a path; larger ones no database holds."""

SEQUENCE_LIMIT = 2**63 - 1
"""The highest number of an event or an entry."""

TheLab = Annotated[Lab, Depends(the_lab)]
"""Annotate a route's parameter with this to be given the lab."""

TheReadings = Annotated[Readings, Depends(the_readings)]
"""Annotate a route's parameter with this to be given what boards sensed lately."""

TheMonitor = Annotated[Monitor, Depends(the_monitor)]
"""Annotate a route's parameter with this to be given the lab's alerts, health and history."""
