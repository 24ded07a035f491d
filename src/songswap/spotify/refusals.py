"""Decide which error it is when Spotify or ReccoBeats refuses a request.

The edge before each service responds with pages of its own, with 403 and 404 too: those concern the
service, and never a user or an id. Only the service's own words do.
"""

from typing import Any

import msgspec

from songswap.errors import (
    Forbidden,
    InvalidClient,
    InvalidGrant,
    ReccoBeatsUnavailable,
    RequestRefused,
    SongSwapError,
    SpotifyUnavailable,
    Unauthorized,
    UnknownToSpotify,
)
from songswap.spotify.retry_policy import Service

# The Web API says this in plain text, without JSON: of a user who is not on the app's allow-list.
_NOT_ALLOWED = (b"not registered", b"not be registered", b"not approved for app")

_OAUTH_ERRORS = {
    "invalid_request",
    "invalid_scope",
    "unauthorized_client",
    "unsupported_grant_type",
}


def of_web_api(endpoint: str, status: int, body: bytes) -> SongSwapError | None:
    """The Web API refuses with an error object, or an empty body: the status decides."""
    if status == 403 and _is_plain(body) and any(words in body.lower() for words in _NOT_ALLOWED):
        return Forbidden("Spotify does not have this user on the app's allow-list (403).")
    if body.strip():
        error = _object(body).get("error")
        if not isinstance(error, dict) or error.get("status", status) != status:
            return None
    if status == 401:
        return Unauthorized("Spotify refused the access token.")
    if status == 403:
        return Forbidden(f"Spotify allows {endpoint} neither to this app nor to this user (403).")
    if status == 404:
        return UnknownToSpotify(f"Spotify knows no such thing ({endpoint}, 404).")
    return RequestRefused(f"Spotify refused the request {endpoint} with status {status}.")


def of_accounts(endpoint: str, status: int, body: bytes) -> SongSwapError | None:
    """The accounts service refuses with one of OAuth's own errors."""
    if status not in (400, 401):
        return None
    error = _object(body).get("error")
    if error == "invalid_grant":
        return InvalidGrant("Spotify refused the refresh token: the user has to authorize again.")
    if error == "invalid_client":
        return InvalidClient(
            "Spotify refused the app's own credentials: check SPOTIFY_CLIENT_ID and"
            " SPOTIFY_CLIENT_SECRET, or the connection SongSwap_Spotify where it is defined."
        )
    if isinstance(error, str) and error in _OAUTH_ERRORS:
        return RequestRefused(f"Spotify refused the request {endpoint} with {error}.")
    return None


def of_reccobeats(endpoint: str, status: int, body: bytes) -> SongSwapError | None:
    """ReccoBeats refuses with a JSON object, or an empty body: the status decides."""
    if body.strip() and not _object(body):
        return None
    if status in (401, 403, 404):
        return Forbidden(f"The service {endpoint} refuses this client ({status}).")
    return RequestRefused(f"The service {endpoint} refused the request with status {status}.")


WEB_API = Service("Spotify", SpotifyUnavailable, of_web_api)
ACCOUNTS = Service("Spotify", SpotifyUnavailable, of_accounts)
RECCOBEATS = Service("ReccoBeats", ReccoBeatsUnavailable, of_reccobeats)


def _is_plain(body: bytes) -> bool:
    """Whether a body is a line of text, not a page or JSON."""
    return len(body) < 200 and not body.lstrip().startswith((b"<", b"{", b"["))


def _object(body: bytes) -> dict[str, Any]:
    """Parse a JSON object; an empty one where the body is none."""
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return {}
