"""The panel in a real browser, over real boards in QEMU."""

from __future__ import annotations

import os
import re
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.panel.conftest import ARTIFACTS, PATIENCE, Running, begun, drop, expect

pytestmark = [pytest.mark.hil, pytest.mark.qemu]

RED = "rgb(255, 0, 0)"
PAGES = {
    "fleet": "/",
    "board": "/devices/first-1",
    "apps": "/apps",
    "wizard": "/wizard",
    "rollouts": "/rollouts",
    "monitoring": "/monitoring",
    "logs": "/logs",
    "terminal": "/terminal",
    "settings": "/settings",
    "welcome": "/welcome",
}
ATTACK = "<img src=x onerror=window.stolen=1>"
# An app that logs and publishes markup, and lights nothing.
HOSTILE = f"""
(module
  (import "lab:device/log@0.1.0" "write" (func $log (param i32 i32 i32)))
  (import "lab:device/publish@0.1.0" "send" (func $send (param i32 i32 i32 i32)))
  (memory (export "memory") 1)
  (global (export "__heap_base") i32 (i32.const 1024))
  (global (export "__data_end") i32 (i32.const 1024))
  (data (i32.const 0) "{ATTACK}")
  (func (export "init") (result i32)
    (call $log (i32.const 2) (i32.const 0) (i32.const {len(ATTACK)}))
    (call $send (i32.const 0) (i32.const {len(ATTACK)}) (i32.const 0) (i32.const {len(ATTACK)}))
    (i32.const 0)))
"""


@pytest.fixture(scope="module", autouse=True)
def boards(lab: Running, qemu: None) -> None:
    """Two boards, of which a test may change what it likes: none builds on what another has left."""
    lab.cli("build", "--board", "mps2-an385", timeout=600)
    lab.cli("gateway", "--heartbeat", "2")
    lab.cli("up", "--board", "mps2-an385", "--name", "first", "--count", "2", "--development")


@pytest.fixture(scope="module")
def alarm(lab: Running) -> Path:
    lab.cli("new", "climate", "--template", "alarm", "--lang", "c")
    target = lab.folder / "climate.wasm"
    lab.cli("compile", "climate", "-o", str(target))
    return target


def led(page: Any, number: int) -> Any:
    return page.locator(f"#board [data-led='{number}']")


def test_boards_are_booted_by_name(page: Any, lab: Running) -> None:
    page.goto("/")
    page.get_by_role("button", name="Boot boards").click()
    page.get_by_label("Name (optional)").fill("third")
    page.get_by_label("How many").fill("2")
    page.get_by_role("button", name="Boot", exact=True).click()
    for name in ("third-1", "third-2"):
        expect(page.locator(f"[data-device='{name}'] .state")).to_have_text("connected")
    lab.cli("down", "third-1", "third-2", "--forget")
    expect(page.locator("[data-device^='third']")).to_have_count(0)


def test_heat_turns_led_1_red(page: Any, lab: Running, alarm: Path) -> None:
    lab.set("first-1", dht22_temperature=22)
    page.goto("/devices/first-1")
    expect(page.locator("#state")).to_have_text("connected")
    drop(page, alarm)
    expect(page.locator("#drop-status")).to_contain_text("climate runs")
    expect(page.locator("#apps")).to_contain_text("climate")
    expect(led(page, 1)).to_have_attribute("data-colour", "rgb(0, 255, 0)")
    slider = page.locator("[data-quantity='dht22.temperature']")
    slider.focus()
    slider.fill("31.5")
    expect(led(page, 1)).to_have_attribute("data-colour", RED)
    expect(page.locator("#board svg title")).to_contain_text("3 beeps")
    expect(page.locator("#timeline")).to_contain_text("the room is too hot")
    expect(page.locator("#console")).to_contain_text("the room is too hot")
    expect(page.locator("#apps .meter")).to_contain_text(re.compile(r"^[\d,]+ of 1,000,000"))
    page.screenshot(path=ARTIFACTS / "alarm.png", full_page=True)


