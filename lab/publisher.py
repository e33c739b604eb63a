"""Publishers: who signs packages. On the user's side only: the daemon never sees a private key.

    publisher = Publisher.own(home)                     # the lab's own, made when first asked for
    package = publisher.sign(app.name, app.module, version=app.version)
    Path("alarm.lab").write_bytes(package.write())

A key is a P-256 PEM file, readable by its owner only. Devices are provisioned with the public keys in the
lab's ``publishers/`` when they get power: one that is added later is known from a device's next power-on.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from lab.errors import LabError, NotFoundError, UsageError
from lab.home import Home
from lab.packages import Package, check_name, key_id
from lab.pki import PUBLISHERS_LIMIT, VENDOR, ec_key, load_public_key, public_point
from lab.wire import messages as m

TRIAL_POLLS = 3
TRIAL_SECONDS = 10.0
_OWN = "publisher.pem"


class Publisher:
    """One signing key.

    :param file: the private key, PEM.
    :raises LabError: there is none, or it is of another kind.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        try:
            self._key = ec_key(file)
        except FileNotFoundError as error:
            raise UsageError(
                f"there is no key {file}", hint=f"make one with: lab publisher new {file}"
            ) from error
        except (OSError, ValueError, TypeError) as error:
            raise LabError(f"{file} cannot be used to sign: {error}") from error
        if not isinstance(self._key.curve, ec.SECP256R1):
            raise LabError(f"{file} holds a key of another kind: publishers have P-256 ones")

    @classmethod
    def new(cls, file: Path) -> Publisher:
        """Make a key.

        :raises UsageError: the file is there already, or cannot be written.
        """
        pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )
        # Written elsewhere and then linked: of two that make it at once, one wins and no half is ever seen.
        temporary = file.with_name(f".{file.name}.{os.getpid()}")
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(pem)
            os.link(temporary, file)
        except FileExistsError as error:
            raise UsageError(
                f"{file} is there already", hint="choose another name, or use that key"
            ) from error
        except OSError as error:
            raise UsageError(f"cannot write {file}: {error.strerror}") from error
        finally:
            temporary.unlink(missing_ok=True)
        return cls(file)

    @classmethod
    def own(cls, home: Home) -> Publisher:
        """Return the lab's own publisher, made and trusted by it when first asked for."""
        file = home.create().root / _OWN
        if not file.exists():
            with contextlib.suppress(UsageError):  # another process has just made it
                trust(home, "own", cls.new(file).public_pem)
        return cls(file)

    @property
    def id(self) -> str:
        """The id of its key, as packages name it: hex."""
        return key_id(self.point).hex()

    @property
    def point(self) -> bytes:
        """The public key, as devices are provisioned with it."""
        return public_point(self._key.public_key())

    @property
    def public_pem(self) -> bytes:
        """The public key, PEM."""
        return self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def sign(
        self,
        name: str,
        module: bytes,
        *,
        manifest: m.Manifest | None = None,
        version: str = "",
        sequence: int | None = None,
        vendor: str = VENDOR,
        classes: Sequence[str] = (),
        trial_polls: int = TRIAL_POLLS,
        trial_seconds: float = TRIAL_SECONDS,
    ) -> Package:
        """Return a module as a package that devices which trust this key take.

        :param manifest: what the app may do; else what the module's own manifest asks for.
        :param version: for people, at most 24 bytes.
        :param sequence: devices take only what is above the one they have; else the Unix time in seconds, or
            one more than this key has used last: it goes up by itself.
        :param vendor: whose devices it is for.
        :param classes: their boards; none means all of the vendor's.
        :param trial_polls: polls that must pass before a device keeps it.
        :param trial_seconds: in which they must.
        :raises UsageError: one of these cannot be.
        """
        from lab.sdk.validate import permissions

        unsigned = Package.unsigned(name, module)
        claims = m.Package(
            format=1,
            name=name,
            version=version,
            sequence=self._next_sequence() if sequence is None else sequence,
            vendor=vendor,
            classes=tuple(classes),
            size=len(module),
            digest=unsigned.digest,
            manifest=manifest or permissions(module, name),
            trial_polls=trial_polls,
            trial_time=round(trial_seconds * 1000),
        )
        if not 0 < claims.sequence < 1 << 32:
            raise UsageError(
                f"a sequence number of {claims.sequence} cannot be", hint="1 to 2^32-1 are allowed"
            )
        return self._seal(claims, module)

    def again(self, package: Package) -> Package:
        """Sign a package anew, as the newest version: how an older one gets past devices that only go up."""
        claims = package.claims
        if claims is None:
            return self.sign(package.name, package.module)
        return self.sign(
            package.name,
            package.module,
            manifest=claims.manifest,
            version=claims.version,
            vendor=claims.vendor,
            classes=claims.classes,
            trial_polls=claims.trial_polls,
            trial_seconds=claims.trial_time / 1000,
        )

    def _seal(self, claims: m.Package, module: bytes) -> Package:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # cwt imports what cryptography is about to drop
            from cwt import COSE, COSEKey

        kid = key_id(self.point)
        pem = self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        try:
            payload = m.pack(claims)
        except m.BodyError as error:
            raise UsageError(f"{claims.name} cannot be signed like that: {error.message}") from error
        envelope = COSE.new().encode_and_sign(
            payload,
            COSEKey.from_pem(pem, kid=kid, alg="ES256"),
            protected={"alg": "ES256", "kid": kid},
        )
        assert isinstance(envelope, bytes)
        return Package.signed(envelope, module, claims.name)

    def _next_sequence(self) -> int:
        """Return the Unix time, or one more than was used last, should that be later."""
        now = int(time.time())
        file = self.file.with_name(f"{self.file.name}.sequence")
        try:
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError:
            return now  # nothing can be written there, so it is not for two versions a second
        with os.fdopen(descriptor, "r+") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            last = stream.read(16).strip()
            sequence = max(now, int(last) + 1 if last.isdigit() else 0)
            stream.seek(0)
            stream.truncate()
            stream.write(f"{sequence}\n")
        return sequence


