"""Do the app's credentials get a token of Spotify, and may it read with that? With spotipy."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from songswap.checks.sanity.given import ENVIRONMENT, Given, Step, connection_named, installed
from songswap.errors import CheckFailed
from songswap.settings import spotify_of
from songswap.settings.spotify_connection import NAME, with_connection

if TYPE_CHECKING:
    from spotipy import Spotify  # type: ignore[import-untyped]  # it has no types

ID = "SPOTIFY_CLIENT_ID"
SECRET = "SPOTIFY_CLIENT_SECRET"  # noqa: S105 - a name
REDIRECT = "SPOTIFY_REDIRECT_URI"
ARTIST = "0TnOYISbd1XYRbk9myaseg"
"""An artist that the Web API's own documentation asks for."""

_TIMEOUT_S = 15


def library(_given: Given) -> str:
    """spotipy is installed."""
    return f"Installed: {installed('spotipy')}."


def environment(given: Given) -> str:
    """The credentials and the redirect URI are set, and can be what they are."""
    told = _told(given)
    for name in (ID, SECRET):
        if not told.environment.get(name, "").strip():
            raise CheckFailed(
                f"{name} is not set. Set it in {ENVIRONMENT}; or define"
                f" {connection_named(NAME)}, with the app's id as login and its secret as password."
            )
        if not told.setting(name).isascii():
            raise CheckFailed(
                f"{name} holds characters that are in no credential. Copy it again from Spotify's"
                f" developer dashboard, and set it in {ENVIRONMENT}, or in {connection_named(NAME)}"
                " where that is defined."
            )
    uri = told.setting(REDIRECT)
    if not _may_redirect_to(uri):
        raise CheckFailed(
            f"Spotify takes no redirect to what {REDIRECT} says: it has to be https, or"
            " http://127.0.0.1:PORT or http://[::1]:PORT, and never localhost. Set it in"
            f" {ENVIRONMENT}, and the same in Spotify's developer dashboard."
        )
    if told is given:
        return f"Set: {ID}, {SECRET}, {REDIRECT}."
    return f"Set: the connection {NAME}, which wins over {ID} and {SECRET}; {REDIRECT}."


def token(given: Given) -> str:
    """spotipy gets a token for the app itself."""
    with _translate_errors(given):
        _client(given).auth_manager.get_access_token(as_dict=False)
    return "Spotify gave a token for these credentials."


def read(given: Given) -> str:
    """With such a token one thing can be read."""
    import spotipy

    try:
        with _translate_errors(given):
            name = _client(given).artist(ARTIST)["name"]
    except CheckFailed as error:
        cause = error.__cause__
        if isinstance(cause, spotipy.SpotifyException) and cause.http_status == 404:
            return f"Spotify let the app read, and knows no artist {ARTIST}."
        raise
    return f"Spotify let the app read: the artist {ARTIST} is {name}."


STEPS = (
    Step("library", library),
    Step("environment", environment),
    Step("token", token),
    Step("read", read),
)


def _may_redirect_to(uri: str) -> bool:
    try:
        parts = urlsplit(uri)
        host = parts.hostname
    except ValueError:
        return False
    if parts.scheme == "https":
        return bool(host) and host != "localhost"
    return parts.scheme == "http" and host in ("127.0.0.1", "::1")


def _told(given: Given) -> Given:
    """What is set, with what the connection to Spotify says; the same where there is none."""
    connection = given.find_connection(NAME)
    if connection is None:
        return given
    return replace(given, environment=with_connection(given.environment, connection))


def _client(given: Given) -> "Spotify":
    import spotipy

    from songswap.web.session import PlainSession

    # It logs the credentials at DEBUG, and at ERROR what the check says in a sentence.
    logging.getLogger("spotipy").setLevel(logging.CRITICAL)
    environment(given)
    given = _told(given)
    manager = spotipy.SpotifyClientCredentials(
        client_id=given.setting(ID),
        client_secret=given.setting(SECRET),
        # Sessions of our own are asked once, keep the true status, and follow nobody elsewhere;
        # spotipy's retry for long. Each has its own, which is closed by whom it was given to.
        requests_session=PlainSession(),
        requests_timeout=_TIMEOUT_S,
        cache_handler=spotipy.MemoryCacheHandler(),
    )
    where = spotify_of(given.environment)
    manager.OAUTH_TOKEN_URL = f"{where.accounts_url}/api/token"
    client = spotipy.Spotify(
        auth_manager=manager, requests_session=PlainSession(), requests_timeout=_TIMEOUT_S
    )
    client.prefix = f"{where.api_url}/"
    return client


@contextmanager
def _translate_errors(given: Given) -> Iterator[None]:
    """Turn what spotipy raises into a sentence."""
    import requests
    import spotipy

    try:
        yield
    except spotipy.SpotifyException as error:
        raise CheckFailed(_refusal(given, error.http_status, error.headers)) from error
    except spotipy.SpotifyOauthError as error:
        if error.error == "invalid_client":
            raise CheckFailed(
                f"Spotify refused the app's credentials. Copy {ID} and {SECRET} again from"
                f" Spotify's developer dashboard, and set them in {ENVIRONMENT}, or in"
                f" {connection_named(NAME)} where that is defined."
            ) from error
        # spotipy raises it while it handles the HTTP error, which alone knows status and headers.
        answer: Any = getattr(error.__context__, "response", None)
        raise CheckFailed(_refusal(given, answer.status_code, answer.headers)) from error
    except (requests.JSONDecodeError, AttributeError, KeyError, TypeError) as error:
        raise CheckFailed(
            "What answers is not Spotify's API: spotipy cannot read it. Where"
            f" {ENVIRONMENT} sets SPOTIFY_API_URL or SPOTIFY_ACCOUNTS_URL, correct or remove them."
        ) from error
    except requests.RequestException as error:
        raise CheckFailed(
            f"Spotify cannot be reached ({type(error).__name__}). Open the way to it from here;"
            f" where {ENVIRONMENT} sets SPOTIFY_API_URL or SPOTIFY_ACCOUNTS_URL, correct or remove"
            " them."
        ) from error


def _refusal(given: Given, status: int, headers: Mapping[str, str]) -> str:
    if status == 429:
        text = headers.get("Retry-After", "")
        wait = timedelta(seconds=int(text)) if text.isdecimal() and len(text) < 9 else None
        until = f"until {given.clock() + wait:%Y-%m-%d %H:%M:%S} UTC" if wait else "for a while"
        return (
            f"Spotify allows no more requests of this app {until} (429). Nothing has to be set:"
            " clear the task after that."
        )
    if status in (401, 403):
        return (
            f"Spotify does not let this app read ({status}). Look at the app in Spotify's developer"
            " dashboard: in development mode its owner needs Premium; else make another app and set"
            f" {ID} and {SECRET} in {ENVIRONMENT}."
        )
    return (
        f"Spotify did not answer as it should ({status}). Nothing has to be set: look at"
        " Spotify's status page and clear the task when it is well."
    )
