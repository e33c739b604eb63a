"""Zephyr images of the core in Renode and QEMU: from power-on to an app that survives a power cut."""

from __future__ import annotations

from functools import partial
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
        "esp32_devkitc",
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


def app_of(folder: Path, interface: str, code: str, *exports: str) -> Path:
    """Write the source of an app called ``app`` that uses one interface."""
    (folder / "app.toml").write_text(
        'name = "app"\nversion = "1.0.0"\nlanguage = "c"\nsources = ["main.c"]\n'
        f'[permissions]\ninterfaces = ["{interface}"]\n'
    )
    for name in exports:
        code = code.replace(f"int32_t {name}(", f'__attribute__((export_name("{name}"))) int32_t {name}(')
    (folder / "main.c").write_text(f'#include "lab.h"\n{code}')
    return folder


@pytest.mark.board("stm32f746g_disco", "nrf52840dk", "stm32f4_disco", "mps2-an385-zephyr")
def test_an_app_counts_how_often_a_button_moved(device: Device, tmp_path: Path) -> None:
    app = app_of(
        tmp_path,
        "gpio-provider",
        """
        int32_t watch(int32_t pin) {
            return lab_gpio_provider_watch((uint8_t)pin, LAB_GPIO_PROVIDER_EDGE_BOTH, 0);
        }
        int32_t level(int32_t pin) {
            bool level;
            return lab_gpio_provider_read((uint8_t)pin, &level, 0) ? level : -1;
        }
        int32_t edges(int32_t pin) {
            uint32_t count;
            return lab_gpio_provider_edges((uint8_t)pin, &count, 0) ? (int32_t)count : -1;
        }
        """,
        *("watch", "level", "edges"),
    )
    device.deploy(app, timeout=SLOW)
    pin = device.bench.lab.powered(device.id).board.pins["button"]
    at_rest = device.call("app", "level", pin, timeout=SLOW)

    def shows(pressed: int) -> bool:
        return (device.call("app", "level", pin, timeout=SLOW) != at_rest) == bool(pressed)

    def move(*ways: int) -> None:
        for pressed in ways:
            device.sensors["button.pressed"] = pressed
            device.wait_until(partial(shows, pressed), timeout=SLOW, what="the pin's level")

    move(1, 0)  # Renode's GPIOTE takes a pin for low until it has moved
    assert device.call("app", "watch", pin, timeout=SLOW) == 1
    move(1, 0, 1)
    assert device.call("app", "edges", pin, timeout=SLOW) == 3
    assert device.call("app", "edges", pin, timeout=SLOW) == 0


@pytest.mark.board("stm32f746g_disco", "nrf52840dk", "stm32f4_disco")
def test_an_app_reads_a_voltage(device: Device, tmp_path: Path) -> None:
    app = app_of(
        tmp_path,
        "adc",
        """
        int32_t read(int32_t channel) {
            uint16_t value;
            enum lab_error error;
            bool done = lab_adc_read((uint8_t)channel, &value, &error);
            return done ? value : error == LAB_ERROR_UNSUPPORTED ? -1 : -2;
        }
        """,
        "read",
    )
    device.deploy(app, timeout=SLOW)
    for volts, value in ((0, 0), (1.65, 2048), (3.3, 4095)):
        device.sensors["potentiometer.voltage"] = volts
        assert device.call("app", "read", 0, timeout=SLOW) == value
    assert device.call("app", "read", 1, timeout=SLOW) == -1


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("hard", "hard-fault"),
        ("stack", "stack-overflow"),
        ("watchdog", "watchdog"),
        ("panic", "panic"),
    ],
)
@pytest.mark.board("stm32f746g_disco", "nrf52840dk", "esp32c3_devkitm", "esp32_devkitc")
def test_the_next_boot_says_why(device: Device, fault: str, reason: str) -> None:
    if fault == "stack" and device.info["board"] == "esp32_devkitc":
        pytest.skip("nothing guards a stack on this board")
    if fault == "hard" and device.info["board"] == "esp32_devkitc":
        pytest.skip(
            "the compiler's trap is a breakpoint there: the board stands still, and its watchdog bites"
        )
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
