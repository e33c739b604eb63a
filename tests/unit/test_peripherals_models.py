"""The part models against their datasheets, without a board."""

from __future__ import annotations

import contextlib
import types
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import bme680 as pimoroni
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.errors import UsageError
from lab.peripherals import Fault, Operation, Peripherals, Status, kinds, profile
from lab.peripherals.model import Bench, BusError, Signal
from lab.peripherals.parts import bme680, dht22, nor_flash, relay, sht31, ws2812


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


class SMBus:
    """What a Linux driver calls a bus, on top of one model."""

    def __init__(self, part: bme680.Bme680) -> None:
        self.part = part

    def write_i2c_block_data(self, address: int, register: int, values: list[int]) -> None:
        assert address == self.part.address
        for offset, value in enumerate(values):
            self.part.respond(bytes([register + offset, value]), 0)

    def write_byte_data(self, address: int, register: int, value: int) -> None:
        self.write_i2c_block_data(address, register, [value])

    def read_byte_data(self, address: int, register: int) -> int:
        return self.read_i2c_block_data(address, register, 1)[0]

    def read_i2c_block_data(self, address: int, register: int, length: int) -> list[int]:
        assert address == self.part.address
        return list(self.part.respond(bytes([register]), length))


@contextlib.contextmanager
def time_of(clock: Clock) -> Iterator[None]:
    """Let Pimoroni's driver sleep by the test's clock."""
    before = pimoroni.time
    pimoroni.time = types.SimpleNamespace(sleep=clock.sleep, time=clock)
    try:
        yield
    finally:
        pimoroni.time = before


def sensor(clock: Clock, calibration: bme680.Calibration | None = None) -> bme680.Bme680:
    return bme680.Bme680("bme680", bme680.Bme680Settings(), Bench(clock), calibration)


calibrations = st.builds(
    replace,
    st.just(bme680.Calibration()),
    t1=st.integers(25_500, 26_500),
    t2=st.integers(26_000, 27_000),
    t3=st.integers(1, 6),
    p1=st.integers(35_000, 38_000),
    p2=st.integers(-10_800, -10_000),
    h1=st.integers(700, 850),
    h2=st.integers(990, 1060),
    h4=st.integers(40, 50),
    g2=st.integers(-7000, -5000),
    # Pimoroni's driver loses its sign.
    range_switching_error=st.integers(0, 7),
)


@settings(deadline=None)
@given(
    calibration=calibrations,
    temperature=st.floats(-40, 85),
    pressure=st.floats(300, 1100),
    humidity=st.floats(0, 100),
    gas=st.floats(500, 10_000_000),
)
def test_an_independent_driver_reads_what_was_set_on_a_bme680(
    calibration: bme680.Calibration, temperature: float, pressure: float, humidity: float, gas: float
) -> None:
    """Pimoroni's driver knows nothing of the model: registers, trimming values, formulas have to be right."""
    clock = Clock()
    part = sensor(clock, calibration)
    for key, value in (
        ("temperature", temperature),
        ("pressure", pressure),
        ("humidity", humidity),
        ("gas", gas),
    ):
        part.signals[key].set(value)
    with time_of(clock):
        driver = pimoroni.BME680(0x77, SMBus(part))
        driver.set_filter(pimoroni.FILTER_SIZE_0)
        driver.set_temperature_oversample(pimoroni.OS_16X)
        driver.set_pressure_oversample(pimoroni.OS_16X)
        driver.set_gas_heater_temperature(320)
        driver.set_gas_heater_duration(150)
        driver.select_gas_heater_profile(0)
        # It looks for 100 ms only, then takes the old data: ask again when the heater is done.
        driver.get_sensor_data()
        clock.sleep(1)
        assert driver.get_sensor_data()
    assert driver.data.temperature == pytest.approx(temperature, abs=0.02)
    assert driver.data.pressure == pytest.approx(pressure, abs=0.25)
    assert driver.data.humidity == pytest.approx(humidity, abs=0.05)
    assert driver.data.heat_stable
    assert driver.data.gas_resistance == pytest.approx(gas, rel=0.005)


