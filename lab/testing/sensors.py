"""Setting what a device's parts sense: ``device.sensors.dht22.temperature = 31.5``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lab.testing.device import Device

Value = float | int | str | bool


class Sensors:
    """The parts of one device by name; ``sensors["dht22.temperature"]`` is the same as attributes.

    :param device: the device.
    """

    def __init__(self, device: Device) -> None:
        self._device = device

    def __getattr__(self, name: str) -> Part:
        if name.startswith("_") or name not in dir(self):
            raise AttributeError(f"{self._device.id} has no part {name!r}; it has: {', '.join(dir(self))}")
        return Part(self._device, name)

    def __dir__(self) -> list[str]:
        return self._device.peripherals(lambda parts: list(parts.parts))

    def __getitem__(self, name: str) -> float | str:
        return self._device.peripherals(lambda parts: parts.get(name))

    def __setitem__(self, name: str, value: Value) -> None:
        text = str(int(value)) if isinstance(value, bool) else str(value)
        bench, device = self._device.bench, self._device.id
        bench.call(lambda: bench.lab.set_parts(device, [(name, text)]))


class Part:
    """One part. Its attributes are its quantities, in the unit of its datasheet; text may name another one.

    ``fault`` is what is wrong with it: ``none``, ``nack``, ``stuck``, ``unplugged``…, as the part allows;
    setting it is another spelling of the fault ``sensor.fail`` (`Device.faults`).

    :param device: the device it is attached to.
    :param name: what commands call it.
    """

    def __init__(self, device: Device, name: str) -> None:
        object.__setattr__(self, "_device", device)
        object.__setattr__(self, "_name", name)

    def __getattr__(self, name: str) -> float | str:
        self._check(name)
        value: float | str = self._device.sensors[f"{self._name}.{name}"]
        return value

    def __setattr__(self, name: str, value: Value) -> None:
        self._check(name)
        self._device.sensors[f"{self._name}.{name}"] = value

    def __dir__(self) -> list[str]:
        aspects: list[str] = self._device.peripherals(lambda parts: parts.parts[self._name].aspects())
        return [aspect for aspect in aspects if "." not in aspect]

    def _check(self, name: str) -> None:
        if name.startswith("_") or name not in dir(self):
            raise AttributeError(f"{self._name} has no {name!r}; it has: {', '.join(dir(self)) or 'nothing'}")

    _device: Device
    _name: str
