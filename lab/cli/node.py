"""`lab node`: run a gateway's node, a hub or a spoke as its configuration says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lab.cli._output import AsJson, emit, table, talk
from lab.errors import UsageError

if TYPE_CHECKING:
    from lab.node.node import Node

node = typer.Typer(
    help="Run a gateway's node: sandboxed plugins, hub and spokes.", invoke_without_command=True
)


@node.callback()
def run(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option("-c", "--config", help="The node's TOML file (docs/nodes.md).")
    ] = None,
) -> None:
    """Run a node until Ctrl-C or SIGTERM."""
    if context.invoked_subcommand is not None:
        return
    if config is None:
        raise UsageError("which node?", hint="name its configuration: lab node --config examples/hub.toml")
    import sys

    import structlog
    import uvloop

    from lab.node.config import load
    from lab.node.run import build_missing
    from lab.node.run import run as run_node

    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    loaded = load(config)
    build_missing(loaded, lambda name: talk.print(f"building plugin {name}…", highlight=False))
    raise typer.Exit(uvloop.run(run_node(loaded, _ready)))


def _ready(running: Node, http: int, cluster: int | None) -> None:
    spokes = f", spokes: port {cluster}" if cluster is not None else ""
    role = running.config.cluster.role
    talk.print(f"{role} [bold]{running.id}[/]: http://127.0.0.1:{http}/{spokes}", highlight=False)


@node.command()
def update(
    nodes: Annotated[list[str], typer.Argument(metavar="NODE...", help="The nodes to update.")],
    config: Annotated[Path, typer.Option("-c", "--config", help="The hub's TOML file.")],
    plugins: Annotated[bool, typer.Option("--plugins", help="Their plugins, nothing else.")] = False,
    host: Annotated[bool, typer.Option("--host", help="The node's program, nothing else.")] = False,
    all_: Annotated[bool, typer.Option("--all", help="Plugins and program.")] = False,
    native: Annotated[bool, typer.Option("--native", help="The program of native agents.")] = False,
    wasm: Annotated[
        Path | None, typer.Option(help="Folder of .wasm files; else the hub's own plugins.", file_okay=False)
    ] = None,
    wheel: Annotated[
        Path | None, typer.Option(help="The lab's wheel, for --host, --all and --native.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Update nodes through their hub. A node that is not healthy afterwards goes back to what it had."""
    if sum((plugins, host, all_, native)) != 1:
        raise UsageError("what is to be updated?", hint="give one of --plugins, --host, --all, --native")
    if not plugins and wheel is None:
        raise UsageError("a program is updated with the lab's wheel", hint="give --wheel FILE")
    from lab.node.config import load
    from lab.node.rollout import Hub

    loaded = load(config)
    hub = Hub(loaded)
    components = sorted((wasm or loaded.node.plugins).glob("[!.]*.wasm")) if plugins or all_ else []
    done = []
    for name in nodes:
        with talk.status(f"updating {name}"):
            done.append(hub.update(name, components, wheel, native=native))
    emit({"updated": done}, as_json, lambda: table(("NODE", "PLUGINS", "RELEASE"), [_row(x) for x in done]))


def _row(done: dict[str, Any]) -> tuple[str, str, str]:
    return done["node"], ", ".join(done["plugins"]) or "-", (done["release"] or "-")[:12]
