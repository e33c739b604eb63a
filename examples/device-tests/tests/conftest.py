"""What the tests of this project share."""

from pathlib import Path

import pytest

from lab.testing.device import Device

APP = Path(__file__).parents[1] / "app"


@pytest.fixture
def thermostat(device: Device) -> Device:
    """A device in a room of 20 °C that runs our app."""
    device.sensors.dht22.temperature = 20
    device.deploy(APP)
    return device
