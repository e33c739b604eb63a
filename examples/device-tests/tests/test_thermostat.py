"""The app on a device: real firmware in an emulator, simulated sensor, fan and LEDs."""

from lab.testing.device import Device

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
SECONDS = 20.0  # the sensor measures every 2 s


def fan_runs(device: Device) -> bool:
    return bool(device.part("fan")["on"])


def test_the_fan_follows_the_temperature(thermostat: Device) -> None:
    thermostat.wait_until(lambda: thermostat.leds[0] == GREEN, timeout=SECONDS)
    assert not fan_runs(thermostat)
    thermostat.sensors.dht22.temperature = 29
    thermostat.wait_until(lambda: fan_runs(thermostat), timeout=SECONDS)
    thermostat.sensors.dht22.temperature = 25
    thermostat.wait_until(lambda: not fan_runs(thermostat), timeout=SECONDS)
    assert thermostat.part("fan")["total"] == 1  # it went on once: no flicker


def test_without_its_sensor_the_fan_stops(thermostat: Device) -> None:
    thermostat.sensors.dht22.temperature = 29
    thermostat.wait_until(lambda: fan_runs(thermostat), timeout=SECONDS)
    thermostat.sensors.dht22.fault = "unplugged"
    thermostat.wait_for_log("sensor does not answer", app="thermostat", timeout=SECONDS)
    thermostat.wait_until(lambda: not fan_runs(thermostat) and thermostat.leds[0] == RED, timeout=SECONDS)


def test_it_goes_on_after_a_power_cut(thermostat: Device) -> None:
    thermostat.sensors.dht22.temperature = 29
    thermostat.wait_until(lambda: fan_runs(thermostat), timeout=SECONDS)
    # A device gives up an app that does not outlive its trial: let that be over.
    thermostat.wait_for_event("app.state", app="thermostat", state="running", timeout=SECONDS)
    thermostat.power_cut()
    thermostat.expect("boot 1, reason power-on")
    thermostat.wait_until(lambda: fan_runs(thermostat) and thermostat.leds[0] == BLUE, timeout=SECONDS)
