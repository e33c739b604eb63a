"""Temperature, humidity, pressure and air quality; the air on one LED, a long beep when it is bad.

The score goes from 0 (clean) to 500. As in Pimoroni's example for this sensor, a quarter of it is how far
humidity is from 40 %, three quarters how far the gas resistance has fallen below that of clean air. What
clean air is, the plugin learns in its first polls (`calibrating`); a higher resistance later raises the
baseline.
"""

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.sensor import Reading, State
from wit_world.imports import bme680, buzzer_controller, i2c, led_controller, settings
from wit_world.imports.types import Error, Rgb

CALIBRATION_POLLS = 10
BEST_HUMIDITY = 40.0  # %
HUMIDITY_SHARE = 0.25

# Up to this score, this colour, state and word.
BANDS = (
    (50, Rgb(0, 255, 0), State.NORMAL, "good"),
    (100, Rgb(128, 255, 0), State.NORMAL, "fair"),
    (150, Rgb(255, 255, 0), State.WARNING, "moderate"),
    (200, Rgb(255, 120, 0), State.WARNING, "poor"),
    (500, Rgb(255, 0, 0), State.ALARM, "bad"),
)
PURPLE = Rgb(128, 0, 128)

CHIP_ID_REGISTER, CHIP_ID = 0xD0, 0x61  # BST-BME680-DS001, section 5.3.1.1

identified = False
samples: list[float] = []
baseline = 0.0
alarm = False


def identify() -> None:
    """Make sure that what answers on the bus is a BME680, once."""
    global identified
    address = int(settings.get("address") or 0x77)
    try:
        found = i2c.transfer(address, bytes([CHIP_ID_REGISTER]), 1)[0]
    except Err as error:
        if (
            error.value is Error.UNSUPPORTED
        ):  # a device's sensor, read through the gateway: it has no bus here
            identified = True
            return
        raise Err(f"nothing answers at {address:#04x}: {error.value.name.lower()}") from None
    if found != CHIP_ID:
        raise Err(f"what answers at {address:#04x} is no BME680: its chip id is {found:#04x}")
    identified = True


def score(gas: float, humidity: float) -> float:
    """Return the air's score, 0 to 500."""
    off = abs(humidity - BEST_HUMIDITY)
    worst = 100 - BEST_HUMIDITY if humidity > BEST_HUMIDITY else BEST_HUMIDITY
    humid = off / worst
    dirty = 1 - min(gas / baseline, 1)
    return 500 * (HUMIDITY_SHARE * humid + (1 - HUMIDITY_SHARE) * dirty)


def air(gas: float, humidity: float) -> tuple[Rgb, Reading]:
    """Return the LED's colour and the reading of the air's quality."""
    global baseline, alarm
    if len(samples) < int(settings.get("calibration_polls") or CALIBRATION_POLLS):
        samples.append(gas)
        baseline = sum(samples) / len(samples)
        return PURPLE, Reading("bme680", "iaq-samples", len(samples), "", State.NORMAL, "calibrating")
    baseline = max(baseline, gas)
    value = score(gas, humidity)
    _, colour, state, word = next(band for band in BANDS if value <= band[0])
    if state is State.ALARM and not alarm:
        buzzer_controller.on_for(1000)
    alarm = state is State.ALARM
    return colour, Reading("bme680", "iaq", round(value, 1), "", state, word)


class Sensor(exports.Sensor):
    """Implements `lab:plugin/sensor`."""

    def poll(self) -> list[Reading]:
        """Measure, judge, show."""
        global identified
        if not identified:
            identify()
        try:
            measured = bme680.read()
        except Err as error:
            identified = False
            raise Err(f"the BME680 gives no reading: {error.value.name.lower()}") from None
        readings = [
            Reading("bme680", "temperature", round(measured.temperature, 2), "°C", State.NORMAL, ""),
            Reading("bme680", "humidity", round(measured.humidity, 2), "%", State.NORMAL, ""),
            Reading("bme680", "pressure", round(measured.pressure, 2), "hPa", State.NORMAL, ""),
        ]
        if measured.gas_resistance > 0:  # 0: the heater is not stable yet
            colour, quality = air(measured.gas_resistance, measured.humidity)
            led_controller.set(int(settings.get("led") or 2), colour)
            readings += [
                Reading("bme680", "gas-resistance", round(measured.gas_resistance), "Ω", State.NORMAL, ""),
                quality,
            ]
        return readings
