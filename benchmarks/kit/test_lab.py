"""Our plugin: the board also gets keys and connects to a gateway before the test has it."""


def test_first_line(device, matched) -> None:
    device.expect("lab-firmware")
    matched()
