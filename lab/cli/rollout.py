"""`lab rollout`: an app to many devices, in batches, as far as it goes well."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lab.cli._output import AsJson, emit, spinner, state, table, talk
from lab.cli.deploy import package_at
from lab.cli.sign import Key
from lab.client import Client
from lab.errors import ExitCode, LabError, UsageError
from lab.home import Home

rollout = typer.Typer(
    no_args_is_help=True, help="Bring an app to many devices, in batches, as far as it goes well."
)

Number = Annotated[int | None, typer.Argument(metavar="[ROLLOUT]", help="Its number; else the last one.")]
_OVER = ("done", "failed", "aborted")


@rollout.command()
def start(
    app: Annotated[
        str,
        typer.Argument(
            help="An app's folder, a source, a .wasm module or a .lab package; else the id of a kept package."
        ),
    ],
    to: Annotated[list[str] | None, typer.Option(metavar="ID", help="A device; may be repeated.")] = None,
    selector: Annotated[
        str | None, typer.Option(help="Devices by label: role=test,site!=berlin. Without either: all.")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Devices at a time.")] = 10,
    pause: Annotated[float, typer.Option(min=0, metavar="SECONDS", help="Between batches.")] = 0.0,
    max_failures: Annotated[int, typer.Option(min=0, help="How many may fail before it pauses.")] = 0,
    canary: Annotated[int, typer.Option(min=0, help="How many go first, and must all be confirmed.")] = 0,
    other: Annotated[
        str | None, typer.Option("--ab", metavar="APP", help="Another version, for part of the devices.")
    ] = None,
    split: Annotated[int, typer.Option(min=0, max=100, help="Percent of the devices that get it.")] = 50,
    name: Annotated[str | None, typer.Option(help="The app's name; else its folder's or file's.")] = None,
    key: Key = None,
    unsigned: Annotated[
        bool, typer.Option("--unsigned", help="Sign nothing: for devices of `lab up --development`.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Return when it is over, or has paused.")] = False,
    as_json: AsJson = False,
) -> None:
    """Sign an app and begin to bring it to devices. Those that are away get it when they are back."""
    home = Home.find()
    client = Client.connect(home)
    body = {
        "package": _keep(client, home, app, name, key, unsigned),
        "other": _keep(client, home, other, name, key, unsigned) if other else None,
        "devices": to or [],
        "selector": selector or "",
        "batch": batch,
        "pause": pause,
        "max_failures": max_failures,
        "canary": canary,
        "split": split,
    }
    _finish(client, client.post("rollouts", body=body), wait, as_json)


@rollout.command()
def status(number: Number = None, as_json: AsJson = False) -> None:
    """Show a rollout: how far each device is, and the figures of each arm."""
    client = Client.connect(Home.find())
    found = client.get("rollouts", str(_number(client, number)))
    emit(found, as_json, lambda: _show(found))


@rollout.command("list")
def list_(as_json: AsJson = False) -> None:
    """List rollouts, the newest first."""
    found = Client.connect(Home.find()).get("rollouts")
    emit(found, as_json, lambda: _show_all(found["rollouts"]))


@rollout.command()
def pause(number: Number = None, as_json: AsJson = False) -> None:
    """Begin with no further device; those under way are seen to their end."""
    _ask("pause", number, as_json)


@rollout.command()
def resume(number: Number = None, wait: bool = False, as_json: AsJson = False) -> None:
    """Go on; it takes as many failures again to pause it."""
    _ask("resume", number, as_json, wait)


@rollout.command()
def abort(number: Number = None, as_json: AsJson = False) -> None:
    """End a rollout: devices whose turn has not come keep what they run."""
    _ask("abort", number, as_json)


@rollout.command()
def rollback(
    number: Number = None,
    to: Annotated[
        str | None,
        typer.Option(
            metavar="VERSION",
            help="A kept version, its sequence number or package id; else what the devices ran before.",
        ),
    ] = None,
    key: Key = None,
    wait: Annotated[bool, typer.Option("--wait", help="Return when it is over, or has paused.")] = False,
    as_json: AsJson = False,
) -> None:
    """Bring an older version back to the devices of a rollout.

    Devices take no sequence number below theirs, so the older version is signed anew, as the newest: this
    needs the publisher's key. A rollout that is not over is aborted first.
    """
    home = Home.find()
    client = Client.connect(home)
    found = client.get("rollouts", str(_number(client, number)))
    devices = [each["device"] for each in found["devices"] if each["state"] not in ("pending", "aborted")]
    if not devices:
        raise UsageError(f"rollout {found['id']} has changed no device", hint="there is nothing to roll back")
    package = _signed_anew(client, home, _version(client, found, to), key)
    if found["state"] not in _OVER:
        client.post("rollouts", str(found["id"]), "abort")
    body = {
        "package": client.post("packages", body=package.write(), name=package.name)["id"],
        "devices": devices,
        "batch": found["batch"],
        "max_failures": len(devices),  # it is the way out: it stops for nobody
        "rollback_of": found["id"],
    }
    _finish(client, client.post("rollouts", body=body), wait, as_json)


# ---- behind them


def _number(client: Client, number: int | None) -> int:
    if number is not None:
        return number
    rows = client.get("rollouts")["rollouts"]
    if not rows:
        raise UsageError(
            "there is no rollout", hint="begin one with: lab rollout start APP --selector role=test"
        )
    return int(rows[0]["id"])


def _keep(client: Client, home: Home, app: str, name: str | None, key: Path | None, unsigned: bool) -> str:
    """Have the lab keep an app's package; return its id."""
    if not Path(app).exists():
        kept = [each["id"] for each in client.get("packages")["packages"]]
        found = [id for id in kept if id.startswith(app)]
        if len(app) >= 8 and len(found) == 1:
            return str(found[0])
        raise UsageError(
            f"there is no file {app}, and no one package of that id", hint="see what is kept: lab versions"
        )
    package = package_at(Path(app), home, key=key, unsigned=unsigned, name=name)
    return str(client.post("packages", body=package.write(), name=package.name)["id"])