def test_a_page_begins_with_the_last_minutes(page: Any, lab: Running, alarm: Path) -> None:
    """What was set and what was reported before it was opened, and then goes on."""
    lab.deploy("first-1", "climate", alarm)

    def course(name: str) -> list[float]:
        return [value for _, value in history["quantities"].get(name, ())]

    with lab.client() as client:
        for value in (1013.25, 990):  # the second is set when the first has been seen
            lab.set("first-1", bme680_pressure=value)
            history: dict[str, Any] = {"quantities": {}, "events": []}
            kinds: set[str] = set()
            while course("bme680.pressure")[-1:] != [value] or not kinds >= {"device.heartbeat", "app.use"}:
                page.wait_for_timeout(100)
                history = client.get("/api/v1/devices/first-1/history").json()
                kinds = {event["kind"] for event in history["events"]}
    assert set(course("bme680.pressure")) == {1013.25, 990}
    opened = page.evaluate("Date.now()")
    page.goto("/devices/first-1")
    for name in ("bme680 pressure", "free app memory", "climate instructions"):
        curve = page.locator(f"#plots .uplot[aria-label^='{name}']")
        expect(curve).to_be_visible()
        assert float(curve.get_attribute("data-since")) * 1000 < opened
    until = curve.get_attribute("data-until")
    expect(curve).not_to_have_attribute("data-until", until)  # it goes on


def test_a_fault_reaches_the_app(page: Any, lab: Running, alarm: Path) -> None:
    lab.deploy("first-1", "climate", alarm)
    page.goto("/devices/first-1")
    expect(led(page, 1)).not_to_have_attribute("data-colour", "off")
    page.get_by_label("Fault of dht22").select_option("unplugged")
    expect(led(page, 1)).to_have_attribute("data-colour", "off")
    page.get_by_label("Fault of dht22").select_option("none")
    expect(led(page, 1)).not_to_have_attribute("data-colour", "off")


def test_the_console_answers(page: Any) -> None:
    page.goto("/devices/first-1")
    expect(page.locator("#console")).to_contain_text("connected")
    page.get_by_label("Console input").fill("help")
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#console")).to_contain_text("reset")


def test_the_wizard_goes_from_a_template_to_a_board(page: Any) -> None:
    page.goto("/wizard")
    page.get_by_label("blinker").check()
    page.get_by_label("Name of the app").fill("blink")
    page.get_by_role("button", name="Continue").first.click()
    source = page.locator("#source")
    expect(source).to_have_value(re.compile("poll"))
    good = source.input_value()
    source.fill(good + "\nint broken(void) { return nonsense; }\n")
    page.get_by_role("button", name="Compile").click()
    error = page.locator(".diagnostics button").first
    expect(error).to_contain_text("nonsense")
    line = str(good.count("\n") + 2)
    expect(page.locator("#gutter b.error")).to_have_text([line])
    source.fill(good)
    page.get_by_role("button", name="Compile").click()
    expect(page.locator("#facts")).to_contain_text("led-controller")
    expect(page.locator("#facts")).to_contain_text(re.compile(r"Size[1-9]\d* B"))
    page.locator("#to-deploy").click()
    page.get_by_label("first-2").check()
    page.get_by_role("button", name="Deploy").click()
    expect(page.locator("#outcome")).to_contain_text("first-2")
    expect(page.locator("#outcome .state")).to_have_text(["running"])
    page.goto("/devices/first-2")
    expect(page.locator("#apps")).to_contain_text("blink")


