"""Run a node until it is told to end: its sockets, its two HTTP faces, its signals."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import IO

import anyio

from lab import third_party
from lab.errors import ExitCode, LabError, UsageError
from lab.node.config import Config
from lab.node.node import Node
from lab.node.releases import RESTART
from lab.node.web import cluster_app, local_app, serving
from lab.plugins.build import build

ADDRESS = "node.json"
"""In a node's folder: where it answers, `{"pid": …, "http": port, "cluster": port or null}`."""


async def run(config: Config, ready: Callable[[Node, int, int | None], None]) -> int:
    """Run a node until SIGTERM, SIGINT, or another release of it; return its exit code.

    :param ready: called with the node, its port for this machine and, of a hub, its port for spokes.
    :raises LabError: it cannot start.
    """
    async with AsyncExitStack() as stack:
        stack.enter_context(_alone_in(config.node.folder))  # before anything there is touched
        node = await stack.enter_async_context(Node(config).open())
        local = stack.enter_context(_listen("127.0.0.1", config.http.port, "http.port"))
        await stack.enter_async_context(serving(local_app(node), local))
        ports: tuple[int, int | None] = local.getsockname()[1], None
        if node.is_hub:
            listener = stack.enter_context(
                _listen(config.cluster.listen, config.cluster.port, "cluster.port")
            )
            ports = ports[0], listener.getsockname()[1]
            certificate = {
                "ssl_certfile": str(node.credentials.certificate),
                "ssl_keyfile": str(node.credentials.key),
            }
            await stack.enter_async_context(serving(cluster_app(node), listener, **certificate))
        if config.modbus.port is not None or config.modbus.serial is not None:
            from lab.node.modbus import Server

            await stack.enter_async_context(Server(node))
        announced = config.node.folder / ADDRESS
        _announce(announced, {"pid": os.getpid(), "http": ports[0], "cluster": ports[1]})
        stack.callback(lambda: announced.unlink(missing_ok=True))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(node.run)
            tasks.start_soon(_end_on_signal, node.ended, lambda: ready(node, *ports))
            await node.ended.wait()
            node.commands.close()
            tasks.cancel_scope.cancel()
    return RESTART if node.restart else ExitCode.DONE


async def _end_on_signal(ended: asyncio.Event, ready: Callable[[], None]) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        ready()
        async for _ in signals:
            ended.set()


def build_missing(config: Config, say: Callable[[str], None]) -> None:
    """Build the plugins whose component is not there, or older than its source.

    :param say: called with the name of each before it is built (some ten seconds).
    :raises LabError: one cannot be built.
    """
    sources = config.node.sources
    if sources is None:
        return
    with third_party.locked(config.node.plugins / ".building"):  # another node of this machine may be at it
        for source in sorted(file.parent for file in sources.glob("*/plugin.py")):
            output = config.node.plugins / f"{source.name}.wasm"
            if config.plugin(source.name).enabled and _is_stale(output, source):
                say(source.name)
                build(source, output)


def _is_stale(output: Path, source: Path) -> bool:
    try:
        made = output.stat().st_mtime
    except FileNotFoundError:
        return True
    return any(file.stat().st_mtime > made for file in source.glob("plugin.*"))


def _alone_in(folder: Path) -> IO[str]:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (folder / "lock").open("w")
    except OSError as error:
        raise UsageError(f"cannot use {error.filename}: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise LabError(f"a node already runs in {folder}") from None
    return lock


def _listen(host: str, port: int, key: str) -> socket.socket:
    try:
        return socket.create_server((host, port))
    except OSError as error:
        why = str(error.strerror).partition(" (while")[0]  # what follows repeats the address
        raise UsageError(
            f"cannot listen on {host} port {port}: {why}", hint=f"choose another {key}, 0 for any"
        ) from error


def _announce(file: Path, address: dict[str, int | None]) -> None:
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    temporary.write_text(json.dumps(address))
    temporary.replace(file)
