"""The firmware's drivers: their arithmetic, and end to end against the part models over a simbus.

Both are compiled for this host: the drivers as a shared library, and `firmware/tests/drivers/bench.c` as a
process with ASan and UBSan whose simbus is one end of a socket pair.
"""

from __future__ import annotations

import ctypes
import select
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path

import bme680 as pimoroni
import pytest
from anyio.abc import UNIXSocketStream
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.link import Deframer, frame
from lab.peripherals import Operation, Peripherals, Simbus, Status
from lab.peripherals.parts import bme680, relay, ws2812
from tests.unit.test_peripherals_models import calibrations

CORE = Path(__file__).parents[2] / "firmware" / "core"
DRIVERS = sorted((CORE / "drivers").glob("*.c"))
FLAGS = ["-std=gnu11", "-g", "-Wall", "-Wextra", "-Werror", f"-I{CORE}", f"-I{CORE / 'include'}"]

SENSOR_OK, NO_ANSWER, STUCK, TIMEOUT, CHECKSUM, NOT_READY, UNSUPPORTED = range(7)


def compiled(folder: Path, name: str, *arguments: str | Path) -> Path:
    cc = shutil.which("cc")
    if cc is None:
        pytest.skip("needs a C compiler (apt install gcc)")
    target = folder / name
    subprocess.run([cc, *FLAGS, *arguments, "-o", target], check=True)
    return target


# -- arithmetic


class Calibration(ctypes.Structure):
    """struct lab_bme680_calibration."""

    _fields_ = [
        (field.name, kind)
        for field, kind in zip(
            fields(bme680.Calibration),
            [
                *(ctypes.c_uint16, ctypes.c_int16, ctypes.c_int8),
                *(ctypes.c_uint16, ctypes.c_int16, ctypes.c_int8, ctypes.c_int16, ctypes.c_int16),
                *(ctypes.c_int8, ctypes.c_int8, ctypes.c_int16, ctypes.c_int16, ctypes.c_uint8),
                *(ctypes.c_uint16, ctypes.c_uint16, ctypes.c_int8, ctypes.c_int8, ctypes.c_int8),
                *(ctypes.c_uint8, ctypes.c_int8, ctypes.c_int8, ctypes.c_int16, ctypes.c_int8),
                *(ctypes.c_uint8, ctypes.c_int8, ctypes.c_int8),
            ],
            strict=True,
        )
    ]

    @classmethod
    def of(cls, calibration: bme680.Calibration) -> Calibration:
        return cls(*(getattr(calibration, field.name) for field in fields(calibration)))


class Library:
    """The BME680 driver's arithmetic."""

    def __init__(self, path: Path) -> None:
        library = ctypes.CDLL(str(path))
        for name, result in (
            ("fine_temperature", ctypes.c_int32),
            ("temperature", ctypes.c_int32),
            ("pressure", ctypes.c_uint32),
            ("humidity", ctypes.c_uint32),
            ("gas_resistance", ctypes.c_uint32),
            ("heater_resistance", ctypes.c_uint8),
            ("gas_wait", ctypes.c_uint8),
        ):
            function = getattr(library, f"lab_bme680_{name}")
            function.restype = result
            setattr(self, name, function)

    fine_temperature: Callable[..., int]
    temperature: Callable[..., int]
    pressure: Callable[..., int]
    humidity: Callable[..., int]
    gas_resistance: Callable[..., int]
    heater_resistance: Callable[..., int]
    gas_wait: Callable[..., int]


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    return Library(compiled(tmp_path_factory.mktemp("drivers"), "drivers.so", "-shared", "-fPIC", *DRIVERS))


def reference(calibration: bme680.Calibration) -> pimoroni.BME680:
    """Pimoroni's driver without a sensor: the same formulas, written by somebody else."""
    driver = object.__new__(pimoroni.BME680)
    pimoroni.BME680Data.__init__(driver)
    data = driver.calibration_data
    for field in fields(calibration):
        name = field.name if field.name.startswith("r") else f"par_{field.name}".replace("par_g", "par_gh")
        setattr(data, name.replace("range_switching_error", "range_sw_err"), getattr(calibration, field.name))
    driver.offset_temp_in_t_fine = 0
    return driver


