"""`lab publisher`: keys that sign apps, and whose of them devices trust."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lab.cli._output import AsJson, emit, table, talk
from lab.client import Client
from lab.errors import UsageError
from lab.home import Home

publisher = typer.Typer(no_args_is_help=True, help="Keys that sign apps, and whose of them devices trust.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="What to call the publisher here.")]


@publisher.command()
def new(
    file: Annotated[Path, typer.Argument(help="Where the private key goes, PEM.")] = Path("publisher.pem"),
    as_json: AsJson = False,
) -> None:
    """Make a key, readable by you only, and its public half beside it (NAME.pub.pem)."""
    from lab.publisher import Publisher

    made = Publisher.new(file)
    public = file.with_suffix(".pub.pem")
    public.write_bytes(made.public_pem)
    result = {"key": str(file), "public": str(public), "id": made.id}
    emit(result, as_json, lambda: table(("KEY", "PUBLIC", "ID"), [(str(file), str(public), made.id)]))


@publisher.command()
def trust(
    name: Name,
    public: Annotated[Path, typer.Argument(metavar="PUBLIC.pem", help="The publisher's public key.")],
) -> None:
    """Have this lab's devices take a publisher's apps, each from its next power-on."""
    try:
        content = public.read_text("ascii")
    except (OSError, UnicodeError) as error:
        raise UsageError(f"cannot read {public}: {error}") from error
    Client.start(Home.find()).put("publishers", name, body={"public_key": content})
    _say_when()


@publisher.command()
def distrust(name: Name) -> None:
    """Take a publisher out again; what it has signed goes on where it runs."""
    Client.start(Home.find()).delete("publishers", name)
    _say_when()


@publisher.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the publishers that this lab's devices are provisioned with."""
    from lab.publisher import trusted

    found = trusted(Home.find())
    rows = [{"name": name, "id": id} for name, id in found.items()]
    emit({"publishers": rows}, as_json, lambda: table(("PUBLISHER", "ID"), list(found.items())))


def _say_when() -> None:
    talk.print("devices know it from their next power-on (lab down, lab up)", highlight=False)
