"""The machine a node runs on, from /proc and /sys. Imported by the native agent: standard library only."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

THERMAL = Path("/sys/class/thermal/thermal_zone0/temp")


@dataclass(frozen=True, slots=True)
class Info:
    """`lab:device/system-info.info`: ms, bytes, % of all cores since last asked, °C (NaN if unknown)."""

    uptime: int
    memory_total: int
    memory_free: int
    cpu_load: float
    cpu_temperature: float


class System:
    """Reads the machine's figures.

    :param thermal: file with the CPU's temperature in m°C.
    :param proc: where proc(5) is.
    """

    def __init__(self, thermal: Path = THERMAL, proc: Path = Path("/proc")) -> None:
        self._thermal = thermal
        self._proc = proc
        self._before = self._ticks()
        self._load = 0.0

    def info(self) -> Info:
        """Return how the machine is now."""
        memory = {}
        for line in (self._proc / "meminfo").read_text().splitlines():
            key, _, value = line.partition(":")
            memory[key] = int(value.split()[0]) * 1024
        uptime = float((self._proc / "uptime").read_text().split()[0])
        return Info(
            int(uptime * 1000),
            memory["MemTotal"],
            memory[
                "MemAvailable"
            ],  # what programs can still have; MemFree leaves out what the page cache gives
            self._cpu_load(),
            self._temperature(),
        )

    def _cpu_load(self) -> float:
        now = self._ticks()
        busy, total = now[0] - self._before[0], now[1] - self._before[1]
        if total > 0:
            self._load, self._before = 100 * busy / total, now
        return self._load

    def _ticks(self) -> tuple[int, int]:
        """Return ticks that all cores worked, and all ticks (proc(5), /proc/stat)."""
        line = (self._proc / "stat").read_text().partition("\n")[0]
        user, nice, system, idle, iowait, irq, softirq, steal = (int(x) for x in line.split()[1:9])
        busy = user + nice + system + irq + softirq + steal
        return busy, busy + idle + iowait

    def _temperature(self) -> float:
        try:
            return int(self._thermal.read_text()) / 1000
        except (OSError, ValueError):
            return math.nan
