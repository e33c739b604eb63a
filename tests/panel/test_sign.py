"""Apps signed in a real browser, taken or refused by boards that demand it."""

from __future__ import annotations

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
from tests.panel.conftest import Running
from tests.panel.test_panel import BOOT, drop, expect

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
    expect(page.locator("#facts")).to_contain_text("led-controller", timeout=60_000)
    page.locator("#to-deploy").click()
    page.get_by_label("strict").check()


def test_the_browser_signs_as_the_command_line_does(page: Any, own: Publisher, blink: Path) -> None:
    module, pem = blink.read_bytes(), own.file.read_text()
    sec1 = ec_key(own.file).private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    for key in (pem, sec1.decode()):
        content, extractable = page.evaluate(SIGN, ["blink", list(module), "1.2.3", key])
        assert not extractable
        made = Package.read(bytes(content), "what the browser made")
        assert made.publisher == own.id
        assert made.claims == own.sign("blink", module, version="1.2.3", sequence=made.sequence).claims


def test_a_module_without_a_manifest_is_signed_for_what_is_harmless(page: Any, own: Publisher) -> None:
    module = b"\0asm\1\0\0\0"
    content, _ = page.evaluate(SIGN, ["bare", list(module), "", own.file.read_text()])
    made = Package.read(bytes(content), "what the browser made")
    assert made.claims == own.sign("bare", module, sequence=made.sequence).claims


def test_the_wizard_signs_for_a_board_that_demands_it(page: Any, strict: str, own: Publisher) -> None:
    to_deploy(page, "signed")
    page.get_by_label("Publisher's key").set_input_files(own.file)
    expect(page.locator("#key-status")).to_contain_text(own.id)
    with page.expect_request("**/deployments?*") as sent:
        page.get_by_role("button", name="Deploy").click()
    expect(page.locator("#outcome .state")).to_have_text("trial", timeout=BOOT)
    assert Package.read(sent.value.post_data_buffer, "what was sent").publisher == own.id
    page.goto(f"/devices/{strict}")
    expect(page.locator("#apps .state")).to_have_text("running", timeout=BOOT)
    expect(page.locator("#apps")).to_contain_text("signed")


def test_a_key_the_board_does_not_know_is_refused(page: Any, strict: str, tmp_path: Path) -> None:
    other = foreign(tmp_path)
    to_deploy(page, "stranger")
    page.get_by_label("Publisher's key").set_input_files(other.file)
    expect(page.locator("#key-status")).to_contain_text(other.id)
    page.get_by_role("button", name="Deploy").click()
    expect(page.locator("#outcome .state")).to_have_text("failed", timeout=BOOT)
    expect(page.locator("#outcome")).to_contain_text("none of the 1 publishers this device knows")


def test_what_is_dropped_is_signed(page: Any, strict: str, own: Publisher, blink: Path) -> None:
    page.goto(f"/devices/{strict}")
    expect(page.locator("#state")).to_have_text("connected")
    drop(page, blink)
    expect(page.locator("#drop-status")).to_contain_text("not signed", timeout=BOOT)
    page.get_by_label("choose a publisher's key").set_input_files(own.file)
    expect(page.locator("#key-status")).to_contain_text(own.id)
    drop(page, blink)
    expect(page.locator("#drop-status")).to_contain_text("blink runs", timeout=BOOT)


def test_a_rollout_signs_what_it_sends(page: Any, strict: str, own: Publisher, blink: Path) -> None:
    page.goto("/rollouts")
    page.get_by_role("button", name="Start a rollout").click()
    expect(page.get_by_label("Publisher's key")).to_be_hidden()
    page.get_by_label("or a new one (.lab, .wasm)").set_input_files(blink)
    page.get_by_label("Its version").fill(VERSION)
    page.get_by_label("Publisher's key").set_input_files(own.file)
    expect(page.locator("#r-key-status")).to_contain_text(own.id)
    with page.expect_request("**/packages?*") as sent:
        page.get_by_role("button", name="Start", exact=True).click()
    rollout = page.locator("[data-rollout]").first
    expect(rollout).to_contain_text(f"blink {VERSION}")
    assert page.locator("[data-rollout] img").count() == 0
    expect(rollout.locator("h2 .state")).to_have_text("done", timeout=BOOT)
    made = Package.read(sent.value.post_data_buffer, "what was sent")
    assert (made.publisher, made.version, made.name) == (own.id, VERSION, "blink")
    # What is older than what a board has is refused before anything is sent, and the dialog says why.
    old = own.sign("blink", blink.read_bytes(), version="1.0.0", sequence=made.sequence - 1)
    file = blink.with_name("older.lab")
    file.write_bytes(old.write())
    page.get_by_role("button", name="Start a rollout").click()
    page.get_by_label("or a new one (.lab, .wasm)").set_input_files(file)
    expect(page.get_by_label("Publisher's key")).to_be_hidden()
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.locator("dialog #toasts")).to_contain_text("takes none below it")


def test_a_rollout_whose_only_board_refuses_has_failed(page: Any, strict: str, blink: Path) -> None:
    page.goto("/rollouts")
    page.get_by_role("button", name="Start a rollout").click()
    page.get_by_label("or a new one (.lab, .wasm)").set_input_files(blink)
    page.get_by_role("button", name="Start", exact=True).click()
    rollout = page.locator("[data-rollout]").first
    expect(rollout.locator("h2 .state")).to_have_text("failed", timeout=BOOT)
    expect(rollout).to_contain_text("not signed")
    page.goto("/monitoring")
    expect(page.locator("#alerts")).to_contain_text("of blink:")


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