@pytest.mark.parametrize(
    ("language", "tool", "right", "wrong"),
    [
        ("rust", "rustc", "fn poll", "nonsense!(); fn poll"),
        ("assemblyscript", "npm", "lit = !lit;", "lit = nonsense;"),
        ("wat", "sh", '(func (export "poll")', '(fnuc (export "poll")'),
    ],
)
def test_errors_are_shown_at_their_lines(page: Any, language: str, tool: str, right: str, wrong: str) -> None:
    if shutil.which(tool) is None:
        pytest.skip(f"no {tool}")
    page.goto("/wizard")
    page.get_by_label("blinker").check()
    page.get_by_label("Language").select_option(language)
    page.get_by_role("button", name="Continue").first.click()
    source = page.locator("#source")
    expect(source).to_have_value(re.compile(re.escape(right)))
    text = source.input_value()
    source.fill(text.replace(right, wrong))
    page.get_by_role("button", name="Compile").click()
    line = text[: text.index(right)].count("\n") + 1
    expect(page.locator("#gutter b.error").first).to_have_text(str(line))
    expect(page.locator(".diagnostics button").first).to_contain_text(f":{line}:")
    # The editor is there, with the line selected.
    expect(source).to_be_focused()
    at = source.evaluate("(area) => area.selectionStart")
    assert text[:at].count("\n") + 1 == line


def test_apps_are_stopped_and_started_where_they_run(page: Any, lab: Running, alarm: Path) -> None:
    lab.deploy("first-1", "goes", alarm)
    lab.deploy("first-2", "stays", alarm)
    page.goto("/apps")
    app = page.locator("[data-app='stays']")
    expect(app.locator("tbody .state")).to_have_text("running")
    expect(app.locator(".meter")).to_contain_text("of 1,000,000")
    app.get_by_role("button", name="Stop stays on first-2").click()
    expect(app.locator("tbody .state")).to_have_text("stopped")
    app.get_by_role("button", name="Start stays on first-2").click()
    expect(app.locator("tbody .state")).to_have_text("running")
    page.get_by_role("button", name="Stop goes on first-1").click()
    page.get_by_role("button", name="Remove goes on first-1").click()
    expect(page.locator("[data-app='goes']")).to_have_count(0)
    lab.cli("remove", "first-2", "stays")


def test_what_devices_and_compilers_say_is_only_text(page: Any, lab: Running) -> None:
    import wasmtime

    with lab.client() as client:  # nor can a device or an app be called so
        device = client.post("/api/v1/devices", json={"board": "mps2-an385", "name": ATTACK})
        app = client.post(
            "/api/v1/deployments", params={"name": ATTACK}, content=bytes(wasmtime.wat2wasm("(module)"))
        )
    assert {device.status_code, app.status_code} == {422}
    module = lab.folder / "hostile.wasm"
    module.write_bytes(bytes(wasmtime.wat2wasm(HOSTILE)))
    page.goto("/devices/first-2")
    drop(page, module)
    expect(page.locator("#timeline")).to_contain_text(ATTACK)
    page.goto("/logs?device=first-2")
    expect(page.locator("#lines")).to_contain_text(ATTACK)
    page.goto("/wizard")
    page.get_by_role("button", name="Continue").first.click()
    page.locator("#source").fill(f"#error {ATTACK}\n")
    page.get_by_role("button", name="Compile").click()
    expect(page.locator("#errors")).to_contain_text(ATTACK)
    page.goto(f"/devices/{'%3Cscript%3Ewindow.stolen=1%3C%2Fscript%3E'}")
    page.goto(f"/logs?text={'%22%3E%3Cscript%3Ewindow.stolen=1%3C%2Fscript%3E'}")
    page.goto("/terminal")
    page.get_by_label("lab", exact=True).fill(f"leds '{ATTACK}'")
    page.get_by_role("button", name="Run").click()
    expect(page.locator("#output")).to_contain_text(ATTACK)
    assert page.evaluate("window.stolen") is None
    assert page.locator("img[src=x]").count() == 0