def trust(home: Home, name: str, pem: bytes) -> Path:
    """Have the lab's devices take a publisher's packages, from their next power-on.

    :param pem: the public key.
    :raises UsageError: that is none.
    :raises LabError: there are as many as a device knows.
    """
    check_name(name)
    home.create()
    home.publishers.mkdir(mode=0o700, exist_ok=True)
    file = home.publishers / f"{name}.pem"
    if not file.exists() and len(list(home.publishers.glob("*.pem"))) >= PUBLISHERS_LIMIT:
        raise LabError(
            f"a device knows {PUBLISHERS_LIMIT} publishers at most",
            hint="take one out: lab publisher distrust NAME",
        )
    temporary = file.with_suffix(f".{os.getpid()}")
    temporary.write_bytes(pem)
    try:
        load_public_key(temporary)
        temporary.replace(file)
    except LabError:
        raise UsageError(
            f"what {name} is to be trusted by is no public key of a publisher: P-256, PEM",
            hint="it is the .pub.pem beside the key that lab publisher new made",
        ) from None
    finally:
        temporary.unlink(missing_ok=True)
    return file


def distrust(home: Home, name: str) -> None:
    """Take a publisher out again; devices know it from their next power-on.

    :raises NotFoundError: none of that name is trusted.
    """
    file = home.publishers / f"{check_name(name)}.pem"
    try:
        file.unlink()
    except FileNotFoundError:
        raise NotFoundError(
            f"no publisher {name!r} is trusted here", hint="see who is: lab publisher list"
        ) from None


def trusted(home: Home) -> dict[str, str]:
    """Return the publishers the lab's devices are provisioned with: name to the id of the key, hex."""
    return {
        file.stem: key_id(public_point(load_public_key(file))).hex()
        for file in sorted(home.publishers.glob("*.pem"))
    }
