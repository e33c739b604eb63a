"""What a face of the lab (CLI, pytest, Robot) calls the daemon with: plain HTTP on loopback.

The standard library's client is enough here and loads in a few milliseconds, which every `lab` command pays.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from lab.errors import ExitCode, LabError, LabTimeoutError, MissingError, UsageError
from lab.home import Address, Home

Json = dict[str, Any]
Progress = Callable[[Json], None]

_BY_EXIT_CODE: dict[int, type[LabError]] = {
    cls.exit_code: cls for cls in (LabError, UsageError, MissingError, LabTimeoutError)
}
_START_SECONDS = 30.0
_FINDS = re.compile(r"PATH|RENODE|(PYRENODE|ZEPHYR|LAB(?!_HOME))_\w+")  # variables by which things are found


def path(*parts: str) -> str:
    """Join `parts` to a path of the API, each quoted.

    :raises UsageError: one would leave its place: servers take ``%2F`` for the ``/`` it stands for.
    """
    for part in parts:
        if not part or "/" in part:
            raise UsageError(f"{part!r} cannot be a name", hint="no name is empty or has a / in it")
    return "/api/v1/" + "/".join(quote(part, safe="") for part in parts)


class Client:
    """Speaks to one running daemon.

    :param home: the lab's folder.
    :param address: where its daemon answers.
    """

    def __init__(self, home: Home, address: Address) -> None:
        self.home = home
        self.address = address
        self.request_id: str | None = None
        """Of the request on whose behalf it asks from now on, if there is one."""

    @classmethod
    def connect(cls, home: Home) -> Client:
        """Return a client of the daemon that runs in `home`.

        :raises LabError: none runs there.
        """
        client = cls.running(home)
        if client is None:
            raise LabError(f"no lab runs in {home.root}", hint="start one with: lab up --board mps2-an385")
        return client

    @classmethod
    def running(cls, home: Home) -> Client | None:
        """Return a client of the daemon that runs in `home`, or `None`."""
        address = home.address()
        if address is None:
            return None
        client = cls(home, address)
        try:
            client.get("lab")
        except LabError:
            return None
        return client

    @classmethod
    def start(cls, home: Home) -> Client:
        """Return a client of `home`'s daemon, started now if none runs.

        :raises LabError: it ended before it answered; the hint names its log.
        """
        if client := cls.running(home):
            return client
        from lab.publisher import Publisher

        # On this side of the API, so that the daemon needs no key; and before a device is provisioned.
        Publisher.own(home)
        ready, theirs = os.pipe()
        with home.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "lab.daemon", "--home", str(home.root), "--ready-fd", str(theirs)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(theirs,),
                start_new_session=True,
                cwd="/",
            )
        os.close(theirs)
        with os.fdopen(ready, "rb") as pipe:
            if not select.select([pipe], [], [], _START_SECONDS)[0]:
                process.kill()
                raise LabTimeoutError(
                    f"the lab's daemon was not ready after {_START_SECONDS:.0f} s",
                    hint=f"its log: {home.log}",
                )
            said = pipe.read().decode()
        if said != "ready":
            # Another `lab` may have won the race to start it.
            if client := cls.running(home):
                return client
            raise LabError(said or "the lab's daemon ended while it started", hint=f"its log: {home.log}")
        return cls.connect(home)

    # -- requests

    @contextmanager
    def _request(
        self, method: str, target: str, body: object, accept: str, timeout: float | None
    ) -> Iterator[http.client.HTTPResponse]:
        connection = http.client.HTTPConnection("127.0.0.1", self.address.port, timeout=timeout)
        headers = {"Authorization": f"Bearer {self.address.token}", "Accept": accept}
        if self.request_id is not None:
            headers["X-Request-Id"] = self.request_id
        if isinstance(body, bytes):
            headers["Content-Type"] = "application/octet-stream"
        elif body is not None:
            headers["Content-Type"] = "application/json"
            body = json.dumps(body).encode()
        try:
            connection.request(method, target, body, headers)
            response = connection.getresponse()
            if response.status >= 400:
                raise self._explained(_error(response))
            yield response
        except (OSError, http.client.HTTPException) as error:
            raise LabError(
                f"the lab's daemon does not answer: {error or type(error).__name__}",
                hint=f"its log: {self.home.log}",
            ) from error
        finally:
            connection.close()

    def request(self, method: str, target: str, body: object = None, *, timeout: float | None = 60.0) -> Any:
        """Send one request, return the decoded answer.

        :raises LabError: of the kind the daemon raised, with its message and hint.
        """
        with self._request(method, target, body, "application/json", timeout) as response:
            return json.loads(response.read() or b"null")

    def get(self, *parts: str, **query: object) -> Any:
        """GET `/api/v1/<parts>?<query>`."""
        return self.request("GET", _target(parts, query))

    def post(self, *parts: str, body: object = None, **query: object) -> Any:
        """POST `body` (JSON, or raw when bytes) to `/api/v1/<parts>?<query>`."""
        return self.request("POST", _target(parts, query), body)

    def put(self, *parts: str, body: object = None) -> Any:
        """PUT `body` (JSON) to `/api/v1/<parts>`."""
        return self.request("PUT", path(*parts), body)

    def delete(self, *parts: str, **query: object) -> Any:
        """DELETE `/api/v1/<parts>?<query>`."""
        return self.request("DELETE", _target(parts, query))

    def download(self, *parts: str) -> bytes:
        """GET the file at `/api/v1/<parts>`."""
        with self._request("GET", path(*parts), None, "*/*", 60.0) as response:
            return response.read()

    def operate(self, *parts: str, progress: Progress, body: object = None, **query: object) -> Any:
        """POST long work: `progress` gets each step while it runs; closing the connection cancels it."""
        with self._request("POST", _target(parts, query), body, "application/x-ndjson", None) as response:
            for line in response:
                item = json.loads(line)
                if "result" in item:
                    return item["result"]
                if "error" in item:
                    raise self._explained(from_problem(item["error"]))
                progress(item["progress"])
        raise LabError(
            "the lab's daemon broke off before the work was done", hint=f"its log: {self.home.log}"
        )

    def stream(self, *parts: str, **query: object) -> Iterator[Json]:
        """GET `/api/v1/<parts>?<query>`, which answers one JSON object a line; yield each as it comes.

        :raises LabError: the daemon has ended the stream, and says why.
        """
        with self._request("GET", _target(parts, query), None, "application/x-ndjson", None) as response:
            for line in response:
                item = json.loads(line)
                if "error" in item:
                    raise from_problem(item["error"])
                yield item

    def _explained(self, error: LabError) -> LabError:
        """Add to what the daemon misses that it looks for it in another environment, if that is so."""
        if not isinstance(error, MissingError):
            return error
        try:
            started_with = Path(f"/proc/{self.address.pid}/environ").read_bytes().split(b"\0")
        except OSError:
            return error
        here = {f"{name}={value}" for name, value in os.environ.items()}
        differing = {
            each.partition("=")[0] for each in here.symmetric_difference(map(os.fsdecode, started_with))
        }
        names = sorted(filter(_FINDS.fullmatch, differing))
        if names:
            error.hint += (
                f"\nIf that is done: the lab's daemon was started with another {', '.join(names)}. "
                "`lab down` ends it, and the next `lab up` starts one with what is set now."
            )
        return error

    def shut_down(self) -> None:
        """End the daemon and everything it runs; returns when its process is gone."""
        try:
            process = os.pidfd_open(self.address.pid)
        except ProcessLookupError:
            return
        try:
            self.post("shutdown")
            if not select.select([process], [], [], 30.0)[0]:
                raise LabTimeoutError(
                    f"the lab's daemon (pid {self.address.pid}) has not ended after 30 s",
                    hint=f"its log: {self.home.log}",
                )
        finally:
            os.close(process)


def _target(parts: tuple[str, ...], query: Json) -> str:
    set_ = {key: value for key, value in query.items() if value is not None}
    return path(*parts) + (f"?{urlencode(set_)}" if set_ else "")


def _error(response: http.client.HTTPResponse) -> LabError:
    text = response.read()
    try:
        problem = json.loads(text)
    except ValueError:
        return LabError(f"the daemon answered {response.status}: {text[:200].decode(errors='replace')}")
    return from_problem(problem)


def from_problem(problem: Json) -> LabError:
    """Turn a problem document (RFC 9457) of the API back into the error that made it."""
    cls = _BY_EXIT_CODE.get(problem.get("exit_code", ExitCode.FAILED), LabError)
    return cls(str(problem.get("detail", problem.get("title", "failed"))), hint=str(problem.get("hint", "")))
