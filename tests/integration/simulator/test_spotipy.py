"""spotipy, unchanged, makes all calls of the pipeline against the simulator."""

import warnings
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
import spotipy  # type: ignore[import-untyped]  # it has no types
from factories import StartSimulator

REDIRECT = "http://127.0.0.1:9999/callback"
SCOPE = "user-read-recently-played user-read-private"
USER = "listener-0004"


@pytest.fixture
def http() -> Iterator[requests.Session]:
    """Yield a plain session: with its default one spotipy sleeps on Retry-After and hides it."""
    with requests.Session() as session:
        yield session


def grant(
    url: str, http: requests.Session, user: str = USER, scope: str = SCOPE
) -> spotipy.SpotifyOAuth:
    """Return the result of the authorization code flow, with consent given at once."""

    class OAuth(spotipy.SpotifyOAuth):  # type: ignore[misc]  # spotipy has no types
        OAUTH_AUTHORIZE_URL = f"{url}/authorize"
        OAUTH_TOKEN_URL = f"{url}/api/token"

    oauth = OAuth(
        "songswap",
        "simulated",
        REDIRECT,
        state="s",
        scope=scope,
        cache_handler=spotipy.MemoryCacheHandler(),
        requests_session=http,
        open_browser=False,
    )
    address = f"{oauth.get_authorize_url()}&simulated_user={user}"
    consent = http.get(address, allow_redirects=False)
    assert consent.status_code == 302
    assert parse_qs(urlsplit(consent.headers["Location"]).query)["state"] == ["s"]
    code = oauth.parse_response_code(consent.headers["Location"])
    assert oauth.get_access_token(code, as_dict=False, check_cache=False)
    return oauth


def client(url: str, http: requests.Session, auth: Any) -> spotipy.Spotify:
    spotify = spotipy.Spotify(auth_manager=auth, requests_session=http)
    spotify.prefix = f"{url}/v1/"
    return spotify


@pytest.fixture
def frozen(simulator: StartSimulator) -> StartSimulator:
    clock = "--users 8 --clock frozen --now 2026-11-22T18:00:00Z --epoch 2026-10-01"
    return lambda *options: simulator(*clock.split(), *options)


def test_spotipy_makes_all_calls_of_the_pipeline(
    frozen: StartSimulator, http: requests.Session
) -> None:
    """They are sign-up, refresh, profile, plays in both directions and by next, and metadata."""
    url = frozen("--rotate-refresh-tokens", "1").url
    oauth = grant(url, http)
    first = oauth.cache_handler.get_cached_token()
    renewed = oauth.refresh_access_token(first["refresh_token"])
    assert renewed["refresh_token"] != first["refresh_token"]
    assert renewed["access_token"] != first["access_token"]
    assert set(renewed["scope"].split()) == set(SCOPE.split())
    spotify = client(url, http, oauth)
    assert spotify.current_user()["id"] == spotify.me()["id"] == USER

    whole = spotify.current_user_recently_played(limit=50)
    items = whole["items"]
    assert len(items) == 50
    page = spotify.current_user_recently_played(limit=20)
    returned = page["items"]
    while page["next"]:
        page = spotify.next(page)
        returned += page["items"]
    assert returned == items
    cursor = whole["cursors"]["before"]
    assert spotify.next(whole)["items"] == []
    assert spotify.current_user_recently_played(after=cursor, limit=50)["items"] == items[:-1]
    newest = whole["cursors"]["after"]
    assert spotify.current_user_recently_played(before=newest, limit=50)["items"] == items[1:]

    tracks = [item["track"] for item in items]
    ids = [track["id"] for track in tracks]
    assert spotify.tracks(ids)["tracks"] == tracks
    assert spotify.track(tracks[0]["uri"]) == tracks[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        features = spotify.audio_features(ids)
        assert features[0] in spotify.audio_features(ids[0])
    assert [track["id"] for track in features if track] == [
        ident for ident, track in zip(ids, features, strict=True) if track
    ]
    artists = [artist["id"] for artist in tracks[0]["artists"]]
    assert spotify.artists(artists)["artists"][0] == spotify.artist(artists[0])

    class Credentials(spotipy.SpotifyClientCredentials):  # type: ignore[misc]  # as above
        OAUTH_TOKEN_URL = f"{url}/api/token"

    app = Credentials(
        "songswap", "simulated", cache_handler=spotipy.MemoryCacheHandler(), requests_session=http
    )
    assert client(url, http, app).track(ids[0]) == tracks[0]


def test_spotipy_errors_have_spotifys_details(
    frozen: StartSimulator, http: requests.Session
) -> None:
    """Status, message, reason and Retry-After of the Web API; the codes of the accounts service."""
    spotify = frozen("--rate-limit", "6")
    oauth = grant(spotify.url, http)
    ours = client(spotify.url, http, oauth)
    narrow = client(spotify.url, http, grant(spotify.url, http, scope="user-read-private"))
    unknown = "0" * 22

    def refused(call: Callable[..., Any], *args: Any, **kwargs: Any) -> spotipy.SpotifyException:
        with pytest.raises(spotipy.SpotifyException) as caught:
            call(*args, **kwargs)
        return caught.value

    assert "Resource not found" in refused(ours.track, unknown).msg
    assert refused(ours.artist, unknown).http_status == 404
    assert refused(narrow.current_user_recently_played).http_status == 403
    assert "Invalid limit" in refused(ours.current_user_recently_played, limit=51).msg
    foreign = client(spotify.url, http, None)
    foreign.set_auth("nonsense")
    assert refused(foreign.me).http_status == 401

    spotify.post("/admin/mode", {"mode": "development"})
    assert refused(ours.tracks, [unknown]).http_status == 403
    outsider = client(spotify.url, http, grant(spotify.url, http, "listener-0006"))
    forbidden = refused(outsider.me)
    assert (forbidden.http_status, forbidden.reason) == (403, None)
    assert "User not registered in the Developer Dashboard" in forbidden.msg
    full = refused(ours.me)
    assert (full.http_status, full.headers["Retry-After"]) == (429, "30")
    assert "API rate limit exceeded" in full.msg

    quota = {"error": {"status": 429, "message": "Quota", "reason": "QUOTA_EXCEEDED"}}
    spotify.post("/admin/faults", {"path": "/v1/*", "status": 429, "body": quota})
    assert refused(ours.me).reason == "QUOTA_EXCEEDED"

    with pytest.raises(spotipy.SpotifyOauthError) as caught:
        oauth.refresh_access_token("nonsense")
    assert (caught.value.error, caught.value.error_description) == (
        "invalid_grant",
        "Invalid refresh token",
    )
