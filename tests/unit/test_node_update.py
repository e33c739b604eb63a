"""Updates: plugins and programs reach their targets only, and what is not healthy goes back."""

from __future__ import annotations

import http.client
import io
import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lab import paths
from lab.errors import LabError, UsageError
from lab.node.config import load
from lab.node.releases import Releases, State
from lab.node.rollout import Hub
from lab.node.update import Artifacts

from .plugins import built, install
from .test_node_process import LIMIT, get, node, until

PACKAGE = Path(paths.__file__).parent
EXAMPLES = Path(__file__).parents[2] / "examples"


def wheel(**changes: str) -> bytes:
    """Return a wheel of the lab; `changes` replace modules (`node__agent` is lab/node/agent.py)."""
    files = {f"lab/{file.relative_to(PACKAGE)}": file.read_bytes() for file in PACKAGE.rglob("*.py")}
    files |= {f"lab/_data/wit/{file.name}": file.read_bytes() for file in paths.data("wit").glob("*.wit")}
    files |= {f"lab/{name.replace('__', '/')}.py": text.encode() for name, text in changes.items()}
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return made.getvalue()


def newer(version: str) -> bytes:
    return wheel(_version=f'"""Version."""\n\n__version__ = "{version}"\n')


@contextmanager
def launched(folder: Path, name: str, arguments: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program under the launcher, its releases in `folder`."""
    command = [sys.executable, "-m", "lab.node.releases", str(folder / f"{name}-releases"), "--", *arguments]
    log = folder / f"{name}-launcher.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stderr=stream)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT) == 0, log.read_text()


class Cluster:
    """A hub process, and what its API says."""

    def __init__(self, folder: Path, where: dict[str, int]) -> None:
        self.where = where
        self.hub = Hub(load(folder / "examples" / "hub.toml"))

    def state(self, name: str) -> dict[str, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.where["http"])
        try:
            found: dict[str, Any] = get(connection, "/api/readings")["nodes"][name]
            return found
        finally:
            connection.close()

    def digest(self, node: str, plugin: str) -> str | None:
        for one in self.state(node).get("plugins", []):
            if one["name"] == plugin:
                return str(one["digest"])
        return None


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Cluster]:
    (tmp_path / "build" / "plugins").mkdir(parents=True)
    install(built("dht22"), tmp_path / "build" / "plugins")
    with node(tmp_path, "hub") as (_, where):
        yield Cluster(tmp_path, where)


def spoke_file(folder: Path, hub: Cluster) -> Path:
    text = (EXAMPLES / "spoke.toml").read_text().replace('sources = "../plugins"\n', "")
    text = text.replace("8443", str(hub.where["cluster"])).replace("8081", "0")
    file = folder / "examples" / "spoke.toml"
    file.write_text(
        text.replace("interval = 2.0", "interval = 0.3").replace("build/plugins", "build/spoke-plugins")
    )
    (folder / "build" / "spoke-plugins").mkdir(exist_ok=True)
    return file


def program(file: Path) -> list[str]:
    return ["-c", "from lab.cli import main; main()", "node", "--config", str(file)]


def test_plugins_are_updated_on_the_target_only_and_rolled_back_when_bad(
    tmp_path: Path, hub: Cluster
) -> None:
    file = spoke_file(tmp_path, hub)
    install(built("dht22"), tmp_path / "build" / "spoke-plugins")
    new = built("dht22", change=("HIGH_ALARM = 30.0", "HIGH_ALARM = 20.0"))
    raising = built("dht22", change=("        try:\n", "        raise ValueError\n        try:\n"))
    with subprocess.Popen([sys.executable, *program(file)], stderr=subprocess.DEVNULL) as process:
        try:
            old = until(lambda: hub.digest("spoke", "dht22"))
            assert hub.hub.update("spoke", [new], None, native=False)["plugins"] == ["dht22"]
            until(lambda: hub.digest("spoke", "dht22") not in (None, old))
            assert hub.digest("hub", "dht22") == old, "not a target"
            good = hub.digest("spoke", "dht22")
            with pytest.raises(LabError, match=r"ValueError(.|\n)*rolled back"):
                hub.hub.update("spoke", [raising], None, native=False)
            until(lambda: hub.digest("spoke", "dht22") == good)
            broken = tmp_path / "dht22.wasm"
            broken.write_bytes(new.read_bytes()[:100_000])
            with pytest.raises(LabError, match=r"not taken(.|\n)*rolled back"):
                hub.hub.update("spoke", [broken], None, native=False)
            assert (tmp_path / "build" / "spoke-plugins" / "dht22.wasm").read_bytes() == new.read_bytes()
            # Neither a bad file from before nor a plugin that does not run there is a reason to refuse.
            install(broken, tmp_path / "build" / "spoke-plugins")
            until(lambda: "not taken" in error(hub, "dht22"))
            done = hub.hub.update("spoke", [new, built("dashboard")], None, native=False)
            assert done["plugins"] == ["dht22"]
            until(lambda: not error(hub, "dht22"))
            with pytest.raises(LabError, match="runs none"):
                hub.hub.update("spoke", [built("dashboard")], None, native=False)
            with pytest.raises(LabError, match="launcher"):
                hub.hub.update("spoke", [], write(tmp_path, newer("9.9.9")), native=False)
        finally:
            process.terminate()


def error(hub: Cluster, plugin: str) -> str:
    return next(str(one["error"]) for one in hub.state("spoke")["plugins"] if one["name"] == plugin)


def write(folder: Path, content: bytes) -> Path:
    file = folder / "lab.whl"
    file.write_bytes(content)
    return file


def test_program_is_updated_and_a_bad_one_is_rolled_back(tmp_path: Path, hub: Cluster) -> None:
    file = spoke_file(tmp_path, hub)
    with launched(tmp_path, "spoke", program(file)):
        until(lambda: hub.state("spoke")["online"])
        done = hub.hub.update("spoke", [], write(tmp_path, newer("9.9.9")), native=False)
        state = hub.state("spoke")
        assert (state["version"], state["release"]) == ("9.9.9", done["release"])
        assert Releases(tmp_path / "spoke-releases").state() == State(done["release"])
        bad = write(tmp_path, wheel(node__node="raise RuntimeError('bad release')"))
        with pytest.raises(LabError, match="went back"):
            hub.hub.update("spoke", [], bad, native=False)
        state = until(lambda: (s := hub.state("spoke"))["online"] and s)
        assert (state["version"], state["release"]) == ("9.9.9", done["release"])
        assert "version" in hub.state("hub")
        assert hub.state("hub")["version"] != "9.9.9", "not a target"
        with pytest.raises(LabError, match="no wheel"):
            hub.hub.update("spoke", [], write(tmp_path, b"PK"), native=False)
        with pytest.raises(UsageError, match="no native agent"):
            hub.hub.update("spoke", [], bad, native=True)


def test_native_agent_is_updated(tmp_path: Path, hub: Cluster) -> None:
    file = tmp_path / "examples" / "agent.toml"
    text = (EXAMPLES / "agent.toml").read_text().replace("8443", str(hub.where["cluster"]))
    file.write_text(text.replace("5.0", "0.3"))
    with launched(tmp_path, "agent", ["-m", "lab.node.agent", "--config", str(file)]):
        until(lambda: hub.state("spoke")["online"] and hub.state("spoke")["role"] == "agent")
        with pytest.raises(UsageError, match="native agent"):
            hub.hub.update("spoke", [], write(tmp_path, newer("9.9.9")), native=False)
        done = hub.hub.update("spoke", [], write(tmp_path, newer("9.9.9")), native=True)
        assert hub.state("spoke")["release"] == done["release"]
        bad = write(tmp_path, wheel(node__agent="import sys; sys.exit(1)"))
        with pytest.raises(LabError, match="went back"):
            hub.hub.update("spoke", [], bad, native=True)
        assert until(lambda: hub.state("spoke")["release"] == done["release"])


def test_a_release_stays_inside_its_folder(tmp_path: Path) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("lab/__init__.py", "")
        archive.writestr("../../escaped", "x")
    releases = Releases(tmp_path / "a" / "releases")
    digest = releases.add(made.getvalue())
    outside = [file for file in tmp_path.rglob("escaped") if not file.is_relative_to(releases.path(digest))]
    assert outside == []
    assert releases.state() == State(trial=digest)


def test_a_release_waits_for_the_one_on_trial(tmp_path: Path) -> None:
    releases = Releases(tmp_path)
    first = releases.add(newer("1.0.0"))
    with pytest.raises(ValueError, match=f"{first[:12]} is still on trial"):
        releases.add(newer("2.0.0"))
    assert releases.path(first).is_dir()
    releases.note(State(first))
    second = releases.add(newer("2.0.0"))
    assert releases.state() == State(first, second)


def test_artifacts_are_found_by_their_digest_only(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path / "artifacts")
    digest = artifacts.add(b"x")
    (tmp_path / "secret").write_text("y")
    assert artifacts.get(digest) == b"x"
    assert artifacts.get("0" * 64) is None
    assert artifacts.get("../secret") is None


def test_launcher_passes_on_the_exit_code(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lab.node.releases", str(tmp_path), "--", "-c", "raise SystemExit(3)"]
    assert subprocess.run(command, check=False, env=dict(os.environ)).returncode == 3