def test_two_versions_go_out_and_are_compared(page: Any, lab: Running) -> None:
    modules = []
    for number in ("1", "2"):
        folder = lab.folder / f"wave-{number}"
        lab.cli("new", str(folder), "--template", "blinker", "--lang", "c")
        manifest = folder / "app.toml"
        text = manifest.read_text().replace(f'name = "wave-{number}"', 'name = "wave"')
        manifest.write_text(text.replace("0.1.0", f"0.{number}.0"))
        source = folder / "src" / "main.c"
        source.write_text(f"{source.read_text()}\nuint32_t version(void) {{ return {number}; }}\n")
        modules.append(folder / "wave.lab")
        lab.cli("sign", str(folder), "-o", str(modules[-1]))
    page.goto("/rollouts")
    with lab.client() as client:  # the first version is kept already, the second comes with the form
        kept = client.post("/api/v1/packages", content=modules[0].read_bytes()).json()
    page.get_by_role("button", name="Start a rollout").click()
    page.get_by_label("or a new one (.lab, .wasm)").set_input_files(modules[1])
    page.get_by_label("Compare with (A/B)").select_option(kept["id"])
    page.get_by_label("Canaries first").fill("0")
    rollout = begun(page, "Start")
    expect(rollout.locator("h2 .state")).to_have_text("done")
    expect(rollout.locator("tbody .state")).to_have_text(["confirmed"] * 2)
    expect(rollout.locator(".arm")).to_have_count(2)
    expect(rollout.locator(".arm").first).to_contain_text("100 %")
    page.screenshot(path=ARTIFACTS / "rollout.png", full_page=True)


def test_settings_take_effect_and_are_written_down(page: Any, lab: Running) -> None:
    lab.cli("up", "--board", "mps2-an385", "--name", "traitor")
    page.goto("/settings")
    page.get_by_label("Heartbeat, s").fill("1.5")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#gateway")).to_contain_text("1.5 s")
    page.get_by_label("Name", exact=True).fill("guest")
    page.get_by_role("button", name="Make token").click()
    expect(page.locator("#token-made")).to_contain_text("not shown again")
    secret = page.locator("#token-made code").inner_text()
    with lab.client(secret) as guest:
        assert guest.get("/api/v1/session").json()["role"] == "viewer"
        page.get_by_role("button", name="Revoke guest").click()
        expect(page.locator("#tokens")).not_to_contain_text("guest")
        assert guest.get("/api/v1/session").status_code == 401
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Revoke the certificate of traitor").click()
    expect(page.locator("#certificates")).to_contain_text("revoked")
    with lab.client() as client:
        state = client.get("/api/v1/devices/traitor").json()["state"]
    assert state in ("disconnected", "unreachable")  # the latter if it had been silent before
    page.get_by_role("button", name="Issue anew the certificate of traitor").click()
    expect(page.locator("#certificates")).not_to_contain_text("revoked")
    page.reload()
    for words in ("set gateway", "make token", "revoke certificate", "issue certificate"):
        expect(page.locator("#audit")).to_contain_text(words)
    lab.cli("down", "traitor", "--forget")  # it would have the new one at its next power-on only


def test_what_a_viewer_may_not_do_is_not_offered(chromium: Any, lab: Running) -> None:
    token = lab.cli("token", "create", "looker", "--role", "viewer", "--json")["token"]
    context = chromium.new_context(base_url=lab.url)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.goto("/login")
    page.get_by_label("Or give a token").fill(token)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/")
    assert token not in page.url
    expect(page.locator("[data-device='first-1']")).to_be_visible()
    expect(page.get_by_role("button", name="Boot boards")).to_have_count(0)
    page.goto("/devices/first-1")
    expect(page.locator("[data-quantity='dht22.temperature']")).to_be_disabled()
    assert context.cookies()[0]["httpOnly"]
    assert context.cookies()[0]["sameSite"] == "Strict"
    assert page.evaluate("document.cookie") == ""
    context.close()


@pytest.mark.parametrize("width", [1280, 360])
def test_everyone_can_use_every_page(chromium: Any, lab: Running, width: int) -> None:
    """axe finds no breach of WCAG 2 A or AA in either theme, and nothing is wider than the screen."""
    from lab.errors import LabError
    from lab.panel import vendor

    try:
        axe = vendor.fetch("axe") / "axe.min.js"
    except LabError as error:
        pytest.skip(error.message)
    context = chromium.new_context(
        viewport={"width": width, "height": 900}, base_url=lab.url, bypass_csp=True, reduced_motion="reduce"
    )
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.goto("/login")
    found = _breaches(page, axe, "login", width)
    context.request.get(lab.link())
    for name, path in PAGES.items():
        page.goto(path)
        expect(page.locator("#live")).to_have_text("live")
        expect(page.locator("[aria-busy=true]")).to_have_count(0)
        found += _breaches(page, axe, name, width)
    context.close()
    assert not found, "\n".join(found)