@settings(deadline=None)
@given(
    calibration=calibrations,
    temperature=st.floats(-40, 85),
    pressure=st.integers(250_000, 850_000),
    humidity=st.integers(0, 0xFFFF),
)
def test_bme680_compensation_is_the_datasheets(
    library: Library, calibration: bme680.Calibration, temperature: float, pressure: int, humidity: int
) -> None:
    adc = bme680.search(lambda adc: bme680.temperature(calibration, adc), temperature, 20)
    trim, driver = ctypes.byref(Calibration.of(calibration)), reference(calibration)
    fine = library.fine_temperature(trim, adc)
    assert library.temperature(fine) == driver._calc_temperature(adc)
    assert fine == driver.calibration_data.t_fine
    # Python's division rounds down where C's and the datasheet's rounds towards zero.
    assert library.pressure(trim, pressure, fine) == pytest.approx(driver._calc_pressure(pressure), abs=1)
    assert library.humidity(trim, humidity, fine) == pytest.approx(driver._calc_humidity(humidity), abs=20)


@settings(deadline=None)
@given(calibration=calibrations, adc=st.integers(0, 1023), gas_range=st.integers(0, 15))
def test_bme680_gas_resistance_is_the_datasheets(
    library: Library, calibration: bme680.Calibration, adc: int, gas_range: int
) -> None:
    trim = ctypes.byref(Calibration.of(calibration))
    expected = bme680.gas_resistance(calibration, adc, gas_range)
    assert library.gas_resistance(trim, adc, gas_range) == pytest.approx(expected, rel=1e-4, abs=1)


@settings(deadline=None)
@given(calibration=calibrations, celsius=st.integers(200, 400), ambient=st.integers(-40, 85))
def test_bme680_heater_set_point_heats_to_what_was_asked(
    library: Library, calibration: bme680.Calibration, celsius: int, ambient: int
) -> None:
    trim = ctypes.byref(Calibration.of(calibration))
    res_heat = library.heater_resistance(trim, celsius, ambient * 100)
    # One step of res_heat is 4 °C, and the integers on the way to it are worth 1.3 °C.
    assert bme680.heater_target(calibration, res_heat, ambient) == pytest.approx(celsius, abs=5)


@pytest.mark.parametrize(
    ("milliseconds", "register"),
    # The example of section 5.3.3.3: 0x59 is 100 ms.
    [(1, 0x01), (63, 0x3F), (64, 0x50), (100, 0x59), (150, 0x66), (4032, 0xFF), (65535, 0xFF)],
)
def test_bme680_gas_wait(library: Library, milliseconds: int, register: int) -> None:
    assert library.gas_wait(milliseconds) == register


@settings(deadline=None)
@given(
    raw=st.binary(min_size=26, max_size=26),
    adc=st.integers(0, 0xFFFFF),
    humidity=st.integers(0, 0xFFFF),
    gas=st.integers(0, 1023),
)
def test_bme680_arithmetic_takes_any_trimming_values(
    library: Library, raw: bytes, adc: int, humidity: int, gas: int
) -> None:
    """A sensor that was read wrong must give a wrong reading, not a trap."""
    size = ctypes.sizeof(Calibration)
    calibration = Calibration.from_buffer_copy((raw * 3)[:size])
    trim = ctypes.byref(calibration)
    fine = library.fine_temperature(trim, adc)
    library.pressure(trim, adc, fine)
    library.humidity(trim, humidity, fine)
    library.gas_resistance(trim, gas, raw[0])
    library.heater_resistance(trim, 320, library.temperature(fine))


# -- end to end


