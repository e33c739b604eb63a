"""`/publishers`: whose packages this lab's devices take."""

from __future__ import annotations

from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from lab import publisher as publishers
from lab.api.auth import Role, needs
from lab.api.context import TheLab
from lab.api.paging import ByName
from lab.lab import Json

router = APIRouter(tags=["access"])

PublisherName = Annotated[str, Path(pattern="^[A-Za-z0-9._-]{1,32}$")]


class TrustRequest(BaseModel):
    """A publisher's public key: P-256, PEM."""

    public_key: str = Field(min_length=1, max_length=2000)


@router.get("/publishers")
async def list_publishers(lab: TheLab, page: ByName) -> Json:
    """List the publishers that devices are provisioned with, by name and the id of their key."""
    found = await to_thread.run_sync(publishers.trusted, lab.home)
    rows = [{"name": name, "id": id} for name, id in found.items()]
    return page.of("publishers", rows, lambda row: row["name"])


@router.put("/publishers/{name}", dependencies=[needs(Role.ADMIN)])
async def trust_publisher(lab: TheLab, name: PublisherName, what: TrustRequest) -> Json:
    """Have devices take a publisher's packages, each from its next power-on."""
    await to_thread.run_sync(publishers.trust, lab.home, name, what.public_key.encode())
    return {"name": name, "id": publishers.trusted(lab.home)[name]}


@router.delete("/publishers/{name}", dependencies=[needs(Role.ADMIN)])
async def distrust_publisher(lab: TheLab, name: PublisherName) -> Json:
    """Take a publisher out again; what it has signed goes on where it runs."""
    publishers.distrust(lab.home, name)
    return {}
