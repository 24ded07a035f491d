"""A user's consent: the authorization code flow, with the redirect received by this process.

spotipy makes the address and exchanges the code. Its own server for the redirect waits without
end, and accepts whatever request comes first; the one here does neither.
"""

import logging
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from songswap.errors import ConnectFailed
from songswap.models import AuthorizedUser
from songswap.settings import Spotify
from songswap.spotify.redirect import Redirects

SCOPES = "user-read-email user-read-recently-played"
PATIENCE_S = 300.0
"""How long a person has to give consent."""

_TIMEOUT_S = 15


def authorize(
    where: Spotify,
    redirect_uri: str,
    open_address: Callable[[str], None],
    patience_s: float = PATIENCE_S,
) -> AuthorizedUser:
    """Have a person authorize the app, and return tokens and profile.

    Args:
        redirect_uri: an address of this machine by HTTP, with a port.
        open_address: shows the person the address at which to give consent.

    Raises:
        ConnectFailed: nobody gave consent in time, or Spotify gave no tokens or no profile.
    """
    import spotipy  # type: ignore[import-untyped]  # it has no types

    from songswap.web.session import PlainSession

    # It logs the credentials at DEBUG, and at ERROR what is raised as a sentence.
    logging.getLogger("spotipy").setLevel(logging.CRITICAL)
    state = secrets.token_urlsafe(16)
    manager = spotipy.SpotifyOAuth(
        client_id=where.client_id,
        client_secret=where.client_secret,
        redirect_uri=redirect_uri,
        scope=SCOPES,
        state=state,
        show_dialog=True,  # or a browser that is logged in would choose the account
        # Our own session does not retry, keeps the true status, and follows no redirect; spotipy's
        # retries for long.
        requests_session=PlainSession(),
        requests_timeout=_TIMEOUT_S,
        cache_handler=spotipy.MemoryCacheHandler(),
    )
    manager.OAUTH_AUTHORIZE_URL = f"{where.accounts_url}/authorize"
    manager.OAUTH_TOKEN_URL = f"{where.accounts_url}/api/token"
    with Redirects(redirect_uri, state) as redirects, _translate_errors():
        open_address(manager.get_authorize_url())
        query = redirects.wait(patience_s)
        if "error" in query:
            raise ConnectFailed(_refusal(query["error"]))
        manager.get_access_token(query["code"], as_dict=False, check_cache=False)
        tokens = manager.cache_handler.get_cached_token()
        profile = _profile(where, tokens["access_token"])
        return AuthorizedUser(
            profile["id"],
            profile.get("display_name"),
            profile.get("email"),
            tokens["access_token"],
            tokens["refresh_token"],
        )


def _profile(where: Spotify, access_token: str) -> dict[str, Any]:
    """Request the profile of an access token's user."""
    from songswap.web.session import PlainSession

    response = PlainSession().get(
        f"{where.api_url}/me",
        headers={"Authorization": f"Bearer {access_token}"},
        timeout=_TIMEOUT_S,
    )
    if response.status_code != 200:
        raise ConnectFailed(
            f"Spotify gave no profile of this user ({response.status_code}). Nothing was stored. In"
            " development mode the user has to be on the app's allow-list: see the app in Spotify's"
            " developer dashboard."
        )
    profile: dict[str, Any] = response.json()
    return profile


@contextmanager
def _translate_errors() -> Iterator[None]:
    """Translate what spotipy and requests raise into sentences."""
    import requests
    import spotipy

    try:
        yield
    except spotipy.SpotifyOauthError as error:
        raise ConnectFailed(_refusal(error.error)) from error
    except (requests.JSONDecodeError, AttributeError, KeyError, TypeError) as error:
        raise ConnectFailed(
            "What responds is not Spotify. Nothing was stored: correct SPOTIFY_API_URL and"
            " SPOTIFY_ACCOUNTS_URL (in the connection SongSwap_Spotify: api_url, accounts_url), or"
            " remove them."
        ) from error
    except requests.RequestException as error:
        raise ConnectFailed(
            f"Spotify cannot be reached ({type(error).__name__}). Nothing was stored: run the"
            " command again when it can."
        ) from error


def _refusal(code: str | None) -> str:
    if code == "access_denied":
        return "Consent was denied. Nothing was stored."
    if code == "invalid_client":
        return (
            "Spotify refused the app's own credentials. Nothing was stored: check"
            " SPOTIFY_CLIENT_ID and SPOTIFY_CLIENT_SECRET, or the connection SongSwap_Spotify"
            " where it is defined."
        )
    # Anything else may be a whole page, or something a stranger put into the address.
    return "Spotify did not authorize the app. Nothing was stored: run the command again."
