"""``songswap connect``: consent in a browser becomes a user in the warehouse, or a sentence."""

import os
import socket
import struct
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from factories import MakePlatform, Platform

from songswap.errors import ConnectFailed
from songswap.models import AuthorizedUser
from songswap.spotify.oauth import authorize
from songswap.warehouse.connection import connect
from songswap.warehouse.users import store


def consent(address: str, listener: str) -> None:
    """Give consent as a browser does, which follows Spotify's redirect."""
    with urllib.request.urlopen(f"{address}&simulated_user={listener}", timeout=20) as page:  # noqa: S310 - our own
        assert b"The terminal says" in page.read()


def run(platform: Platform, folder: Path, listener: str, *arguments: str) -> tuple[str, str]:
    """Run the command and be its browser; gives standard output and standard error."""
    with subprocess.Popen(  # noqa: S603  (our own command)
        [sys.executable, "-m", "songswap.cli.main", "connect", "--no-browser", *arguments],
        cwd=folder,
        env={"PATH": os.environ.get("PATH", os.defpath)} | platform.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as command:
        try:
            said = []
            for line in command.stderr or ():
                said.append(line)
                if line.startswith("http"):
                    consent(line.strip(), listener)
                    break
            out, err = command.communicate(timeout=30)
        finally:
            command.kill()
    assert command.returncode == 0, "".join(said) + err
    return out, "".join(said) + err


def test_consent_makes_a_user(
    make_platform: MakePlatform, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    """The next load polls the user; a second consent replaces the tokens."""
    platform = make_platform(users=1)
    platform.spotify.post("/admin/listeners", {"count": 1})
    port = str(free_port())
    out, err = run(platform, tmp_path, "listener-0002", "--port", port, "--username", "n" * 30)
    user = platform.user_id("listener-0002")
    assert out == f"User {user} ({'n' * 20}) is connected.\n"
    assert f"http://127.0.0.1:{port}/callback" in err
    assert platform.rows('SELECT username, email FROM "Users" WHERE id = %s', user) == [
        ("n" * 20, "listener-0002@example.com")
    ]
    tokens = 'SELECT access_token, refresh_token FROM "SpotifyTokens" WHERE id = %s'
    ((access, refresh),) = platform.rows(tokens, user)
    assert access not in err
    assert refresh not in err

    run(platform, tmp_path, "listener-0002", "--port", port)
    ((access_2, refresh_2),) = platform.rows(tokens, user)
    assert (access == access_2, refresh == refresh_2) == (False, False)
    assert platform.rows('SELECT count(*), max(length(username)) FROM "Users"') == [(2, 20)], (
        "the name stays"
    )
    assert platform.load()["polled"] == 2
    assert platform.history() == platform.reachable()


def back_with(redirect_uri: str, query: str) -> Callable[[str], None]:
    """A browser that comes back with this query, and the true state where it says STATE."""

    def open_address(address: str) -> None:
        (state,) = parse_qs(urlsplit(address).query)["state"]
        # Another page of the same browser is no answer.
        with pytest.raises(urllib.request.HTTPError):
            urllib.request.urlopen(redirect_uri.replace("callback", "favicon.ico"), timeout=20)  # noqa: S310 - our own
        address = f"{redirect_uri}?{query.replace('STATE', state)}"
        urllib.request.urlopen(address, timeout=20).close()  # noqa: S310 - our own

    return open_address


def test_missing_consent_is_explained_and_frees_the_port(
    make_platform: MakePlatform, free_port: Callable[[], int]
) -> None:
    platform = make_platform(users=1)
    where = platform.settings.spotify
    port = free_port()
    redirect_uri = f"http://127.0.0.1:{port}/callback"

    def asks(listener: str) -> Callable[[str], None]:
        return lambda address: consent(address, listener)

    for query, sentence in {
        "error=access_denied&state=STATE": "denied",
        "code=1&state=STATE": "did not authorize",
        "error=<script>&state=STATE": "did not authorize",
    }.items():
        with pytest.raises(ConnectFailed, match=sentence):
            authorize(where, redirect_uri, back_with(redirect_uri, query))
    with pytest.raises(ConnectFailed, match="Nobody authorized"):
        authorize(where, redirect_uri, lambda _: None, patience_s=0.05)
    with socket.create_server(("127.0.0.1", port)):
        with pytest.raises(ConnectFailed, match=f"Port {port} of 127.0.0.1") as taken:
            authorize(where, redirect_uri, pytest.fail)
        assert "--port" in str(taken.value)
    wrong = replace(where, client_secret="wrong")
    with pytest.raises(ConnectFailed, match="SPOTIFY_CLIENT_SECRET"):
        authorize(wrong, redirect_uri, asks("listener-0001"))
    platform.fault(path="/v1/me", status=403, times=1)
    with pytest.raises(ConnectFailed, match="allow-list"):
        authorize(where, redirect_uri, asks("listener-0001"))
    platform.fault(path="/v1/me", status=200, body=[], times=1)
    with pytest.raises(ConnectFailed, match="is not Spotify"):
        authorize(where, redirect_uri, asks("listener-0001"))
    away = replace(where, api_url="http://127.0.0.1:1/v1")
    with pytest.raises(ConnectFailed, match="cannot be reached"):
        authorize(away, redirect_uri, asks("listener-0001"))
    found = authorize(where, redirect_uri, asks("listener-0001"))
    assert found.spotify_id == "listener-0001"
    assert found.access_token not in repr(found)
    assert [one for one in threading.enumerate() if "serve_forever" in one.name] == []


STRANGERS = (
    "code=1&state=other",
    "code=1",
    "error=access_denied",
    "error=access_denied&state=other",
    "error=access_denied&state=",
    "code=1&state=other&state=STATE",
    "state=STATE",
    "&".join(f"n{number}=1" for number in range(100)) + "&code=1&state=STATE",
)


def _send(port: int, sent: bytes) -> bytes:
    """Bytes to the port, and what comes back until it hangs up."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as reply:
            return reply.read()


def test_strangers_end_nothing(
    make_platform: MakePlatform,
    free_port: Callable[[], int],
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Requests of others, with no state or a wrong one, are left alone; the true answer counts."""
    platform = make_platform(users=1)
    port = free_port()
    redirect_uri = f"http://127.0.0.1:{port}/callback"
    half = socket.socket()

    def open_address(address: str) -> None:
        (state,) = parse_qs(urlsplit(address).query)["state"]
        for query in STRANGERS:
            stranger = f"{redirect_uri}?{query.replace('STATE', state)}"
            with pytest.raises(urllib.request.HTTPError) as refused:
                urllib.request.urlopen(stranger, timeout=20)  # noqa: S310 - our own
            with refused.value:
                assert refused.value.code in (400, 404)
        right = f"/callback?error=access_denied&state={state}".encode()
        assert b" 501 " in _send(port, b"HEAD " + right + b" HTTP/1.1\r\n\r\n")
        assert b" 501 " in _send(port, b"POST " + right + b" HTTP/1.1\r\n\r\n")
        assert b" 404 " in _send(port, b"GET /favicon.ico HTTP/1.0\r\n\r\n")
        assert b" 404 " in _send(port, b"GET //[/callback?state=1 HTTP/1.0\r\n\r\n")
        _send(port, b"")
        _send(port, bytes(range(256)))
        half.connect(("127.0.0.1", port))
        half.sendall(b"GET " + right)
        with socket.create_connection(("127.0.0.1", port)) as gone:
            gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            gone.sendall(b"GET / HTTP/1.1\r\n")
        consent(address, "listener-0001")

    with half:
        found = authorize(platform.settings.spotify, redirect_uri, open_address)
    assert found.spotify_id == "listener-0001"
    assert [
        record.message for record in caplog.records if "not of this consent" in record.message
    ] == [caplog.records[0].message]
    assert "Traceback" not in capfd.readouterr().err


def test_consent_of_others_is_named_when_time_is_over(
    make_platform: MakePlatform, free_port: Callable[[], int]
) -> None:
    platform = make_platform(users=1)
    redirect_uri = f"http://127.0.0.1:{free_port()}/callback"

    def open_address(_: str) -> None:
        with pytest.raises(urllib.request.HTTPError) as refused:
            urllib.request.urlopen(f"{redirect_uri}?error=access_denied", timeout=20)  # noqa: S310 - our own
        refused.value.close()

    with pytest.raises(ConnectFailed, match="Redirects of other consents came"):
        authorize(platform.settings.spotify, redirect_uri, open_address, patience_s=0.05)


def test_user_whom_the_tables_refuse_changes_nothing(warehouse_dsn: str) -> None:
    """A token that is too long, or somebody else's address, is explained."""
    user = AuthorizedUser("one", "One", "one@example.com", "access", "refresh")
    count = 'SELECT count(*), min(refresh_token) FROM "Users" JOIN "SpotifyTokens" USING (id)'
    with connect(warehouse_dsn) as connection:
        assert store(connection, user)[1] == "One"
        for refused, sentence in (
            (user._replace(refresh_token="x" * 257), "longer than its column"),
            (user._replace(spotify_id="two", refresh_token="r2"), "e-mail address"),
            (user._replace(spotify_id="two", email="two@example.com"), "these tokens"),
        ):
            with pytest.raises(ConnectFailed, match=sentence):
                store(connection, refused)
        assert connection.execute(count).fetchone() == (1, "refresh")
        anonymous = AuthorizedUser("three", None, None, "a3", "r3")
        assert store(connection, anonymous)[1] == "three"
        found = connection.execute('SELECT email FROM "Users" WHERE spotify_id = %s', ["three"])
        assert found.fetchone() == ("three@spotify.invalid",)
        connection.execute('CREATE ROLE reader; GRANT SELECT ON "Users" TO reader; SET ROLE reader')
        try:
            with pytest.raises(ConnectFailed, match="may not add"):
                store(connection, user)
        finally:
            connection.execute("RESET ROLE; DROP OWNED BY reader; DROP ROLE reader")
