"""BME680: temperature, pressure, humidity and gas, at register level.

Section numbers are those of Bosch's datasheet BST-BME680-DS001, revision 1.0. The model goes the other way
than a driver: it searches the converter's reading whose compensation (floating-point version, sections 3.3
and 3.4) is the value that was set. A driver that compensates with integers must then come out at that value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import ClassVar, Literal

from lab.peripherals.model import Bench, BusError, I2cModel, Kept, Quantity, Settings, Status

CHIP_ID = 0x61

# Registers, section 5.2, table 20.
RES_HEAT_VAL, RES_HEAT_RANGE, RANGE_SWITCHING_ERROR = 0x00, 0x02, 0x04
MEAS_STATUS_0 = 0x1D
PRESS_MSB, TEMP_MSB, HUM_MSB, GAS_R_MSB, GAS_R_LSB = 0x1F, 0x22, 0x25, 0x2A, 0x2B
IDAC_HEAT_0, RES_HEAT_0, GAS_WAIT_0 = 0x50, 0x5A, 0x64
CTRL_GAS_0, CTRL_GAS_1, CTRL_HUM, STATUS, CTRL_MEAS, CONFIG = 0x70, 0x71, 0x72, 0x73, 0x74, 0x75
ID, RESET, VARIANT_ID = 0xD0, 0xE0, 0xF0
_SET_POINTS = 10
_WRITABLE = frozenset(
    [
        *range(IDAC_HEAT_0, IDAC_HEAT_0 + _SET_POINTS),
        *range(RES_HEAT_0, RES_HEAT_0 + _SET_POINTS),
        *range(GAS_WAIT_0, GAS_WAIT_0 + _SET_POINTS),
        *(CTRL_GAS_0, CTRL_GAS_1, CTRL_HUM, STATUS, CTRL_MEAS, CONFIG),
    ]
)

NEW_DATA, GAS_MEASURING, MEASURING = 0x80, 0x40, 0x20  # meas_status_0, section 5.3.5
GAS_VALID, HEAT_STABLE = 0x20, 0x10  # gas_r_lsb
FORCED = 1  # ctrl_meas<1:0>, section 5.3.1.3
SOFT_RESET = 0xB6  # section 5.3.1.2

SKIPPED_20, SKIPPED_16 = 0x80000, 0x8000  # what a skipped measurement reads, section 5.3.4
OVERSAMPLING = (0, 1, 2, 4, 8, 16, 16, 16)  # osrs_x<2:0>, section 5.3.2
FILTER = (0, 1, 3, 7, 15, 31, 63, 127)  # config<4:2>, section 5.3.2.4

# const_array1 and const_array2 of section 3.4.1, table 16.
GAS_CONST1 = (1, 1, 1, 1, 1, 0.99, 1, 0.992, 1, 1, 0.998, 0.995, 1, 0.99, 1, 1)
GAS_CONST2 = (
    *(8000000, 4000000, 2000000, 1000000, 499500.4995, 248262.1648, 125000, 63004.03226),
    *(31281.28128, 15625, 7812.5, 3906.25, 1953.125, 976.5625, 488.28125, 244.140625),
)

_HEATER_RISE_MS = 20  # "approximately 20-30 ms are necessary" to reach the target, section 3.3.5
_HOTTEST = 400.0  # °C, the highest set-point, section 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """The trimming values of one sensor (section 3.3, tables 11 to 16).

    Each real sensor has its own; the defaults are of the order they have.
    """

    t1: int = 26041
    t2: int = 26469
    t3: int = 3
    p1: int = 36477
    p2: int = -10349
    p3: int = 88
    p4: int = 6835
    p5: int = -103
    p6: int = 30
    p7: int = 42
    p8: int = -2487
    p9: int = -2436
    p10: int = 30
    h1: int = 787
    h2: int = 1023
    h3: int = 0
    h4: int = 45
    h5: int = 20
    h6: int = 120
    h7: int = -100
    g1: int = -30
    g2: int = -5969
    g3: int = 18
    res_heat_range: int = 1
    res_heat_val: int = 46
    range_switching_error: int = -1

    def registers(self) -> dict[int, int]:
        """Return where each value is, section 3.3 (tables 11 to 16) and 3.4.1."""
        found = {
            RES_HEAT_VAL: self.res_heat_val & 0xFF,
            RES_HEAT_RANGE: self.res_heat_range << 4,
            RANGE_SWITCHING_ERROR: (self.range_switching_error & 0xF) << 4,
            0xE1: self.h2 >> 4,
            0xE2: (self.h2 & 0xF) << 4 | self.h1 & 0xF,
            0xE3: self.h1 >> 4,
        }
        words = {0x8A: self.t2, 0x8E: self.p1, 0x90: self.p2, 0x94: self.p4, 0x96: self.p5, 0x9C: self.p8}
        words |= {0x9E: self.p9, 0xE9: self.t1, 0xEB: self.g2}
        for address, value in words.items():
            found[address], found[address + 1] = value & 0xFF, value >> 8 & 0xFF
        bytes_ = {0x8C: self.t3, 0x92: self.p3, 0x98: self.p7, 0x99: self.p6, 0xA0: self.p10, 0xE4: self.h3}
        bytes_ |= {0xE5: self.h4, 0xE6: self.h5, 0xE7: self.h6, 0xE8: self.h7, 0xED: self.g1, 0xEE: self.g3}
        return found | {address: value & 0xFF for address, value in bytes_.items()}


def temperature(c: Calibration, adc: int) -> float:
    """Return °C, section 3.3.1."""
    linear = (adc / 16384 - c.t1 / 1024) * c.t2
    square = (adc / 131072 - c.t1 / 8192) ** 2 * c.t3 * 16
    return (linear + square) / 5120


def pressure(c: Calibration, adc: int, celsius: float) -> float:
    """Return Pa, section 3.3.2."""
    fine = celsius * 5120 / 2 - 64000
    offset = (fine * fine * c.p6 / 131072 + fine * c.p5 * 2) / 4 + c.p4 * 65536
    scale = (1 + (c.p3 * fine * fine / 16384 + c.p2 * fine) / 524288 / 32768) * c.p1
    linear = (1048576 - adc - offset / 4096) * 6250 / scale
    square = c.p9 * linear * linear / 2147483648
    cube = (linear / 256) ** 3 * c.p10 / 131072
    return linear + (square + linear * c.p8 / 32768 + cube + c.p7 * 128) / 16


def humidity(c: Calibration, adc: int, celsius: float) -> float:
    """Return % relative, section 3.3.3."""
    linear = (adc - (c.h1 * 16 + c.h3 / 2 * celsius)) * (
        c.h2 / 262144 * (1 + c.h4 / 16384 * celsius + c.h5 / 1048576 * celsius * celsius)
    )
    return linear + (c.h6 / 16384 + c.h7 / 2097152 * celsius) * linear * linear


def gas_resistance(c: Calibration, adc: int, gas_range: int) -> float:
    """Return Ω, section 3.4.1."""
    scale = (1340 + 5 * c.range_switching_error) * GAS_CONST1[gas_range]
    return scale * GAS_CONST2[gas_range] / (adc - 512 + scale)


def heater_target(c: Calibration, res_heat: int, ambient: float) -> float:
    """Return the °C that a `res_heat_x` value heats to: the inverse of section 3.3.5."""
    resistance = (res_heat / 3.4 + 25) * (4 + c.res_heat_range) / 4 * (1 + c.res_heat_val * 0.002)
    cold = c.g1 / 16 + 49
    return ((resistance - c.g3 / 1024 * ambient) / cold - 1) / (c.g2 / 32768 * 0.0005 + 0.00235)


def search(reading: Callable[[int], float], target: float, bits: int, *, falling: bool = False) -> int:
    """Return the converter value whose `reading` is nearest to `target`; `reading` is monotonic."""
    sign = -1 if falling else 1
    low, high = 0, (1 << bits) - 1
    while low < high:
        middle = (low + high) // 2
        if sign * reading(middle) < sign * target:
            low = middle + 1
        else:
            high = middle
    return low if abs(reading(low) - target) <= abs(reading(max(low - 1, 0)) - target) else low - 1


def _gas_adc(c: Calibration, ohms: float) -> tuple[int, int]:
    """Return converter value and range; of the ranges that reach `ohms` the one nearest to its centre."""

    def adc(gas_range: int) -> float:
        scale = (1340 + 5 * c.range_switching_error) * GAS_CONST1[gas_range]
        return scale * GAS_CONST2[gas_range] / ohms + 512 - scale

    gas_range = min(range(16), key=lambda each: abs(adc(each) - 512))
    return min(max(round(adc(gas_range)), 0), 1023), gas_range


@dataclass(frozen=True, slots=True, kw_only=True)
class Bme680Settings(Settings):
    """The part's keys in a board's TOML.

    :param bus: the bus it is on.
    :param address: 0x77, or 0x76 with its SDO pin low (section 6.2).
    """

    bus: Literal["i2c0"] = "i2c0"
    address: Literal[0x76, 0x77] = 0x77


@dataclass(frozen=True, slots=True)
class _Conversion:
    """A measurement that runs: what the data registers will hold, and when."""

    tph_done: float
    done: float
    gas: bool
    data: dict[int, int]


class Bme680(I2cModel):
    """A BME680. Set `temperature`, `humidity`, `pressure` and `gas`."""

    settings_type = Bme680Settings
    # Ranges of section 1, tables 2 to 4; gas is what the converter can express (section 3.4.1).
    quantities: ClassVar[Mapping[str, Quantity]] = {
        "temperature": Quantity("°C", -40, 85, 22),
        "humidity": Quantity("%", 0, 100, 45),
        "pressure": Quantity("hPa", 300, 1100, 1013.25),
        "gas": Quantity("Ω", 200, 12_000_000, 50_000),
    }

    def __init__(
        self, name: str, settings: Bme680Settings, bench: Bench, calibration: Calibration | None = None
    ) -> None:
        super().__init__(name, settings, bench)
        self.address = settings.address
        self.calibration = calibration or Calibration()
        self._rom = self.calibration.registers() | {ID: CHIP_ID, VARIANT_ID: 0}
        self._power_on()

    def _power_on(self) -> None:
        self._registers = {address: 0 for address in _WRITABLE}
        self._data: dict[int, int] = {}
        self._pointer = 0
        self._running: _Conversion | None = None
        self._filtered: dict[int, int] = {}

    def save(self) -> Kept:
        """Return its registers and the conversion that runs."""
        return super().save() | {
            "registers": self._registers,
            "data": self._data,
            "pointer": self._pointer,
            "running": asdict(self._running) if self._running else None,
            "filtered": self._filtered,
        }

    def load(self, kept: Kept) -> None:
        """Be as it was at `save`."""
        super().load(kept)
        self._registers, self._data = kept["registers"], kept["data"]
        self._pointer, self._filtered = kept["pointer"], kept["filtered"]
        self._running = _Conversion(**kept["running"]) if kept["running"] else None

    def transfer(self, out: bytes, read_length: int) -> bytes:
        """Take pairs of register and value; read from the last register named onwards (section 6.2)."""
        self._advance()
        if out:
            self._pointer = out[0]
        if read_length == 0:
            if len(out) > 1 and len(out) % 2:
                raise BusError(Status.NACK)
            for register, value in zip(out[::2], out[1::2], strict=False):
                self._write(register, value)
            return b""
        return bytes(self._read((self._pointer + offset) & 0xFF) for offset in range(read_length))

    def _read(self, register: int) -> int:
        if register == MEAS_STATUS_0:
            return self._data.get(register, 0) | self._busy()
        for bank in (self._registers, self._data, self._rom):
            if register in bank:
                return bank[register]
        return 0

    def _busy(self) -> int:
        # Nothing is said of new_data falling when a measurement begins: old data stay, and stay marked new.
        if self._running is None:
            return 0
        heating = self._running.gas and self.bench.clock() >= self._running.tph_done
        return MEASURING | (GAS_MEASURING if heating else 0)

    def _write(self, register: int, value: int) -> None:
        if register == RESET and value == SOFT_RESET:
            self._power_on()
        elif register in _WRITABLE:
            self._registers[register] = value
            if register == CTRL_MEAS and value & 3 == FORCED and self._running is None:
                self._running = self._measure()

    def _advance(self) -> None:
        """Let the conversion end whose time has come; then the sensor sleeps again (section 3.1)."""
        if self._running is not None and self.bench.clock() >= self._running.done:
            self._data = self._running.data
            self._registers[CTRL_MEAS] &= ~3
            self._running = None

    def _measure(self) -> _Conversion:
        """Sample the world and work out what the converters will read, and when (section 3.2)."""
        registers, now = self._registers, self.bench.clock()
        osrs_t = registers[CTRL_MEAS] >> 5
        osrs_p = registers[CTRL_MEAS] >> 2 & 7
        osrs_h = registers[CTRL_HUM] & 7
        celsius = self.signals["temperature"].sample()
        data = {MEAS_STATUS_0: NEW_DATA | registers[CTRL_GAS_1] & 0xF, GAS_R_MSB: 0, GAS_R_LSB: 0}
        self._store20(data, TEMP_MSB, osrs_t, self._adc_temperature(celsius))
        self._store20(data, PRESS_MSB, osrs_p, self._adc_pressure(celsius))
        hum = self._adc_humidity(celsius) if osrs_h else SKIPPED_16
        data[HUM_MSB], data[HUM_MSB + 1] = hum >> 8, hum & 0xFF

        # Typical times of one conversion, of its set-up and of waking up, as in Bosch's application note.
        conversions = sum(OVERSAMPLING[osrs] for osrs in (osrs_t, osrs_p, osrs_h))
        tph_done = now + (1000 + conversions * 1963 + 4 * 477) / 1e6
        done, gas = tph_done, bool(registers[CTRL_GAS_1] & 0x10)
        if gas:
            wait = self._gas(data, celsius)
            done += (5 * 477 + wait * 1000) / 1e6
        return _Conversion(tph_done, done, gas, data)

    def _gas(self, data: dict[int, int], ambient: float) -> int:
        """Fill in the gas registers; return how long the heater is on, in ms (sections 3.3.5 and 5.3.3)."""
        registers = self._registers
        point = min(registers[CTRL_GAS_1] & 0xF, _SET_POINTS - 1)
        encoded = registers[GAS_WAIT_0 + point]
        wait = (encoded & 0x3F) * (1 << 2 * (encoded >> 6))
        target = heater_target(self.calibration, registers[RES_HEAT_0 + point], ambient)
        reached = wait >= _HEATER_RISE_MS and ambient < target <= _HOTTEST + 5
        heated = reached and not registers[CTRL_GAS_0] & 0x08  # heat_off
        adc, gas_range = _gas_adc(self.calibration, self.signals["gas"].sample())
        data[GAS_R_MSB] = adc >> 2
        data[GAS_R_LSB] = (adc & 3) << 6 | GAS_VALID | (HEAT_STABLE if heated else 0) | gas_range
        return wait

    def _store20(self, data: dict[int, int], register: int, osrs: int, adc: int) -> None:
        if osrs == 0:
            adc = SKIPPED_20
        elif coefficient := FILTER[self._registers[CONFIG] >> 2 & 7]:
            before = self._filtered.get(register, adc)
            adc = self._filtered[register] = (before * coefficient + adc) // (coefficient + 1)
        else:
            # Without the filter the resolution is 16 + (osrs - 1) bits (sections 3.3.1 and 3.3.2).
            adc &= -1 << (5 - min(osrs, 5))
        data[register], data[register + 1], data[register + 2] = adc >> 12, adc >> 4 & 0xFF, (adc & 0xF) << 4

    def _adc_temperature(self, celsius: float) -> int:
        return search(lambda adc: temperature(self.calibration, adc), celsius, 20)

    def _adc_pressure(self, celsius: float) -> int:
        pascal = self.signals["pressure"].sample() * 100
        return search(lambda adc: pressure(self.calibration, adc, celsius), pascal, 20, falling=True)

    def _adc_humidity(self, celsius: float) -> int:
        percent = self.signals["humidity"].sample()
        return search(lambda adc: humidity(self.calibration, adc, celsius), percent, 16)


MODEL = Bme680
