"""`lab secret`: what only administrators may know, kept encrypted in the lab."""

from __future__ import annotations

import base64
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from lab.cli._output import AsJson, emit, table, talk
from lab.client import Client
from lab.errors import UsageError
from lab.home import Home

secret = typer.Typer(help="Keep secrets encrypted, and hand them out.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="1 to 64 of A-Z a-z 0-9 . _ -")]


@secret.command("set")
def set_(
    name: Name,
    file: Annotated[
        typer.FileText, typer.Option("--file", "-f", help="Where the value is read from; - is stdin.")
    ] = "-",  # type: ignore[assignment]
) -> None:
    """Keep a secret; its value comes from stdin or a file, never as an argument, which others could see."""
    if file is sys.stdin and sys.stdin.isatty():
        value = typer.prompt(f"value of {name}", hide_input=True, err=True)
    else:
        value = file.read().removesuffix("\n")
    Client.start(Home.find()).put("secrets", name, body={"value": value})
    talk.print(f"{name} is kept", highlight=False)


@secret.command()
def get(
    name: Name,
    recipient: Annotated[
        Path | None,
        typer.Option("--for", metavar="FILE", help="Encrypt it to this public key or certificate (PEM)."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print a secret; with --for, encrypted: a COSE_Encrypt in base64, which `lab secret open` reads."""
    client = Client.connect(Home.find())
    if recipient is None:
        found = client.get("secrets", name)
        emit(found, as_json, lambda: print(found["value"]))
        return
    try:
        to = recipient.read_text("ascii")
    except (OSError, UnicodeError) as error:
        raise UsageError(f"cannot read {recipient}: {error}") from error
    sealed = client.post("secrets", name, "seal", body={"recipient": to})
    emit(sealed, as_json, lambda: print(sealed["sealed"]))


@secret.command("open")
def open_(
    key: Annotated[Path, typer.Option("--key", help="The recipient's private key, PEM.")],
    file: Annotated[typer.FileText, typer.Argument(help="What --for printed; - is stdin.")] = "-",  # type: ignore[assignment]
) -> None:
    """Print a secret that was encrypted to a key. Needs no lab."""
    from lab.pki import ec_key
    from lab.vault import open_with

    try:
        private = ec_key(key)
        sealed = base64.b64decode(file.read(), validate=False)
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(f"cannot read that: {error}") from error
    print(open_with(private, sealed).decode())


@secret.command("list")
def list_(as_json: AsJson = False) -> None:
    """List secrets by name; not what they are."""
    found = Client.connect(Home.find()).get("secrets")
    rows = [
        (each["name"], datetime.fromtimestamp(each["changed"]).isoformat(" ", "seconds"))
        for each in found["secrets"]
    ]
    emit(found, as_json, lambda: table(("SECRET", "CHANGED"), rows))


@secret.command()
def remove(name: Name) -> None:
    """Forget a secret."""
    Client.connect(Home.find()).delete("secrets", name)
    talk.print(f"{name} is gone", highlight=False)
