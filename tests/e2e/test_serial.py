"""`lab up --serial`: a board that was provisioned before hangs on a port, and keeps its own name."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator

import pytest

from lab import build
from lab.home import Home
from lab.pki import Authority
from tests.e2e.conftest import Cli

pytestmark = pytest.mark.hil


@pytest.fixture
def port(lab: Cli) -> Iterator[str]:
    """A TCP port with a board behind it, as a terminal server offers one; the board is a native process."""
    identity = lab.folder / "identity.bin"
    home = Home(lab.home).create()
    identity.write_bytes(
        Authority(home).identity("desk-7", seed=os.urandom(32), now=int(time.time()), development=True)
    )
    image = build.build("native").image
    boards: list[subprocess.Popen[bytes]] = []

    def serve(listener: socket.socket) -> None:
        try:
            link, _ = listener.accept()
        except OSError:
            return
        console, far = socket.socketpair()
        with link, console, far:
            boards.append(
                subprocess.Popen(
                    [
                        *(image, "--console", str(far.fileno()), "--link", str(link.fileno())),
                        *("--identity", str(identity), "--flash", str(lab.folder / "flash.bin")),
                    ],
                    pass_fds=(far.fileno(), link.fileno()),
                )
            )
            boards[-1].wait()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        yield f"socket://127.0.0.1:{listener.getsockname()[1]}"
    for board in boards:
        board.kill()
        board.wait()


def test_a_board_on_a_port_is_taken_in_under_its_own_name(lab: Cli, port: str) -> None:
    [device] = lab.json("up", "--serial", port)["devices"]
    assert (device["id"], device["engine"], device["state"]) == ("desk-7", "serial", "connected")
    assert device["serial"] == port
    module = lab.folder / "two.wat"
    module.write_text('(module (func (export "two") (result i32) i32.const 2))')
    lab.ok("deploy", str(module), "--unsigned", "--to", "desk-7")
    assert lab.json("call", "desk-7", "two", "two")["value"] == 2
    lab.ok("down", "desk-7")
    assert lab.json("ps")["devices"][0]["state"] == "off"


def test_a_port_that_is_not_there_says_so(lab: Cli) -> None:
    done = lab.run("up", "--serial", "/dev/ttyNOBODY")
    assert done.returncode == 1
    assert "/dev/ttyNOBODY" in done.stderr
    assert lab.run("up", "--serial", "/dev/ttyNOBODY", "--count", "2").returncode == 2
