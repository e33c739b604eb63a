"""How a host function says no. Imported by the native agent: standard library only."""

from __future__ import annotations

from enum import StrEnum


class Error(StrEnum):
    """`lab:device/types.error`."""

    DENIED = "denied"
    NO_ANSWER = "no-answer"
    BUS_STUCK = "bus-stuck"
    TIMEOUT = "timeout"
    CHECKSUM = "checksum"
    BAD_ARGUMENT = "bad-argument"
    UNSUPPORTED = "unsupported"
    NOT_READY = "not-ready"
    FULL = "full"
    POWER_FAILED = "power-failed"


class Refused(Exception):
    """Raised by a host function: the guest gets `error` as its result."""

    def __init__(self, error: Error) -> None:
        super().__init__(error)
        self.error = error
