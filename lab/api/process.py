"""`/lab`, `/shutdown`: the process that runs the lab."""

from __future__ import annotations

from fastapi import APIRouter

from lab._version import __version__
from lab.api.auth import Role, needs
from lab.api.context import TheLab
from lab.lab import Json

router = APIRouter(tags=["lab"])


@router.get("/lab")
async def show_lab(lab: TheLab) -> Json:
    """Say which lab this is."""
    return {"version": __version__, "home": str(lab.home.root)}


@router.post("/shutdown", status_code=202, dependencies=[needs(Role.ADMIN)])
async def shut_down(lab: TheLab) -> Json:
    """End the lab and everything it runs."""
    lab.ending.set()
    return {}
