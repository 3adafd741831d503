"""`/docs` and `/openapi.json`. They need a key as every route does; a browser, which can't send a
bearer token, is asked for a password and gives the key there.
"""

import base64
import hashlib
import re
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import FileResponse, HTMLResponse
from starlette.exceptions import HTTPException

from service.api.dependencies import ServicesDep, authorise
from service.domain.keys import Scope
from service.errors import NotAuthenticatedError

# Swagger's own files, so that the page needs no other site.
ASSETS = Path(str(files("fastapi_offline"))) / "static"
INLINE = re.compile(r"<script>(.*?)</script>", re.DOTALL)
CHALLENGE = 'Basic realm="Errata: any user, your API key as the password"'


def browser_key(
    request: Request, services: ServicesDep, authorization: Annotated[str | None, Header()] = None
) -> None:
    try:
        authorise(request, services, _secret(authorization or ""), Scope.GENERATE)
    except NotAuthenticatedError as error:
        raise HTTPException(401, str(error), {"WWW-Authenticate": CHALLENGE}) from None


router = APIRouter(include_in_schema=False, dependencies=[Depends(browser_key)])


@router.get("/openapi.json")
def openapi(request: Request) -> dict[str, Any]:
    schema: dict[str, Any] = request.app.openapi()
    return schema


@router.get("/docs")
def docs(request: Request) -> HTMLResponse:
    page = get_swagger_ui_html(
        openapi_url="/openapi.json",
        title=request.app.title,
        swagger_js_url="/docs/swagger-ui-bundle.js",
        swagger_css_url="/docs/swagger-ui.css",
        swagger_favicon_url="/docs/favicon.png",
    )
    page.headers["Content-Security-Policy"] = _policy(bytes(page.body).decode())
    return page


@router.get("/docs/{name}")
def asset(
    name: Literal["swagger-ui-bundle.js", "swagger-ui.css", "favicon.png"],
) -> FileResponse:
    return FileResponse(ASSETS / name, headers={"Cache-Control": "private, max-age=86400"})


def _policy(page: str) -> str:
    """What the page needs, and no more: its own script is allowed by its hash."""
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
        for script in INLINE.findall(page)
    )
    return (
        f"default-src 'none'; script-src 'self' {hashes}; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )


def _secret(authorization: str) -> str | None:
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return credentials
    if scheme.lower() == "basic":
        try:
            user_and_password = base64.b64decode(credentials, validate=True).decode()
        except ValueError:  # neither base64 nor UTF-8
            return None
        return user_and_password.partition(":")[2]
    return None
