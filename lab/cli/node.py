"""`lab node`: run a gateway's node, a hub or a spoke as its configuration says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli._output import talk
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
    uvloop.run(run_node(loaded, _ready))


def _ready(running: Node, http: int, cluster: int | None) -> None:
    spokes = f", spokes: port {cluster}" if cluster is not None else ""
    role = running.config.cluster.role
    talk.print(f"{role} [bold]{running.id}[/]: http://127.0.0.1:{http}/{spokes}", highlight=False)
