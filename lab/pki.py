"""The lab's certificate authority: who is a device of this lab, and who is its gateway.

P-256 with ECDSA-SHA-256 throughout. Files are PEM, below ``pki/`` of the lab's folder, keys readable by their
owner only. Certificates stay below 600 bytes of DER, so that a handshake is short on a UART.
"""

from __future__ import annotations

import os
import re
import ssl
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from lab.errors import LabError, NotFoundError, UsageError
from lab.home import Home
from lab.wire import messages

GATEWAY = "gateway.lab"
"""The gateway's dNSName."""
VENDOR = "lab"
"""Whose the lab's devices are, and who its packages are for unless they say otherwise."""

PUBLISHERS_LIMIT = 4
"""How many publishers a device knows at most."""

_IDENTITY = struct.Struct("<4sI")
_IDENTITY_LIMIT = 4096
_DEVICE_ID = re.compile(r"(?!.*\.\.)[A-Za-z0-9]([A-Za-z0-9._-]{0,30}[A-Za-z0-9])?")
_VALIDITY = timedelta(days=3650)
_CLOCK_SKEW = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate this authority issued, and where it is.

    :param name: its dNSName: a device's id, or the gateway's name.
    :param serial: its serial number.
    :param expires: the end of its validity.
    :param certificate: the certificate's file, PEM.
    :param key: its private key's file, PEM (SEC 1).
    """

    name: str
    serial: int
    expires: datetime
    certificate: Path
    key: Path


def check_device_id(device: str) -> str:
    """Return `device` if it can be a device's id: it names a certificate and a folder.

    :raises UsageError: it cannot.
    """
    if not _DEVICE_ID.fullmatch(device) or device == GATEWAY:
        raise UsageError(
            f"{device!r} cannot be a device's id",
            hint="1 to 32 of A-Z a-z 0-9 . _ -, a letter or digit at both ends, no two dots in a row",
        )
    return device


class Authority:
    """One lab's certificate authority, made when first needed.

    :param home: the lab's folder; everything is below its ``pki/``.
    :raises LabError: the authority's files are there but cannot be used.

    What is revoked stands in ``pki/crl.pem``, a certificate revocation list (RFC 5280, section 5).
    """

    def __init__(self, home: Home) -> None:
        self._folder = home.root / "pki"
        self._devices = self._folder / "devices"
        self._devices.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.certificate_file = self._folder / "ca.pem"
        key_file = self._folder / "ca.key"
        if not self.certificate_file.exists():
            self._create(key_file)
        self._certificate = _load_certificate(self.certificate_file)
        try:
            self._key = ec_key(key_file)
        except (OSError, ValueError, TypeError) as error:
            raise _unusable(key_file) from error
        self._revoked = self._load_revoked()

    def issue(self, device: str, *, renew: bool = False) -> Issued:
        """Return a device's certificate, issued now if there is none yet or if it has expired.

        :param renew: issue a new one, with a new key, in place of one that was revoked.
        :raises UsageError: `device` cannot be an id.
        :raises LabError: its certificate was revoked.
        """
        check_device_id(device)
        stem = self._devices / device
        if Path(f"{stem}.pem").exists() and self.is_revoked(self._load(stem)):
            if not renew:
                raise LabError(
                    f"the certificate of {device} was revoked",
                    hint=f"issue a new one: lab cert issue {device}",
                )
            Path(f"{stem}.pem").unlink()
        return self._obtain(stem, device, ExtendedKeyUsageOID.CLIENT_AUTH)

    def revoke(self, device: str) -> Issued:
        """Revoke a device's certificate: whoever holds its key is no device of this lab any more.

        :raises NotFoundError: it has none.
        """
        check_device_id(device)
        stem = self._devices / device
        if not Path(f"{stem}.pem").exists():
            raise NotFoundError(f"{device} has no certificate", hint="see which there are: lab cert list")
        issued = self._load(stem)
        if issued.serial not in self._revoked:
            self._revoked[issued.serial] = datetime.now(UTC)
            self._write_revoked()
        return issued

    def is_revoked(self, issued: Issued) -> bool:
        """Tell whether a certificate was revoked."""
        return issued.serial in self._revoked

    def device_of(self, certificate: bytes) -> str:
        """Return the device id that a client's certificate (DER, its chain already verified) stands for.

        :raises LabError: it is no device's certificate, or was revoked; says which.
        """
        device = device_of(certificate)
        if x509.load_der_x509_certificate(certificate).serial_number in self._revoked:
            raise LabError(f"the certificate of {device} was revoked")
        return device

    def gateway(self) -> Issued:
        """Return the gateway's certificate, issued now if there is none yet or if it has expired."""
        return self._obtain(self._folder / "gateway", GATEWAY, ExtendedKeyUsageOID.SERVER_AUTH)

    def issued(self) -> list[Issued]:
        """Return the devices' certificates, by id."""
        return [self._load(file.with_suffix("")) for file in sorted(self._devices.glob("*.pem"))]

    def identity(
        self,
        device: str,
        *,
        seed: bytes,
        now: int,
        publishers: Sequence[bytes] = (),
        vendor: str = VENDOR,
        board_class: str = "lab",
        development: bool = False,
    ) -> bytes:
        """Return the blob a device is provisioned with (docs/protocol.md, section 4).

        :param seed: 32 fresh random bytes for the device's generator, new at every power-on.
        :param now: Unix time, s.
        :param publishers: keys whose packages it takes: P-256 points, uncompressed; four at most.
        :param vendor: whose device it is; a package names the vendor it is for.
        :param board_class: what kind of device it is: its board.
        :param development: whether it takes unsigned modules too.
        :raises UsageError: `device` cannot be an id.
        """
        issued = self.issue(device)
        record = messages.Identity(
            version=1,
            device=device,
            ca=self._certificate.public_bytes(Encoding.DER),
            certificate=_load_certificate(issued.certificate).public_bytes(Encoding.DER),
            key=ec_key(issued.key).private_bytes(
                Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption()
            ),
            gateway=GATEWAY,
            seed=seed,
            time=now,
            publishers=tuple(publishers),
            vendor=vendor,
            board_class=board_class,
            development=int(development),
        )
        body = messages.pack(record)
        blob = _IDENTITY.pack(b"LABI", len(body)) + body + zlib.crc32(body).to_bytes(4, "little")
        if len(blob) > _IDENTITY_LIMIT:
            raise LabError(f"the identity of {device} has {len(blob)} bytes; a board takes {_IDENTITY_LIMIT}")
        return blob

    def server_context(self) -> ssl.SSLContext:
        """Return the gateway's side of TLS: 1.3 only, a client certificate of this authority, no tickets."""
        issued = self.gateway()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.verify_mode = ssl.CERT_REQUIRED
        context.num_tickets = 0
        context.load_verify_locations(self.certificate_file)
        context.load_cert_chain(issued.certificate, issued.key)
        return context

    # -- making and reading them

    def _create(self, key_file: Path) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        # Two labs' authorities differ in name too, so that a foreign device is told "unknown CA".
        serial = x509.random_serial_number()
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"lab {serial >> 128:08x}")])
        usage = x509.KeyUsage(
            digital_signature=False,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=True,
            crl_sign=True,
            encipher_only=False,
            decipher_only=False,
        )
        certificate = (
            _builder(name, name, key.public_key(), serial)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        _write(key_file, _pem(key), 0o600)
        _write(self.certificate_file, certificate.public_bytes(Encoding.PEM), 0o644)

    @property
    def _revocations(self) -> Path:
        return self._folder / "crl.pem"

    def _load_revoked(self) -> dict[int, datetime]:
        if not self._revocations.exists():
            return {}
        try:
            found = x509.load_pem_x509_crl(self._revocations.read_bytes())
        except (OSError, ValueError) as error:
            raise _unusable(self._revocations) from error
        if not found.is_signature_valid(self._certificate.public_key()):  # type: ignore[arg-type]
            raise _unusable(self._revocations)
        return {entry.serial_number: entry.revocation_date_utc for entry in found}

    def _write_revoked(self) -> None:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._certificate.subject)
            .last_update(now)
            .next_update(now + _VALIDITY)
        )
        for serial, when in self._revoked.items():
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(when).build()
            )
        signed = builder.sign(self._key, hashes.SHA256())
        _write(self._revocations, signed.public_bytes(Encoding.PEM), 0o644)

    def _obtain(self, stem: Path, name: str, usage: ObjectIdentifier) -> Issued:
        if Path(f"{stem}.pem").exists():
            issued = self._load(stem)
            if issued.expires > datetime.now(UTC):
                return issued
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = (
            _builder(subject, self._certificate.subject, key.public_key(), x509.random_serial_number())
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
            )
            .sign(self._key, hashes.SHA256())
        )
        _write(Path(f"{stem}.key"), _pem(key), 0o600)
        _write(Path(f"{stem}.pem"), certificate.public_bytes(Encoding.PEM), 0o644)
        return self._load(stem)

    def _load(self, stem: Path) -> Issued:
        file = Path(f"{stem}.pem")
        certificate = _load_certificate(file)
        return Issued(
            stem.name if stem.parent == self._devices else GATEWAY,
            certificate.serial_number,
            certificate.not_valid_after_utc,
            file,
            Path(f"{stem}.key"),
        )


