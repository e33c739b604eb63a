"""Apps signed in a real browser, taken or refused by boards that demand it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from lab.home import Home
from lab.packages import Package
from lab.pki import ec_key
from lab.publisher import Publisher
from tests.panel.conftest import PATIENCE, Running, begun, drop, expect

pytestmark = [pytest.mark.hil, pytest.mark.native]

SIGN = """async ([name, module, version, pem]) => {
    const { readKey, sign } = await import("/static/sign.js");
    const publisher = await readKey(new File([pem], "key.pem"));
    const made = await sign(publisher, name, new Uint8Array(module), version);
    return [[...made], publisher.key.extractable];
}"""


VERSION = "2.0<img src=x onerror=x>"  # nothing but its length is wrong with what people read


@pytest.fixture(scope="module")
def own(lab: Running) -> Publisher:
    """The publisher that the lab's boards know."""
    return Publisher.own(Home(lab.home))


@pytest.fixture(scope="module")
def strict(lab: Running, native: None, own: Publisher) -> Iterator[str]:
    """A board that takes only what is signed."""
    lab.cli("up", "--board", "native", "--name", "strict")
    yield "strict"
    lab.cli("down", "strict", "--forget")


@pytest.fixture(scope="module")
def blink(lab: Running) -> Path:
    lab.cli("new", "blink", "--template", "blinker", "--lang", "wat")
    module = lab.folder / "blink.wasm"
    lab.cli("compile", "blink", "-o", str(module))
    return module


def copied(module: Path, name: str) -> Path:
    """Return a copy of a module, as an app of its own: no other test's versions are in its way."""
    return Path(shutil.copy(module, module.with_name(f"{name}.wasm")))


def foreign(folder: Path) -> Publisher:
    """Return a publisher that no board knows."""
    return Publisher.new(folder / "foreign.pem")


def to_deploy(page: Any, name: str) -> None:
    """Go through the wizard as far as the choice of boards."""
    page.goto("/wizard")
    page.get_by_label("blinker").check()
    page.get_by_label("Language").select_option("wat")
    page.get_by_label("Name of the app").fill(name)
    page.get_by_role("button", name="Continue").first.click()
    page.get_by_role("button", name="Compile").click()
    expect(page.locator("#facts")).to_contain_text("led-controller")
    page.locator("#to-deploy").click()
    page.get_by_label("strict").check()


def test_the_browser_signs_as_the_command_line_does(page: Any, own: Publisher, blink: Path) -> None:
    module, pem = blink.read_bytes(), own.file.read_text()
    sec1 = ec_key(own.file).private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    page.goto("/login")
    for key in (pem, sec1.decode()):
        content, extractable = page.evaluate(SIGN, ["blink", list(module), "1.2.3", key])
        assert not extractable
        made = Package.read(bytes(content), "what the browser made")
        assert made.publisher == own.id
        assert made.claims == own.sign("blink", module, version="1.2.3", sequence=made.sequence).claims


def test_a_module_without_a_manifest_is_signed_for_what_is_harmless(page: Any, own: Publisher) -> None:
    module = b"\0asm\1\0\0\0"
    page.goto("/login")
    content, _ = page.evaluate(SIGN, ["bare", list(module), "", own.file.read_text()])
    made = Package.read(bytes(content), "what the browser made")
    assert made.claims == own.sign("bare", module, sequence=made.sequence).claims


def test_the_wizard_signs_for_a_board_that_demands_it(page: Any, strict: str, own: Publisher) -> None:
    to_deploy(page, "signed")
    page.get_by_label("Publisher's key").set_input_files(own.file)
    expect(page.locator("#key-status")).to_contain_text(own.id)
    with page.expect_request("**/deployments?*") as sent:
        page.get_by_role("button", name="Deploy").click()
    expect(page.locator("#outcome .state")).to_have_text("trial")
    assert Package.read(sent.value.post_data_buffer, "what was sent").publisher == own.id
    page.goto(f"/devices/{strict}")
    app = page.locator("#apps tbody tr").filter(has_text="signed")
    expect(app.locator(".state")).to_have_text("running")


def test_a_key_the_board_does_not_know_is_refused(page: Any, strict: str, tmp_path: Path) -> None:
    other = foreign(tmp_path)
    to_deploy(page, "stranger")
    page.get_by_label("Publisher's key").set_input_files(other.file)
    expect(page.locator("#key-status")).to_contain_text(other.id)
    page.get_by_role("button", name="Deploy").click()
    expect(page.locator("#outcome .state")).to_have_text("failed")
    expect(page.locator("#outcome")).to_contain_text("none of the 1 publishers this device knows")


def test_what_is_dropped_is_signed(page: Any, strict: str, own: Publisher, blink: Path) -> None:
    page.goto(f"/devices/{strict}")
    expect(page.locator("#state")).to_have_text("connected")
    module = copied(blink, "dropped")
    drop(page, module)
    expect(page.locator("#drop-status")).to_contain_text("not signed")
    page.get_by_label("choose a publisher's key").set_input_files(own.file)
    expect(page.locator("#key-status")).to_contain_text(own.id)
    drop(page, module)
    expect(page.locator("#drop-status")).to_contain_text("dropped runs")