def measure(part: bme680.Bme680, clock: Clock, *pairs: int) -> bytes:
    """Set registers, trigger a measurement, let a second pass and return field 0 (0x1d to 0x2b)."""
    part.respond(bytes([*pairs, bme680.CTRL_MEAS, 0x25]), 0)
    clock.sleep(1)
    return part.respond(bytes([bme680.MEAS_STATUS_0]), 15)


def test_bme680_identifies_itself_and_resets(clock: Clock) -> None:
    part = sensor(clock)
    assert part.respond(b"\xd0", 1) == b"\x61"
    part.respond(bytes([bme680.CONFIG, 0x1C]), 0)
    assert part.respond(bytes([bme680.CONFIG]), 1) == b"\x1c"
    part.respond(bytes([bme680.RESET, bme680.SOFT_RESET]), 0)
    assert part.respond(bytes([bme680.CONFIG]), 1) == b"\0"


def test_bme680_measures_once_and_sleeps_again(clock: Clock) -> None:
    part = sensor(clock)
    part.respond(bytes([bme680.CTRL_HUM, 1, bme680.CTRL_MEAS, 0x25]), 0)
    assert part.respond(bytes([bme680.MEAS_STATUS_0]), 1)[0] == bme680.MEASURING
    clock.sleep(0.009)  # 1 ms to wake up, 3 conversions of 1.963 ms, 4 switches of 0.477 ms: 8.8 ms
    assert part.respond(bytes([bme680.MEAS_STATUS_0]), 1)[0] == bme680.NEW_DATA
    assert part.respond(bytes([bme680.CTRL_MEAS]), 1) == b"\x24"  # forced mode is over


def test_bme680_keeps_the_old_data_until_the_conversion_ends(clock: Clock) -> None:
    part = sensor(clock)
    first = measure(part, clock)
    part.signals["temperature"].set(50)
    part.respond(bytes([bme680.CTRL_MEAS, 0x25]), 0)
    assert part.respond(bytes([bme680.TEMP_MSB]), 3) == first[5:8]
    clock.sleep(1)
    assert part.respond(bytes([bme680.TEMP_MSB]), 3) != first[5:8]


def test_bme680_skips_what_is_not_asked_for(clock: Clock) -> None:
    part = sensor(clock)
    part.respond(bytes([bme680.CTRL_HUM, 0, bme680.CTRL_MEAS, 0x01]), 0)
    clock.sleep(1)
    field = part.respond(bytes([bme680.MEAS_STATUS_0]), 15)
    assert field[2:10] == bytes.fromhex("800000 800000 8000")
    assert field[14] & bme680.GAS_VALID == 0


@pytest.mark.parametrize(
    ("res_heat", "gas_wait", "ctrl_gas_0", "stable"),
    [(0x73, 0x59, 0, True), (0x73, 0x0A, 0, False), (0x73, 0x59, 0x08, False), (0xFF, 0x59, 0, False)],
    ids=["heated", "too short", "heater off", "too hot"],
)
def test_bme680_says_whether_the_heater_was_stable(
    clock: Clock, res_heat: int, gas_wait: int, ctrl_gas_0: int, stable: bool
) -> None:
    part = sensor(clock)
    pairs = [bme680.RES_HEAT_0, res_heat, bme680.GAS_WAIT_0, gas_wait, bme680.CTRL_GAS_0, ctrl_gas_0]
    field = measure(part, clock, *pairs, bme680.CTRL_GAS_1, 0x10)
    assert field[14] & bme680.GAS_VALID
    assert bool(field[14] & bme680.HEAT_STABLE) == stable


def test_bme680_filters_temperature_when_told_to(clock: Clock) -> None:
    part = sensor(clock)
    part.signals["temperature"].set(20)
    measure(part, clock, bme680.CONFIG, 0x04)  # coefficient 1: half old, half new
    part.signals["temperature"].set(40)
    field = measure(part, clock)
    raw = field[5] << 12 | field[6] << 4 | field[7] >> 4
    assert bme680.temperature(part.calibration, raw) == pytest.approx(30, abs=0.1)


def pulses_to_bytes(pulses: list[tuple[int, int]]) -> bytes:
    bits = "".join("1" if high > 48 else "0" for _low, high in pulses[1:])
    return int(bits, 2).to_bytes(5, "big")


