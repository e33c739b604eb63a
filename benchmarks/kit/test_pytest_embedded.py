"""pytest-embedded-qemu: QEMU with a console, nothing else."""


def test_first_line(dut, matched) -> None:
    dut.expect("lab-firmware", timeout=60)
    matched()
