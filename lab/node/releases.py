"""A node's own releases, and the launcher that tries a new one and goes back if it is not healthy.

``python -m lab.node.releases FOLDER -- -m lab node --config hub.toml`` runs that program from the current
release, or from what is installed if there is none. A release on trial has `TRIAL_SECONDS` to say that it is
healthy (on the descriptor `HEALTH`); else, or if it ends before, the last good one is started again. Standard
library only: the native agent uses it as well.

::

    releases/
      state.json     {"current": digest or null, "trial": digest or null, "failed": digest or null}
      <digest>/      a wheel, unpacked
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path

RESTART = 75
"""Exit code with which a program asks for the next release (EX_TEMPFAIL)."""

HEALTH = "LAB_HEALTH_FD"
RELEASE = "LAB_RELEASE"
FOLDER = "LAB_RELEASES"
TRIAL_SECONDS = 60.0
_ENDING_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class State:
    """Which release runs, which is tried, and which was tried last in vain."""

    current: str | None = None
    trial: str | None = None
    failed: str | None = None


class Releases:
    """The folder of releases.

    :param folder: made when first needed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / "state.json"

    def state(self) -> State:
        """Return what is noted."""
        try:
            return State(**json.loads(self._file.read_text()))
        except FileNotFoundError:
            return State()

    def note(self, state: State) -> None:
        """Note a state, in one step."""
        temporary = self._file.with_name(f".{self._file.name}.{os.getpid()}")
        temporary.write_text(json.dumps(asdict(state)))
        temporary.replace(self._file)

    def path(self, digest: str) -> Path:
        """Return where a release is unpacked."""
        return self._folder / digest

    def add(self, wheel: bytes) -> str:
        """Unpack a wheel and put it on trial; return its digest.

        :raises ValueError: it is no wheel, or another release is still on trial: what the launcher notes of
            that one would undo this.
        """
        before = self.state()
        if before.trial is not None:
            raise ValueError(f"release {before.trial[:12]} is still on trial")
        digest = hashlib.sha256(wheel).hexdigest()
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = self._folder / f".{digest}.{os.getpid()}"
        file = part.with_suffix(".whl")
        try:
            file.write_bytes(wheel)
            with zipfile.ZipFile(file) as archive:
                if "lab/__init__.py" not in archive.namelist():
                    raise ValueError("it does not hold the package lab")
                archive.extractall(part)  # zipfile keeps names inside the folder
            shutil.rmtree(self.path(digest), ignore_errors=True)
            part.replace(self.path(digest))
        except zipfile.BadZipFile as error:
            raise ValueError("it is no wheel") from error
        finally:
            file.unlink(missing_ok=True)
            shutil.rmtree(part, ignore_errors=True)
        self.note(State(before.current, digest))
        for old in self._folder.iterdir():  # the last good one and the one on trial are enough
            if old.is_dir() and old.name not in (before.current, digest):
                shutil.rmtree(old, ignore_errors=True)
        return digest


def healthy() -> None:
    """Say that this process is healthy; nothing if no launcher waits for it."""
    if descriptor := os.environ.pop(HEALTH, None):
        with contextlib.suppress(OSError):
            os.write(int(descriptor), b"healthy\n")
            os.close(int(descriptor))


def launched() -> Releases | None:
    """Return the releases of the launcher that runs this process; none if none does."""
    folder = os.environ.get(FOLDER)
    return Releases(Path(folder)) if folder else None


def status() -> dict[str, str | None]:
    """Return which release this process is, which one is on trial, and which was tried last in vain."""
    releases = launched()
    state = releases.state() if releases else State()
    return {
        "release": os.environ.get(RELEASE),
        "trial_release": state.trial,
        "failed_release": state.failed,
    }


def launch(folder: Path, arguments: list[str]) -> int:
    """Run ``python <arguments>`` from the current release until it ends for good; return its exit code."""
    releases = Releases(folder)
    child: subprocess.Popen[bytes] | None = None
    ending = False

    def end(number: int, _frame: object) -> None:
        nonlocal ending
        ending = True
        if child is not None:
            child.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    while True:
        state = releases.state()
        digest = state.trial or state.current
        ours, theirs = os.pipe()
        environment = {**os.environ, FOLDER: str(folder)}
        if digest is not None:
            environment |= {"PYTHONPATH": str(releases.path(digest)), RELEASE: digest}
        if state.trial is not None:
            environment[HEALTH] = str(theirs)
        # -P: the current folder must not come before the release.
        child = subprocess.Popen([sys.executable, "-P", *arguments], env=environment, pass_fds=(theirs,))
        os.close(theirs)
        with os.fdopen(ours, "rb") as health:
            if state.trial is not None and not ending:
                good = bool(select.select([health], [], [], TRIAL_SECONDS)[0] and health.readline())
                if good:
                    releases.note(State(state.trial))
                elif not ending:
                    print(f"release {state.trial[:12]} is not healthy; back to the last", file=sys.stderr)
                    releases.note(State(state.current, failed=state.trial))
                    _stop(child)
                    continue
        code = child.wait()
        if code != RESTART or ending:
            return code


def _stop(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    ends = time.monotonic() + _ENDING_SECONDS
    try:
        child.wait(ends - time.monotonic())
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def main() -> None:
    """Entry point of ``python -m lab.node.releases``."""
    if len(sys.argv) < 4 or sys.argv[2] != "--":
        sys.exit("usage: python -m lab.node.releases FOLDER -- ARGUMENT...")
    sys.exit(launch(Path(sys.argv[1]).absolute(), sys.argv[3:]))


if __name__ == "__main__":
    main()
