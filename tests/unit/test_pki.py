"""The lab's authority: what it issues verifies, stays small, and stays."""

from __future__ import annotations

import os
import stat
import subprocess
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_der_private_key

from lab import pki
from lab.errors import LabError, UsageError
from lab.home import Home
from lab.pki import GATEWAY, Authority, device_of
from lab.wire import messages as m


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "lab").create()


def der(file: Path) -> bytes:
    return x509.load_pem_x509_certificate(file.read_bytes()).public_bytes(Encoding.DER)


def openssl_verify(authority: Authority, certificate: Path, purpose: str) -> bool:
    command = ["openssl", "verify", "-x509_strict", "-purpose", purpose]
    command += ["-CAfile", str(authority.certificate_file), str(certificate)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_certificates_are_good_for_their_purpose_only(home: Home) -> None:
    authority = Authority(home)
    device, gateway = authority.issue("mps2-1").certificate, authority.gateway().certificate
    assert openssl_verify(authority, device, "sslclient")
    assert not openssl_verify(authority, device, "sslserver")
    assert openssl_verify(authority, gateway, "sslserver")
    assert not openssl_verify(authority, gateway, "sslclient")


def test_certificates_are_small_and_name_the_device(home: Home) -> None:
    authority = Authority(home)
    longest = "x" * 32
    for file in (authority.certificate_file, authority.issue(longest).certificate):
        assert len(der(file)) < 600
    assert device_of(der(authority.issue(longest).certificate)) == longest
    with pytest.raises(LabError, match="not for a client"):
        device_of(der(authority.gateway().certificate))
    with pytest.raises(LabError, match="names no usage"):
        device_of(der(authority.certificate_file))


def test_what_was_issued_stays(home: Home) -> None:
    before = Authority(home)
    issued, ca = before.issue("a.b_c-1"), der(before.certificate_file)
    after = Authority(home)
    assert after.issue("a.b_c-1") == issued
    assert der(after.certificate_file) == ca
    after.issue("other")
    assert [entry.name for entry in after.issued()] == ["a.b_c-1", "other"]
    assert after.gateway().name == GATEWAY


def test_each_device_has_its_own_key_that_only_the_owner_reads(home: Home) -> None:
    authority = Authority(home)
    keys = [authority.issue("one").key, authority.issue("two").key, home.root / "pki" / "ca.key"]
    assert len({key.read_bytes() for key in keys}) == 3
    for key in [*keys, authority.gateway().key]:
        assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_an_expired_certificate_is_issued_anew(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(home)
    monkeypatch.setattr(pki, "_VALIDITY", timedelta(days=-1) + timedelta(seconds=1))
    monkeypatch.setattr(pki, "_CLOCK_SKEW", timedelta(days=2))
    old = authority.issue("dev")
    assert old.expires < datetime.now(UTC)
    monkeypatch.undo()
    assert authority.issue("dev").serial != old.serial


def test_two_labs_do_not_trust_each_other(home: Home, tmp_path: Path) -> None:
    other = Authority(Home(tmp_path / "other").create())
    assert not openssl_verify(other, Authority(home).issue("dev").certificate, "sslclient")


@pytest.mark.parametrize(
    "id", ["", ".", "..", "a..b", "-a", "a-", ".a", "a/b", "a b", "ä", "x" * 33, "a\n", GATEWAY], ids=repr
)
def test_what_cannot_be_an_id(home: Home, id: str) -> None:
    with pytest.raises(UsageError, match="cannot be a device's id"):
        Authority(home).issue(id)


def test_identity_blob(home: Home) -> None:
    authority = Authority(home)
    seed = os.urandom(32)
    blob = authority.identity("mps2-1", seed=seed, now=1_795_262_400)
    assert blob[:4] == b"LABI"
    length = int.from_bytes(blob[4:8], "little")
    body, checksum = blob[8 : 8 + length], blob[8 + length :]
    assert checksum == zlib.crc32(body).to_bytes(4, "little")
    assert len(blob) <= 4096
    identity = m.unpack(m.Identity, body)
    assert (identity.version, identity.device, identity.gateway) == (1, "mps2-1", GATEWAY)
    assert (identity.seed, identity.time) == (seed, 1_795_262_400)
    assert identity.ca == der(authority.certificate_file)
    assert identity.certificate == der(authority.issue("mps2-1").certificate)
    key = load_der_private_key(identity.key, password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    certificate = x509.load_der_x509_certificate(identity.certificate)
    assert key.public_key() == certificate.public_key()
    assert isinstance(key.curve, ec.SECP256R1)


def test_identity_says_whose_apps_a_device_takes(home: Home) -> None:
    point = b"\x04" + bytes(64)
    blob = Authority(home).identity(
        "dev", seed=bytes(32), now=1, publishers=[point], board_class="native", development=True
    )
    identity = m.unpack(m.Identity, blob[8:-4])
    assert (identity.publishers, identity.vendor) == ((point,), "lab")
    assert (identity.board_class, identity.development) == ("native", 1)
    nobody = m.unpack(m.Identity, Authority(home).identity("dev", seed=bytes(32), now=1)[8:-4])
    assert (nobody.publishers, nobody.development) == ((), 0)


def test_a_seed_that_is_none_is_refused(home: Home) -> None:
    with pytest.raises(LabError, match="seed"):
        Authority(home).identity("dev", seed=b"short", now=1)


@pytest.mark.parametrize("name", ["ca.pem", "ca.key"])
def test_a_damaged_authority_is_said(home: Home, name: str) -> None:
    Authority(home)
    (home.root / "pki" / name).write_text("nonsense")
    with pytest.raises(LabError, match=f"{name} cannot be used"):
        Authority(home)