@pytest.mark.parametrize(
    ("temperature", "humidity", "expected"),
    [
        (35.1, 65.2, "028c 015f ee"),  # the example of section 7.2
        (-10.1, 65.2, "028c 8065 73"),  # and the one for temperatures below zero
        (0.0, 0.0, "0000 0000 00"),
        (-0.04, 100.0, "03e8 0000 eb"),
    ],
)
def test_dht22_frames_are_the_datasheets(temperature: float, humidity: float, expected: str) -> None:
    assert dht22.frame(temperature, humidity) == bytes.fromhex(expected)


def test_dht22_answers_with_response_and_forty_bits(clock: Clock) -> None:
    part = dht22.Dht22("dht22", dht22.Dht22Settings(pin=4), Bench(clock))
    part.set("temperature", "-10.1")
    part.set("humidity", "65.2")
    pulses = list(part.pulses(1100))
    assert pulses[0] == (80, 80)
    assert len(pulses) == 41
    assert pulses_to_bytes(pulses) == bytes.fromhex("028c 8065 73")


def test_dht22_measures_every_two_seconds(clock: Clock) -> None:
    part = dht22.Dht22("dht22", dht22.Dht22Settings(pin=4), Bench(clock))
    first = part.pulses(1100)
    part.set("temperature", "40")
    clock.sleep(1.9)
    assert part.pulses(1100) == first
    clock.sleep(0.2)
    assert part.pulses(1100) != first


def test_dht22_needs_its_start_pulse(clock: Clock) -> None:
    part = dht22.Dht22("dht22", dht22.Dht22Settings(pin=4), Bench(clock))
    with pytest.raises(BusError) as error:
        part.pulses(100)
    assert error.value.status is Status.TIMEOUT


def test_dht22_faults(clock: Clock) -> None:
    part = dht22.Dht22("dht22", dht22.Dht22Settings(pin=4), Bench(clock))
    part.set("fault", "bad-checksum")
    data = pulses_to_bytes(list(part.pulses(1100)))
    assert sum(data[:4]) & 0xFF != data[4]
    for fault, status in (("unplugged", Status.TIMEOUT), ("nack", Status.TIMEOUT), ("stuck", Status.STUCK)):
        part.set("fault", fault)
        with pytest.raises(BusError) as error:
            part.pulses(1100)
        assert error.value.status is status


def test_sht31_checksum_is_the_datasheets() -> None:
    assert sht31.crc8(bytes.fromhex("beef")) == 0x92


@settings(deadline=None)
@given(temperature=st.floats(-40, 125), humidity=st.floats(0, 100))
def test_sht31_converts_back_to_what_was_set(temperature: float, humidity: float) -> None:
    clock = Clock()
    part = sht31.Sht31("sht31", sht31.Sht31Settings(), Bench(clock))
    part.signals["temperature"].set(temperature)
    part.signals["humidity"].set(humidity)
    part.respond(b"\x24\x00", 0)
    with pytest.raises(BusError):  # no clock stretching: not ready is a NACK
        part.respond(b"", 6)
    clock.sleep(0.016)
    answer = part.respond(b"", 6)
    raw_t, raw_h = int.from_bytes(answer[0:2], "big"), int.from_bytes(answer[3:5], "big")
    assert sht31.crc8(answer[0:2]) == answer[2]
    assert sht31.crc8(answer[3:5]) == answer[5]
    assert -45 + 175 * raw_t / 65535 == pytest.approx(temperature, abs=0.002)
    assert 100 * raw_h / 65535 == pytest.approx(humidity, abs=0.001)


def test_ws2812_takes_green_first_and_keeps_what_got_no_bits(clock: Clock) -> None:
    strip = ws2812.Ws2812("strip", ws2812.Ws2812Settings(count=3), Bench(clock))
    strip.shift(bytes([1, 2, 3, 4, 5, 6, 7, 8]))
    assert strip.colours == [(2, 1, 3), (5, 4, 6), (0, 0, 0)]
    strip.shift(bytes(range(12)))  # one LED more than there is
    assert strip.colours[2] == (7, 6, 8)
    assert strip.writes == 2


def test_relay_keeps_when_it_was_on(clock: Clock) -> None:
    part = relay.Relay("fan", relay.RelaySettings(pin=3), Bench(clock))
    part.drive(True)
    clock.sleep(2)
    part.drive(True)
    part.drive(False)
    assert list(part.intervals) == [(1000.0, 1002.0)]
    assert part.total == 1


