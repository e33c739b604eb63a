"""What the lab's own parts log: on stderr, and in the stream of events, where one query finds all of it.

Every line names its component, the part of `lab` it comes from, and the id of the API's request on whose
behalf it was written, if there is one (`request`).
"""

from __future__ import annotations

import asyncio
import re
import secrets
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog
from structlog.typing import EventDict, WrappedLogger

REQUEST_ID = "X-Request-Id"
"""The header that carries a request's id, from whoever has one to whoever works on its behalf."""
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_PACKAGE = Path(__file__).parent
_OWN = frozenset({"timestamp", "level", "event", "component", "device", "app", "exception"})
_SILENT = frozenset({"events", "store"})  # what fails to keep events must not become one
_SHOWN = 500  # characters of one field

Publish = Callable[..., object]
_sinks: list[tuple[asyncio.AbstractEventLoop, Publish]] = []


def request_id(given: str) -> str:
    """Return the id of a request that bears `given`, which is a new one if that is none."""
    return given if _ID.fullmatch(given) else secrets.token_hex(8)


def current_request() -> str | None:
    """Return the id of the request on whose behalf the caller works, if there is one."""
    found: str | None = structlog.contextvars.get_contextvars().get("request")
    return found


def configure() -> None:
    """Set structlog up for a process that runs a lab."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.CallsiteParameterAdder({structlog.processors.CallsiteParameter.PATHNAME}),
            _name_component,
            structlog.processors.format_exc_info,
            _pass_on,
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "component", "event"]),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def keep_in(publish: Publish) -> Callable[[], None]:
    """Give every line to `publish` (`Events.publish`) too, from now on; returns what ends it."""
    entry = asyncio.get_running_loop(), publish
    _sinks.append(entry)
    return lambda: _sinks.remove(entry)


def _name_component(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    path = Path(line.pop("pathname"))
    if path.is_relative_to(_PACKAGE):
        line.setdefault("component", path.relative_to(_PACKAGE).parts[0].removesuffix(".py"))
    return line


def _pass_on(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    if line.get("component") in _SILENT:
        return line
    data: dict[str, Any] = {
        key: value if isinstance(value, int | float | bool) or value is None else str(value)[:_SHOWN]
        for key, value in line.items()
        if key not in _OWN
    }
    if "exception" in line:
        data["exception"] = str(line["exception"])[-2000:]
    data |= {"level": line["level"], "component": line.get("component", "lab"), "text": str(line["event"])}
    for loop, publish in tuple(_sinks):
        # A worker thread may log, and the stream of events belongs to its loop.
        if not loop.is_closed():
            loop.call_soon_threadsafe(
                lambda: publish("lab.log", line.get("device"), line.get("app"), **data)  # noqa: B023
            )
    return line
