"""Packages, trial and rollback on the firmware's core, under the sanitizers, and power cuts everywhere."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cbor2
import pytest
from wasmtime import wat2wasm

from lab.wire.messages import ResultCode as R
from tests.unit.firmware import Answer, Bench, bench, folder
from tests.unit.packages import Publisher, package


def app(version: int, *, poll: str = "", size: int = 0, interval: int = 100) -> bytes:
    """Return a module that is polled every `interval` ms and says its version."""
    text = f"""(module (@custom "padding" "{"x" * size}")
        (func (export "init") (result i32) (i32.const {interval}))
        (func (export "poll") {poll})
        (func (export "version") (result i32) (i32.const {version})))"""
    return bytes(wat2wasm(text))


@pytest.mark.parametrize("flash", [0, 1], ids=["sectors-4096-units-1", "sectors-2048-units-32"])
def test_power_cut_at_every_flash_operation(
    flash: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publisher = Publisher()
    (tmp_path / "public.key").write_bytes(publisher.public)
    packages = {
        "v1": ("app", app(1, size=5000)),
        "v2": ("app", app(2, size=9000)),
        "v3": ("app", app(3, size=300)),
        "v4": ("app", app(4, size=4000)),
        "bad": ("app", app(5, poll="unreachable", size=2000)),
        "other": ("other", app(6)),
    }
    for sequence, (file, (name, module)) in enumerate(packages.items(), 1):
        number = 2 if file == "bad" else sequence
        (tmp_path / f"{file}.wasm").write_bytes(module)
        (tmp_path / f"{file}.cose").write_bytes(publisher.envelope(name, module, number))
    program = folder() / "tests" / "power_cut"
    done = subprocess.run([program, tmp_path, str(flash)], capture_output=True, text=True, timeout=900)
    with capsys.disabled():
        print("\n" + done.stdout, end="")
    assert done.returncode == 0, done.stderr


class Device:
    """A bench that knows one publisher, and takes nothing unsigned."""

    def __init__(self, bench: Bench, folder: Path) -> None:
        self.bench = bench
        self.publisher = Publisher()
        self._folder = folder
        self.ask = bench.ask
        bench.ask("provision", self.publisher.public.hex())
        bench.ask("development", 0)

    def file(self, name: str, content: bytes) -> Path:
        path = self._folder / name
        path.write_bytes(content)
        return path

    def deploy(self, module: bytes, envelope: bytes, name: str = "app") -> Answer:
        return self.ask("deploy", name, self.file("m", module), self.file("e", envelope))

    def update(self, version: int, module: bytes | None = None, **changed: object) -> Answer:
        module = module or app(version)
        return self.deploy(module, self.publisher.envelope("app", module, version, **changed))

    def begin(self, module: bytes, envelope: bytes) -> Answer:
        digest = hashlib.sha256(module).hexdigest()
        return self.ask("begin", "app", len(module), digest, self.file("e", envelope))

    def chunk(self, module: bytes, at: int, size: int) -> Answer:
        return self.ask("chunk", at, self.file("m", module), at, size)

    def confirmed(self, version: int, **changed: object) -> None:
        assert self.update(version, **changed).code == R.DONE
        self.polls(3)
        assert (self.state(), self.version()) == ("running", version)

    def polls(self, count: int) -> None:
        for _ in range(count):
            self.ask("step", 100)

    def reset(self) -> Answer:
        return self.ask("reset")

    def state(self, name: str = "app") -> str:
        return self.bench.apps()[name][0]

    def words(self, name: str = "app") -> str:
        return self.bench.apps()[name][3]

    def version(self) -> float:
        return self.ask("call", "app", "version").values[0]

    def slots(self) -> int:
        """Return how many slots hold something."""
        return self.ask("slots").number


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    with bench(tmp_path) as opened:
        yield Device(opened, tmp_path)


# -- what may come in


def test_a_signed_package_is_tried_confirmed_and_kept(device: Device) -> None:
    answer = device.update(1)
    assert (answer.code, device.state(), device.version()) == (R.DONE, "trial", 1)
    device.polls(2)
    assert device.state() == "trial"
    assert "changed app running " in device.ask("step", 100).said
    assert "changed app running " in device.reset().said
    assert device.version() == 1


def test_unsigned_modules_need_a_development_device(device: Device) -> None:
    assert device.bench.deploy("app", app(1)).code == R.UNSIGNED
    device.ask("development", 1)
    assert device.bench.deploy("app", app(1)).code == R.DONE
    device.polls(3)
    device.ask("development", 0)
    device.reset()
    assert (device.state(), device.words()) == (
        "failed",
        "not signed, and this is no development device any more",
    )


def test_a_wrong_key_is_refused(device: Device) -> None:
    answer = device.deploy(app(1), Publisher().envelope("app", app(1), 1))
    assert answer.code == R.BAD_SIGNATURE
    assert "none of the 1 publishers" in answer.words
    stranger = replace(Publisher(), claimed=device.publisher.public)
    answer = device.deploy(app(1), stranger.envelope("app", app(1), 1))
    assert (answer.code, "does not match" in answer.words) == (R.BAD_SIGNATURE, True)


def test_a_change_of_any_byte_of_a_package_is_refused(device: Device) -> None:
    module = app(1)
    envelope = device.publisher.envelope("app", module, 1)
    for at in range(len(envelope)):
        changed = bytearray(envelope)
        changed[at] ^= 1 << at % 8
        answer = device.deploy(module, bytes(changed))
        assert (answer.code, bool(answer.words)) == (R.BAD_SIGNATURE, True), at
    for at in range(len(module)):
        changed = bytearray(module)
        changed[at] ^= 1 << at % 8
        assert device.begin(module, envelope).code == R.DONE
        assert device.chunk(bytes(changed), 0, len(module)).code == R.DONE
        answer = device.ask("end")
        assert (answer.code, bool(answer.words)) == (R.DIGEST_MISMATCH, True), at
    assert device.slots() == 0
    assert device.deploy(module, envelope).code == R.DONE


def test_a_package_cut_short_is_refused(device: Device) -> None:
    module = app(1)
    envelope = device.publisher.envelope("app", module, 1)
    for size in range(1, len(envelope)):
        assert device.begin(module, envelope[:size]).code == R.BAD_SIGNATURE, size
    assert device.begin(module, envelope + b"\0").code == R.BAD_SIGNATURE
    device.begin(module, envelope)
    device.chunk(module, 0, len(module) - 1)
    answer = device.ask("end")
    assert (answer.code, answer.words) == (
        R.WRONG_OFFSET,
        f"{len(module) - 1} of {len(module)} bytes have arrived",
    )


def test_a_package_is_for_its_own_module(device: Device) -> None:
    envelope = device.publisher.envelope("app", app(1), 1)
    assert device.deploy(app(2), envelope).code == R.BAD_ARGUMENTS
    assert device.deploy(app(1), envelope, name="other").code == R.BAD_ARGUMENTS


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"vendor": "acme"}, "for devices of vendor acme: this one is of lab"),
        ({"classes": ["toaster"]}, "for other board classes (toaster): this device is a bench"),
        (
            {"classes": ["toaster", "kettle"]},
            "for other board classes (toaster, ...): this device is a bench",
        ),
    ],
)
def test_a_package_for_other_devices_is_refused(
    device: Device, changed: dict[str, object], words: str
) -> None:
    answer = device.update(1, **changed)
    assert (answer.code, answer.words) == (R.WRONG_CLASS, words)
    assert device.update(1, classes=["toaster", "bench"]).code == R.DONE


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xa0",
        cbor2.dumps(package("app", app(1), 0)),
        cbor2.dumps(package("app", app(1), 1, form=2)),
        cbor2.dumps(package("app", app(1), 1, manifest={0: 2, 1: [], 2: [], 3: 0, 4: 0})),
        cbor2.dumps(package("app", app(1), 1, classes=["x"] * 9)),
        cbor2.dumps(package("app", app(1), 1)) + b"\0",
        b"\x9f" * 900,
    ],
)
def test_what_a_publisher_signs_has_to_be_a_package(device: Device, payload: bytes) -> None:
    answer = device.deploy(app(1), device.publisher.sign(payload))
    assert answer.code == (R.MALFORMED if len(payload) >= 24 else R.BAD_SIGNATURE)
    assert device.bench.apps() == {}


def test_the_signed_permissions_count_and_not_the_modules_own(device: Device) -> None:
    talker = bytes(
        wat2wasm('(module (import "lab:device/log@0.1.0" "write" (func (param i32 i32 i32))) (memory 1))')
    )
    nothing = {0: 1, 1: [], 2: [], 3: 0, 4: 0}
    answer = device.update(1, talker, manifest=nothing)
    assert answer.code == R.IMPORT_REFUSED
    assert device.update(2, talker).code == R.DONE
    hungry = {0: 1, 1: [], 2: [], 3: 0, 4: 5}
    assert device.update(3, app(3, poll="(loop (br_if 0 (i32.const 1)))"), manifest=hungry).code == R.DONE
    device.ask("step", 100)
    assert device.words() == "app.poll ran for more than 5 instructions"


def test_versions_only_go_up(device: Device) -> None:
    device.confirmed(5)
    for version in (4, 5):
        answer = device.update(version, app(version + 10))
        assert (answer.code, answer.words) == (
            R.OLD_SEQUENCE,
            f"sequence number {version} is old: this device has had 5",
        )
    device.reset()
    assert device.update(4).code == R.OLD_SEQUENCE
    assert device.ask("remove", "app").code == R.DONE
    assert device.bench.apps() == {}
    device.reset()
    assert (device.slots(), device.update(5).code) == (0, R.OLD_SEQUENCE)
    device.confirmed(6)


# -- trial and the way back


def test_the_package_that_is_there_is_taken_again(device: Device) -> None:
    module = app(1)
    envelope = device.publisher.envelope("app", module, 1)
    device.deploy(module, envelope)
    device.polls(3)
    assert device.begin(module, envelope).number == len(module)
    assert device.ask("end").code == R.DONE
    assert device.state() == "running"
    device.ask("stop", "app")
    device.reset()
    assert device.state() == "stopped"
    assert device.begin(module, envelope).number == len(module)
    assert (device.ask("end").code, device.state(), device.slots()) == (R.DONE, "running", 1)


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (app(2, poll="unreachable"), "app.poll: unreachable"),
        (app(2, poll="(loop (br 0))"), "app.poll ran for more than 10000000 instructions"),
    ],
)
def test_a_version_that_fails_its_trial_gives_way(device: Device, module: bytes, words: str) -> None:
    device.confirmed(1)
    assert device.update(2, module).code == R.DONE
    device.ask("step", 100)
    assert (device.state(), device.version(), device.words()) == ("running", 1, words)
    device.reset()
    assert (device.state(), device.version(), device.words()) == ("running", 1, words)
    assert device.slots() == 1
    device.confirmed(3)
    assert device.words() == ""


def test_a_version_that_does_not_start_gives_way(device: Device) -> None:
    device.confirmed(1)
    assert device.update(2, b"\0asm").code == R.NOT_WASM
    assert (device.state(), device.version(), device.words()) == ("running", 1, "not a WebAssembly module")
    answer = device.update(3, app(3).replace(b"init", b"nope") + b"\0")
    assert (answer.code, device.version()) == (R.NOT_WASM, 1)


def test_a_trap_in_a_call_ends_the_trial(device: Device) -> None:
    device.confirmed(1)
    trap = bytes(wat2wasm('(module (func (export "trap") unreachable))'))
    assert device.update(2, trap).code == R.DONE
    answer = device.ask("call", "app", "trap")
    assert (answer.code, answer.words) == (R.TRAP, "app.trap: unreachable")
    assert (device.version(), device.words()) == (1, "app.trap: unreachable")


def test_too_few_polls_in_time(device: Device) -> None:
    device.confirmed(1)
    assert device.update(2, polls=100, time=1000).code == R.DONE
    device.ask("step", 900)
    assert device.state() == "trial"
    device.ask("step", 5000)  # one long call of something else: missed polls are not made up for
    assert (device.version(), device.words()) == (1, "only 2 of 10 polls in its trial of 1000 ms")


def test_no_more_polls_are_asked_for_than_fit(device: Device) -> None:
    assert device.update(1, app(1, interval=4000), polls=3, time=10_000).code == R.DONE
    device.ask("step", 4000)
    assert device.state() == "trial"
    device.ask("step", 4000)
    assert device.state() == "running"


def test_an_app_without_polls_passes_when_its_time_is_over(device: Device) -> None:
    assert device.update(1, app(1, interval=0)).code == R.DONE
    assert device.ask("step", 9_999).number == 1
    assert device.state() == "trial"
    device.ask("step", 1)
    assert device.state() == "running"


def test_a_reset_ends_a_trial(device: Device) -> None:
    device.confirmed(1)
    device.update(2)
    device.reset()
    assert (device.state(), device.version()) == ("running", 1)
    assert device.words().startswith("a reset during its trial: reset")
    module = app(2)  # the very same may be tried once more
    envelope = device.publisher.envelope("app", module, 2)
    assert device.deploy(module, envelope).code == R.DONE
    device.polls(3)
    assert (device.state(), device.version(), device.words()) == ("running", 2, "")


def test_a_trial_waits_for_the_gateway_but_not_for_ever(device: Device) -> None:
    device.confirmed(1)
    device.update(2, time=1000)
    device.ask("connected", 0)
    device.polls(5)
    assert device.state() == "trial"
    device.ask("step", 30_000)
    assert device.state() == "trial"
    device.ask("step", 500)
    assert (device.version(), device.words()) == (1, "the gateway was not heard for 30 s after its trial")
    device.update(3, time=1000)
    device.polls(200)
    assert device.state() == "trial"
    device.ask("connected", 1)
    device.ask("step", 0)
    assert (device.state(), device.version()) == ("running", 3)


def test_a_first_version_that_fails_does_not_start_again(device: Device) -> None:
    device.update(1, app(1, poll="unreachable"))
    device.ask("step", 100)
    assert (device.state(), device.slots()) == ("failed", 0)
    device.reset()
    assert (device.state(), device.words()) == ("failed", "app.poll: unreachable")
    device.confirmed(2)


def test_an_update_may_come_during_a_trial(device: Device) -> None:
    device.confirmed(1)
    device.update(2)
    device.update(3, app(3, poll="unreachable"))
    assert device.state() == "trial"
    device.ask("step", 100)
    assert (device.state(), device.version(), device.slots()) == ("running", 1, 1)


def test_stopping_ends_a_trial_and_stays(device: Device) -> None:
    device.confirmed(1)
    device.update(2)
    device.ask("stop", "app")
    assert (device.state(), device.words(), device.slots()) == ("stopped", "stopped during its trial", 1)
    device.reset()
    assert device.state() == "stopped"
    assert device.update(2).code == R.DONE
    assert (device.state(), device.version()) == ("trial", 2)


# -- transfers


@pytest.mark.parametrize("sent", [0, 1000, 4000, 10_000, 19_000, 20_000])
def test_a_transfer_goes_on_after_a_reset(device: Device, sent: int) -> None:
    device.confirmed(1)
    module = app(2, size=20_000)
    envelope = device.publisher.envelope("app", module, 2)
    assert device.begin(module, envelope).number == 0
    if sent:
        assert device.chunk(module, 0, sent).number == sent
    assert device.begin(module, envelope).number == sent  # the session alone was lost
    device.reset()
    assert device.version() == 1
    at = device.begin(module, envelope).number
    assert sent - 4096 < at <= sent
    assert device.chunk(module, at, len(module) - at).code == R.DONE
    assert device.ask("end").code == R.DONE
    assert (device.version(), device.slots()) == (2, 2)


def test_a_transfer_gives_way_to_another(device: Device) -> None:
    module = app(2, size=20_000)
    envelope = device.publisher.envelope("app", module, 2)
    device.begin(module, envelope)
    device.chunk(module, 0, 10_000)
    assert device.update(3).code == R.DONE
    assert device.slots() == 1
    assert device.begin(module, envelope).code == R.OLD_SEQUENCE


def test_flash_full(tmp_path: Path) -> None:
    with bench(tmp_path, pool=262144) as opened:  # large modules, so that there are nine slots
        device = Device(opened, tmp_path)

        def deploy(name: str, sequence: int) -> Answer:
            module = app(sequence)
            return device.deploy(module, device.publisher.envelope(name, module, sequence), name)

        for i in range(8):
            assert deploy(f"app{i}", 1).code == R.DONE
        device.polls(3)
        assert deploy("app0", 2).code == R.DONE
        answer = deploy("app1", 2)
        assert (answer.code, answer.words) == (
            R.FLASH_FULL,
            "all 9 slots for apps are taken or worn out: remove an app",
        )
        device.polls(3)  # app0 is confirmed: its old slot is free
        assert deploy("app1", 2).code == R.DONE


def test_a_worn_slot_is_left_for_another(device: Device) -> None:
    device.confirmed(1)
    for sector in range(4 + 2 * 17 + 2, 256, 2 * 17):  # the third of every other slot of 17
        device.ask("worn", sector)
    module = app(2, size=30_000)
    envelope = device.publisher.envelope("app", module, 2)
    assert device.begin(module, envelope).code == R.DONE
    for at in range(0, len(module), 3584):
        answer = device.chunk(module, at, min(3584, len(module) - at))
        assert (answer.code, answer.number) == (R.DONE, min(at + 3584, len(module)))
    assert device.ask("end").code == R.DONE
    device.polls(3)
    device.reset()
    assert (device.version(), device.slots()) == (2, 1)


def test_no_slot_that_is_not_worn(device: Device) -> None:
    device.confirmed(1)
    for sector in range(4, 256):
        device.ask("worn", sector)
    answer = device.update(2)
    assert (answer.code, answer.words) == (
        R.FLASH_FULL,
        "a slot is worn out, and no other is free: remove an app",
    )
    device.reset()
    assert (device.state(), device.version()) == ("running", 1)
    assert device.update(2).code == R.FLASH_FULL


def test_a_log_that_is_worn_out_changes_nothing(device: Device) -> None:
    device.confirmed(1)
    for sector in range(4):
        device.ask("worn", sector)
    answer = device.update(2)
    assert (answer.code, "takes no record any more" in answer.words) == (R.IO_ERROR, True)
    assert (device.state(), device.version()) == ("running", 1)
    device.reset()
    assert (device.state(), device.version()) == ("running", 1)


def test_flash_bytes_written_by_an_update(device: Device) -> None:
    device.confirmed(1)
    module = app(2, size=60_000)
    before = device.ask("written").number
    device.confirmed(2, module=module)
    written = device.ask("written").number - before
    assert written < len(module) * 1.02 + 500