def test_a_rollout_signs_what_it_sends(page: Any, strict: str, own: Publisher, blink: Path) -> None:
    module = copied(blink, "rolled")
    page.goto("/rollouts")
    page.get_by_role("button", name="Start a rollout").click()
    expect(page.locator("#r-key")).to_be_hidden()
    page.get_by_label("or a new one (.lab, .wasm)").set_input_files(module)
    page.get_by_label("Its version").fill(VERSION)
    page.locator("#r-key").set_input_files(own.file)
    expect(page.locator("#r-key-status")).to_contain_text(own.id)
    with page.expect_request("**/packages?*") as sent:
        rollout = begun(page, "Start")
    expect(rollout).to_contain_text(f"rolled {VERSION}")
    assert page.locator("[data-rollout] img").count() == 0
    expect(rollout.locator("h2 .state")).to_have_text("done")
    made = Package.read(sent.value.post_data_buffer, "what was sent")
    assert (made.publisher, made.version, made.name) == (own.id, VERSION, "rolled")
    # What is older than what a board has is refused before anything is sent, and the dialog says why.
    old = own.sign("rolled", module.read_bytes(), version="1.0.0", sequence=made.sequence - 1)
    file = module.with_name("older.lab")
    file.write_bytes(old.write())
    page.get_by_role("button", name="Start a rollout").click()
    page.get_by_label("or a new one (.lab, .wasm)").set_input_files(file)
    expect(page.locator("#r-key")).to_be_hidden()
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.locator("dialog #toasts")).to_contain_text("takes none below it")


def test_a_rollout_whose_only_board_refuses_has_failed(page: Any, strict: str, blink: Path) -> None:
    page.goto("/rollouts")
    page.get_by_role("button", name="Start a rollout").click()
    page.get_by_label("or a new one (.lab, .wasm)").set_input_files(copied(blink, "unsigned"))
    rollout = begun(page, "Start")
    expect(rollout.locator("h2 .state")).to_have_text("failed")
    expect(rollout).to_contain_text("not signed")
    page.goto("/monitoring")
    expect(page.locator("#alerts")).to_contain_text("of unsigned:")


def brought(lab: Running, package: Package, device: str) -> int:
    """Bring a package to a device; return the rollout's number."""
    with lab.client() as client:
        kept = client.post("/api/v1/packages", content=package.write()).json()
        plan = {"package": kept["id"], "devices": [device]}
        number = int(client.post("/api/v1/rollouts", json=plan).json()["id"])
        over = client.post(f"/api/v1/rollouts/{number}/wait", timeout=PATIENCE / 1000).json()
    assert over["state"] == "done", over
    return number


def test_a_rollout_is_rolled_back(page: Any, lab: Running, strict: str, own: Publisher, blink: Path) -> None:
    module = blink.read_bytes()
    old, new = (  # the newer one's number is above the time, of which numbers are made
        own.sign("backward", module, version=version, sequence=number, trial_polls=1, trial_seconds=0.1)
        for number, version in ((1, "1.0.0"), (4_000_000_000, "2.0.0"))
    )
    first, second = brought(lab, old, strict), brought(lab, new, strict)
    page.goto("/rollouts")
    # Before the first one there was no version: which one it is to be has to be chosen.
    page.get_by_role("button", name=f"Roll back rollout {first}").click()
    dialog = page.get_by_role("dialog", name=f"Roll back rollout #{first}")
    expect(dialog).to_contain_text("Before that, it ran no version the lab has kept of backward: choose one.")
    expect(dialog.get_by_label("Version")).to_have_value("")
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_be_hidden()
    page.get_by_role("button", name=f"Roll back rollout {second}").click()
    dialog = page.get_by_role("dialog", name=f"Roll back rollout #{second}")
    expect(dialog).to_contain_text(f"{strict} leaves backward 2.0.0. Before that, it ran backward 1.0.0.")
    expect(dialog.get_by_label("Version").locator("option:checked")).to_have_text("backward 1.0.0 · number 1")
    page.locator("#b-key").set_input_files(own.file)
    expect(page.locator("#b-key-status")).to_contain_text(own.id)
    rollout = begun(page, "Roll back")
    expect(rollout.locator("h2 .state")).to_have_text("done")
    expect(rollout).to_contain_text(f"takes back #{second}")
    with lab.client() as client:
        [app] = [app for app in client.get("/api/v1/apps").json()["apps"] if app["name"] == "backward"]
    [there] = app["devices"]
    assert (there["version"], there["state"]) == ("1.0.0", "running")
    assert there["sequence"] > new.sequence


def test_a_key_that_cannot_sign_is_named(page: Any, strict: str, own: Publisher, tmp_path: Path) -> None:
    locked = ec_key(own.file).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
    )
    larger = ec.generate_private_key(ec.SECP384R1())
    wrong = {
        "locked.pem": (locked, "passphrase"),
        "larger.pem": (
            larger.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()),
            "no P-256 key",
        ),
        "public.pem": (own.public_pem, "no private key"),
    }
    page.goto(f"/devices/{strict}")
    for name, (content, why) in wrong.items():
        (tmp_path / name).write_bytes(content)
        page.get_by_label("choose a publisher's key").set_input_files(tmp_path / name)
        expect(page.locator("#key-status")).to_contain_text(f"{name} cannot be used to sign")
        expect(page.locator("#key-status")).to_contain_text(why)
