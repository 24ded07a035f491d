"""Nobody follows a redirect: nothing is sent to another host, and nothing taken from it."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import obstore
import pytest
from factories import MakePlatform, Platform

from songswap.alerts.webhook import Webhook
from songswap.checks.sanity import discord as check_discord
from songswap.checks.sanity import spotipy as check_spotipy
from songswap.checks.sanity.context import from_environment
from songswap.dev.stack.plan import WEBHOOK
from songswap.errors import (
    AlertError,
    ArchiveError,
    ArchiveNotErased,
    ArchiveUnreadable,
    CheckFailed,
    ConnectFailed,
    ReccoBeatsUnavailable,
    RunFailed,
    SpotifyUnavailable,
)
from songswap.settings import Archive as Bucket
from songswap.spotify.client import open_client
from songswap.spotify.oauth import authorize
from songswap.spotify.reccobeats import open_reccobeats
from songswap.storage.archive import Archive
from songswap.storage.archive_eraser import ArchiveEraser
from songswap.storage.archive_reader import ArchiveReader
from songswap.storage.records import RawResponse, pack

STATUSES = (301, 302, 303, 307, 308)


class Server:
    """A server that answers everything alike, and keeps what it was asked."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.status, self.headers, self.body = status, headers, body
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                outer.asked.append(f"{self.command} {self.path}")
                self.send_response(outer.status)
                for name, value in outer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(outer.body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(outer.body)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = answer

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def other() -> Iterator[Server]:
    """Another host, which gives whatever it is asked for."""
    server = Server(200, {"ETag": '"e"', "Last-Modified": "Sun, 22 Nov 2026 11:00:00 GMT"}, b"{}")
    yield server
    server.stop()


@pytest.fixture
def redirecting(other: Server) -> Iterator[Server]:
    """A service that sends everybody to `other`."""
    server = Server(302, {"Location": f"{other.url}/b/history/1/2026/11/22/18.json"})
    yield server
    server.stop()


@pytest.mark.parametrize("status", STATUSES)
def test_s3_redirect_is_not_followed(
    redirecting: Server, other: Server, status: int, make_platform: MakePlatform
) -> None:
    """By no get, list or put; a put that ends so is no put."""
    redirecting.status = status
    bucket = Bucket("b", redirecting.url, "us-east-1", "key", "secret", "session token")
    now = make_platform(users=1).clock()
    kept = RawResponse(1, "history/1/2026/11/22/18.json", now, pack(b"{}"))
    with pytest.raises(ArchiveError, match="redirects to another address") as failed:
        asyncio.run(Archive(bucket).put(kept))
    assert other.url not in str(failed.value)
    library = ArchiveReader(bucket)
    with pytest.raises(ArchiveUnreadable, match="redirects to another address"):
        library.users()
    with pytest.raises(obstore.exceptions.BaseError):
        obstore.get(library._store, kept.key)
    assert redirecting.asked
    assert other.asked == []


# Without 303: urllib3 breaks off with an error of its own, and leaves the socket to the collector.
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_nothing_is_erased_elsewhere(redirecting: Server, other: Server, status: int) -> None:
    """S3's own document and header name another host and region too."""
    redirecting.status = status
    redirecting.headers |= {"x-amz-bucket-region": "eu-west-1"}
    redirecting.body = (
        "<Error><Code>PermanentRedirect</Code>"
        f"<Endpoint>{other.url.removeprefix('http://')}</Endpoint></Error>"
    ).encode()
    eraser = ArchiveEraser(
        Bucket("b", redirecting.url, "us-east-1", "key", "secret", "session token")
    )
    for attempt in (eraser.count, eraser.erase):
        with pytest.raises(ArchiveNotErased, match="redirects to another address") as failed:
            attempt(1)
        assert other.url not in str(failed.value)
    assert redirecting.asked
    assert other.asked == []


@pytest.mark.parametrize("status", STATUSES)
def test_nothing_is_erased_elsewhere(redirecting: Server, other: Server, status: int) -> None:
    """S3's own document and header name another host and region too."""
    redirecting.status = status
    redirecting.headers |= {"x-amz-bucket-region": "eu-west-1"}
    redirecting.body = (
        "<Error><Code>PermanentRedirect</Code>"
        f"<Endpoint>{other.url.removeprefix('http://')}</Endpoint></Error>"
    ).encode()
    eraser = ArchiveEraser(
        Bucket("b", redirecting.url, "us-east-1", "key", "secret", "session token")
    )
    # Before it would leave a 303 alone, urllib3 stumbles over boto3's headers.
    said = "unhandled exception" if status == 303 else "redirects to another address"
    for attempt in (eraser.count, eraser.erase):
        with pytest.raises(ArchiveNotErased, match=said) as failed:
            attempt(1)
        assert other.url not in str(failed.value)
    assert redirecting.asked
    assert other.asked == []


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("path", ["/v1/me/player/recently-played", "/api/token"])
def test_spotify_redirect_is_a_failure_and_the_next_run_loads_all(
    make_platform: MakePlatform, other: Server, path: str, status: int
) -> None:
    """No play and no token comes from another host."""
    platform = make_platform("--rotate-refresh-tokens", "1", users=3)
    if path == "/api/token":
        platform.load()
        platform.advance(hours=1)
    platform.fault(path=path, status=status, headers={"Location": other.url + path})
    with pytest.raises(RunFailed, match="no usable response for 3 of 3 users"):
        platform.load()
    problems = platform.rows(
        "SELECT DISTINCT problem FROM songswap.polls WHERE problem IS NOT NULL"
    )
    assert f"status {status}, a redirect, which is not followed" in str(problems)
    assert other.asked == []
    platform.mend()
    platform.load()
    assert platform.history() == platform.reachable()


def test_reccobeats_redirect_is_a_failure(make_platform: MakePlatform, other: Server) -> None:
    platform = make_platform(users=1)
    platform.fault(path="/reccobeats/*", status=307, headers={"Location": other.url})

    async def ask() -> None:
        async with open_reccobeats(platform.settings.spotify, platform.clock) as client:
            await client.audio_features(["4iV5W9uYEdYUVa79Axb7Rh"])

    with pytest.raises(ReccoBeatsUnavailable, match="307") as failed:
        asyncio.run(ask())
    assert other.url not in str(failed.value)
    assert other.asked == []


def test_checks_and_connect(
    make_platform: MakePlatform, other: Server, free_port: Callable[[], int]
) -> None:
    """Neither the sanity checks nor `songswap connect` go where a redirect sends them."""
    platform = make_platform(users=1)
    context = from_environment(platform.environment(), "r", platform.clock)
    for path in ("/api/token", "/v1/artists/*", "/v1/me", "/discord/*"):
        platform.fault(path=path, status=307, headers={"Location": other.url + path})
    with pytest.raises(CheckFailed, match="307"):
        check_discord.message(context)
    with pytest.raises(CheckFailed, match="not from Spotify's API"):
        check_spotipy.token(context)
    with pytest.raises(ConnectFailed):
        authorize(platform.settings.spotify, f"http://127.0.0.1:{free_port()}/", consent(platform))
    assert other.asked == []


def consent(platform: Platform) -> Callable[[str], None]:
    """Gives consent as a browser would."""

    def browse(address: str) -> None:
        from urllib.request import urlopen

        urlopen(f"{address}&simulated_user=listener-0001", timeout=10).close()  # noqa: S310

    return browse


def test_tokens_of_another_host(make_platform: MakePlatform, other: Server) -> None:
    """Also a client that asks alone does not send a refresh token on."""
    platform = make_platform(users=1)
    platform.fault(path="/api/token", status=308, headers={"Location": other.url})
    where = replace(platform.settings.spotify, tries=2)

    async def refresh() -> None:
        async with open_client(where, platform.clock) as client:
            await client.refresh("a refresh token")

    with pytest.raises(SpotifyUnavailable, match=r"in 2 tries; the last: status 308") as failed:
        asyncio.run(refresh())
    assert other.url not in str(failed.value)
    assert other.asked == []


@pytest.mark.parametrize("fault", [{"status": 307}, {"action": "endless"}])
def test_alert_goes_to_the_webhook_only(
    make_platform: MakePlatform, other: Server, fault: dict[str, Any]
) -> None:
    """It does not wait for the end of a response."""
    from songswap.orchestration.discord import DiscordHook

    platform = make_platform(users=1)
    platform.fault(path="/discord/*", headers={"Location": other.url}, **fault)
    hook = DiscordHook(Webhook(f"{platform.spotify.url}/discord/", WEBHOOK))
    with pytest.raises(AlertError, match=r"307|ContentDecodingError") as failed:
        hook.send({"title": "something failed"})
    assert other.url not in str(failed.value)
    assert other.asked == []
