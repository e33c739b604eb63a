"""`/packages`, `/rollouts`: kept versions of apps, and their way to many devices."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from lab.api.apps import package_of
from lab.api.auth import Who
from lab.api.context import Number, TheLab
from lab.api.operations import operate
from lab.api.paging import Newest
from lab.gateway.rollout import Plan
from lab.lab import Json

router = APIRouter(tags=["rollouts"])

_PACKAGE = "application/cose"  # of its first part, the COSE_Sign1 (RFC 9052, section 11.3.1)


class RolloutRequest(BaseModel):
    """Which package goes where, and how. `lab.gateway.rollout.Plan` says what each means."""

    package: str
    other: str | None = None
    devices: list[str] = Field(default_factory=list, max_length=10_000)
    selector: str = ""
    batch: int = 10
    pause: float = 0.0
    max_failures: int = 0
    canary: int = 0
    split: int = 50
    rollback_of: int | None = None


@router.get("/packages")
async def list_packages(
    lab: TheLab, page: Newest, app: Annotated[str | None, Query(max_length=32)] = None
) -> Json:
    """List the kept versions, the newest first, with the devices that run each; `app`: of this one only."""
    answer = page.of("packages", await lab.store.packages(app), lambda row: float(row["created"]))
    for package in answer["packages"]:
        package["devices"] = [
            info.id
            for info in lab.gateway.devices()
            for found in info.apps
            if (found.name, found.digest, found.sequence)
            == (package["name"], package["digest"], package["sequence"])
            and found.runs
        ]
    return answer


@router.post("/packages", status_code=201)
async def keep_package(lab: TheLab, request: Request, name: str = "") -> Json:
    """Keep the package in the body, or the bare module as the app `name`, for a rollout."""
    package = await package_of(request, name)
    await lab.store.save_package(package)
    return package.describe()


@router.get("/packages/{id}")
async def fetch_package(lab: TheLab, id: str) -> Response:
    """Return a kept package as a file: to be kept elsewhere, or signed anew."""
    package = await lab.store.package(id)
    return Response(package.write(), media_type=_PACKAGE if package.envelope else "application/wasm")


@router.get("/rollouts")
async def list_rollouts(lab: TheLab, page: Newest) -> Json:
    """List rollouts, the newest first."""
    return page.of("rollouts", await lab.rollouts.rollouts(), lambda row: int(row["id"]))


@router.post("/rollouts", status_code=201)
async def begin_rollout(lab: TheLab, who: Who, what: RolloutRequest) -> Json:
    """Start a rollout of a kept package; with `other`, of two, side by side."""
    fields = what.model_dump(exclude={"package", "other"})
    return await lab.rollouts.begin(Plan(**fields), what.package, what.other, by=who.name)


@router.get("/rollouts/{id}")
async def show_rollout(lab: TheLab, id: Number) -> Json:
    """Describe a rollout: each device's state, and the figures of each arm."""
    return await lab.rollouts.show(id)


@router.post("/rollouts/{id}/wait")
async def wait_for_rollout(lab: TheLab, request: Request, id: Number) -> Response:
    """Answer once a rollout is over, or has paused."""
    return await operate(request, lambda progress: lab.rollouts.over(id, progress))


@router.post("/rollouts/{id}/pause")
async def pause_rollout(lab: TheLab, id: Number) -> Json:
    """Begin with no further device."""
    return await lab.rollouts.pause(id)


@router.post("/rollouts/{id}/resume")
async def resume_rollout(lab: TheLab, id: Number) -> Json:
    """Go on; what has failed so far no longer counts."""
    return await lab.rollouts.resume(id)


@router.post("/rollouts/{id}/abort")
async def abort_rollout(lab: TheLab, id: Number) -> Json:
    """End a rollout; devices whose turn has not come keep what they run."""
    return await lab.rollouts.abort(id)
