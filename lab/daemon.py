"""The lab's daemon: one process that runs a `Lab` and serves its API, until it is told to end.

Started by `lab.client.Client.start`; says ``ready`` (or why not) on the descriptor it was given.
"""

from __future__ import annotations

import argparse
import os
import secrets
import signal
import socket
import sys
from pathlib import Path

import anyio
import structlog
import uvicorn
import uvloop

from lab.api import create_api
from lab.errors import LabError
from lab.home import Address, Home
from lab.lab import Lab

log = structlog.get_logger()


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers: the daemon ends the lab first, then the server."""

    def capture_signals(self):  # type: ignore[no-untyped-def]
        from contextlib import nullcontext

        return nullcontext()


async def serve(home: Home, ready: int) -> None:
    """Run the lab in `home` until SIGTERM, SIGINT or ``POST /api/v1/shutdown``."""
    with home.lock(), socket.create_server(("127.0.0.1", 0)) as listener:
        token = secrets.token_urlsafe(32)
        async with Lab(home) as lab:
            server = _Server(
                uvicorn.Config(
                    create_api(lab, token),
                    log_config=None,
                    lifespan="off",
                    ws="websockets-sansio",
                    timeout_graceful_shutdown=2,
                )
            )
            async with anyio.create_task_group() as tasks:

                async def end_on_signal() -> None:
                    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
                        async for _ in signals:
                            lab.ending.set()

                async def end() -> None:
                    await lab.ending.wait()
                    server.should_exit = True

                async def answer() -> None:
                    await server.serve(sockets=[listener])
                    tasks.cancel_scope.cancel()

                tasks.start_soon(end_on_signal)
                tasks.start_soon(end)
                tasks.start_soon(answer)
                home.announce(Address(os.getpid(), listener.getsockname()[1], token))
                os.write(ready, b"ready")
                os.close(ready)
                await lab.restore()
            home.withdraw()


def main() -> None:
    """Entry point of ``python -m lab.daemon``."""
    parser = argparse.ArgumentParser(prog="lab.daemon")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--ready-fd", type=int, required=True)
    options = parser.parse_args()
    os.set_inheritable(options.ready_fd, False)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"]),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    try:
        uvloop.run(serve(Home(options.home), options.ready_fd))
    except LabError as error:
        os.write(options.ready_fd, str(error).encode())
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
