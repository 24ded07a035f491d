"""Check that the app's credentials get a token from Spotify that can read; with spotipy."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from songswap.checks.sanity.context import (
    ENVIRONMENT,
    CheckContext,
    Step,
    connection_named,
    installed,
)
from songswap.errors import CheckFailed
from songswap.settings import spotify_of
from songswap.settings.spotify_connection import NAME, with_connection

if TYPE_CHECKING:
    from spotipy import Spotify  # type: ignore[import-untyped]  # it has no types

ID = "SPOTIFY_CLIENT_ID"
SECRET = "SPOTIFY_CLIENT_SECRET"  # noqa: S105 - a name
REDIRECT = "SPOTIFY_REDIRECT_URI"
ARTIST = "0TnOYISbd1XYRbk9myaseg"
"""The artist in the examples of the Web API's documentation."""

_TIMEOUT_S = 15


def library(_context: CheckContext) -> str:
    """Check that spotipy is installed."""
    return f"Installed: {installed('spotipy')}."


def environment(context: CheckContext) -> str:
    """Check that the credentials and the redirect URI are set, and well-formed."""
    merged = _with_connection(context)
    for name in (ID, SECRET):
        if not merged.environment.get(name, "").strip():
            raise CheckFailed(
                f"{name} is not set. Set it in {ENVIRONMENT}; or define"
                f" {connection_named(NAME)}, with the app's id as login and its secret as password."
            )
        if not merged.setting(name).isascii():
            raise CheckFailed(
                f"{name} has characters that no credential has. Copy it again from Spotify's"
                f" developer dashboard, and set it in {ENVIRONMENT}, or in {connection_named(NAME)}"
                " where that is defined."
            )
    uri = merged.setting(REDIRECT)
    if not _may_redirect_to(uri):
        raise CheckFailed(
            f"Spotify takes no redirect to what {REDIRECT} says: it has to be https, or"
            " http://127.0.0.1:PORT or http://[::1]:PORT, and never localhost. Set it in"
            f" {ENVIRONMENT}, and the same in Spotify's developer dashboard."
        )
    if merged is context:
        return f"Set: {ID}, {SECRET}, {REDIRECT}."
    return f"Set: the connection {NAME}, which wins over {ID} and {SECRET}; {REDIRECT}."


def token(context: CheckContext) -> str:
    """Get a token for the app itself."""
    with _translated_errors(context):
        _client(context).auth_manager.get_access_token(as_dict=False)
    return "Spotify gave a token for these credentials."


def read(context: CheckContext) -> str:
    """Read one artist with such a token."""
    import spotipy

    try:
        with _translated_errors(context):
            name = _client(context).artist(ARTIST)["name"]
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


def _with_connection(context: CheckContext) -> CheckContext:
    """Return the context with the settings of Spotify's connection; itself where there is none."""
    connection = context.find_connection(NAME)
    if connection is None:
        return context
    return replace(context, environment=with_connection(context.environment, connection))


def _client(context: CheckContext) -> "Spotify":
    import spotipy

    from songswap.web.session import PlainSession

    # It logs the credentials at DEBUG, and at ERROR what the check says in a sentence.
    logging.getLogger("spotipy").setLevel(logging.CRITICAL)
    environment(context)
    context = _with_connection(context)
    manager = spotipy.SpotifyClientCredentials(
        client_id=context.setting(ID),
        client_secret=context.setting(SECRET),
        # Ours sends a request once, keeps its status and follows no redirect; spotipy's own
        # retries for long. Manager and client close the session that they get: one each.
        requests_session=PlainSession(),
        requests_timeout=_TIMEOUT_S,
        cache_handler=spotipy.MemoryCacheHandler(),
    )
    where = spotify_of(context.environment)
    manager.OAUTH_TOKEN_URL = f"{where.accounts_url}/api/token"
    client = spotipy.Spotify(
        auth_manager=manager, requests_session=PlainSession(), requests_timeout=_TIMEOUT_S
    )
    client.prefix = f"{where.api_url}/"
    return client


@contextmanager
def _translated_errors(context: CheckContext) -> Iterator[None]:
    """Turn what spotipy raises into a `CheckFailed`."""
    import requests
    import spotipy

    try:
        yield
    except spotipy.SpotifyException as error:
        raise CheckFailed(_refusal(context, error.http_status, error.headers)) from error
    except spotipy.SpotifyOauthError as error:
        if error.error == "invalid_client":
            raise CheckFailed(
                f"Spotify refused the app's credentials. Copy {ID} and {SECRET} again from"
                f" Spotify's developer dashboard, and set them in {ENVIRONMENT}, or in"
                f" {connection_named(NAME)} where that is defined."
            ) from error
        # spotipy raises it while it handles the HTTP error, which alone knows status and headers.
        response: Any = getattr(error.__context__, "response", None)
        raise CheckFailed(_refusal(context, response.status_code, response.headers)) from error
    except (requests.JSONDecodeError, AttributeError, KeyError, TypeError) as error:
        raise CheckFailed(
            "The response is not from Spotify's API: spotipy cannot read it. Where"
            f" {ENVIRONMENT} sets SPOTIFY_API_URL or SPOTIFY_ACCOUNTS_URL, correct or remove them."
        ) from error
    except requests.RequestException as error:
        raise CheckFailed(
            f"Spotify cannot be reached ({type(error).__name__}). Open the route to it;"
            f" where {ENVIRONMENT} sets SPOTIFY_API_URL or SPOTIFY_ACCOUNTS_URL, correct or remove"
            " them."
        ) from error


def _refusal(context: CheckContext, status: int, headers: Mapping[str, str]) -> str:
    if status == 429:
        text = headers.get("Retry-After", "")
        wait = timedelta(seconds=int(text)) if text.isdecimal() and len(text) < 9 else None
        until = f"until {context.clock() + wait:%Y-%m-%d %H:%M:%S} UTC" if wait else "for a while"
        return (
            f"Spotify allows no more requests of this app {until} (429). Nothing has to be set:"
            " clear the task then."
        )
    if status in (401, 403):
        return (
            f"Spotify does not let this app read ({status}). Look at the app in Spotify's developer"
            " dashboard: in development mode its owner needs Premium; else make another app and set"
            f" {ID} and {SECRET} in {ENVIRONMENT}."
        )
    return (
        f"Spotify failed ({status}). Nothing has to be set: look at"
        " Spotify's status page and clear the task once it has recovered."
    )
