"""An S3 endpoint that stores its objects as files, as a program of its own.

    python -m songswap.dev.stack.objects --folder FOLDER --port PORT --access FILE

The server is `nanio`, which checks signatures. This module adds what nanio lacks: conditional puts
(`If-None-Match: *`), and the rights of each access key, as an IAM policy grants them; the listing
is `songswap.dev.stack.listing`. Once it listens it writes its address to standard output, on one
line.

The access file holds the credentials and the rights, see `songswap.dev.stack.access`.
"""

import argparse
import shutil
import socket
import sys
from asyncio import Lock
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import uvicorn
from defusedxml import ElementTree  # type: ignore[import-untyped]  # it has no types
from nanio.app import build_app  # type: ignore[import-untyped]  # nanio has no types
from nanio.auth.credentials import (  # type: ignore[import-untyped]  # nanio has no types
    StaticCredentialResolver,
)
from nanio.config import Settings  # type: ignore[import-untyped]  # nanio has no types
from nanio.errors import (  # type: ignore[import-untyped]  # nanio has no types
    AccessDenied,
    NoSuchBucket,
    NoSuchKey,
    PreconditionFailed,
    S3Error,
)
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from songswap.dev.simulator.origin import Hosts
from songswap.dev.stack.access import Access
from songswap.dev.stack.entrance import Entrance
from songswap.dev.stack.listing import Storage

# Puts are refused below this: a full disk would stop PostgreSQL, which shares it.
KEEP_FREE_BYTES = 64 * 2**20
_HOST = "127.0.0.1"
_LOOPBACK = Hosts.of(_HOST)


class DiskFull(S3Error):  # type: ignore[misc]  # nanio has no types
    """The disk has no space for this object."""

    code = "InsufficientStorage"
    message = "The disk is full: nothing was stored."
    http_status = 507


class NotSupported(S3Error):  # type: ignore[misc]  # nanio has no types
    """This endpoint has no lifecycle policies."""

    code = "NotImplemented"
    message = "This endpoint has no lifecycle policies."
    http_status = 501


class Gate:
    """ASGI middleware between nanio's check of the signature and its operations."""

    def __init__(
        self, app: ASGIApp, *, access: Access, server: Starlette, keep_free_bytes: int
    ) -> None:
        self._app = app
        self._access = access
        self._server = server
        self._keep_free_bytes = keep_free_bytes
        self._locks: WeakValueDictionary[str, Lock] = WeakValueDictionary()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or respond with S3's error document."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            await self._pass(scope, receive, send)
        except S3Error as error:
            response = Response(error.to_xml(), error.http_status, media_type="application/xml")
            await response(scope, receive, send)
        except ClientDisconnect:
            return  # nothing was stored

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        bucket, _, key = scope["path"].removeprefix("/").partition("/")
        if "lifecycle" in request.query_params and not key:
            raise NotSupported(resource=bucket)
        body = await request.body() if request.method in ("PUT", "POST") else b""
        rights = list(_required_rights(request, key, body))
        if not all(self._access.allows(scope["nanio.principal"], *right) for right in rights):
            raise AccessDenied(resource=f"{bucket}/{key}")
        if request.method not in ("PUT", "POST"):
            await self._app(scope, receive, send)
            return
        self._require_room(len(body))
        # The whole body was read before the lock is taken, so a slow client holds up nobody else.
        async with self._locks.setdefault(f"{bucket}/{key}", Lock()):
            if request.headers.get("if-none-match") == "*" and self._exists(bucket, key):
                raise PreconditionFailed(resource=f"{bucket}/{key}")
            await self._app(scope, _replay(body), send)

    def _require_room(self, size: int) -> None:
        # nanio does not notice a write that was cut short, so the disk is checked beforehand.
        folder = self._server.state.settings.data_dir
        if shutil.disk_usage(folder).free < size + self._keep_free_bytes:
            raise DiskFull

    def _exists(self, bucket: str, key: str) -> bool:
        try:
            info = self._server.state.storage.head_object(bucket, key)
        except (NoSuchKey, NoSuchBucket):
            return False
        # Without an ETag it is what a put left that was killed before its response.
        return bool(info.etag.strip('"'))


def _required_rights(request: Request, key: str, body: bytes) -> Iterable[tuple[str, str]]:
    """The methods that a request needs, each with a key."""
    query = request.query_params
    if "delete" in query and request.method == "POST":
        yield from (("DELETE", deleted) for deleted in _keys_to_delete(body))
    elif not key and request.method == "GET" and "prefix" in query:
        yield "LIST", query["prefix"]
    else:
        yield {"HEAD": "GET", "POST": "PUT"}.get(request.method, request.method), key
    source = request.headers.get("x-amz-copy-source")
    if source is not None:
        yield "GET", source.removeprefix("/").partition("/")[2]


def _keys_to_delete(body: bytes) -> list[str]:
    try:
        elements = ElementTree.fromstring(body).iter()
    except (ElementTree.ParseError, ValueError):
        return [""]  # needs the right to everything; nanio then refuses the document
    return [element.text or "" for element in elements if element.tag.rpartition("}")[2] == "Key"]


def _replay(body: bytes) -> Receive:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


def build_server(
    folder: Path,
    access: Access,
    keep_free_bytes: int = KEEP_FREE_BYTES,
    hosts: Hosts = _LOOPBACK,
) -> Starlette:
    """The S3 endpoint as an ASGI application, its objects below `folder`.

    Args:
        folder: created when missing.
        access: the keys and their rights.
        keep_free_bytes: puts are refused when the disk would have less left.
        hosts: the host names that requests may use.
    """
    credentials = StaticCredentialResolver(access.secrets)
    server: Starlette = build_app(Settings(data_dir=folder.absolute(), credentials=credentials))
    server.state.storage = Storage(folder.absolute())
    # The last in the list is the innermost: it receives only requests with a valid signature.
    options: dict[str, Any] = {"access": access, "server": server}
    server.user_middleware.append(Middleware(Gate, **options, keep_free_bytes=keep_free_bytes))
    entrance: dict[str, Any] = {"hosts": hosts, "folder": folder.absolute()}
    server.user_middleware.insert(0, Middleware(Entrance, **entrance))
    return server


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; port 0 takes a free one. Exit code 2: the port is in use."""
    parser = argparse.ArgumentParser(description="An S3 endpoint that stores its objects as files.")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--access", type=Path, required=True, help="credentials and rights, JSON")
    parser.add_argument("--bucket", action="append", default=[], help="created when missing")
    parser.add_argument("--keep-free", type=int, default=KEEP_FREE_BYTES, help="bytes")
    options = parser.parse_args(arguments)
    server = build_server(
        options.folder, Access.from_json(options.access.read_text()), options.keep_free
    )
    existing = {bucket.name for bucket in server.state.storage.list_buckets()}
    for bucket in options.bucket:
        if bucket not in existing:
            server.state.storage.create_bucket(bucket)
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((_HOST, options.port))
    except OSError as error:
        sys.stderr.write(f"S3 cannot listen on {_HOST}:{options.port}: {error.strerror}\n")
        return 2
    listener.listen(512)
    sys.stdout.write(f"S3 listens on http://{_HOST}:{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    # Longer than clients keep idle connections, so that none is closed while it sends a put.
    config = uvicorn.Config(
        server, log_level="warning", timeout_keep_alive=120, timeout_graceful_shutdown=2
    )
    uvicorn.Server(config).run(sockets=[listener])
    return 0


if __name__ == "__main__":
    sys.exit(main())
