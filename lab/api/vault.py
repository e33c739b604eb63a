"""`/secrets`: what only the lab's administrators may know, kept encrypted (`lab.vault`)."""

from __future__ import annotations

import base64
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field, SecretStr

from lab import vault
from lab.api.auth import Role, needs
from lab.api.context import TheLab
from lab.api.paging import ByName
from lab.errors import UsageError
from lab.lab import Json

router = APIRouter(prefix="/secrets", tags=["access"], dependencies=[needs(Role.ADMIN)])

_LIMIT = 64 << 10  # bytes

SecretName = Annotated[str, Path(pattern="^[A-Za-z0-9._-]{1,64}$")]


class SecretRequest(BaseModel):
    """What a secret is to be: text, of 64 KiB at most."""

    value: SecretStr = Field(min_length=1, max_length=_LIMIT)


class SealRequest(BaseModel):
    """Who is to read a secret: a P-256 public key or a certificate of one, PEM."""

    recipient: str = Field(min_length=1, max_length=8000)


@router.get("")
async def list_secrets(lab: TheLab, page: ByName) -> Json:
    """List the secrets by name; not what they are."""
    return page.of("secrets", await lab.vault.names(), lambda row: str(row["name"]))


@router.put("/{name}")
async def set_secret(lab: TheLab, name: SecretName, what: SecretRequest) -> Json:
    """Keep a secret, in place of the one of that name."""
    try:
        value = what.value.get_secret_value().encode()
    except UnicodeEncodeError as error:
        raise UsageError("a secret is text that can be written as UTF-8") from error
    if len(value) > _LIMIT:
        raise UsageError(f"a secret has at most {_LIMIT >> 10} KiB")
    await lab.vault.put(name, value)
    return {"name": name}


@router.get("/{name}")
async def show_secret(lab: TheLab, name: SecretName) -> Json:
    """Tell a secret. That it was asked for is in the audit log."""
    return {"name": name, "value": (await lab.vault.get(name)).decode()}


@router.post("/{name}/seal")
async def seal_secret(lab: TheLab, name: SecretName, what: SealRequest) -> Json:
    """Return a secret such that only the recipient can read it: a COSE_Encrypt (RFC 9052), in base64."""
    sealed = vault.seal_for(what.recipient.encode(), await lab.vault.get(name))
    return {"name": name, "sealed": base64.b64encode(sealed).decode()}


@router.delete("/{name}")
async def remove_secret(lab: TheLab, name: SecretName) -> Json:
    """Forget a secret."""
    await lab.vault.remove(name)
    return {}
