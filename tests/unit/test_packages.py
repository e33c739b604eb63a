"""Packages and publishers: what is signed, what a file may look like, whose key it was."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from pathlib import Path

import cbor2
import cwt
import pytest
import wasmtime

from lab.errors import LabError, UsageError
from lab.home import Home
from lab.packages import Package, key_id
from lab.pki import publisher_keys
from lab.publisher import Publisher, trust, trusted
from lab.sdk import binary
from lab.sdk.manifest import SECTION
from lab.wire import messages as m

MODULE = bytes(wasmtime.wat2wasm('(module (func (export "f")))'))
MANIFEST = m.Manifest(1, ("log", "led-controller"), (0x76,), 4096, 1000)


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    return Publisher.new(tmp_path / "publisher.pem")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home").create()


# ---- the form of docs/protocol.md, section 5


def test_a_package_is_what_the_contract_says(publisher: Publisher) -> None:
    package = publisher.sign("app", MODULE, version="1.2.0", sequence=7, classes=["native"])
    stream = package.write()
    assert stream[: len(package.envelope)] == package.envelope
    assert cbor2.loads(stream[len(package.envelope) :]) == MODULE
    sign1 = cbor2.loads(package.envelope)
    assert sign1.tag == 18
    protected, unprotected, payload, signature = sign1.value
    kid = hashlib.sha256(publisher.point).digest()[:8]
    assert cbor2.loads(protected) == {1: -7, 4: kid}
    assert (unprotected, len(signature)) == ({}, 64)
    assert m.unpack(m.Package, payload) == m.Package(
        format=1,
        name="app",
        version="1.2.0",
        sequence=7,
        vendor="lab",
        classes=("native",),
        size=len(MODULE),
        digest=hashlib.sha256(MODULE).digest(),
        manifest=m.Manifest(1, ("log", "clock", "publish", "kv", "system-info"), (), 0, 0),
        trial_polls=3,
        trial_time=10_000,
    )


def test_the_signature_is_one_that_others_verify(publisher: Publisher, tmp_path: Path) -> None:
    package = publisher.sign("app", MODULE)
    good = cwt.COSEKey.from_pem(publisher.public_pem, kid=key_id(publisher.point), alg="ES256")
    assert cwt.COSE.new().decode(package.envelope, keys=[good])
    stranger = Publisher.new(tmp_path / "stranger.pem")
    wrong = cwt.COSEKey.from_pem(stranger.public_pem, kid=key_id(publisher.point), alg="ES256")
    with pytest.raises(cwt.VerifyError):
        cwt.COSE.new().decode(package.envelope, keys=[wrong])


def test_a_module_s_own_manifest_is_what_is_signed(publisher: Publisher) -> None:
    package = publisher.sign("app", binary.with_custom(MODULE, SECTION, m.pack(MANIFEST)))
    assert package.claims is not None
    assert package.claims.manifest == MANIFEST


def test_read_gives_back_what_was_written(publisher: Publisher) -> None:
    package = publisher.sign("app", MODULE)
    read = Package.read(package.write(), "app.lab")
    assert read == package
    assert (read.publisher, read.id) == (publisher.id, package.id)
    assert Package.of(package.write(), "app", "app.lab") == package
    with pytest.raises(UsageError, match="signed as app, not other"):
        Package.of(package.write(), "other", "app.lab")


def test_a_truncated_file_is_refused_wherever_it_ends(publisher: Publisher) -> None:
    content = publisher.sign("app", MODULE).write()
    for end in range(len(content)):
        with pytest.raises(UsageError, match=r"is no package|is not WebAssembly"):
            Package.of(content[:end], "", "app.lab")
    with pytest.raises(UsageError, match="1 bytes follow it"):
        Package.read(content + b"\0", "app.lab")


def test_a_tampered_file_never_passes_for_the_package(publisher: Publisher) -> None:
    """Whatever byte is changed: it cannot be read, or devices will see that it is not what was signed."""
    package = publisher.sign("app", MODULE, sequence=7)
    content = package.write()
    good = cwt.COSEKey.from_pem(publisher.public_pem, kid=key_id(publisher.point), alg="ES256")
    for at in range(len(content)):
        changed = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
        try:
            other = Package.read(changed, "app.lab")
        except UsageError:
            continue
        assert other.id != package.id
        with pytest.raises((cwt.VerifyError, ValueError)):
            cwt.COSE.new(verify_kid=True).decode(other.envelope, keys=[good])


def test_an_unsigned_package_is_its_module() -> None:
    package = Package.unsigned("app", MODULE)
    assert (package.write(), package.sequence, package.publisher) == (MODULE, 0, "")
    assert Package.of(MODULE, "app", "the body") == package
    assert Package.unsigned("other", MODULE).id != package.id
    with pytest.raises(UsageError, match="cannot be an app's name"):
        Package.unsigned("a/b", MODULE)


# ---- publishers


def test_sequence_numbers_go_up_by_themselves(publisher: Publisher) -> None:
    before = int(time.time())
    numbers = [publisher.sign("app", MODULE).sequence for _ in range(5)]
    assert numbers == sorted(set(numbers))
    assert before <= numbers[0] <= int(time.time())
    again = publisher.again(publisher.sign("app", MODULE, version="1.0", sequence=3, trial_polls=9))
    assert again.sequence > numbers[-1]
    assert again.claims is not None
    assert (again.version, again.claims.trial_polls) == ("1.0", 9)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"sequence": 0}, "sequence number of 0"),
        ({"sequence": 1 << 32}, "sequence number"),
        ({"version": "v" * 25}, "version"),
        ({"vendor": ""}, "vendor"),
        ({"classes": ["b"] * 9}, "classes"),
        ({"trial_polls": 1 << 16}, "trial_polls"),
        ({"trial_seconds": -1}, "trial_time"),
    ],
)
def test_what_cannot_be_signed(publisher: Publisher, options: dict[str, object], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        publisher.sign("app", MODULE, **options)  # type: ignore[arg-type]


def test_keys_are_their_owner_s_only(tmp_path: Path, publisher: Publisher) -> None:
    assert publisher.file.stat().st_mode & 0o777 == 0o600
    with pytest.raises(UsageError, match="is there already"):
        Publisher.new(publisher.file)
    with pytest.raises(UsageError, match="there is no key"):
        Publisher(tmp_path / "none.pem")
    (tmp_path / "nonsense.pem").write_text("nonsense")
    with pytest.raises(LabError, match="cannot be used to sign"):
        Publisher(tmp_path / "nonsense.pem")


def test_the_lab_s_own_key_is_trusted_from_the_start(home: Home) -> None:
    own = Publisher.own(home)
    assert Publisher.own(home).id == own.id
    assert publisher_keys(home.publishers) == [own.point]
    assert trusted(home) == {"own": own.id}
    (home.publishers / "own.pem").unlink()
    Publisher.own(home)
    assert trusted(home) == {}, "what was distrusted stays so"


def test_of_two_that_make_the_key_at_once_one_wins(home: Home) -> None:
    code = "import sys; from pathlib import Path; from lab.home import Home; "
    code += "from lab.publisher import Publisher; print(Publisher.own(Home(Path(sys.argv[1]))).id)"
    command = [sys.executable, "-c", code, str(home.root)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    said = {process.communicate(timeout=60)[0] for process in processes}
    assert said == {f"{Publisher.own(home).id}\n"}
    assert not list(home.root.glob(".*"))


def test_four_publishers_are_trusted_and_no_fifth(home: Home, tmp_path: Path) -> None:
    keys = [Publisher.new(tmp_path / f"{number}.pem") for number in range(5)]
    for number, key in enumerate(keys[:4]):
        trust(home, f"p{number}", key.public_pem)
    trust(home, "p0", keys[0].public_pem)
    with pytest.raises(LabError, match="4 publishers at most"):
        trust(home, "p4", keys[4].public_pem)
    assert set(trusted(home).values()) == {key.id for key in keys[:4]}


@pytest.mark.parametrize("content", [b"nonsense", b""])
def test_what_is_no_public_key_is_not_trusted(home: Home, content: bytes) -> None:
    with pytest.raises(LabError, match="public key"):
        trust(home, "x", content)
    assert trusted(home) == {}


def test_a_private_key_is_not_taken_for_a_public_one(home: Home, publisher: Publisher) -> None:
    with pytest.raises(LabError, match="public key"):
        trust(home, "x", publisher.file.read_bytes())
    assert not list(home.publishers.iterdir())


def test_a_file_that_is_no_package_says_so(tmp_path: Path) -> None:
    file = tmp_path / "app.lab"
    with pytest.raises(UsageError, match="cannot read"):
        Package.load(file)
    file.write_bytes(MODULE)
    with pytest.raises(UsageError, match="does not begin with a COSE_Sign1"):
        Package.load(file)
