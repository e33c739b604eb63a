"""One root for every error the lab raises on purpose.

A message says what happened, where the log is, and what to try. The CLI turns an error into its message
and exit code in one place (`lab.cli.main`); a traceback appears only with ``-v``.
"""

from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """What `lab` returns to the shell."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    MISSING = 3
    TIMEOUT = 4


class LabError(Exception):
    """The work failed: the message says why and what to try.

    :param message: one sentence, what happened.
    :param hint: what to try next, or where the log is; shown on its own line.
    """

    exit_code: ClassVar[ExitCode] = ExitCode.FAILED

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class UsageError(LabError):
    """The user asked for something that cannot be: an unknown board, a bad value, an unreadable file."""

    exit_code = ExitCode.USAGE


class NotFoundError(UsageError):
    """The user named something that is not there: a device, an app, a token."""


class MissingError(LabError):
    """Something the work needs is not on this machine; the hint holds the command that installs it."""

    exit_code = ExitCode.MISSING


class LabTimeoutError(LabError):
    """The work did not finish in the time allowed."""

    exit_code = ExitCode.TIMEOUT


class DeviceError(LabError):
    """The device itself refused or failed, in its own words."""
