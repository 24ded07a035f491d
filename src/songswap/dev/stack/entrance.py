"""The outermost middleware of the demo's S3: guards against web pages, and greets a browser."""

from pathlib import Path

from nanio.errors import AccessDenied  # type: ignore[import-untyped]  # nanio has no types
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from songswap.dev.simulator import page
from songswap.dev.simulator.origin import Hosts, check_host, check_origin


class Entrance:
    """ASGI middleware that checks requests with `songswap.dev.simulator.origin`.

    Args:
        app: the application behind it.
        hosts: the host names that requests may use.
        folder: the folder of the objects, for the page at `/`.
    """

    def __init__(self, app: ASGIApp, *, hosts: Hosts, folder: Path) -> None:
        self._app = app
        self._hosts = hosts
        self._folder = folder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, refuse it with S3's error document, or respond with the page."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        problem = check_host(request.headers, self._hosts)
        problem = problem or check_origin(request.method, request.headers)
        if problem is not None:
            body = AccessDenied(problem).to_xml()
            response = Response(body, AccessDenied.http_status, media_type="application/xml")
            await response(scope, receive, send)
        elif _is_browser_at_root(request):
            response = Response(_page(self._folder), headers=page.HEADERS)
            await response(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _is_browser_at_root(request: Request) -> bool:
    """Whether a browser requests `/` without a signature, to which S3 itself responds an error."""
    signed = "authorization" in request.headers or "X-Amz-Signature" in request.query_params
    is_root = request.method in ("GET", "HEAD") and request.url.path == "/"
    return is_root and not signed and page.accepts_html(request.headers.get("Accept", ""))


def _page(folder: Path) -> bytes:
    body = (
        "<p>This is the S3 endpoint of the demo. It serves S3 clients, which sign their requests"
        " with a key; without one it lists nothing.</p>\n"
        f"<p>Each object is also a file below <code>{page.text(folder)}</code>.</p>"
    )
    return page.document("Simulated S3", body)
