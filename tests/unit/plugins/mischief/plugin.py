"""A plugin that does whatever wrong its setting `what` says."""

import os
import socket
import time
from pathlib import Path

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.sensor import Reading, State
from wit_world.imports import clock, dht22, log, settings

polls = 0
hoard = []


class Sensor(exports.Sensor):
    def poll(self):
        global polls
        polls += 1
        what = settings.get("what") or ""
        if what == "read file":
            return [text(Path("/etc/hostname").read_text())]
        if what == "write file":
            Path("/tmp/escaped").write_text("out")
        if what == "list folder":
            return [text(str(list(Path("/").iterdir())))]
        if what == "environment":
            return [text(str(dict(os.environ)))]
        if what == "socket":
            socket.socket().connect(("127.0.0.1", int(settings.get("port"))))
        if what == "import":
            from wit_world.imports import i2c  # noqa: F401
        if what == "loop":
            while True:
                pass
        if what == "loop of calls":
            while True:
                clock.now()
        if what == "sleep":
            time.sleep(float(settings.get("seconds")))
        if what == "memory":
            hoard.append(bytearray(1 << 30))
        if what == "exit":
            os._exit(3)
        if what == "raise" and polls > int(settings.get("after") or 0):
            raise ValueError("as told")
        if what == "complain":
            raise Err("the sensor is cold")
        if what == "log":
            log.write(log.Level.WARNING, "x" * 2000)
            print("printed")
        if what == "nan":
            return [Reading("mischief", "value", float("nan"), "", State.NORMAL, "")]
        if what == "hostile":
            evil = "<script>alert(1)</script>"
            return [Reading(evil, evil, 1.0, evil[:16], State.ALARM, evil)]
        if what == "measure":
            measured = dht22.read()
            return [Reading("mischief", "temperature", measured.temperature, "°C", State.NORMAL, "")]
        return [Reading("mischief", "polls", polls, "", State.NORMAL, "")]


def text(note):
    return Reading("mischief", "text", 0.0, "", State.NORMAL, note)
