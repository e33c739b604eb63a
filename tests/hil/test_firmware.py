"""The firmware's ports on real emulators: what fits, what a fault says, what survives a reset."""

from __future__ import annotations

from pathlib import Path

import anyio
import psutil
import pytest

from lab import boards, build
from lab.boards import Board
from lab.engines import Launch
from lab.engines.qemu import QemuEngine
from lab.testing.device import Device

QEMU = ("mps2-an385", "mps2-an386", "mps2-an500", "netduinoplus2")
KIB = 1024
SLOW = 60.0  # s; a watchdog bites after seconds of the board's own time

pytestmark = pytest.mark.hil
on_qemu = pytest.mark.board(*QEMU)


@on_qemu
@pytest.mark.qemu
def test_the_image_fits(board: Board) -> None:
    result = build.build(board.name)
    assert result.flash <= 210 * KIB
    assert result.ram <= 64 * KIB
    assert result.pool == board.app_pool


@pytest.mark.qemu
def test_the_whole_image_runs_in_128_kib_of_ram() -> None:
    result = build.build("netduinoplus2")
    assert result.ram + result.pool <= 128 * KIB
    assert result.flash <= 1024 * KIB


@on_qemu
@pytest.mark.qemu
def test_a_hard_fault_says_where_and_is_the_next_boots_reason(device: Device) -> None:
    device.write_line("fault hard")
    report = device.expect(r"(?s)\*\*\* hard-fault: undefined instruction.*? hfsr [0-9a-f]{8}").group()
    for register in ("r0", "r1", "r2", "r3", "r12", "pc", "lr", "xpsr", "sp", "cfsr"):
        assert f" {register} " in report
    pc = report.partition(" pc ")[2][:8]
    device.expect("boot 2, reason hard-fault: undefined instruction")
    connected = device.wait_for_event("device.connected", boot_reason="hard-fault", timeout=SLOW)
    assert f"pc {pc}" in connected.data["boot_detail"]


@on_qemu
@pytest.mark.qemu
def test_a_full_stack_is_told_from_other_faults(device: Device) -> None:
    device.write_line("fault stack")
    assert "called from" in device.expect(r"(?s)\*\*\* stack-overflow.*? cfsr ").group()
    device.expect("boot 2, reason stack-overflow")


@pytest.mark.board("mps2-an385", "netduinoplus2")
@pytest.mark.qemu
def test_a_loop_that_hangs_is_ended_by_the_watchdog(device: Device) -> None:
    device.write_line("fault watchdog")
    device.expect(r" pc [0-9a-f]{8}.*? xpsr ", timeout=SLOW)
    device.expect("boot 2, reason watchdog")


@pytest.mark.board("mps2-an385", "native")
def test_a_panic_is_the_next_boots_reason(device: Device) -> None:
    device.write_line("fault panic")
    connected = device.wait_for_event("device.connected", boot_reason="panic", timeout=SLOW)
    assert connected.data["boots"] == 2
    assert connected.data["boot_detail"] == "asked for on the console"


@pytest.mark.board("mps2-an385", "native")
def test_a_device_says_which_build_it_runs(device: Device, board: Board) -> None:
    assert board.firmware
    assert device.info["build_id"] == build.build(board.firmware).build_id


@pytest.mark.board("mps2-an385")
@pytest.mark.qemu
def test_a_board_without_work_sleeps(device: Device) -> None:
    """Counts the processor time of an emulator in which the board waits: a busy loop takes all of it."""
    emulator = psutil.Process(device.info["pid"])

    def seconds() -> float:
        times = emulator.cpu_times()
        return times.user + times.system

    before = seconds()
    anyio.run(anyio.sleep, 2)
    assert seconds() - before < 0.5


@pytest.mark.qemu
@pytest.mark.anyio
async def test_a_board_without_an_identity_stays_off_the_link(tmp_path: Path) -> None:
    image = build.build("mps2-an385").image
    machine = await QemuEngine().start(
        Launch("dut", boards.load("mps2-an385"), image, bytes(16), tmp_path / "dut")
    )
    try:
        said = b""
        with anyio.fail_after(30):
            while b"halted" not in said:
                said += await machine.console.receive()
        with anyio.move_on_after(0.2), anyio.fail_after(30):
            assert set(await machine.link.receive()) <= {0}  # no frame, only the mark before one
    finally:
        await machine.stop()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