def flash(clock: Clock, folder: Path | None = None, **keys: int) -> nor_flash.NorFlash:
    return nor_flash.NorFlash(
        "flash", nor_flash.NorFlashSettings(size=4096, sector=1024, **keys), Bench(clock, folder=folder)
    )


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4095), st.binary(min_size=1, max_size=64)), max_size=20))
def test_programming_only_clears_bits(writes: list[tuple[int, bytes]]) -> None:
    part = flash(Clock())
    expected = bytearray(b"\xff" * 4096)
    for address, data in writes:
        if address + len(data) > 4096:
            with pytest.raises(BusError):
                part.program(address, data)
            continue
        part.program(address, data)
        for offset, byte in enumerate(data):
            expected[address + offset] &= byte
    assert part.read(0, 4096) == expected
    part.erase(1024)
    expected[1024:2048] = b"\xff" * 1024
    assert part.read(0, 4096) == expected


def test_flash_outlives_its_model(clock: Clock, tmp_path: Path) -> None:
    flash(clock, tmp_path).program(100, b"kept")
    assert flash(clock, tmp_path).read(100, 4) == b"kept"


def test_flash_of_another_size_is_refused(clock: Clock, tmp_path: Path) -> None:
    (tmp_path / "flash.bin").write_bytes(b"short")
    with pytest.raises(UsageError, match="holds 5 bytes"):
        flash(clock, tmp_path)


def test_power_may_fail_amid_an_operation(clock: Clock, tmp_path: Path) -> None:
    part = flash(clock, tmp_path)
    part.power_cut = lambda _length: 3
    with pytest.raises(BusError) as error:
        part.program(0, b"\1\2\3\4\5")
    assert error.value.status is Status.POWER_FAILED
    with pytest.raises(BusError):
        part.read(0, 1)
    assert flash(clock, tmp_path).read(0, 5) == b"\1\2\3\xff\xff"


def test_a_worn_sector_loses_bits(clock: Clock) -> None:
    part = flash(clock, endurance=2)
    for _ in range(2):
        part.erase(0)
    assert part.read(0, 1) == b"\xff"
    part.erase(0)
    assert part.read(0, 1) == b"\x7f"


def test_flash_sticks_to_its_units(clock: Clock) -> None:
    part = flash(clock, unit=8)
    for address, data in ((4, b"x" * 8), (8, b"x" * 4)):
        with pytest.raises(BusError) as error:
            part.program(address, data)
        assert error.value.status is Status.BAD_ARGUMENT


# -- quantities, faults, names


def board(clock: Clock, *extra: tuple[str, str, dict[str, object]]) -> Peripherals:
    return Peripherals(
        [
            ("bme680", "bme680", {"bus": "i2c0", "address": 0x77}),
            ("sht31", "sht31", {"address": 0x44}),
            ("dht22", "dht22", {"pin": 4}),
            ("ws2812", "strip", {"count": 11}),
            ("buzzer", "buzzer", {"pin": 5}),
            ("button", "button", {"pin": 6}),
            ("potentiometer", "knob", {"channel": 1}),
            *extra,
        ],
        clock=clock,
    )


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("dht22.temperature", "31.5", 31.5),
        ("dht22.temperature", "31.5C", 31.5),
        ("dht22.temperature", "304.65 K", 31.5),
        ("dht22.temperature", "-4 °F", -20),
        ("bme680.gas", "120000", 120_000),
        ("bme680.gas", "120kohm", 120_000),
        ("bme680.pressure", "101325Pa", 1013.25),
        ("dht22.humidity", "55%", 55),
        ("knob.voltage", "1650 mV", 1.65),
        ("dht22.temperature.noise", "0.2", 0.2),
        ("dht22.temperature.drift", "-3", -3),
    ],
)
def test_quantities_are_set_as_people_write_them(clock: Clock, name: str, text: str, value: float) -> None:
    parts = board(clock)
    parts.set(name, text)
    assert parts.get(name) == pytest.approx(value)


