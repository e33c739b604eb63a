"""The sensors of one of the lab's devices, read through the gateway: what its apps publish.

An app publishes JSON under the topic ``dht22`` (``temperature``, ``humidity``) or ``bme680`` (those,
``pressure`` and ``gas-resistance``); units as in wit/device.wit. The node has no bus of the device, and no
outputs.
"""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any

from lab.client import Client, Json
from lab.errors import LabError
from lab.home import Home
from lab.node.hardware import Air, Hardware
from lab.plugins.refusal import Error, Refused

if TYPE_CHECKING:
    from lab.node.config import Config

_FRESH_SECONDS = 30.0
_RETRY_SECONDS = 2.0
_TOPICS = {
    "dht22": ("temperature", "humidity"),
    "bme680": ("temperature", "humidity", "pressure", "gas-resistance"),
}


class Device(Hardware):
    """Keeps the last values that a device published."""

    def __init__(self, config: Config) -> None:
        self._id = config.hardware.device
        self._home = Home.find()
        self._last: dict[str, tuple[float, dict[str, float]]] = {}
        self._closed = threading.Event()
        threading.Thread(target=self._follow, name=f"device {self._id}", daemon=True).start()

    def dht22(self) -> tuple[float, float]:
        """Return what the device's app published last, if it is fresh."""
        values = self._fresh("dht22")
        return values["temperature"], values["humidity"]

    def bme680(self) -> Air:
        """Return what the device's app published last, if it is fresh."""
        values = self._fresh("bme680")
        return Air(values["temperature"], values["humidity"], values["pressure"], values["gas-resistance"])

    def close(self) -> None:
        """Stop following; the thread ends with the next event, or with the process."""
        self._closed.set()

    def take(self, event: Json) -> None:
        """Note one event of the lab."""
        data: Any = event.get("data", {})
        topic = data.get("topic")
        if event.get("kind") != "app.event" or event.get("device") != self._id or topic not in _TOPICS:
            return
        try:
            sent = json.loads(bytes.fromhex(data["payload"]))
            values = {key: float(sent[key]) for key in _TOPICS[topic]}
        except (ValueError, KeyError, TypeError):
            return  # an app's own use of that topic
        self._last[topic] = time.monotonic(), values

    def _fresh(self, topic: str) -> dict[str, float]:
        at, values = self._last.get(topic, (0.0, {}))
        if not values or time.monotonic() - at > _FRESH_SECONDS:
            raise Refused(Error.NO_ANSWER)
        return values

    def _follow(self) -> None:
        """Follow the lab's events; a lab that is not there (yet) is asked again."""
        since = 0
        while not self._closed.is_set():
            try:
                for event in Client.connect(self._home).stream(
                    "events", since=since, follow=True, device=self._id
                ):
                    since = max(since, int(event.get("sequence", since)))
                    self.take(event)
                    if self._closed.is_set():
                        return
            except LabError:
                pass
            self._closed.wait(_RETRY_SECONDS)
