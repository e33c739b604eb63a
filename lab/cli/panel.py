"""`lab panel`: the lab in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lab.cli._output import AsJson, emit, spinner, talk
from lab.client import Client
from lab.errors import LabError, UsageError
from lab.home import Home


def panel(
    no_open: Annotated[
        bool, typer.Option("--no-open", "--open-less", help="Print the address, open no browser.")
    ] = False,
    listen: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Be reached there too. Beyond loopback: TLS and a token."),
    ] = None,
    tls_certificate: Annotated[
        Path | None, typer.Option(help="Certificate for --listen, PEM.", dir_okay=False)
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its private key, PEM.", dir_okay=False)] = None,
    no_listen: Annotated[
        bool, typer.Option("--no-listen", help="Be reached on loopback alone again.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show the lab in a browser. The address works once, for two minutes; run it again for another."""
    from lab.panel import vendor

    address = _address(listen) if listen is not None else None
    client = Client.start(Home.find())
    try:
        with spinner() as bar:
            task = bar.add_task("starting")
            vendor.fetch("uplot", progress=lambda text: bar.update(task, description=text))
    except LabError as error:
        talk.print(f"[yellow]no plots:[/] {error.message}", highlight=False)
    if no_listen:
        client.delete("listener")
    if address is not None:
        _listen(client, *address, tls_certificate, tls_key)
    path = client.post("session", "links")["path"]
    url = f"http://127.0.0.1:{client.address.port}{path}"
    elsewhere = client.get("listener")
    emit({"url": url, "listener": elsewhere}, as_json, lambda: print(url))
    if elsewhere["host"] and not as_json:
        talk.print(
            f"also at {elsewhere['host']}:{elsewhere['port']}, for who has a token: lab token create NAME",
            highlight=False,
        )
    if not no_open and not as_json:
        typer.launch(url)


def _address(listen: str) -> tuple[str, int]:
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isdecimal():
        raise UsageError(f"{listen!r} is no address", hint="write HOST:PORT, as 0.0.0.0:8443")
    return host.strip("[]"), int(port)


def _listen(client: Client, host: str, port: int, certificate: Path | None, key: Path | None) -> None:
    client.request(
        "PUT",
        "/api/v1/listener",
        {
            "host": host,
            "port": port,
            "certificate": str(certificate.absolute()) if certificate else "",
            "key": str(key.absolute()) if key else "",
        },
    )