@pytest.mark.parametrize(
    ("name", "text", "message", "hint"),
    [
        ("dht.temperature", "1", "no part 'dht'", "Did you mean dht22"),
        ("dht22", "1", "lacks a quantity", "temperature"),
        ("dht22.pressure", "1", "no dht22.pressure", "dht22 has: temperature"),
        ("dht22.temperature.speed", "1", "no dht22.temperature.speed", "temperature.noise"),
        ("dht22.temperature", "warm", "not a number", "°C"),
        ("dht22.temperature", "nan", "not a number", "°C"),
        ("dht22.temperature", "1e999", "too large", "°C"),
        ("dht22.temperature", "20V", "no unit 'V'", "°C, C"),
        ("dht22.temperature", "80.1", "outside the part's range", "-40 to 80 °C"),
        ("dht22.temperature.noise", "-1", "negative", "standard deviation"),
        ("bme680.fault", "bad-checksum", "cannot have the fault", "nack, none, stuck, unplugged"),
        ("button.fault", "nack", "no button.fault", "pressed"),
    ],
)
def test_what_cannot_be_set_is_explained(clock: Clock, name: str, text: str, message: str, hint: str) -> None:
    parts = board(clock)
    before = parts.snapshot()
    with pytest.raises(UsageError) as error:
        parts.set(name, text)
    assert message in error.value.message
    assert hint in error.value.hint
    assert parts.snapshot() == before


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (("bme860", "x", {}), "no part of kind 'bme860'"),
        (("bme680", "x", {"address": 0x10}), "part x: address"),
        (("bme680", "x", {"adress": 0x76}), "part x: adress"),
        (("dht22", "x", {}), "part x: pin"),
        (("sht31", "x", {"address": 0x44}), "sht31 and x are both at address 0x44"),
    ],
)
def test_wrong_parts_are_explained(
    clock: Clock, entry: tuple[str, str, dict[str, object]], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        board(clock, entry)


def test_every_kind_of_part_can_be_had() -> None:
    settings: dict[str, dict[str, object]] = {
        kind: {"pin": 1} for kind in ("button", "buzzer", "dht22", "relay")
    }
    for kind in kinds():
        parts = Peripherals([(kind, "part", settings.get(kind, {}))])
        assert parts.snapshot()["part"]["kind"] == kind


def test_drift_and_noise(clock: Clock) -> None:
    parts = board(clock)
    parts.set("dht22.temperature", "20")
    parts.set("dht22.temperature.drift", "2")
    clock.sleep(1800)
    assert parts.get("dht22.temperature") == pytest.approx(21)
    parts.set("dht22.temperature.noise", "0.5")
    samples = [parts.parts["dht22"].signals["temperature"].sample() for _ in range(500)]
    assert 20.9 < sum(samples) / len(samples) < 21.1
    assert max(samples) - min(samples) > 1


@settings(deadline=None)
@given(
    points=st.lists(
        st.tuples(st.floats(0, 1e6), st.floats(-40, 80)), min_size=1, unique_by=lambda point: point[0]
    ),
    at=st.floats(0, 2e6),
)
def test_a_course_stays_between_its_points(points: list[tuple[float, float]], at: float) -> None:
    clock = Clock()
    signal = Signal(dht22.Dht22.quantities["temperature"], Bench(clock))
    points.sort()
    signal.play(points)
    clock.sleep(at)
    values = [value for _at, value in points]
    assert min(values) - 1e-9 <= signal.value <= max(values) + 1e-9


def test_a_profile_drives_several_quantities(clock: Clock, tmp_path: Path) -> None:
    file = tmp_path / "day.csv"
    file.write_text("time,dht22.temperature,bme680.gas\n0,22,50000\n60,32,\n90,,120000\n")
    parts = board(clock)
    parts.play(profile.read(file))
    for elapsed, temperature, gas in (
        (30, 27, 73_333),
        (30, 32, 96_667),
        (30, 32, 120_000),
        (500, 32, 120_000),
    ):
        clock.sleep(elapsed)
        assert parts.get("dht22.temperature") == pytest.approx(temperature)
        assert parts.get("bme680.gas") == pytest.approx(gas, rel=1e-4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1"),
        ("seconds,dht22.temperature\n", "line 1"),
        ("time,dht22.temperature,dht22.temperature\n0,1,1\n", "twice"),
        ("time,dht22.temperature\n0,hot\n", "line 2: 'hot' is not a number"),
        ("time,dht22.temperature\n0,inf\n", "line 2: 'inf' is not a number"),
        ("time,dht22.temperature\n5,1\n5,2\n", "line 3: time 5 does not grow"),
        ("time,dht22.temperature\n0,1,2\n", "line 2 has 3 cells"),
        ("time,dht22.temperature\n0,\n", "no value for dht22.temperature"),
        ("time,dht22.temperature\n0,99\n", "outside the part's range"),
        ("time,dht22.light\n0,1\n", "no quantity dht22.light"),
        ("time,button.pressed\n0,1\n", "cannot follow a profile"),
    ],
)
def test_wrong_profiles_are_explained(clock: Clock, tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "profile.csv"
    file.write_text(text)
    with pytest.raises(UsageError, match=message):
        board(clock).play(profile.read(file))


def i2c(parts: Peripherals, address: int, out: bytes, length: int) -> bytes:
    return parts.transact(Operation.I2C, bytes([address]) + length.to_bytes(2, "little") + out)


def test_a_stuck_part_stops_its_whole_bus_and_an_absent_one_only_itself(clock: Clock) -> None:
    parts = board(clock)
    assert i2c(parts, 0x77, b"\xd0", 1) == b"\0\x61"
    parts.set("sht31.fault", "nack")
    assert i2c(parts, 0x44, b"\xf3\x2d", 3) == bytes([Status.NACK])
    assert i2c(parts, 0x77, b"\xd0", 1) == b"\0\x61"
    parts.set("sht31.fault", "stuck")
    assert i2c(parts, 0x77, b"\xd0", 1) == bytes([Status.STUCK])
    parts.set("sht31.fault", "none")
    assert i2c(parts, 0x77, b"\xd0", 1) == b"\0\x61"
    assert i2c(parts, 0x10, b"", 1) == bytes([Status.NACK])


@settings(deadline=None)
@given(operation=st.integers(0, 255), request=st.binary(max_size=20))
def test_no_request_breaks_the_bus(operation: int, request: bytes) -> None:
    parts = board(Clock(), ("nor_flash", "flash", {"size": 8192}))
    answer = parts.transact(operation, request)
    assert answer[0] in list(Status)
    assert parts.trace[-1].request == request


def test_the_trace_says_what_went_over_the_bus(clock: Clock) -> None:
    parts = board(clock)
    seen = []
    parts.on_transaction = seen.append
    i2c(parts, 0x77, b"\xd0", 1)
    assert seen == list(parts.trace)
    assert (seen[0].operation, seen[0].status, seen[0].answer) == (Operation.I2C, Status.DONE, b"\x61")


def test_changes_are_told(clock: Clock) -> None:
    parts = board(clock)
    seen: list[str] = []
    end = parts.subscribe(seen.append)
    parts.transact(Operation.STRIP, b"\0" + bytes(33))
    parts.transact(Operation.GPIO_WRITE, bytes([5, 0]))
    parts.set("dht22.temperature", "30")
    parts.set("dht22.fault", "unplugged")
    end()
    parts.set("dht22.temperature", "31")
    assert seen == ["strip", "buzzer", "dht22", "dht22"]


def test_a_reset_silences_the_buzzer_and_keeps_what_was_set(clock: Clock) -> None:
    parts = board(clock)
    parts.set("dht22.temperature", "30")
    parts.set("dht22.fault", "stuck")
    parts.transact(Operation.GPIO_WRITE, bytes([5, 0]))
    assert parts.snapshot()["buzzer"]["on"] is True
    parts.transact(Operation.RESET, b"")
    assert parts.snapshot()["buzzer"]["on"] is False
    assert parts.get("dht22.temperature") == 30
    assert parts.get("dht22.fault") == Fault.STUCK


def test_an_emulator_with_registers_of_its_own_asks_what_there_is_to_sense() -> None:
    parts = Peripherals([("dht22", "room", {"pin": 4})])
    parts.set("room.temperature", "31.5")
    parts.set("room.fault", "bad-checksum")
    answer = parts.transact(Operation.SENSE, b"room")
    assert answer == b"\0fault=bad-checksum temperature=31.500000 humidity=45.000000"
    assert parts.snapshot()["room"]["reads"] == 1
    assert parts.transact(Operation.SENSE, b"garden") == bytes([Status.BAD_ARGUMENT])