class Bench:
    """The drivers in a process of their own; each command is one line of `firmware/tests/drivers/bench.c`."""

    portal: BlockingPortal
    """Into the event loop that serves the simbus."""

    def __init__(self, executable: Path, device: socket.socket) -> None:
        self._process = subprocess.Popen(
            [executable, str(device.fileno())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            pass_fds=[device.fileno()],
        )

    def run(self, *words: object) -> str:
        assert self._process.stdin and self._process.stdout
        print(*words, file=self._process.stdin, flush=True)
        ready, _, _ = select.select([self._process.stdout], [], [], 60)
        assert ready, f"the bench gives no answer to {words}"
        answer = self._process.stdout.readline()
        assert answer, f"the bench died at {words}: exit {self._process.wait()}"
        return answer.strip()

    def numbers(self, *words: object) -> list[int]:
        return [int(word) for word in self.run(*words).split()]

    def close(self) -> None:
        self._process.communicate(timeout=20)
        assert self._process.returncode == 0


@pytest.fixture(scope="session")
def executable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sources = [CORE / "simbus.c", CORE / "link" / "frame.c", CORE / "link" / "crc32.c", *DRIVERS]
    bench = CORE.parent / "tests" / "drivers" / "bench.c"
    return compiled(
        tmp_path_factory.mktemp("bench"), "bench", "-fsanitize=address,undefined", bench, *sources
    )


@pytest.fixture
def device(executable: Path) -> Iterator[tuple[Bench, socket.socket]]:
    """The bench, and the host's end of its simbus."""
    host, far = socket.socketpair()
    with host:
        with far:
            bench = Bench(executable, far)
        yield bench, host
        bench.close()


@pytest.fixture
def parts(tmp_path: Path) -> Peripherals:
    return Peripherals(
        [
            ("bme680", "bme680", {"address": 0x77}),
            ("sht31", "sht31", {}),
            ("dht22", "dht22", {"pin": 4}),
            ("ws2812", "strip", {"count": 11}),
            ("buzzer", "buzzer", {"pin": 5}),
            ("button", "button", {"pin": 6}),
            ("potentiometer", "knob", {"channel": 1}),
            ("nor_flash", "flash", {"size": 8192}),
        ],
        folder=tmp_path,
    )


@pytest.fixture
def bench(device: tuple[Bench, socket.socket], parts: Peripherals) -> Iterator[Bench]:
    """The bench with its simbus served."""
    process, host = device

    async def serve() -> None:
        async with await UNIXSocketStream.from_socket(host) as stream:
            await Simbus(parts).serve(stream)

    with start_blocking_portal() as portal:
        process.portal = portal
        served = portal.start_task_soon(serve)
        yield process
        process.close()  # ends the stream, and with it the server
        served.result(timeout=20)


def test_bme680_driver_reads_what_was_set(bench: Bench, parts: Peripherals) -> None:
    for name, value in {
        "temperature": "-12.3",
        "pressure": "987.6",
        "humidity": "61",
        "gas": "120kΩ",
    }.items():
        parts.set(f"bme680.{name}", value)
    status, temperature, pressure, humidity, gas = bench.numbers("bme680", 0x77, 320, 100)
    assert status == SENSOR_OK
    assert temperature == pytest.approx(-1230, abs=2)
    assert pressure == pytest.approx(98760, abs=25)
    assert humidity == pytest.approx(61000, abs=60)
    assert gas == pytest.approx(120_000, rel=0.005)


def test_bme680_driver_gives_no_gas_reading_from_a_cold_heater(bench: Bench) -> None:
    assert bench.numbers("bme680", 0x77, 320, 5)[4] == 0
    assert bench.numbers("bme680", 0x77, 0, 0)[4] == 0


@pytest.mark.parametrize(
    ("fault", "status"),
    [("unplugged", NO_ANSWER), ("nack", NO_ANSWER), ("stuck", STUCK), ("none", SENSOR_OK)],
)
def test_bme680_driver_tells_what_is_wrong(bench: Bench, parts: Peripherals, fault: str, status: int) -> None:
    parts.set("bme680.fault", fault)
    assert bench.numbers("bme680", 0x77, 0, 0)[0] == status


def test_bme680_driver_takes_no_other_part_for_a_bme680(bench: Bench) -> None:
    assert bench.numbers("bme680", 0x44, 0, 0)[0] == NO_ANSWER  # the SHT31 knows no such command
    assert bench.numbers("bme680", 0x76, 0, 0)[0] == NO_ANSWER


@pytest.mark.parametrize(
    ("temperature", "tenths"), [("31.5", 315), ("0", 0), ("-0.1", -1), ("-40", -400), ("80", 800)]
)
def test_dht22_driver_reads_what_was_set(
    bench: Bench, parts: Peripherals, temperature: str, tenths: int
) -> None:
    parts.set("dht22.temperature", temperature)
    parts.set("dht22.humidity", "65.2")
    assert bench.numbers("dht22", 4) == [SENSOR_OK, tenths, 652]


def test_dht22_driver_asks_every_two_seconds_only(bench: Bench, parts: Peripherals) -> None:
    bench.run("dht22", 4)
    parts.set("dht22.temperature", "50")
    assert bench.numbers("dht22", 4)[1] == 220
    assert sum(each.operation == Operation.PULSES for each in parts.trace) == 1


@pytest.mark.parametrize(
    ("fault", "status"),
    [("unplugged", NO_ANSWER), ("nack", NO_ANSWER), ("stuck", STUCK), ("bad-checksum", CHECKSUM)],
)
def test_dht22_driver_tells_what_is_wrong(bench: Bench, parts: Peripherals, fault: str, status: int) -> None:
    parts.set("dht22.fault", fault)
    assert bench.numbers("dht22", 4)[0] == status


def leds(parts: Peripherals) -> list[tuple[int, int, int]]:
    strip = parts.parts["strip"]
    assert isinstance(strip, ws2812.Ws2812)
    return strip.colours


def writes(parts: Peripherals) -> int:
    return sum(each.operation == Operation.STRIP for each in parts.trace)


def test_leds_are_written_once_a_cycle_and_only_when_they_change(bench: Bench, parts: Peripherals) -> None:
    assert bench.numbers("flush") == [0]
    assert writes(parts) == 1  # dark, whatever shone before
    for index in range(11):
        assert bench.numbers("led", index, 255, index, 7) == [1]
    bench.run("flush")
    assert leds(parts) == [(255, index, 7) for index in range(11)]
    bench.run("led", 3, 255, 3, 7)
    bench.run("flush")
    assert writes(parts) == 2


def test_an_led_that_is_not_there_changes_nothing(bench: Bench, parts: Peripherals) -> None:
    bench.run("all", 1, 2, 3)
    assert bench.numbers("led", 11, 9, 9, 9) == [0]
    assert bench.numbers("leds", 0, 9, 9, 9, 11, 9, 9, 9) == [0]
    assert bench.numbers("leds", 4294967295, 9, 9, 9, 0, 9, 9, 9) == [0]
    assert bench.numbers("leds", 1, 4, 5, 6, 2, 7, 8, 9) == [1]
    bench.run("flush")
    assert leds(parts) == [(1, 2, 3), (4, 5, 6), (7, 8, 9)] + [(1, 2, 3)] * 8


def test_buzzer_beeps_as_often_and_as_long_as_asked(bench: Bench, parts: Peripherals) -> None:
    bench.run("beep", 5, 3, 40, 60)
    buzzer = parts.parts["buzzer"]
    assert isinstance(buzzer, relay.Relay)
    assert buzzer.total == 3
    assert not buzzer.on
    for start, end in buzzer.intervals:
        assert end - start >= 0.039  # never cut short; the device counts whole milliseconds
    assert [each.request for each in parts.trace if each.operation == Operation.GPIO_WRITE] == [
        b"\5\1",
        *[b"\5\0", b"\5\1"] * 3,
    ]


def test_pins_and_the_converter(bench: Bench, parts: Peripherals) -> None:
    assert bench.run("gpio-write", 13, 1) == "0"
    assert parts.pins()[13] is True
    assert bench.run("gpio-read", 13) == "0 01"
    assert bench.run("gpio-read", 6) == "0 01"
    parts.set("button.pressed", "1")
    assert bench.run("gpio-read", 6) == "0 00"
    parts.set("knob.voltage", "1.65")
    assert bench.numbers("adc", 1) == [0, 2048]
    assert bench.numbers("adc", 9) == [Status.UNSUPPORTED, 0]


def test_edges_of_a_button_reach_the_device(bench: Bench, parts: Peripherals) -> None:
    bench.run("gpio-read", 6)
    for pressed in ("1", "1", "0"):
        bench.portal.call(parts.set, "button.pressed", pressed)
    assert bench.numbers("edge") == [6, 0]
    assert bench.numbers("edge") == [6, 1]


def test_flash_in_pieces(bench: Bench, parts: Peripherals, tmp_path: Path) -> None:
    data = bytes(range(256)) * 4  # more than one request holds
    assert bench.run("flash-program", 100, data.hex()) == "0"
    assert bench.run("flash-read", 100, len(data)) == f"0 {data.hex()}"
    assert (tmp_path / "flash.bin").read_bytes()[100 : 100 + len(data)] == data
    assert bench.run("flash-erase", 0) == "0"
    assert bench.run("flash-read", 100, 4) == "0 ffffffff"
    assert bench.numbers("flash-erase", 100) == [Status.BAD_ARGUMENT]


def test_i2c_of_any_part(bench: Bench) -> None:
    assert bench.run("i2c", 0x77, 1, "d0") == "0 61"
    assert bench.run("i2c", 0x10, 0).split()[0] == str(int(Status.NACK))
    assert bench.run("i2c", 0x77, 385, "d0").split()[0] == str(int(Status.BAD_ARGUMENT))


# -- a host that misbehaves


def requests(host: socket.socket, deframer: Deframer) -> Iterator[bytes]:
    while data := host.recv(4096):
        yield from deframer.feed(data)


def asked(host: socket.socket, operation: Operation) -> tuple[bytes, Iterator[bytes]]:
    """Return the device's first request of this kind, and those after it."""
    coming = requests(host, Deframer())
    return next(body for body in coming if body[1] == operation), coming


def test_a_device_says_that_it_has_started(device: tuple[Bench, socket.socket]) -> None:
    _bench, host = device
    assert asked(host, Operation.RESET)[0][1:] == bytes([Operation.RESET])


def test_a_silent_host_is_a_timeout_and_a_late_answer_is_not_the_next_ones(
    device: tuple[Bench, socket.socket],
) -> None:
    bench, host = device
    status = bench.run("adc", 1)  # nobody answers
    assert status == f"{int(Status.TIMEOUT)} 0"
    late, coming = asked(host, Operation.ADC_READ)
    host.sendall(frame(bytes([late[0], 0x86, 0, 0x11, 0x11])))

    def answer() -> None:
        body = next(coming)
        host.sendall(frame(bytes([body[0], 0x86, 0, 0x22, 0x02])))

    thread = threading.Thread(target=answer)
    thread.start()
    assert bench.numbers("adc", 1) == [0, 0x222]
    thread.join()


@pytest.mark.parametrize(
    "answer",
    [b"\0", b"\0\1", b"\0\1\2\3", b"\x09\1\2"],
    ids=["nothing", "too short", "too long", "an unknown status"],
)
def test_a_wrong_answer_is_no_reading(device: tuple[Bench, socket.socket], answer: bytes) -> None:
    bench, host = device

    def serve() -> None:
        body, _ = asked(host, Operation.ADC_READ)
        host.sendall(b"noise\0" + frame(bytes([body[0], 0x86]) + answer))

    thread = threading.Thread(target=serve)
    thread.start()
    status, value = bench.numbers("adc", 1)
    thread.join()
    assert status != Status.DONE
    assert value == 0
