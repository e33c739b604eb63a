"""Packages: a module, and what its publisher has signed of it (docs/protocol.md, section 5).

    package = Package.load(Path("alarm.lab"))
    package.name, package.sequence, package.publisher
    package = Package.unsigned("alarm", module)         # what development devices take

Whether the signature is good is for the device to say: nothing here trusts a publisher, or refuses one.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import cbor2

from lab.errors import UsageError
from lab.modules import MAGIC, check_module
from lab.wire import messages as m

SUFFIX = ".lab"
LIMIT = (4 << 20) + m.ENVELOPE_LIMIT + 16
"""Bytes of the largest package; no board of the catalogue has room for more."""
KEY_ID_BYTES = 8

# A COSE_Sign1 of section 5 is encoded deterministically (RFC 8949, section 4.2), so that it begins with these
# bytes: its tag, an array of four, and the protected header {1: -7, 4: kid} up to the kid.
_HEAD = bytes.fromhex("d2844da201260448")
_UNPROTECTED = b"\xa0"
_SIGNATURE = b"\x58\x40"  # the head of 64 bytes
_SIGNATURE_BYTES = 64
_BYTES = 2  # CBOR's major type of byte strings


@dataclass(frozen=True, slots=True)
class Package:
    """An app as a device is sent it.

    :param name: the app's.
    :param module: a core WebAssembly module.
    :param envelope: the COSE_Sign1; empty for a module that nobody signed.
    :param publisher: the id of the key that signed it, hex; empty if nobody did.
    :param claims: what was signed; none if nothing was.
    """

    name: str
    module: bytes
    envelope: bytes = b""
    publisher: str = ""
    claims: m.Package | None = None

    @classmethod
    def unsigned(cls, name: str, module: bytes) -> Self:
        """Make one that nobody signed.

        :raises UsageError: it is no module, or has a name that no app can have.
        """
        check_module(module, name)
        check_name(name)
        return cls(name, module)

    @classmethod
    def signed(cls, envelope: bytes, module: bytes, what: str) -> Self:
        """Make one of its two parts.

        :param what: how to name it in an error.
        :raises UsageError: the envelope is not of this form, or speaks of another module.
        """
        if len(envelope) > m.ENVELOPE_LIMIT:
            raise _unreadable(
                what, f"its signed part has {len(envelope)} bytes; {m.ENVELOPE_LIMIT} are allowed"
            )
        try:
            kid, claims = _open(envelope)
        except (ValueError, m.BodyError) as error:
            raise _unreadable(what, str(error)) from error
        check_module(module, what)
        if len(module) != claims.size or hashlib.sha256(module).digest() != claims.digest:
            raise _unreadable(what, "its module is not the one that was signed")
        return cls(claims.name, module, envelope, kid.hex(), claims)

    @classmethod
    def read(cls, content: bytes, what: str) -> Self:
        """Return the package in a file.

        :param what: how to name it in an error.
        :raises UsageError: it is cut short, damaged, or no package.
        """
        try:
            envelope, rest = _split(content)
            module, left = _byte_string(rest)
            if left:
                raise ValueError(f"{len(left)} bytes follow it")
        except ValueError as error:
            raise _unreadable(what, str(error)) from error
        return cls.signed(envelope, module, what)

    @classmethod
    def load(cls, file: Path) -> Self:
        """Return the package in a file. See `read`."""
        try:
            content = file.read_bytes()
        except OSError as error:
            raise UsageError(f"cannot read {file}: {error.strerror}") from error
        return cls.read(content, str(file))

    @classmethod
    def of(cls, content: bytes, name: str, what: str) -> Self:
        """Return the package in `content`, which may also be a bare module: the app `name`, unsigned.

        :raises UsageError: it is neither, or the package is of another app.
        """
        if content.startswith(MAGIC) or not content.startswith(_HEAD[:1]):
            return cls.unsigned(name, content)
        package = cls.read(content, what)
        if name and package.name != name:
            raise UsageError(
                f"{what} is signed as {package.name}, not {name}",
                hint="a name is part of what is signed: sign it anew under the other one",
            )
        return package

    @property
    def digest(self) -> bytes:
        """SHA-256 of the module."""
        return self.claims.digest if self.claims else hashlib.sha256(self.module).digest()

    @property
    def id(self) -> str:
        """What tells it from every other package: a SHA-256 in hex, over what was signed if it was."""
        return package_id(self.name, self.envelope, self.digest.hex())

    @property
    def version(self) -> str:
        """For people; empty if it has none."""
        return self.claims.version if self.claims else ""

    @property
    def sequence(self) -> int:
        """What orders the versions of an app for devices; 0 if it is not signed."""
        return self.claims.sequence if self.claims else 0

    @property
    def trial(self) -> float:
        """In how many seconds a device decides whether it is healthy."""
        return self.claims.trial_time / 1000 if self.claims else UNSIGNED_TRIAL

    def write(self) -> bytes:
        """Return it as a file: COSE_Sign1, then the module as a byte string; unsigned, the bare module."""
        if not self.envelope:
            return self.module
        return self.envelope + cbor2.dumps(self.module)

    def describe(self) -> dict[str, Any]:
        """Return it as JSON, without the module."""
        return {
            "id": self.id,
            "name": self.name,
            "version": self.version,
            "sequence": self.sequence,
            "digest": self.digest.hex(),
            "size": len(self.module),
            "publisher": self.publisher,
            "signed": bool(self.envelope),
            "vendor": self.claims.vendor if self.claims else "",
            "classes": list(self.claims.classes) if self.claims else [],
        }


UNSIGNED_TRIAL = 10.0
"""In how many seconds a device decides on an unsigned module (docs/protocol.md, section 5)."""


def package_id(name: str, envelope: bytes, digest: str) -> str:
    """Return what `Package.id` is for these parts."""
    return hashlib.sha256(envelope or f"{name} {digest}".encode()).hexdigest()


def key_id(point: bytes) -> bytes:
    """Return the id of a publisher's key.

    :param point: the public key, an uncompressed point.
    """
    return hashlib.sha256(point).digest()[:KEY_ID_BYTES]


def check_name(name: str) -> str:
    """Return `name` if it can be an app's.

    :raises UsageError: it cannot.
    """
    try:
        m.pack(m.Stop(name))
    except m.BodyError as error:
        raise UsageError(
            f"{name!r} cannot be an app's name", hint="1 to 32 of A-Z a-z 0-9 . _ - are allowed"
        ) from error
    return name


def _split(content: bytes) -> tuple[bytes, bytes]:
    """Return a COSE_Sign1 and what follows it."""
    start = len(_HEAD) + KEY_ID_BYTES
    if not content.startswith(_HEAD):
        raise ValueError("it does not begin with a COSE_Sign1 made with ES256")
    if content[start : start + 1] != _UNPROTECTED:
        raise ValueError("its unprotected header is not empty")
    _, rest = _byte_string(content[start + 1 :])
    if not rest.startswith(_SIGNATURE):
        raise ValueError("it has no signature of 64 bytes")
    end = len(content) - len(rest) + len(_SIGNATURE) + _SIGNATURE_BYTES
    if end > len(content):
        raise ValueError("it is cut short")
    return content[:end], content[end:]


def _open(envelope: bytes) -> tuple[bytes, m.Package]:
    """Return the key's id and the claims of a COSE_Sign1."""
    whole, rest = _split(envelope)
    if rest:
        raise ValueError("something follows its signature")
    start = len(_HEAD) + KEY_ID_BYTES
    payload, _ = _byte_string(whole[start + 1 :])
    claims = m.unpack(m.Package, payload)
    if claims.format != 1:
        raise ValueError(f"packages of format {claims.format} are not known here; update the lab")
    return whole[len(_HEAD) : start], claims


def _byte_string(data: bytes) -> tuple[bytes, bytes]:
    """Return the CBOR byte string that `data` begins with, and the rest (RFC 8949, section 3)."""
    if not data:
        raise ValueError("it is cut short")
    major, info = data[0] >> 5, data[0] & 0x1F
    if major != _BYTES or info > 26:
        raise ValueError("a byte string of definite length expected")
    width = 0 if info < 24 else 1 << (info - 24)
    if len(data) < 1 + width:
        raise ValueError("it is cut short")
    length = int.from_bytes(data[1 : 1 + width], "big") if width else info
    end = 1 + width + length
    if len(data) < end:
        raise ValueError(f"it is cut short: {len(data) - 1 - width} of {length} bytes are there")
    return data[1 + width : end], data[end:]


def _unreadable(what: str, why: str) -> UsageError:
    return UsageError(
        f"{what} is no package: {why}", hint="make one with: lab sign APP.wasm --key publisher.pem"
    )