def device_of(certificate: bytes) -> str:
    """Return the device id that a client's certificate (DER, its chain already verified) stands for.

    :raises LabError: it is no device's certificate; says why.
    """
    extensions = x509.load_der_x509_certificate(certificate).extensions
    try:
        usages = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound as error:
        raise LabError("the certificate names no usage or no device") from error
    if ExtendedKeyUsageOID.CLIENT_AUTH not in usages:
        raise LabError("the certificate is not for a client")
    found = names.get_values_for_type(x509.DNSName)
    if len(found) != 1 or not _DEVICE_ID.fullmatch(found[0]):
        raise LabError("the certificate does not name exactly one device")
    return found[0]


def publisher_keys(folder: Path) -> list[bytes]:
    """Return the public keys (PEM) of a folder as points: the publishers that devices are provisioned with.

    :raises LabError: a file holds none, or there are more than a device can keep.
    """
    files = sorted(folder.glob("*.pem"))
    if len(files) > PUBLISHERS_LIMIT:
        raise LabError(
            f"{folder} holds {len(files)} publishers; a device knows {PUBLISHERS_LIMIT} at most",
            hint="see which: lab publisher list; and take one out: lab publisher distrust NAME",
        )
    return [public_point(load_public_key(file)) for file in files]


def load_public_key(file: Path) -> ec.EllipticCurvePublicKey:
    """Return the P-256 public key in a PEM file.

    :raises LabError: it holds none.
    """
    try:
        key = load_pem_public_key(file.read_bytes())
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise LabError(f"cannot read a public key (PEM) from {file}: {error}") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise LabError(f"{file} holds a key of another kind: publishers have P-256 ones")
    return key


def public_point(key: ec.EllipticCurvePublicKey) -> bytes:
    """Return a public key as its uncompressed point (SEC 1, section 2.3.3)."""
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def ec_key(file: Path) -> ec.EllipticCurvePrivateKey:
    """Return the private key in a PEM file."""
    key = load_pem_private_key(file.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{file} holds no elliptic-curve key")
    return key


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, serial: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(serial)
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + _VALIDITY)
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())


def _write(file: Path, content: bytes, mode: int) -> None:
    """Write a file that is either there whole, or not at all."""
    temporary = Path(f"{file}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
    temporary.replace(file)


def _load_certificate(file: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(file.read_bytes())
    except (OSError, ValueError) as error:
        raise _unusable(file) from error


def _unusable(file: Path) -> LabError:
    return LabError(
        f"{file} cannot be used",
        hint=f"restore it, or remove {file.parent}: the lab then begins with new certificates",
    )
