"""The API over real HTTP and WebSockets: who may do what, and what is refused."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets
from websockets.exceptions import ConnectionClosed, InvalidStatus

from lab.api.auth import WITHDRAWN
from tests.panel.conftest import PATIENCE, Running

pytestmark = [pytest.mark.hil, pytest.mark.native]


@pytest.fixture(scope="module")
def dut(lab: Running, native: None) -> str:
    lab.cli("up", "--board", "native", "--name", "dut", "--development")
    return "dut"


def token(lab: Running, role: str) -> str:
    with lab.client() as client:
        client.delete(f"/api/v1/tokens/{role}")
        answer = client.post("/api/v1/tokens", json={"name": role, "role": role})
        assert answer.status_code == 201
        return str(answer.json()["token"])


def revoke_token(lab: Running, name: str) -> None:
    with lab.client() as client:
        assert client.delete(f"/api/v1/tokens/{name}").status_code == 200


def problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert set(body) == {"type", "title", "status", "detail", "hint", "exit_code"}
    assert body["status"] == status
    return body


class Browser:
    """What a browser keeps of a session: a cookie, and the CSRF token of its pages."""

    def __init__(self, lab: Running) -> None:
        self.client = lab.stranger()
        answer = self.client.get(lab.link())
        assert answer.status_code == 303
        self.set_cookie = answer.headers["set-cookie"]
        text = self.client.get("/").text
        self.csrf = text.split('name="csrf" content="')[1].split('"')[0]
        self.cookie = "; ".join(f"{key}={value}" for key, value in self.client.cookies.items())


# -- who


def test_a_token_in_the_address_is_no_token(lab: Running) -> None:
    bearer = lab.address["token"]
    fresh = lab.stranger()
    for query in (f"token={bearer}", f"access_token={bearer}", f"authorization=Bearer {bearer}"):
        assert fresh.get(f"/api/v1/devices?{query}").status_code in (401, 429)
    assert fresh.get(f"/?token={bearer}").headers["location"] == "/login"


def test_roles(lab: Running, dut: str) -> None:
    viewer, operator = token(lab, "viewer"), token(lab, "operator")
    with lab.client(viewer) as client:
        assert client.get("/api/v1/devices").status_code == 200
        refusal = problem(client.post(f"/api/v1/devices/{dut}/reset"), 403)
        assert "operator" in refusal["detail"]
        problem(client.get("/api/v1/tokens"), 403)
        problem(client.post("/api/v1/terminal", json={"line": "ps"}), 403)
    with lab.client(operator) as client:
        assert client.get("/api/v1/session").json()["role"] == "operator"
        faults = "/api/v1/{}/faults"
        assert client.post(faults.format("gateway"), json={"fault": "gateway.down"}).status_code == 403
        # Nor by another way: the gateway is no device.
        at_device = client.post(faults.format("devices/gateway.lab"), json={"fault": "gateway.down"})
        assert at_device.status_code == 404
        problem(client.post("/api/v1/shutdown"), 403)
        problem(client.post("/api/v1/gateway", json={"heartbeat": 5}), 403)
        problem(client.delete(f"/api/v1/certificates/{dut}"), 403)


def test_a_revoked_token_ends_at_once(lab: Running) -> None:
    with lab.client(token(lab, "viewer")) as client:
        assert client.get("/api/v1/lab").status_code == 200
        lab.cli("token", "revoke", "viewer")
        problem(client.get("/api/v1/lab"), 401)


def test_tokens_are_not_kept_in_the_clear(lab: Running) -> None:
    secret = token(lab, "viewer")
    for file in lab.home.glob("lab.db*"):
        assert secret.encode() not in file.read_bytes()


def test_a_link_works_once_and_its_cookie_is_locked_in(lab: Running) -> None:
    url = lab.link()
    first = lab.stranger().get(url)
    assert first.status_code == 303
    assert first.headers["location"] == "/"
    cookie = first.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert lab.stranger().get(url).status_code == 401


def test_changes_through_a_cookie_need_the_pages_token(lab: Running, dut: str) -> None:
    browser = Browser(lab)
    change = f"/api/v1/devices/{dut}/parts"
    body = {"set": []}
    problem(browser.client.post(change, json=body), 403)
    problem(browser.client.post(change, json=body, headers={"X-CSRF-Token": "x" * 43}), 403)
    right = {"X-CSRF-Token": browser.csrf}
    foreign = {**right, "Origin": "https://evil.example"}
    problem(browser.client.post(change, json=body, headers=foreign), 403)
    assert browser.client.post(change, json=body, headers=right).status_code == 200
    assert browser.client.post("/logout", headers=right).status_code == 204
    assert lab.stranger().get("/api/v1/devices", headers={"Cookie": browser.cookie}).status_code in (
        401,
        429,
    )


def test_no_other_site_may_read(lab: Running) -> None:
    with lab.client() as client:
        answer = client.options(
            "/api/v1/devices",
            headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"},
        )
        assert answer.status_code == 405
        read = client.get("/api/v1/devices", headers={"Origin": "https://evil.example"})
    for each in (answer, read):
        assert not [name for name in each.headers if name.startswith("access-control-")]


async def _open(url: str, headers: dict[str, str]) -> int:
    try:
        async with websockets.connect(url, additional_headers=headers):
            return 101
    except InvalidStatus as error:
        return error.response.status_code


@pytest.mark.parametrize("path", ["stream", "devices/dut/console"])
def test_no_other_site_may_open_a_websocket(lab: Running, dut: str, path: str) -> None:
    browser = Browser(lab)
    url = f"{lab.url.replace('http', 'ws')}/api/v1/{path}"
    own, foreign = {"Origin": lab.url}, {"Origin": "https://evil.example"}
    cookie = {"Cookie": browser.cookie}
    assert asyncio.run(_open(url, {**cookie, **own})) == 101
    assert asyncio.run(_open(url, {**cookie, **foreign})) == 403
    assert asyncio.run(_open(url, cookie)) == 403
    assert asyncio.run(_open(url, own)) in (401, 429)


async def _close_code(lab: Running, path: str, headers: dict[str, str], withdraw: Any) -> int:
    url = f"{lab.url.replace('http', 'ws')}/api/v1/{path}"
    async with (
        asyncio.timeout(PATIENCE / 1000),
        websockets.connect(url, additional_headers=headers) as socket,
    ):
        await socket.recv()  # it is open, and has begun
        await asyncio.to_thread(withdraw)
        with pytest.raises(ConnectionClosed):
            while True:
                await socket.recv()
        assert socket.close_code is not None
        return socket.close_code


@pytest.mark.parametrize("path", ["stream?since=0", "devices/dut/console"])
def test_a_websocket_ends_with_what_it_came_by(lab: Running, dut: str, path: str) -> None:
    def closed(headers: dict[str, str], withdraw: Any) -> int:
        return asyncio.run(_close_code(lab, path, headers, withdraw))

    def revoke() -> None:
        revoke_token(lab, "operator")

    bearer = {"Authorization": f"Bearer {token(lab, 'operator')}"}
    assert closed(bearer, revoke) == WITHDRAWN

    secret = token(lab, "operator")  # a browser's session goes with the token that began it
    with lab.stranger() as client:
        cookie = client.post("/login", data={"token": secret}).headers["set-cookie"].partition(";")[0]
    assert closed({"Cookie": cookie, "Origin": lab.url}, revoke) == WITHDRAWN

    browser, other = Browser(lab), Browser(lab)
    log_out = partial(browser.client.post, "/logout", headers={"X-CSRF-Token": browser.csrf})
    assert closed({"Cookie": browser.cookie, "Origin": lab.url}, log_out) == WITHDRAWN
    assert other.client.get("/api/v1/lab").status_code == 200


@pytest.mark.parametrize("path", ["events?follow=true", "devices/dut/parts?follow=true"])
def test_a_stream_of_lines_ends_with_what_it_came_by(lab: Running, dut: str, path: str) -> None:
    with (
        lab.client(token(lab, "viewer")) as client,
        client.stream("GET", f"/api/v1/{path}") as answer,
    ):
        lines = answer.iter_lines()
        assert "error" not in json.loads(next(lines))
        revoke_token(lab, "viewer")
        last = [json.loads(line) for line in lines][-1]
    assert last["error"]["status"] == 401
    assert last["error"]["detail"] == "its token was revoked, or its session has ended"


def test_work_ends_with_the_token_that_asked_for_it(lab: Running, native: None) -> None:
    secret = token(lab, "operator")
    lines = {"Accept": "application/x-ndjson"}
    body = {"app": "nothing", "timeout": 600}
    with (
        lab.client(secret) as client,
        client.stream("POST", "/api/v1/devices/dut/wait", json=body, headers=lines) as answer,
    ):
        revoke_token(lab, "operator")
        last = json.loads(list(answer.iter_lines())[-1])
    assert last["error"]["status"] == 401


SECRET = "correct horse battery staple"


def test_a_secret_is_told_to_administrators_alone_and_nowhere_written_down(lab: Running) -> None:
    value = lab.folder / "value"
    value.write_text(f"{SECRET}\n")
    lab.cli("secret", "set", "wifi", "--file", str(value))
    assert lab.cli("secret", "get", "wifi") == f"{SECRET}\n"
    assert [row["name"] for row in lab.cli("secret", "list", "--json")["secrets"]] == ["wifi"]
    with lab.client(token(lab, "operator")) as client:
        for method, path in (("GET", ""), ("GET", "/wifi"), ("PUT", "/wifi"), ("DELETE", "/wifi")):
            answer = client.request(method, f"/api/v1/secrets{path}", json={"value": "x"})
            problem(answer, 403)
    with lab.client() as client:
        for wrong in (SECRET + "\ud800", [SECRET], SECRET * 5000):
            body = {"content": json.dumps({"value": wrong}), "headers": {"Content-Type": "application/json"}}
            assert SECRET not in problem(client.put("/api/v1/secrets/wifi", **body), 422)["detail"]
    rows = lab.cli("audit", "--target", "wifi", "--result", "done", "--json")["rows"]
    assert [row["action"] for row in rows] == ["show_secret", "set_secret"]
    lab.cli("secret", "remove", "wifi")
    assert lab.cli("secret", "get", "wifi", check=False).returncode == 2
    written = [file for file in lab.home.rglob("*") if file.is_file()]
    assert not [file for file in written if SECRET.encode() in file.read_bytes()]


def test_a_secret_is_returned_encrypted_to_whom_it_is_for(lab: Running) -> None:
    value = lab.folder / "value"
    value.write_text(f"{SECRET}\n")
    lab.cli("cert", "issue", "keeper")
    lab.cli("secret", "set", "wifi", "--file", str(value))
    identity = lab.home / "pki" / "devices" / "keeper"
    sealed = lab.folder / "sealed"
    sealed.write_text(lab.cli("secret", "get", "wifi", "--for", f"{identity}.pem"))
    assert SECRET not in sealed.read_text()
    assert lab.cli("secret", "open", str(sealed), "--key", f"{identity}.key") == f"{SECRET}\n"
    own = lab.home / "publisher.pem"
    assert lab.cli("secret", "open", str(sealed), "--key", str(own), check=False).returncode == 1
    lab.cli("secret", "remove", "wifi")


def test_who_trusts_a_publisher_is_written_down(lab: Running) -> None:
    lab.cli("publisher", "new", str(lab.folder / "acme.pem"))
    public = str(lab.folder / "acme.pub.pem")
    lab.cli("publisher", "trust", "acme", public)
    assert "acme" in [row["name"] for row in lab.cli("publisher", "list", "--json")["publishers"]]
    with lab.client(token(lab, "operator")) as client:
        body = {"public_key": Path(public).read_text()}
        problem(client.put("/api/v1/publishers/evil", json=body), 403)
        problem(client.delete("/api/v1/publishers/acme"), 403)
    with lab.client() as client:
        problem(client.put("/api/v1/publishers/acme", json={"public_key": "none"}), 422)
    lab.cli("publisher", "distrust", "acme")
    assert lab.cli("publisher", "distrust", "acme", check=False).returncode == 2
    rows = lab.cli("audit", "--target", "acme", "--json")["rows"]
    assert [(row["action"], row["result"]) for row in rows if row["result"] != "begun"] == [
        ("distrust_publisher", "failed"),
        ("distrust_publisher", "done"),
        ("trust_publisher", "failed"),
        ("distrust_publisher", "refused"),
        ("trust_publisher", "done"),
    ]
    assert rows[-1]["detail"]["public_key"] == Path(public).read_text()


# -- what


@pytest.mark.parametrize(
    "path",
    [
        "/static/../pages.py",
        "/static/%2e%2e/pages.py",
        "/static/..%2fpages.py",
        "/vendor/..%2f..%2fthird_party.toml",
        "/vendor/third_party.toml",
        "/api/v1/templates/..%2f..%2f/c",
        "/api/v1/devices/..%2f..%2fetc%2fpasswd",
        "/api/v1/templates/hello/c?name=..",
    ],
)
def test_paths_lead_nowhere_else(lab: Running, path: str) -> None:
    host, port = "127.0.0.1", lab.address["port"]
    with socket.create_connection((host, port)) as connection:  # as no client would write it
        request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
        request += f"Authorization: Bearer {lab.address['token']}\r\n\r\n"
        connection.sendall(request.encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.split(b" ")[1] in (b"404", b"422"), answer[:200]
    assert b"uplot" not in answer.lower()


@pytest.mark.parametrize("name", ["../escape.c", "/etc/escape", "a/../../escape", "a\\b", ""])
def test_sources_stay_in_their_folder(lab: Running, name: str) -> None:
    with lab.client() as client:
        problem(client.post("/api/v1/compile", json={"files": {name: "x"}}), 422)


def test_too_large_a_body_is_refused(lab: Running, dut: str) -> None:
    with lab.client() as client:
        problem(client.post("/api/v1/compile", content=b" " * (2 << 20)), 413)
        raw = {"Content-Type": "application/octet-stream"}
        problem(client.post("/api/v1/deployments?name=x", content=b"\0" * (9 << 20), headers=raw), 413)

        def endless() -> Any:  # no Content-Length: counted as it comes
            for _ in range(40):
                yield b"\0" * (1 << 18)

        problem(client.post("/api/v1/deployments?name=x", content=endless(), headers=raw), 413)
        problem(client.post("/api/v1/compile", content=endless()), 413)


def test_unknown_things_are_not_found(lab: Running) -> None:
    with lab.client() as client:
        assert problem(client.get("/api/v1/devices/nobody"), 404)["exit_code"] == 2
        problem(client.get("/api/v1/nothing"), 404)
        problem(client.put("/api/v1/devices"), 405)


@pytest.mark.parametrize(
    "line",
    [
        "deploy /etc/passwd",
        "ps; id",
        "ps && id",
        "up --serial /dev/ttyS0",
        "sensor dut --profile /etc/passwd",
        "panel",
        "token create x",
        "-v ps",
        "$(id)",
    ],
)
def test_the_terminal_refuses_what_is_not_listed(lab: Running, dut: str, line: str) -> None:
    with lab.client() as client:
        answer = client.post("/api/v1/terminal", json={"line": line})
    # "ps; id" is words, not two commands: `lab ps` is given what it does not know.
    if answer.status_code == 200:
        assert answer.json()["exit_code"] == 2
        assert "uid=" not in answer.text
    else:
        problem(answer, 422)


def test_the_terminal_runs_what_is_listed(lab: Running, dut: str) -> None:
    with lab.client() as client:
        answer = client.post("/api/v1/terminal", json={"line": "lab ps"}).json()
    assert answer["exit_code"] == 0
    assert dut in answer["output"]


def test_a_key_makes_a_repetition_harmless(lab: Running) -> None:
    with lab.client() as client:
        client.delete("/api/v1/tokens/once")
        key = {"Idempotency-Key": "make-once"}
        body = {"name": "once", "role": "viewer"}
        first = client.post("/api/v1/tokens", json=body, headers=key)
        again = client.post("/api/v1/tokens", json=body, headers=key)
        assert first.status_code == again.status_code == 201
        assert first.json() == again.json()
        other = client.post("/api/v1/tokens", json={**body, "role": "admin"}, headers=key)
        assert "another body" in problem(other, 422)["detail"]
        problem(client.post("/api/v1/tokens", json=body), 422)  # without the key it is a second one


def test_a_key_answers_nobody_whose_token_is_revoked(lab: Running) -> None:
    with lab.client(token(lab, "operator")) as client:
        key = {"Idempotency-Key": "link"}
        first = client.post("/api/v1/session/links", headers=key)
        assert client.post("/api/v1/session/links", headers=key).json() == first.json()
        revoke_token(lab, "operator")
        problem(client.post("/api/v1/session/links", headers=key), 401)


def test_a_key_boots_a_board_once(lab: Running, native: None) -> None:
    body = {"board": "native"}
    with lab.client() as client:
        before = len(client.get("/api/v1/devices").json()["devices"])
        key = {"Idempotency-Key": "boot"}
        first, again = (client.post("/api/v1/devices", json=body, headers=key) for _ in range(2))
        assert first.status_code == again.status_code == 200, first.text
        assert first.json() == again.json()
        [device] = first.json()["devices"]
        assert len(client.get("/api/v1/devices").json()["devices"]) == before + 1
        client.delete(f"/api/v1/devices/{device['id']}?forget=true")


def test_devices_come_in_pages(lab: Running, native: None) -> None:
    lab.cli("up", "--board", "native", "--name", "page", "--count", "3")
    with lab.client() as client:
        everything = [each["id"] for each in client.get("/api/v1/devices").json()["devices"]]
        seen: list[str] = []
        after: str | None = ""
        while after is not None:
            answer = client.get("/api/v1/devices", params={"limit": 2, "after": after}).json()
            assert len(answer["devices"]) <= 2
            seen += [each["id"] for each in answer["devices"]]
            after = answer["next"]
    assert seen == everything
    lab.cli("down", "page-1", "page-2", "page-3", "--forget")


def test_what_is_long_is_compressed_and_pages_are_not(lab: Running) -> None:
    with lab.client() as client:
        data = client.get("/api/v1/openapi.json")
        assert data.headers["content-encoding"] == "gzip"
        assert data.json()["openapi"].startswith("3.")
        plain = client.get("/api/v1/openapi.json", headers={"Accept-Encoding": "identity"})
        assert "content-encoding" not in plain.headers
        assert plain.json() == data.json()
    page = Browser(lab).client.get("/")
    assert "content-encoding" not in page.headers


# -- what happens


async def _frames(lab: Running, query: str, until: Any) -> list[dict[str, Any]]:
    url = f"{lab.url.replace('http', 'ws')}/api/v1/stream?{query}"
    headers = {"Authorization": f"Bearer {lab.address['token']}"}
    found: list[dict[str, Any]] = []
    async with (
        asyncio.timeout(PATIENCE / 1000),
        websockets.connect(url, additional_headers=headers) as socket,
    ):
        async for message in socket:
            found += json.loads(message)
            if until(found):
                return found
    raise AssertionError("the stream ended")


def test_the_stream_goes_on_where_it_was_left(lab: Running, dut: str) -> None:
    def events(frames: list[dict[str, Any]]) -> list[int]:
        return [frame["event"]["sequence"] for frame in frames if "event" in frame]

    whole = events(asyncio.run(_frames(lab, "since=0", lambda frames: len(events(frames)) >= 4)))
    assert whole == sorted(set(whole))
    rest = events(asyncio.run(_frames(lab, f"since={whole[1]}", lambda frames: len(events(frames)) >= 2)))
    assert rest[:2] == whole[2:4]


def test_a_change_of_a_part_comes_without_asking(lab: Running, dut: str) -> None:
    def temperature(frames: list[dict[str, Any]]) -> float | None:
        found = [frame["parts"] for frame in frames if "parts" in frame]
        return found[-1]["parts"]["dht22"]["quantities"]["temperature"] if found else None

    async def change() -> list[dict[str, Any]]:
        changed = False

        def seen(frames: list[dict[str, Any]]) -> bool:
            nonlocal changed
            if temperature(frames) is not None and not changed:
                changed = True
                with lab.client() as client:
                    client.post(f"/api/v1/devices/{dut}/parts", json={"set": [["dht22.temperature", "33"]]})
            return temperature(frames) == 33

        return await _frames(lab, f"watch={dut}", seen)

    assert temperature(asyncio.run(change())) == 33


def test_one_id_from_the_request_to_the_devices_answer(lab: Running, dut: str, tmp_path: Path) -> None:
    module = lab.folder / "hello"
    lab.cli("new", str(module), "--template", "hello", "--lang", "wat")
    lab.cli("compile", str(module), "-o", str(tmp_path / "hello.wasm"))
    with lab.client() as client:
        answer = client.post(
            f"/api/v1/deployments?name=hello&to={dut}",
            content=(tmp_path / "hello.wasm").read_bytes(),
            headers={"X-Request-Id": "deploy-42", "Content-Type": "application/octet-stream"},
        )
        assert answer.status_code == 200
        assert answer.headers["x-request-id"] == "deploy-42"
        lines = client.get("/api/v1/logs", params={"request": "deploy-42"}).json()["lines"]
    components = {line["component"] for line in lines}
    assert {"api", "gateway"} <= components
    asked = {line["fields"].get("asked") for line in lines if line["text"] == "device answered"}
    assert {"deploybegin", "deployend"} <= asked
    assert {line["device"] for line in lines if line["component"] == "gateway"} == {dut}


def test_who_only_looks_is_not_in_the_audit_log(lab: Running, dut: str) -> None:
    asyncio.run(_frames(lab, "since=0", lambda frames: len(frames) > 1))
    with lab.client() as client:
        client.get(f"/api/v1/devices/{dut}")
        rows = client.get("/api/v1/audit?limit=1000").json()["rows"]
    assert {"stream", "show_device"}.isdisjoint({row["action"] for row in rows})
    assert "boot_devices" in {row["action"] for row in rows}


def test_reports_are_in_the_logs_for_who_looks_for_them(lab: Running, dut: str) -> None:
    lab.cli("gateway", "--heartbeat", "0.2")
    beat = '"device.heartbeat"'
    asyncio.run(_frames(lab, "", lambda frames: beat in json.dumps(frames)))
    lab.cli("gateway", "--heartbeat", "30")
    with lab.client() as client:
        plain = client.get("/api/v1/logs", params={"device": dut}).json()["lines"]
        found = client.get("/api/v1/logs", params={"device": dut, "text": "frames_dropped"}).json()["lines"]
    assert "device.heartbeat" not in {line["kind"] for line in plain}
    assert "device.connected" in {line["kind"] for line in plain}
    assert {line["kind"] for line in found} == {"device.heartbeat"}


def test_metrics_move_with_the_load(lab: Running, dut: str) -> None:
    def value(text: str, start: str) -> float:
        return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(start))

    with lab.client() as client:
        before = client.get("/metrics").text
        for _ in range(5):
            client.get("/api/v1/gateway")
        after = client.get("/metrics").text
    counter = 'lab_api_requests_total{method="GET",route="/gateway"'
    assert value(after, counter) - value(before, counter) == 5
    assert value(after, 'lab_devices{state="connected"}') >= 1
    assert "{device}" not in after or f"/devices/{dut}" not in after  # routes, not paths


def test_a_revoked_device_is_cut_off_at_once(lab: Running, native: None) -> None:
    lab.cli("up", "--board", "native", "--name", "traitor")
    with lab.client() as client:
        assert client.get("/api/v1/devices/traitor").json()["state"] == "connected"
        sequence = client.get("/api/v1/logs?limit=1").json()["lines"][0]["sequence"]
        assert client.delete("/api/v1/certificates/traitor").json()["revoked"]
        assert client.get("/api/v1/devices/traitor").json()["state"] == "disconnected"

    def refused(frames: list[dict[str, Any]]) -> bool:
        return any(
            "was revoked" in frame["event"]["data"].get("reason", "")
            for frame in frames
            if "event" in frame and frame["event"]["kind"] == "gateway.refused"
        )

    asyncio.run(_frames(lab, f"since={sequence}", refused))
    lab.cli("down", "traitor")
    again = lab.cli("up", "--board", "native", "--name", "traitor", check=False)
    assert again.returncode == 1
    assert "lab cert issue traitor" in again.stderr
    lab.cli("cert", "issue", "traitor")
    lab.cli("up", "--board", "native", "--name", "traitor")
    lab.cli("down", "traitor", "--forget")


# -- beyond loopback


def test_beyond_loopback_takes_tls_and_a_token(lab: Running, tmp_path: Path) -> None:
    for each in lab.cli("token", "list", "--json")["tokens"]:
        revoke_token(lab, each["name"])
    bare = lab.cli("panel", "--no-open", "--listen", "0.0.0.0:0", check=False)
    assert bare.returncode == 2
    assert "without TLS" in bare.stderr
    certificate, key = tmp_path / "tls.pem", tmp_path / "tls.key"
    subprocess.run(
        f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=lab -days 2 "
        f"-keyout {key} -out {certificate}",
        shell=True,
        check=True,
        capture_output=True,
    )
    listen = ("--listen", "0.0.0.0:0", "--tls-certificate", str(certificate), "--tls-key", str(key))
    without = lab.cli("panel", "--no-open", *listen, check=False)
    assert without.returncode == 2
    assert "lab token create" in without.stderr
    secret = lab.cli("token", "create", "far", "--role", "viewer", "--json")["token"]
    port = lab.cli("panel", "--no-open", *listen, "--json")["listener"]["port"]
    same = ("--listen", f"0.0.0.0:{port}", *listen[2:])
    for _ in range(2):  # as the documentation says, for another browser or a new certificate
        assert lab.cli("panel", "--no-open", *same, "--json")["listener"]["port"] == port
    context = ssl._create_unverified_context()
    with httpx.Client(base_url=f"https://127.0.0.1:{port}", verify=context, timeout=60) as client:
        assert client.get("/api/v1/lab").status_code == 401
        answer = client.get("/api/v1/lab", headers={"Authorization": f"Bearer {secret}"})
        assert answer.status_code == 200
        login = client.post("/login", data={"token": secret})
        assert "secure" in login.headers["set-cookie"].lower()
    lab.cli("panel", "--no-open", "--no-listen")
    with pytest.raises(httpx.TransportError), httpx.Client(verify=context) as client:
        client.get(f"https://127.0.0.1:{port}/health")


def test_what_is_closed_at_once_does_not_listen_later(lab: Running) -> None:
    with lab.client() as client:
        wanted = {"host": "127.0.0.1", "port": 0}
        for _ in range(3):
            answer = client.put("/api/v1/listener", json=wanted)
            assert answer.status_code == 200
            wanted = answer.json()
        assert client.delete("/api/v1/listener").status_code == 200
    with pytest.raises(httpx.TransportError), httpx.Client() as client:
        client.get(f"http://127.0.0.1:{wanted['port']}/health")


# Last: so many wrong tokens are throttled for a while.
def test_without_a_token_nothing_is_told(lab: Running) -> None:
    with lab.stranger() as client:
        for path, methods in client.get("/api/v1/openapi.json").json()["paths"].items():
            if path in ("/health", "/ready"):
                continue
            for method in methods:
                answer = client.request(method, path.replace("{", "").replace("}", ""))
                assert answer.status_code in (401, 429), (method, path, answer.text)
