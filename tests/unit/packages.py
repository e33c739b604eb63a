"""Packages as a publisher signs them, made by hand, so that a test can also sign what no publisher would."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

MANIFEST = {0: 1, 1: ["log"], 2: [], 3: 0, 4: 0}


@dataclass(frozen=True)
class Publisher:
    """Someone who signs packages.

    :param claimed: another's public key, whose packages they pretend to be.
    """

    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    claimed: bytes = b""

    @property
    def public(self) -> bytes:
        """Its public key as devices are provisioned with it."""
        return self.key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    def sign(self, payload: bytes) -> bytes:
        """Return the COSE_Sign1 of docs/protocol.md, section 5, around any payload."""
        kid = hashlib.sha256(self.claimed or self.public).digest()[:8]
        protected = cbor2.dumps({1: -7, 4: kid}, canonical=True)
        signed = cbor2.dumps(["Signature1", protected, b"", payload])
        r, s = decode_dss_signature(self.key.sign(signed, ec.ECDSA(hashes.SHA256())))
        signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        return cbor2.dumps(cbor2.CBORTag(18, [protected, {}, payload, signature]))

    def envelope(self, name: str, module: bytes, sequence: int, **changed: object) -> bytes:
        """Return the signed half of a package; `changed` replaces fields of `package`."""
        return self.sign(cbor2.dumps(package(name, module, sequence, **changed)))


def package(name: str, module: bytes, sequence: int, **changed: object) -> dict[int, object]:
    """Return a `package` (lab/wire/wire.cddl)."""
    fields = {
        "form": 1,
        "name": name,
        "version": f"{sequence}.0",
        "sequence": sequence,
        "vendor": "lab",
        "classes": [],
        "size": len(module),
        "digest": hashlib.sha256(module).digest(),
        "manifest": MANIFEST,
        "polls": 3,
        "time": 10_000,
    }
    assert not changed.keys() - fields.keys()
    return dict(enumerate((fields | changed).values()))
