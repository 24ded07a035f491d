"""The one HTTP client of the Web API and its accounts service.

What it waits for and tries again, see `songswap.spotify.caller`; all else that Spotify says has a
meaning of its own, see `songswap.errors`.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from urllib.parse import quote

import aiohttp
import msgspec

from songswap import settings
from songswap.errors import (
    CredentialsRefused,
    Forbidden,
    GrantRefused,
    RequestRefused,
    SongSwapError,
    SpotifyUnavailable,
    Unauthorized,
    UnknownToSpotify,
)
from songswap.spotify.caller import Budget, Caller, Service, open_session

TRACKS_PER_CALL = 50
ARTISTS_PER_CALL = 50
FEATURES_PER_CALL = 100


def utc_now() -> datetime:
    """Now, aware and to the millisecond."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


_TOKEN_PATIENCE = 4
"""How many times as long as for others it waits for tokens: those that Spotify rotated and that
nobody waited for are lost."""


class Answer(NamedTuple):
    """A successful answer: its body as it came, and when it came."""

    body: bytes
    observed_at: datetime


class Tokens(NamedTuple):
    """What the accounts service gave; ``refresh_token`` is None when the old one stays good."""

    access_token: str
    refresh_token: str | None
    expires_at: datetime


class _TokenAnswer(msgspec.Struct):
    access_token: str
    # Always an hour; an answer that does not say it may hold a refresh token that must not be lost.
    expires_in: int = 3600
    refresh_token: str | None = None


class Client:
    """The client of an ``app``; ``calls`` counts every request sent, by endpoint and outcome.

    Args:
        session: the open HTTP session.
        where: addresses, credentials and patience.
        clock: gives the time of an answer (aware, UTC).
        budget: what the Web API takes of the app; None for who asks seldom.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        where: settings.Spotify,
        clock: Callable[[], datetime] = utc_now,
        budget: Budget | None = None,
    ) -> None:
        self.app = where.client_id
        self.calls: Counter[str] = Counter()
        # Tokens come from another service, which has limits of its own.
        self._caller = Caller(session, _SPOTIFY, where, clock, self.calls, budget)
        self._accounts = Caller(session, _SPOTIFY, where, clock, self.calls)
        self._where = where
        self._clock = clock
        self._app = aiohttp.encode_basic_auth(where.client_id, where.client_secret)
        self._app_token: Tokens | None = None
        self._app_token_lock = asyncio.Lock()

    async def recently_played(self, access_token: str) -> Answer:
        """The user's newest plays, up to 50; no cursor, because plays arrive late.

        Raises:
            SpotifyError: see the module.
        """
        path, endpoint = "/me/player/recently-played", "recently-played"
        return await self._get(path, {"limit": "50"}, access_token, endpoint)

    async def tracks(self, ids: Collection[str]) -> Answer:
        """Up to 50 tracks, with a token of the app's own."""
        return await self._get_many("tracks", ids)

    async def track(self, track_id: str) -> Answer:
        """One track, in the shape that `tracks` answers: null when Spotify knows no such id."""
        return await self._get_one("tracks", track_id)

    async def artists(self, ids: Collection[str]) -> Answer:
        """Up to 50 artists."""
        return await self._get_many("artists", ids)

    async def artist(self, artist_id: str) -> Answer:
        """One artist, as `track`."""
        return await self._get_one("artists", artist_id)

    async def audio_features(self, ids: Collection[str]) -> Answer:
        """The features of up to 100 tracks."""
        return await self._get_many("audio-features", ids)

    async def refresh(self, refresh_token: str) -> Tokens:
        """Exchange a user's refresh token.

        Raises:
            GrantRefused: it is dead or revoked; asking again will not help.
        """
        return await self._token({"grant_type": "refresh_token", "refresh_token": refresh_token})

    async def _get_many(self, name: str, ids: Collection[str]) -> Answer:
        return await self._get_as_app(f"/{name}", {"ids": ",".join(ids)}, name)

    async def _get_one(self, name: str, one: str) -> Answer:
        path = f"/{name}/{quote(one, safe='')}"
        try:
            body, observed_at = await self._get_as_app(path, {}, name.removesuffix("s"))
        except UnknownToSpotify:
            body, observed_at = b"null", self._clock()
        return Answer(b'{"%b":[%b]}' % (name.encode(), body), observed_at)

    async def _get_as_app(self, path: str, query: Mapping[str, str], endpoint: str) -> Answer:
        token = await self._app_access_token()
        try:
            return await self._get(path, query, token.access_token, endpoint)
        except Unauthorized:
            token = await self._app_access_token(instead_of=token)
            return await self._get(path, query, token.access_token, endpoint)

    async def _app_access_token(self, instead_of: Tokens | None = None) -> Tokens:
        async with self._app_token_lock:
            token = self._app_token
            if token is None or token is instead_of or token.expires_at <= self._clock():
                token = self._app_token = await self._token({"grant_type": "client_credentials"})
            return token

    async def _token(self, form: Mapping[str, str]) -> Tokens:
        body = await self._accounts.send(
            f"token {form['grant_type']}",
            "POST",
            f"{self._where.accounts_url}/api/token",
            data=form,
            headers={"Authorization": self._app},
            timeout=aiohttp.ClientTimeout(total=_TOKEN_PATIENCE * self._where.timeout_s),
        )
        try:
            told = msgspec.json.decode(body, type=_TokenAnswer)
        except msgspec.MsgspecError as error:
            raise SpotifyUnavailable(
                "Spotify's accounts service gave no readable token."
            ) from error
        expires_at = self._clock() + timedelta(seconds=told.expires_in)
        return Tokens(told.access_token, told.refresh_token, expires_at)

    async def _get(
        self, path: str, query: Mapping[str, str], access_token: str, endpoint: str
    ) -> Answer:
        body = await self._caller.send(
            endpoint,
            "GET",
            self._where.api_url + path,
            params=query,
            headers={"Authorization": f"Bearer {access_token}"},
        )
        return Answer(body, self._clock())


@asynccontextmanager
async def open_client(
    where: settings.Spotify,
    clock: Callable[[], datetime] = utc_now,
    budget: Budget | None = None,
) -> AsyncIterator[Client]:
    """A client with a session of its own, closed at the end."""
    async with open_session(where) as session:
        yield Client(session, where, clock, budget)


def _refusal(endpoint: str, status: int, body: bytes) -> SongSwapError:
    if status == 401:
        return Unauthorized("Spotify refused the access token.")
    if status == 403:
        return Forbidden(f"Spotify allows {endpoint} neither to this app nor to this user (403).")
    if status == 404:
        return UnknownToSpotify(f"Spotify knows no such thing ({endpoint}, 404).")
    if b"invalid_grant" in body:
        return GrantRefused("Spotify refused the refresh token: the user has to authorize again.")
    if b"invalid_client" in body:
        return CredentialsRefused(
            "Spotify refused the app's own credentials: check SPOTIFY_CLIENT_ID and"
            " SPOTIFY_CLIENT_SECRET."
        )
    return RequestRefused(f"Spotify refused the request {endpoint} with status {status}.")


_SPOTIFY = Service("Spotify", SpotifyUnavailable, _refusal)
