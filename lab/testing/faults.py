"""Faults on demand: ``device.faults.set("link.drop", rate=0.01)``. The vocabulary: docs/faults.md."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from lab.lab import Json

if TYPE_CHECKING:
    from lab.testing.bench import Bench


class Faults:
    """What is wrong with one device, or with the gateway.

    :param bench: its lab.
    :param target: a device's id, or ``gateway.lab``.
    """

    def __init__(self, bench: Bench, target: str) -> None:
        self._bench = bench
        self._target = target

    @property
    def active(self) -> list[Json]:
        """The faults in force."""
        return self._bench.lab.faults(self._target)

    def set(self, fault: str, *, duration: float | None = None, **parameters: object) -> Setting:
        """Make something go wrong, until it is cleared; as a context manager, until the block ends.

        :param fault: its name.
        :param duration: seconds after which it ends by itself.
        :param parameters: of that fault.
        :raises UsageError: there is no such fault, or it cannot be there; says what can.
        """
        __tracebackhide__ = True
        self._bench.call(lambda: self._bench.lab.fault(self._target, fault, duration=duration, **parameters))
        return Setting(self, fault)

    def clear(self, fault: str | None = None) -> None:
        """End one fault, or all."""
        __tracebackhide__ = True
        self._bench.call(lambda: self._bench.lab.clear_faults(self._target, fault))


class Setting:
    """A fault that was set; leaving it as a context manager ends it.

    :param faults: where.
    :param fault: its name.
    """

    def __init__(self, faults: Faults, fault: str) -> None:
        self._faults = faults
        self._fault = fault

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._faults.clear(self._fault)
