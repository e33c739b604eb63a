"""What `lab node update` says to a hub, and how it knows that a node has taken the update."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from lab.errors import LabError, LabTimeoutError, UsageError
from lab.node.config import Config
from lab.node.run import ADDRESS

_REQUEST_SECONDS = 150.0
_TRIAL_SECONDS = 120.0
_POLL_SECONDS = 0.5


class Hub:
    """A hub that runs on this machine.

    :raises LabError: it does not run.
    """

    def __init__(self, config: Config) -> None:
        if config.cluster.role != "hub":
            raise UsageError("nodes are updated through their hub", hint="name the hub's configuration")
        self._folder = config.node.folder
        self._port()

    def update(
        self, name: str, components: Sequence[Path], wheel: Path | None, *, native: bool
    ) -> dict[str, Any]:
        """Update one node; return what it has now.

        :param components: plugins to replace.
        :param wheel: the program to replace, for hosts or, with `native`, for agents.
        :raises LabError: the node refused, or went back to what it had; says why.
        """
        state = self._state(name)
        if (state["role"] == "agent") is not native and (wheel is not None or native):
            what = "a native agent" if state["role"] == "agent" else f"a {state['role']}, no native agent"
            raise UsageError(
                f"{name} is {what}", hint="--native is for agents, --host and --all for the others"
            )
        done: dict[str, Any] = {"node": name, "plugins": [], "release": None}
        if components:
            wanted = {file.stem: self._upload(file) for file in components}
            answer = self._request("POST", f"/api/nodes/{quote(name, safe='')}/update", {"plugins": wanted})
            done["plugins"] = list(answer["plugins"])
        if wheel is not None:
            digest = self._upload(wheel)
            self._request("POST", f"/api/nodes/{quote(name, safe='')}/update", {"program": digest})
            self._wait(name, digest)
            done["release"] = digest
        if not components and wheel is None:
            raise UsageError("there is no plugin to update with", hint="give --wasm FOLDER")
        return done

    def _port(self) -> int:
        """Return its port, which may be another after a restart."""
        try:
            return int(json.loads((self._folder / ADDRESS).read_text())["http"])
        except (OSError, ValueError, KeyError) as error:
            raise LabError(
                f"no hub runs in {self._folder}", hint="start it with: lab node --config …"
            ) from error

    def _wait(self, name: str, digest: str) -> None:
        ends = time.monotonic() + _TRIAL_SECONDS
        while time.monotonic() < ends:
            try:
                state = self._state(name)
            except LabError:  # the hub itself is being restarted
                state = {}
            if state.get("release") == digest and not state.get("trial_release") and state.get("online"):
                return
            if state.get("failed_release") == digest:
                raise LabError(f"{name} was not healthy with it and went back to what it had")
            time.sleep(_POLL_SECONDS)
        raise LabTimeoutError(f"{name} has not said after {_TRIAL_SECONDS:.0f} s which release it runs")

    def _state(self, name: str) -> dict[str, Any]:
        nodes = self._request("GET", "/api/readings")["nodes"]
        if name not in nodes:
            raise UsageError(f"this cluster has no node {name}", hint=f"there are: {', '.join(nodes)}")
        found: dict[str, Any] = nodes[name]
        return found

    def _upload(self, file: Path) -> str:
        try:
            content = file.read_bytes()
        except OSError as error:
            raise UsageError(f"cannot read {file}: {error.strerror}") from error
        return str(self._request("PUT", "/api/artifacts", content)["digest"])

    def _request(self, method: str, path: str, body: object = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self._port(), timeout=_REQUEST_SECONDS)
        try:
            data = (
                body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
            )
            connection.request(method, path, data)
            response = connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise LabError(f"the hub does not answer: {error or type(error).__name__}") from error
        finally:
            connection.close()
        try:
            answer = json.loads(text)
        except ValueError:
            answer = {"detail": text[:200].decode(errors="replace")}
        if response.status >= 400:
            raise LabError(str(answer.get("detail")), hint=str(answer.get("hint") or ""))
        return answer
