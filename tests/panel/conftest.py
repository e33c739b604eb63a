"""A lab of its own, its API over HTTP, and a browser that is logged in to its panel."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

LAB = Path(sys.executable).with_name("lab")
ARTIFACTS = Path(__file__).parents[2] / "build" / "panel"
PATIENCE = 120_000
"""Milliseconds that a page has to show what is expected: enough to end only what hangs."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Keep what a failed test's page looked like."""
    report = yield
    page = getattr(item, "funcargs", {}).get("page")
    if report.when == "call" and report.failed and page is not None:
        page.screenshot(path=ARTIFACTS / f"failed-{item.name}.png", full_page=True)
    return report


class Running:
    """A daemon in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / ".lab"

    def cli(self, *arguments: str, check: bool = True, timeout: float = 180) -> Any:
        done = subprocess.run(
            [LAB, *arguments],
            cwd=self.folder,
            env={**os.environ, "LAB_HOME": str(self.home), "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check:
            assert done.returncode == 0, f"lab {' '.join(arguments)}: {done.stdout}{done.stderr}"
            return json.loads(done.stdout) if "--json" in arguments else done.stdout
        return done

    @property
    def address(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.home / "daemon.json").read_text())
        return found

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.address['port']}"

    def client(self, token: str | None = None, **options: Any) -> httpx.Client:
        bearer = self.address["token"] if token is None else token
        return self.stranger(headers={"Authorization": f"Bearer {bearer}"}, **options)

    def stranger(self, **options: Any) -> httpx.Client:
        """Return a client of whom the lab knows nothing."""
        return httpx.Client(base_url=self.url, timeout=PATIENCE / 1000, **options)

    def login(self) -> str:
        """Return an address that begins a session, as `lab panel` does; it starts the lab if need be."""
        return str(self.cli("panel", "--no-open", "--json")["url"])

    def link(self) -> str:
        """Return such an address of the lab that runs."""
        with self.client() as client:
            return f"{self.url}{client.post('/api/v1/session/links').json()['path']}"

    def deploy(self, device: str, name: str, module: Path, *, confirmed: bool = False) -> None:
        """Have a development board run an unsigned module as the app `name`, on trial or `confirmed`."""
        with self.client() as client:
            where = {"name": name, "to": device, "confirmed": confirmed}
            answer = client.post("/api/v1/deployments", params=where, content=module.read_bytes())
            assert answer.status_code == 200, answer.text
        [app] = answer.json()["apps"]
        assert app["state"] in (("running",) if confirmed else ("running", "trial")), app

    def set(self, device: str, **parts: object) -> None:
        """Set parts of a device: `dht22_temperature=22`."""
        names = [(name.replace("_", ".", 1), str(value)) for name, value in parts.items()]
        with self.client() as client:
            answer = client.post(f"/api/v1/devices/{device}/parts", json={"set": names})
            assert answer.status_code == 200, answer.text


def expect(thing: Any) -> Any:
    from playwright.sync_api import expect as playwright_expect

    return playwright_expect(thing)


def drop(page: Any, file: Path) -> None:
    """Drag a file from outside onto a board's page."""
    transfer = page.evaluate_handle(
        """([name, bytes]) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(bytes)], name));
            return transfer;
        }""",
        [file.name, list(file.read_bytes())],
    )
    for event in ("dragover", "drop"):
        page.dispatch_event("#drop", event, {"dataTransfer": transfer})


def begun(page: Any, button: str) -> Any:
    """Press a button that starts a rollout; return its card."""
    with page.expect_response(
        lambda answer: answer.url.endswith("/api/v1/rollouts") and answer.request.method == "POST"
    ) as answer:
        page.get_by_role("button", name=button, exact=True).click()
    return page.locator(f"[data-rollout='{answer.value.json()['id']}']")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(tmp_path_factory.mktemp("lab"))
    running.login()
    yield running
    running.cli("down", check=False)


@pytest.fixture(scope="session")
def native() -> None:
    from lab import build
    from lab.errors import MissingError

    try:
        build.build("native")
    except MissingError as error:
        pytest.skip(f"no native firmware: {error.message}")


@pytest.fixture(scope="session")
def qemu() -> None:
    if shutil.which("qemu-system-arm") is None:
        pytest.skip("qemu-system-arm is not installed: apt-get install qemu-system-arm")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser, for one module: until it is closed, Playwright's event loop counts as running here."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    where = shutil.which("chromium") or shutil.which("chromium-browser")
    if where is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    with sync_api.sync_playwright() as playwright:
        sync_api.expect.set_options(timeout=PATIENCE)
        browser = playwright.chromium.launch(executable_path=where, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(lab: Running, chromium: Any) -> Iterator[Any]:
    """A page that is logged in, and fails the test if a script failed or the policy was broken."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, base_url=lab.url)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "console",
        lambda message: wrong.append(message.text) if "Content Security Policy" in message.text else None,
    )
    context.request.get(lab.link())  # its cookie is the context's
    yield page
    context.close()
    assert not wrong, wrong
