"""Zephyr images of the core in Renode and QEMU: from power-on to an app that survives a power cut."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import build, paths
from lab.boards import Board
from lab.engines.renode import RenodeMachine
from lab.testing.device import Device

RED = (255, 0, 0)
SLOW = 120.0  # s; Renode gives way to whatever else runs on the machine
KIB = 1024

pytestmark = [
    pytest.mark.hil,
    pytest.mark.renode,
    pytest.mark.board(
        "stm32f746g_disco",
        "nrf52840dk",
        "stm32f4_disco",
        "frdm_k64f",
        "esp32c3_devkitm",
        "mps2-an385-zephyr",
    ),
]


def test_the_image_fits_256_kib_of_ram(board: Board) -> None:
    assert board.firmware
    result = build.build(board.firmware)
    assert result.pool == board.app_pool == 32 * KIB
    assert result.ram + result.pool <= 256 * KIB
    if "sram" in board.memory:
        assert result.ram + result.pool <= board.memory["sram"].size
    assert sum(part.flash for part in result.components.values()) == result.flash


def test_an_app_reads_sensors_and_lights_leds_after_a_power_cut_too(device: Device) -> None:
    device.deploy("alarm", confirmed=True, timeout=SLOW)
    device.sensors["dht22.temperature"] = 31.5
    device.wait_until(lambda: device.leds[1] == RED, timeout=SLOW, what="a red LED")
    device.wait_until(lambda: device.buzzer.beeps == 3, timeout=SLOW, what="three beeps")
    air = device.leds[2]
    assert any(air), "the BME680 was read"
    device.power_cut(timeout=SLOW)
    device.wait_until(lambda: "alarm" in device.apps, timeout=SLOW, what="the app, from flash")
    device.sensors["dht22.temperature"] = 31.5
    device.wait_until(lambda: device.leds[1] == RED, timeout=SLOW, what="a red LED again")


def test_a_part_s_fault_reaches_the_app(device: Device) -> None:
    device.deploy("alarm", timeout=SLOW)
    device.wait_until(lambda: any(device.leds[1]), timeout=SLOW, what="a colour")
    device.sensors["dht22.fault"] = "unplugged"
    device.wait_until(lambda: not any(device.leds[1]), timeout=SLOW, what="a dark LED")
    device.sensors["dht22.fault"] = "none"
    device.wait_until(lambda: any(device.leds[1]), timeout=SLOW, what="a colour again")


@pytest.mark.board("stm32f746g_disco", "stm32f4_disco")
def test_an_app_reads_a_voltage(device: Device, tmp_path: Path) -> None:
    app = tmp_path / "meter"
    app.mkdir()
    (app / "app.toml").write_text(
        'name = "meter"\nversion = "1.0.0"\nlanguage = "c"\nsources = ["main.c"]\n'
        '[permissions]\ninterfaces = ["adc"]\n'
    )
    (app / "main.c").write_text(
        '#include "lab.h"\n'
        '__attribute__((export_name("read"))) int32_t read(int32_t channel) {\n'
        "    uint16_t value;\n"
        "    enum lab_error error;\n"
        "    bool done = lab_adc_read((uint8_t)channel, &value, &error);\n"
        "    return done ? value : error == LAB_ERROR_UNSUPPORTED ? -1 : -2;\n"
        "}\n"
    )
    device.deploy(app, timeout=SLOW)
    for volts, value in ((0, 0), (1.65, 2048), (3.3, 4095)):
        device.sensors["potentiometer.voltage"] = volts
        assert device.call("meter", "read", 0, timeout=SLOW) == value
    assert device.call("meter", "read", 1, timeout=SLOW) == -1


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("hard", "hard-fault"),
        ("stack", "stack-overflow"),
        ("watchdog", "watchdog"),
        ("panic", "panic"),
    ],
)
@pytest.mark.board("stm32f746g_disco", "nrf52840dk", "esp32c3_devkitm")
def test_the_next_boot_says_why(device: Device, fault: str, reason: str) -> None:
    device.write_line(f"fault {fault}")
    connected = device.wait_for_event("device.connected", boot_reason=reason, timeout=SLOW)
    assert connected.data["boots"] == 2
    assert connected.data["boot_detail"]


@pytest.mark.board("stm32f746g_disco", "nrf52840dk")
def test_the_chip_s_own_watchdog_sees_that_the_clock_stands_still(device: Device) -> None:
    """Without its clock the firmware never learns that its own watchdog is due."""
    stop = {"stm32f746g_disco": "0xE000E010 0", "nrf52840dk": "0x40011004 1"}  # SysTick, RTC1
    machine = device.bench.lab.powered(device.id).machine
    assert isinstance(machine, RenodeMachine)
    command = f"sysbus WriteDoubleWord {stop[device.info['board']]}"
    device.bench.call(lambda: machine._execute(command))
    connected = device.wait_for_event("device.connected", boot_reason="watchdog", timeout=SLOW)
    assert connected.data["boots"] == 2


@pytest.mark.board("stm32f746g_disco", "nrf52840dk")
def test_a_paused_board_is_left_alone_by_its_watchdogs(device: Device) -> None:
    machine = device.bench.lab.powered(device.id).machine
    assert isinstance(machine, RenodeMachine)
    device.pause()
    paused = device.bench.call(machine.virtual_seconds)
    device.wait_until(
        lambda: device.bench.call(machine.virtual_seconds) > paused + 20, timeout=SLOW, what="20 s"
    )
    device.resume()
    device.wait_connected(timeout=SLOW)
    assert device.info["boots"] == 1


def test_a_board_with_nothing_to_do_is_left_alone_by_its_watchdog(device: Device) -> None:
    """The trial of an app that is never polled is longer than the watchdog's period."""
    device.deploy(paths.data("apps") / "fib", confirmed=True, timeout=SLOW)
    assert device.info["boots"] == 1


def test_reset_and_pause_leave_the_session_s_end_to_the_device(device: Device) -> None:
    device.reset(timeout=SLOW)
    device.expect("boot 2, reason reset")
    device.pause()
    assert device.state == "paused"
    device.resume()
    device.wait_connected(timeout=SLOW)
