"""`lab demo`: the whole way once, with nothing hidden."""

from __future__ import annotations

from typing import Any

from lab import paths
from lab.cli._output import spinner, talk
from lab.client import Client
from lab.errors import LabError
from lab.home import Home

_BOARD = "mps2-an385"
_NAME = "demo"


def demo() -> None:
    """Build the firmware, boot a board, deploy an app and run it there; then say how to go on."""
    from lab.publisher import Publisher
    from lab.sdk import compile as compile_app

    home = Home.find()
    with spinner() as bar:
        task = bar.add_task("starting the lab")

        def step(progress: dict[str, Any]) -> None:
            if "text" in progress:
                bar.update(task, description=str(progress["text"]))

        client = Client.start(home)
        device = _running(client)
        if device:
            _say(f"{device['id']} runs in QEMU already")
        else:
            wanted = {"board": _BOARD, "name": _NAME}
            [device] = client.operate("devices", progress=step, body=wanted)["devices"]
            _say(
                f"booted {device['id']} in QEMU: first console byte after {device['boot_ms']:.0f} ms, "
                f"connected over mutual TLS 1.3 after {device['connect_ms']:.0f} ms"
            )
        bar.update(task, description="compiling apps/fib/fib.c")
        app = compile_app(paths.data("apps") / "fib" / "fib.c", output=home.root / "demo" / "fib.wasm")
        _say(f"compiled apps/fib/fib.c to WebAssembly: {app.size} bytes")
        package = Publisher.own(home).sign("fib", app.wasm.read_bytes())
        _say(f"signed it with this lab's own key, {package.publisher}: devices take nothing unsigned")
        body = package.write()
        result = client.operate("deployments", progress=step, body=body, name="fib", to=device["id"])
        [row] = result["apps"]
        if row["state"] not in ("trial", "running"):
            raise LabError(f"the device refused the app: {row['reason']}")
        how = "running, on trial" if row["state"] == "trial" else row["state"]
        _say(f"deployed it: {device['id']} says fib is {how}, {row['memory']} bytes of its memory")
        said = client.post(
            "devices", device["id"], "apps", "fib", "call", body={"function": "fib", "arguments": [20]}
        )
        _say(f"called it: fib(20)={said['value']}, computed on the device")
    name = device["id"]
    talk.print(
        f"""
The lab goes on running in {home.root}. Try:
  lab ps                       what runs
  lab console {name}      its console (Ctrl-] leaves; type help)
  lab call {name} fib fib 25
  lab logs {name} -f
  lab down                     end everything""",
        highlight=False,
        soft_wrap=True,
    )


def _running(client: Client) -> dict[str, Any] | None:
    """Return the demo's device if an earlier run has left it."""
    known: list[dict[str, Any]] = client.get("devices")["devices"]
    return next((each for each in known if each["id"] == _NAME and each["state"] == "connected"), None)


def _say(text: str) -> None:
    talk.print(f"[green]✓[/] {text}", highlight=False, soft_wrap=True)
