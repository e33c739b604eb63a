"""Simulated parts: sensors, LEDs, a buzzer, a flash, set in physical units and reached over the simbus.

Adding a part is one file in `lab.peripherals.parts` and one ``[[parts]]`` entry in a board's TOML.
"""

from lab.peripherals.bus import Operation, Peripherals, Simbus, Transaction, kinds
from lab.peripherals.model import Fault, Status

__all__ = ["Fault", "Operation", "Peripherals", "Simbus", "Status", "Transaction", "kinds"]
