"""The panel's pages, and how a browser comes in."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Form, Request
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles

from lab._version import __version__
from lab.api.auth import Gatekeeper, Principal, gatekeeper, same_origin
from lab.api.problems import Refused
from lab.panel import vendor

if TYPE_CHECKING:
    import jinja2

_FOLDER = Path(__file__).parent
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
# Page, its title, and the words of the menu.
PAGES = (
    ("/", "fleet", "Fleet"),
    ("/apps", "apps", "Apps"),
    ("/wizard", "wizard", "New app"),
    ("/rollouts", "rollouts", "Rollouts"),
    ("/monitoring", "monitoring", "Monitoring"),
    ("/logs", "logs", "Logs"),
    ("/terminal", "terminal", "Terminal"),
    ("/settings", "settings", "Settings"),
)

router = APIRouter(include_in_schema=False)
TheGate = Annotated[Gatekeeper, Depends(gatekeeper)]


class NotLoggedIn(Exception):
    """A page was asked for by a browser without a session."""


async def _visitor(request: Request, gate: TheGate) -> Principal:
    principal = await gate.of_cookie(request.cookies.get(gate.cookie, ""))
    if principal is None:
        raise NotLoggedIn
    return principal


Visitor = Annotated[Principal, Depends(_visitor)]


def install(api: FastAPI) -> None:
    """Add the panel's pages to an application."""
    api.include_router(router)
    api.mount("/static", StaticFiles(directory=_FOLDER / "static"), name="static")

    @api.exception_handler(NotLoggedIn)
    async def to_login(request: Request, error: NotLoggedIn) -> Response:
        return RedirectResponse("/login", 303)


@cache
def _templates() -> jinja2.Environment:
    import jinja2

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _render(name: str, status: int = 200, **values: Any) -> HTMLResponse:
    html = _templates().get_template(f"{name}.html").render(version=__version__, pages=PAGES, **values)
    return HTMLResponse(html, status, {"Content-Security-Policy": _POLICY})


def _page(who: Principal, name: str, title: str, **values: Any) -> HTMLResponse:
    return _render(
        name, page=name, title=title, who=who, role=who.role.name.lower(), plots=vendor.present(), **values
    )


# -- coming in


@router.get("/login")
async def show_login(request: Request, gate: TheGate, code: str = "") -> Response:
    """Begin a session for who follows a link of `lab panel`; else ask for a token."""
    if not code:
        return _render("login", failed="")
    cookie = await gate.follow_link(code)
    if cookie is None:
        gate.note_failure(request)
        return _render("login", 401, failed="This link was used before, or is older than two minutes.")
    return _begin(request, gate, cookie)


@router.post("/login")
async def log_in(request: Request, gate: TheGate, token: Annotated[str, Form(max_length=200)]) -> Response:
    """Begin a session for who knows a token."""
    if "origin" in request.headers and not same_origin(request):
        raise Refused(403, "Forbidden", "another site's page asked for this")
    principal = await gate.of_token(token)
    if principal is None:
        gate.note_failure(request)
        return _render("login", 401, failed="The lab knows no such token.")
    return _begin(request, gate, await gate.begin(principal))


def _begin(request: Request, gate: Gatekeeper, cookie: str) -> Response:
    answer = RedirectResponse("/", 303)
    answer.set_cookie(
        gate.cookie, cookie, httponly=True, samesite="strict", secure=request.url.scheme == "https", path="/"
    )
    return answer


@router.post("/logout")
async def log_out(request: Request, gate: TheGate, who: Visitor) -> Response:
    """End the session."""
    await gate.admit(request)  # the CSRF token: nobody is logged out by another site
    await gate.end(request.cookies[gate.cookie])
    answer = Response(status_code=204)
    answer.delete_cookie(gate.cookie, path="/", httponly=True, samesite="strict")
    return answer


# -- pages


@router.get("/")
async def show_fleet(who: Visitor) -> Response:
    """Every device, live."""
    return _page(who, "fleet", "Fleet")


@router.get("/devices/{device}")
async def show_device(who: Visitor, device: str) -> Response:
    """One board: its picture, its sensors, its apps, what it says."""
    return _page(who, "device", device, device=device)


@router.get("/welcome")
async def show_welcome(who: Visitor) -> Response:
    """The first run: the gateway's settings, the first boards."""
    return _page(who, "welcome", "Welcome")


@router.get("/vendor/{file}")
async def show_vendor(file: str) -> Response:
    """Third-party browser code, from the lab's cache."""
    path = vendor.file(file)
    if path is None:
        raise Refused(404, "Not Found", "the panel has no such file")
    return FileResponse(path, headers={"Cache-Control": "private, max-age=86400"})


def _add(path: str, name: str, title: str) -> None:
    async def show(who: Visitor) -> Response:
        return _page(who, name, title)

    router.add_api_route(path, show, methods=["GET"])


for _path, _name, _title in PAGES[1:]:
    _add(_path, _name, _title)
