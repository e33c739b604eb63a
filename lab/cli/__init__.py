"""The `lab` command: one file a verb. Modules here stay light; what is heavy is imported where it is used."""

from __future__ import annotations

import sys

import typer

from lab.cli import (
    access,
    apps,
    audit,
    boards,
    build,
    call,
    command,
    compile,
    console,
    demo,
    deploy,
    devices,
    doctor,
    down,
    fault,
    gateway,
    label,
    leds,
    logs,
    new,
    node,
    pair,
    panel,
    plugin,
    ps,
    publisher,
    remove,
    rollout,
    secret,
    sensor,
    sign,
    snapshot,
    stop,
    up,
    versions,
    wait,
    watch,
)
from lab.cli._output import talk, verbosity
from lab.errors import ExitCode, LabError

app = typer.Typer(
    name="lab",
    help="Boot boards that run WebAssembly, push apps to them, test them. State: $LAB_HOME, else .lab.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from lab._version import __version__

        print(__version__)
        raise typer.Exit


@app.callback()
def _options(
    verbose: bool = typer.Option(False, "-v", "--verbose", help="Show a traceback with an error."),
    version: bool = typer.Option(
        False, "--version", help="Print the version and end.", callback=_print_version, is_eager=True
    ),
) -> None:
    verbosity.traceback = verbose


for verb in (
    up.up,
    down.down,
    ps.ps,
    wait.wait,
    sign.sign,
    deploy.deploy,
    apps.apps,
    call.call,
    command.command,
    stop.stop,
    remove.remove,
    versions.versions,
    audit.audit,
    logs.logs,
    sensor.sensor,
    fault.fault,
    leds.leds,
    watch.watch,
    console.console,
    devices.reset,
    devices.pause,
    devices.resume,
    pair.pair,
    label.label,
    panel.panel,
    gateway.gateway,
    boards.boards,
    build.build,
    new.new,
    compile.compile,
    doctor.doctor,
    demo.demo,
):
    app.command()(verb)
for group, name in (
    (node.node, "node"),
    (plugin.plugin, "plugin"),
    (publisher.publisher, "publisher"),
    (rollout.rollout, "rollout"),
    (snapshot.snapshot, "snapshot"),
    (access.token, "token"),
    (access.cert, "cert"),
    (secret.secret, "secret"),
):
    app.add_typer(group, name=name)


def main() -> None:
    """Run `lab`; the one place where an error becomes a message and an exit code."""
    try:
        app()
    except LabError as error:
        if verbosity.traceback:
            raise
        talk.print(f"[bold red]error:[/] {_plain(error.message)}", highlight=False, soft_wrap=True)
        if error.hint:
            talk.print(_plain(error.hint), style="dim", highlight=False, soft_wrap=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output has gone (`lab logs -f ID | head`): nobody is left to tell.
        sys.stderr.close()
        sys.exit(ExitCode.DONE)
    except OSError as error:
        # A full disk, a folder that is another user's: no fault of the lab's, so no traceback.
        if verbosity.traceback:
            raise
        talk.print(f"[bold red]error:[/] {_plain(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(ExitCode.FAILED)


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)
