"""The lab's daemon: one process that runs a `Lab` and serves its API, until it is told to end.

Started by `lab.client.Client.start`; says ``ready`` (or why not) on the descriptor it was given.
"""

from __future__ import annotations

import argparse
import os
import secrets
import signal
import sys
from pathlib import Path

import anyio
import structlog
import uvloop

from lab import logs
from lab.api import create_api
from lab.api.listener import server as server_of
from lab.errors import LabError
from lab.home import Address, Home
from lab.lab import Lab

log = structlog.get_logger()


async def serve(home: Home, ready: int) -> None:
    """Run the lab in `home` until SIGTERM, SIGINT or ``POST /api/v1/shutdown``."""
    with home.lock(), home.listen() as listener:
        token = secrets.token_urlsafe(32)
        async with Lab(home) as lab:
            api = create_api(lab, token)
            server = server_of(api)
            end_logs = logs.keep_in(lab.events.publish)
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

                async def listen_elsewhere() -> None:
                    try:
                        await api.state.listener.restore()
                    except LabError as error:
                        log.error("the lab cannot be reached beyond this machine", reason=str(error))
                    await api.state.listener.run()

                tasks.start_soon(end_on_signal)
                tasks.start_soon(end)
                tasks.start_soon(answer)
                tasks.start_soon(listen_elsewhere)
                tasks.start_soon(api.state.monitor.run)
                tasks.start_soon(api.state.readings.run)
                home.announce(Address(os.getpid(), listener.getsockname()[1], token))
                os.write(ready, b"ready")
                os.close(ready)
                await lab.restore()
            end_logs()
            home.withdraw()


def main() -> None:
    """Entry point of ``python -m lab.daemon``."""
    parser = argparse.ArgumentParser(prog="lab.daemon")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--ready-fd", type=int, required=True)
    options = parser.parse_args()
    os.set_inheritable(options.ready_fd, False)
    logs.configure()
    try:
        uvloop.run(serve(Home(options.home), options.ready_fd))
    except LabError as error:
        os.write(options.ready_fd, str(error).encode())
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
