"""Secrets: sealed under the lab's key and their name, readable with both and only then."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from lab.errors import LabError, NotFoundError, UsageError
from lab.home import Home
from lab.pki import Authority, ec_key
from lab.store import Store
from lab.vault import Vault, open_with, seal_for

SECRET = b"correct horse battery staple"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "lab").create()


@pytest.fixture
def vault(home: Home) -> Vault:
    return Vault(home, Store(home))


def test_a_secret_is_kept_and_forgotten(home: Home) -> None:
    async def run() -> None:
        async with Store(home) as store:
            vault = Vault(home, store)
            await vault.put("wifi", b"first")
            await vault.put("wifi", SECRET)
            await vault.put("api", b"other")
            assert [row["name"] for row in await vault.names()] == ["api", "wifi"]
            assert await vault.get("wifi") == SECRET
            assert await Vault(home, store).get("wifi") == SECRET, "and by the daemon after this one"
            await vault.remove("wifi")
            with pytest.raises(NotFoundError):
                await vault.get("wifi")
            with pytest.raises(NotFoundError):
                await vault.remove("wifi")

    asyncio.run(run())


def test_no_file_tells_a_secret_and_only_the_owner_reads_the_key(home: Home) -> None:
    async def run() -> None:
        async with Store(home) as store:
            await Vault(home, store).put("wifi", SECRET)

    asyncio.run(run())
    files = [file for file in home.root.rglob("*") if file.is_file()]
    assert {"lab.db", "vault.key"} <= {file.name for file in files}
    assert not [file for file in files if SECRET in file.read_bytes()]
    assert stat.S_IMODE((home.root / "vault.key").stat().st_mode) == 0o600


def test_the_same_secret_is_never_sealed_alike(vault: Vault) -> None:
    assert vault.seal("a", SECRET) != vault.seal("a", SECRET)


def test_another_key_does_not_open_it(vault: Vault, home: Home) -> None:
    sealed = vault.seal("wifi", SECRET)
    (home.root / "vault.key").write_bytes(bytes(32))
    with pytest.raises(LabError, match="sealed with another key"):
        vault.open("wifi", sealed)


def test_a_key_that_is_gone_is_not_made_anew_to_open_with(vault: Vault, home: Home) -> None:
    sealed = vault.seal("wifi", SECRET)
    (home.root / "vault.key").unlink()
    with pytest.raises(LabError, match="cannot read the key"):
        vault.open("wifi", sealed)
    assert not (home.root / "vault.key").exists()


def test_a_key_cut_short_is_none(vault: Vault, home: Home) -> None:
    vault.seal("wifi", SECRET)
    (home.root / "vault.key").write_bytes(bytes(31))
    with pytest.raises(LabError, match="is no key"):
        vault.seal("wifi", SECRET)


def test_a_key_that_others_may_read_is_not_used(vault: Vault, home: Home) -> None:
    sealed = vault.seal("wifi", SECRET)
    (home.root / "vault.key").chmod(0o640)
    with pytest.raises(LabError, match="may be known") as refusal:
        vault.open("wifi", sealed)
    assert "chmod 600" in refusal.value.hint


def test_a_bit_that_flips_is_noticed_wherever_it_is(vault: Vault) -> None:
    sealed = vault.seal("wifi", SECRET)
    for at in range(len(sealed)):
        damaged = bytearray(sealed)
        damaged[at] ^= 1
        with pytest.raises(LabError, match="damaged"):
            vault.open("wifi", bytes(damaged))
    for size in range(len(sealed)):
        with pytest.raises(LabError, match="damaged"):
            vault.open("wifi", sealed[:size])


def test_a_row_under_another_name_is_not_opened(vault: Vault) -> None:
    with pytest.raises(LabError, match="damaged"):
        vault.open("admin", vault.seal("guest", SECRET))


def test_a_device_opens_what_is_sealed_for_its_certificate(home: Home) -> None:
    authority = Authority(home)
    mine, other = authority.issue("mine"), authority.issue("other")
    sealed = seal_for(mine.certificate.read_bytes(), SECRET)
    assert SECRET not in sealed
    assert open_with(ec_key(mine.key), sealed) == SECRET
    with pytest.raises(LabError, match="not sealed for this key"):
        open_with(ec_key(other.key), sealed)
    with pytest.raises(LabError, match="damaged"):
        open_with(ec_key(mine.key), sealed[:-1] + bytes([sealed[-1] ^ 1]))
    with pytest.raises(LabError, match="damaged"):
        open_with(ec_key(mine.key), b"\xff")


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def test_only_p256_keys_are_recipients() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    assert open_with(key, seal_for(_pem(key), SECRET)) == SECRET
    with pytest.raises(UsageError, match="P-256"):
        seal_for(_pem(ec.generate_private_key(ec.SECP384R1())), SECRET)
    with pytest.raises(UsageError, match="P-256"):
        seal_for(_pem(rsa.generate_private_key(65537, 2048)), SECRET)
    with pytest.raises(UsageError, match="neither"):
        seal_for(b"no key", SECRET)
