"""Room temperature and humidity, shown on one LED; three beeps when it gets too hot."""

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.sensor import Reading, State
from wit_world.imports import buzzer_controller, dht22, led_controller, settings
from wit_world.imports.types import Rgb

LOW = 18.0  # °C, below it is cold
WARM = 25.0  # °C, from here on it is warm
HIGH_ALARM = 30.0  # °C, from here on it is too hot
DEADBAND = 1.0  # °C below HIGH_ALARM at which the alarm ends

BLUE, GREEN, ORANGE, RED = Rgb(0, 0, 255), Rgb(0, 255, 0), Rgb(255, 120, 0), Rgb(255, 0, 0)

alarm = False


def judge(temperature: float) -> tuple[Rgb, State, str]:
    """Return the colour, the state and the word for a temperature; the alarm has hysteresis."""
    global alarm
    was = alarm
    alarm = temperature >= (HIGH_ALARM - DEADBAND if was else HIGH_ALARM)
    if alarm:
        if not was:
            buzzer_controller.beep(3, 200, 200)
        return RED, State.ALARM, "too hot"
    if temperature >= WARM:
        return ORANGE, State.WARNING, "warm"
    if temperature < LOW:
        return BLUE, State.WARNING, "cold"
    return GREEN, State.NORMAL, ""


class Sensor(exports.Sensor):
    """Implements `lab:plugin/sensor`."""

    def poll(self) -> list[Reading]:
        """Measure, judge, show."""
        try:
            measured = dht22.read()
        except Err as error:
            raise Err(f"the DHT22 gives no reading: {error.value.name.lower()}") from None
        # The sensor has tenths; a float of 32 bits has noise behind them.
        temperature, humidity = round(measured.temperature, 1), round(measured.humidity, 1)
        colour, state, note = judge(temperature)
        led_controller.set(int(settings.get("led") or 1), colour)
        return [
            Reading("dht22", "temperature", temperature, "°C", state, note),
            Reading("dht22", "humidity", humidity, "%", State.NORMAL, ""),
        ]
