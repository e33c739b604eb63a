"""The panel as its user sees it: a lab started from the command line, and a browser in front of it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

from robot.api.deco import keyword, library
from robot.libraries.BuiltIn import BuiltIn

from lab.testing.robot import rgb

LAB = str(Path(sys.executable).with_name("lab"))
SOON = timedelta(seconds=30)


@library(scope="SUITE", auto_keywords=False)
class PanelLibrary:
    """A lab of the suite's own, and Chromium."""

    ROBOT_LISTENER_API_VERSION = 3

    def __init__(self) -> None:
        self.ROBOT_LIBRARY_LISTENER = self
        self._temporary = tempfile.TemporaryDirectory(prefix="lab-panel-")
        self._home = Path(self._temporary.name) / ".lab"
        self._playwright: Any = None
        self._page: Any = None

    def end_suite(self, data: object, outcome: object) -> None:
        """Close the browser and end the lab."""
        if self._playwright is not None:
            self._page.context.browser.close()
            self._playwright.stop()
        if self._home.exists():
            self._lab("down")
        self._temporary.cleanup()

    def end_test(self, data: object, outcome: Any) -> None:
        """Keep what a failed test's page looked like."""
        if outcome.failed and self._page is not None:
            folder = Path(str(BuiltIn().get_variable_value("${OUTPUT DIR}")))
            self._page.screenshot(path=folder / f"{outcome.name}.png", full_page=True)

    @keyword
    def run_lab(self, *arguments: str) -> str:
        """Runs a `lab` command, which must succeed, and returns what it prints."""
        done = self._lab(*arguments)
        if done.returncode != 0:
            raise AssertionError(f"lab {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout

    @keyword
    def open_panel(self) -> None:
        """Opens the panel in a browser, logged in. Skips the suite where there is no Chromium."""
        where = shutil.which("chromium") or shutil.which("chromium-browser")
        if where is None:
            BuiltIn().skip("Chromium is not installed: apt-get install chromium")
        from playwright.sync_api import sync_playwright

        url = json.loads(self.run_lab("panel", "--no-open", "--json"))["url"]
        self._playwright = sync_playwright().start()
        browser = self._playwright.chromium.launch(executable_path=where, args=["--no-sandbox"])
        self._page = browser.new_page(viewport={"width": 1280, "height": 900})
        self._page.goto(url)
        self._base = re.sub(r"^(https?://[^/]+).*", r"\1", url)

    @keyword
    def go_to(self, path: str) -> None:
        """Opens a page of the panel: `/`, `/devices/ID`, `/logs`, …"""
        self._page.goto(self._base + path)

    @keyword
    def page_should_show(self, text: str, where: str = "body", timeout: timedelta = SOON) -> None:
        """Waits until the page, or an element of it, shows a text."""
        self._expect(where).to_contain_text(text, timeout=_ms(timeout))

    @keyword
    def move_slider(self, quantity: str, value: str) -> None:
        """Moves the slider of a sensor: `dht22.temperature  31.5`."""
        slider = self._page.locator(f"[data-quantity='{quantity}']")
        slider.focus()
        slider.fill(value)

    @keyword
    def led_on_the_page_should_be(self, led: int, colour: str, timeout: timedelta = SOON) -> None:
        """Waits until an LED of the board's picture has a colour."""
        wanted = "rgb({}, {}, {})".format(*rgb(colour))
        self._expect(f"#board [data-led='{led}']").to_have_attribute(
            "data-colour", wanted, timeout=_ms(timeout)
        )

    def _expect(self, where: str) -> Any:
        from playwright.sync_api import expect

        return expect(self._page.locator(where))

    def _lab(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [LAB, *arguments],
            env={**os.environ, "LAB_HOME": str(self._home), "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            check=False,
        )


def _ms(time: timedelta) -> float:
    return time.total_seconds() * 1000
