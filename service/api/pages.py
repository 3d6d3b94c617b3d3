"""Pages for people: the dashboard at `/` and the API's documentation at `/docs`."""

from __future__ import annotations

import base64
import hashlib
import re

from fastapi import APIRouter, FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from service.dashboard import STATIC

#: The dashboard brings all its scripts and styles as files of its own.
_PAGE = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Frame-Options": "DENY",
    # Asked for again each time, answered with 304 while it is the same: a new server never meets an old page.
    "Cache-Control": "no-cache",
}
#: Where FastAPI takes the documentation's viewer from: the one thing here that a browser fetches from elsewhere.
_VIEWER = "https://cdn.jsdelivr.net"
_INLINE_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)

router = APIRouter(include_in_schema=False)


class _Files(StaticFiles):
    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(_PAGE)
        return response


@router.api_route("/", methods=["GET", "HEAD"])
async def dashboard() -> Response:
    return FileResponse(STATIC / "index.html", headers=_PAGE, media_type="text/html")


@router.get("/docs")
async def docs() -> Response:
    html = bytes(get_swagger_ui_html(openapi_url="openapi.json", title="Liquidstream: the API").body).decode()
    hashes = " ".join(f"'sha256-{_hash(script)}'" for script in _INLINE_SCRIPT.findall(html))
    policy = (
        f"default-src 'none'; script-src {hashes} {_VIEWER}; style-src 'unsafe-inline' {_VIEWER}; "
        "img-src 'self' data: https://fastapi.tiangolo.com; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    return HTMLResponse(html, headers={**_PAGE, "Content-Security-Policy": policy})


def mount(app: FastAPI) -> None:
    """Add the pages and the dashboard's files to an app."""
    app.include_router(router)
    app.mount("/dashboard", _Files(directory=STATIC), name="dashboard")


def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


__all__ = ["mount"]
