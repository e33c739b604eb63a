"""One of the lab's devices as a node's parts, through the gateway: what its app publishes, and what it obeys.

The app publishes JSON under the topics ``dht22`` (``temperature``, ``humidity``) and ``bme680`` (those,
``pressure``, ``gas-resistance``), units as in wit/device.wit, or ``error`` with a name of `types.error`. If
the configuration names the app, the node's LEDs, sounds and fan become commands to it. `examples/remote` is
such an app. The node has no bus and no pins of the device.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lab.client import Client, Json
from lab.errors import LabError
from lab.home import Home
from lab.logs import current_request
from lab.node.hardware import Air, Hardware, Rgb
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
    """Keeps the last values that a device published, and sends it the latest orders."""

    def __init__(self, config: Config) -> None:
        self._id = config.hardware.device
        self._app = config.hardware.app
        self._home = Home.find()
        self._last: dict[str, tuple[float, dict[str, float] | Error]] = {}
        # By kind, with the request it is for: one that was not sent yet gives way to the next.
        self._orders: dict[str, tuple[str, str | None]] = {}
        self._ordered = threading.Condition()
        self._closed = threading.Event()
        threading.Thread(target=self._follow, name=f"device {self._id}", daemon=True).start()
        if self._app is not None:
            threading.Thread(target=self._send, name=f"orders {self._id}", daemon=True).start()

    def dht22(self) -> tuple[float, float]:
        """Return what the device's app published last, if it is fresh."""
        values = self._fresh("dht22")
        return values["temperature"], values["humidity"]

    def bme680(self) -> Air:
        """Return what the device's app published last, if it is fresh."""
        values = self._fresh("bme680")
        return Air(values["temperature"], values["humidity"], values["pressure"], values["gas-resistance"])

    def show(self, colours: Sequence[Rgb]) -> None:
        """Have the app colour the device's strip."""
        if colours:
            self._order("leds", bytes(channel for colour in colours for channel in colour).hex())

    def sound(self, count: int, duration: int, interval: int) -> None:
        """Have the app sound the device's buzzer."""
        self._order("beep", f"{count} {duration} {interval}")

    def turn_fan(self, on: bool) -> None:
        """Have the app switch the device's fan."""
        self._order("fan", "on" if on else "off")

    def close(self) -> None:
        """Stop following; the thread ends with the next event, or with the process."""
        self._closed.set()
        with self._ordered:
            self._ordered.notify()

    def take(self, event: Json) -> None:
        """Note one event of the lab."""
        data: Any = event.get("data", {})
        topic = data.get("topic")
        if event.get("kind") != "app.event" or event.get("device") != self._id or topic not in _TOPICS:
            return
        try:
            sent = json.loads(bytes.fromhex(data["payload"]))
            values = (
                Error(sent["error"]) if "error" in sent else {key: float(sent[key]) for key in _TOPICS[topic]}
            )
        except (ValueError, KeyError, TypeError):
            return  # an app's own use of that topic
        age = time.time() - event["time"]  # a lab tells what was, too
        self._last[topic] = time.monotonic() - age, values

    def _fresh(self, topic: str) -> dict[str, float]:
        at, values = self._last.get(topic, (-_FRESH_SECONDS, Error.NO_ANSWER))
        if time.monotonic() - at > _FRESH_SECONDS:
            raise Refused(Error.NO_ANSWER)
        if isinstance(values, Error):
            raise Refused(values)
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

    def _order(self, kind: str, what: str) -> None:
        if self._app is not None:
            with self._ordered:
                self._orders[kind] = what, current_request()
                self._ordered.notify()

    def _send(self) -> None:
        """Send orders as they come. What the device does not do is said once; colours come again anyway."""
        told = False
        while True:
            with self._ordered:
                self._ordered.wait_for(lambda: self._closed.is_set() or self._orders)
                if self._closed.is_set():
                    return
                kind = next(iter(self._orders))
                what, request = self._orders.pop(kind)
                order = f"{kind} {what}"
            try:
                client = Client.connect(self._home)
                client.request_id = request
                answer = client.post(
                    "devices",
                    str(self._id),
                    "apps",
                    str(self._app),
                    "command",
                    body={"payload": order.encode().hex()},
                )["text"]
                if answer != "done":
                    raise LabError(f"it answered {answer!r} to {order!r}")
            except LabError as error:
                if not told:
                    self.complain(f"app {self._app} on {self._id} does not obey: {error}")
                told = True
            else:
                told = False