def _breaches(page: Any, axe: Path, name: str, width: int) -> list[str]:
    """Look at a page in both themes, and keep its pictures."""
    page.add_script_tag(path=str(axe))
    found = []
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        result = page.evaluate(
            "axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa']})"
            ".then((result) => result.violations)"
        )
        found += [
            f"{name}, {theme}: {each['id']}: {node['html'][:120]}"
            for each in result
            for node in each["nodes"]
        ]
        page.screenshot(path=ARTIFACTS / f"{name}-{width}-{theme}.png", full_page=True)
    if page.evaluate("document.documentElement.scrollWidth") > width:
        found.append(f"{name}: wider than {width} px")
    return found


def test_a_keyboard_reaches_everything(page: Any) -> None:
    page.goto("/devices/first-1")
    expect(page.locator("[data-quantity='dht22.temperature']")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Skip to content")
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    expect(page.locator("#set-fault")).to_be_enabled()
    wanted = {"pause", "reset", "off", "dht22.temperature", "module", "console-line", "timeline"}
    wanted |= {"fault", "fault-for", "set-fault", "snapshot-name", "save-snapshot"}
    reached = set()
    for _ in range(150):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate(
                "document.activeElement.id || document.activeElement.dataset.quantity"
                " || document.activeElement.textContent"
            )
        )
        if wanted <= reached:
            break
    assert wanted <= reached, wanted - reached


def test_a_dead_emulator_raises_an_alert(page: Any, lab: Running, alarm: Path) -> None:
    lab.deploy("first-2", "lives", alarm, confirmed=True)
    page.goto("/monitoring")
    expect(page.locator("#live")).to_have_text("live")
    with lab.client() as client:
        pid = client.get("/api/v1/devices/first-2").json()["pid"]
    os.kill(pid, signal.SIGKILL)
    alert = page.locator("[data-alert='device-offline:first-2']")
    expect(alert).to_contain_text("ended by itself")
    expect(page.locator("#alert-count")).to_be_visible()
    page.screenshot(path=ARTIFACTS / "alert.png", full_page=True)
    page.goto("/devices/first-2")
    expect(page.locator("#state")).to_have_text("crashed")
    page.goto("/apps")  # what it said last does not count while it is away
    expect(page.locator("[data-app='lives'] tbody .state")).to_have_text("crashed")
    page.goto("/devices/first-2")
    page.get_by_role("button", name="Boot").click()
    expect(page.locator("#state")).to_have_text("connected")
    page.goto("/apps")
    expect(page.locator("[data-app='lives'] tbody .state")).to_have_text("running")
    page.goto("/monitoring")
    expect(page.locator("#live")).to_have_text("live")
    expect(alert).to_have_count(0)


def test_a_snapshot_is_saved_loaded_and_removed(page: Any, lab: Running) -> None:
    lab.set("first-2", dht22_humidity=40)
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto("/devices/first-2")
    card = page.get_by_role("region", name="Snapshots")
    card.get_by_label("Name of the snapshot").fill("warm")
    card.get_by_role("button", name="Save").click()
    expect(card.get_by_role("listitem")).to_contain_text("warm")
    expect(page.locator("#timeline")).to_contain_text("saved as snapshot warm")
    lab.set("first-2", dht22_humidity=60)
    expect(page.locator("#board")).to_contain_text("60 %")
    card.get_by_role("button", name="Load warm").click()
    expect(card.get_by_role("status")).to_have_text("first-2 is as warm has it.")
    expect(page.locator("#board")).to_contain_text("40 %")
    expect(page.locator("#state")).to_have_text("connected")
    card.get_by_role("button", name="Remove warm").click()
    expect(card.get_by_text("None yet.")).to_be_visible()
    with lab.client() as client:
        assert client.get("/api/v1/devices/first-2/snapshots").json()["snapshots"] == []