def _version(client: Client, found: dict[str, Any], to: str | None) -> str:
    """Return the id of the package that a rollback goes to."""
    if to is None:
        before = {
            each["previous"] for each in found["devices"] if each["state"] not in ("pending", "aborted")
        }
        if len(before) == 1 and None not in before:
            return str(before.pop())
        ran = "different versions" if before - {None} else "no version the lab has kept"
        raise UsageError(
            f"the devices of rollout {found['id']} ran {ran} of {found['app']} before",
            hint=f"choose one with --to; see which there are: lab versions {found['app']}",
        )
    kept = client.get("packages", app=found["app"])["packages"]
    matching = [
        each["id"]
        for each in kept
        if to in (each["version"], str(each["sequence"])) or (len(to) >= 8 and each["id"].startswith(to))
    ]
    if not matching:
        raise UsageError(
            f"no version {to} of {found['app']} is kept", hint=f"see: lab versions {found['app']}"
        )
    return str(matching[0])


def _signed_anew(client: Client, home: Home, id: str, key: Path | None) -> Any:
    from lab.packages import Package
    from lab.publisher import Publisher

    old = next(each for each in client.get("packages")["packages"] if each["id"] == id)
    content = client.download("packages", id)
    package = Package.of(content, old["name"], f"the package {id}")
    if not package.envelope:
        return package
    own = home.root / "publisher.pem"
    if key is None and not own.exists():
        raise LabError(
            f"{package.name} {package.version or package.sequence} has to be signed anew: devices take no "
            "sequence number below the one they have, and there is no key here",
            hint="name the publisher's key: --key publisher.pem",
        )
    return (Publisher(key) if key else Publisher.own(home)).again(package)


def _ask(what: str, number: int | None, as_json: bool, wait: bool = False) -> None:
    client = Client.connect(Home.find())
    _finish(client, client.post("rollouts", str(_number(client, number)), what), wait, as_json)


def _finish(client: Client, found: dict[str, Any], wait: bool, as_json: bool) -> None:
    if wait:
        with spinner() as bar:
            task = bar.add_task(_counts(found["counts"]))
            found = client.operate(
                "rollouts",
                str(found["id"]),
                "wait",
                progress=lambda news: bar.update(task, description=_counts(news["counts"])),
            )
    emit(found, as_json, lambda: _show(found))
    if wait and (found["state"] != "done" or found["counts"].get("confirmed", 0) < found["total"]):
        raise typer.Exit(ExitCode.FAILED)


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "no device"


def _show_all(rows: list[dict[str, Any]]) -> None:
    table(
        ("ROLLOUT", "APP", "TARGET", "STATE", "DEVICES", "WHY"),
        [
            (
                str(row["id"]),
                row["app"],
                row["target"],
                state(row["state"]),
                _counts(row["counts"]),
                row["reason"],
            )
            for row in rows
        ],
    )


def _show(found: dict[str, Any]) -> None:
    _show_all([found])
    if len(found["arms"]) > 1:
        talk.print()
        names = ("devices", "confirmed", "failed", "success", "seconds", "memory")
        kinds = sorted({kind for arm in found["arms"].values() for kind in arm["events"]})
        table(
            ("ARM", *(name.upper() for name in names), *(kind.upper() for kind in kinds)),
            [
                (
                    arm,
                    *(_figure(figures[name]) for name in names),
                    *(str(figures["events"].get(kind, 0)) for kind in kinds),
                )
                for arm, figures in found["arms"].items()
            ],
        )
    talk.print()
    table(
        ("DEVICE", "ARM", "STATE", "WHY"),
        [(each["device"], each["arm"], _device_state(each), each["reason"]) for each in found["devices"]],
    )


def _device_state(device: dict[str, Any]) -> Any:
    percent = "" if device["percent"] is None else f" {device['percent']} %"
    return state(device["state"]) + percent + (" (canary)" if device["canary"] else "")


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)
