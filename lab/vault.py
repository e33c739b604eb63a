"""A lab's secrets: kept encrypted, and handed out to a recipient's key if that is asked for.

At rest each is sealed with AES-256-GCM (NIST SP 800-38D) under the key in ``vault.key``, bound to its name:
neither a copy of the database nor one of its rows under another name tells anything. For a recipient it
becomes a COSE_Encrypt (RFC 9052, section 5.1) with ECDH-ES+A256KW (RFC 9053, section 6.4) to a P-256 key: a
device's, or that of whoever made one for the purpose.
"""

from __future__ import annotations

import os
import time
import warnings
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_public_key,
)

from lab.errors import LabError, NotFoundError, UsageError
from lab.home import Home
from lab.store import Store
from lab.store.tables import Secret

KEPT = 1000
"""How many secrets a lab keeps at most."""

_KEY_SIZE = 32
_NONCE_SIZE = 12
_EXCHANGE = "ECDH-ES+A256KW"
_CONTEXT = {"alg": "A256GCM"}


class Vault:
    """The secrets of one lab.

    :param home: the lab's folder; the key is in it, readable by its owner only, made with the first secret.
    :param store: where the sealed secrets are.
    """

    def __init__(self, home: Home, store: Store) -> None:
        self._file = home.root / "vault.key"
        self._store = store

    async def names(self) -> list[dict[str, Any]]:
        """Return the secrets' names, in their order, and when each was set; not what they are."""
        return [{"name": row.name, "changed": row.changed} for row in await self._store.secrets()]

    async def put(self, name: str, value: bytes) -> None:
        """Keep a secret, in place of the one of that name.

        :raises UsageError: there are as many as a lab keeps.
        :raises LabError: the key cannot be used.
        """
        known = {row.name for row in await self._store.secrets()}
        if name not in known and len(known) >= KEPT:
            raise UsageError(f"{KEPT} secrets are enough", hint="remove one first: lab secret remove NAME")
        row = Secret(name=name, sealed=self.seal(name, value), changed=time.time())
        await self._store.save_secret(row)

    async def get(self, name: str) -> bytes:
        """Return a secret.

        :raises NotFoundError: there is none of that name.
        :raises LabError: the key is not the one it was sealed with, or it is damaged.
        """
        row = await self._store.secret(name)
        if row is None:
            raise _unknown(name)
        return self.open(name, row.sealed)

    async def remove(self, name: str) -> None:
        """Forget a secret.

        :raises NotFoundError: there is none of that name.
        """
        if not await self._store.delete_secret(name):
            raise _unknown(name)

    # -- at rest

    def seal(self, name: str, value: bytes) -> bytes:
        """Return a value as only this lab can read it, and under this name only."""
        nonce = os.urandom(_NONCE_SIZE)
        return nonce + AESGCM(self._key(make=True)).encrypt(nonce, value, name.encode())

    def open(self, name: str, sealed: bytes) -> bytes:
        """Return what was sealed.

        :raises LabError: the key is not the one it was sealed with, or it is damaged.
        """
        key = AESGCM(self._key())
        try:
            return key.decrypt(sealed[:_NONCE_SIZE], sealed[_NONCE_SIZE:], name.encode())
        except (InvalidTag, ValueError) as error:
            raise LabError(
                f"{name!r} cannot be opened: it is damaged, or was sealed with another key than {self._file}",
                hint=f"restore the key, or set it anew: lab secret set {name}",
            ) from error

    def _key(self, *, make: bool = False) -> bytes:
        try:
            if make and not self._file.exists():
                self._make_key()
            with self._file.open("rb") as stream:
                mode = os.fstat(stream.fileno()).st_mode
                key = stream.read(_KEY_SIZE + 1)
        except OSError as error:
            raise LabError(
                f"cannot read the key of the lab's secrets, {self._file}: {error.strerror}",
                hint="restore it; without it they cannot be opened",
            ) from error
        if mode & 0o077:
            raise LabError(
                f"others than its owner may read {self._file}: what it sealed may be known to them",
                hint=f"chmod 600 {self._file}, and change the secrets",
            )
        if len(key) != _KEY_SIZE:
            raise LabError(f"{self._file} is no key: it has not {_KEY_SIZE} bytes", hint="restore it")
        return key

    def _make_key(self) -> None:
        temporary = self._file.with_suffix(f".{os.getpid()}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(AESGCM.generate_key(bit_length=8 * _KEY_SIZE))
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(self._file)


# -- for a recipient


def seal_for(recipient: bytes, value: bytes) -> bytes:
    """Return a value as a COSE_Encrypt that only the recipient can open.

    :param recipient: a P-256 public key or a certificate of one, PEM.
    :raises UsageError: it is neither.
    """
    cose, key, recipients = _cose()
    try:
        public: object
        if b"BEGIN CERTIFICATE" in recipient:
            public = x509.load_pem_x509_certificate(recipient).public_key()
        else:
            public = load_pem_public_key(recipient)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UsageError(f"the recipient is neither a public key nor a certificate (PEM): {error}") from error
    if not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(public.curve, ec.SECP256R1):
        raise UsageError("a recipient's key is a P-256 one")
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    to = recipients.new({"alg": _EXCHANGE}, recipient_key=key.from_pem(pem), context=_CONTEXT)
    content_key = key.generate_symmetric_key(alg=_CONTEXT["alg"])
    sealed = cose.new(alg_auto_inclusion=True).encode(value, content_key, recipients=[to])
    assert isinstance(sealed, bytes)
    return sealed


def open_with(key: ec.EllipticCurvePrivateKey, sealed: bytes) -> bytes:
    """Return what `seal_for` sealed for the holder of this key.

    :raises LabError: it was sealed for another one, or is damaged.
    """
    cose, keys, _ = _cose()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        value = cose.new().decode(sealed, keys.from_pem(pem, alg=_EXCHANGE), context=_CONTEXT)
    except Exception as error:  # cwt raises what its parts raise
        raise LabError("it was not sealed for this key, or is damaged") from error
    assert isinstance(value, bytes)
    return value


def _cose() -> tuple[Any, Any, Any]:
    """Import what is only needed here, and takes a while."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # cwt imports what cryptography is about to drop
        from cwt import COSE, COSEKey, Recipient
    return COSE, COSEKey, Recipient


def _unknown(name: str) -> NotFoundError:
    return NotFoundError(f"there is no secret {name!r}", hint="see which there are: lab secret list")
