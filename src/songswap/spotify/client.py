"""The one HTTP client of the Web API and its accounts service.

`songswap.spotify.http` says what is retried; every other response of Spotify is an error of its
own, see `songswap.errors`.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import NamedTuple
from urllib.parse import quote, urlencode

import aiohttp

from songswap import settings
from songswap.clock import utc_now
from songswap.errors import Unauthorized, UnknownToSpotify, UnusableToken
from songswap.models import Tokens
from songswap.spotify import tokens
from songswap.spotify.clock_watch import ClockWatch
from songswap.spotify.http import Budget, HttpClient, open_session, whole
from songswap.spotify.refusals import ACCOUNTS, WEB_API

TRACKS_PER_CALL = 50
ARTISTS_PER_CALL = 50
FEATURES_PER_CALL = 100


_TOKEN_PATIENCE = 4
"""How many times as long as for others it waits for tokens: a rotated one that is not received is
lost."""


class Response(NamedTuple):
    """A successful response: its body as received, and when it was received."""

    body: bytes
    observed_at: datetime


class Client:
    """The client of an ``app``; ``calls`` counts every request sent, by endpoint and outcome.

    ``watch`` compares the clock with the responses of the Web API, and has the right time.

    Args:
        session: the open HTTP session.
        where: addresses, credentials and patience.
        clock: gives the time of a response (aware, UTC).
        budget: the Web API's requests for the app; None for a client with few requests.
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
        self.watch = ClockWatch(clock)
        self._api = HttpClient(session, WEB_API, where, clock, self.calls, budget, self.watch)
        # Another service, with limits of its own. Its responses are not compared with the clock: a
        # rotated token has to be stored whatever the time is.
        self._accounts = HttpClient(session, ACCOUNTS, where, clock, self.calls)
        self._where = where
        self._clock = clock
        self._app = aiohttp.encode_basic_auth(where.client_id, where.client_secret)
        self._app_token: Tokens | None = None
        self._app_token_lock = asyncio.Lock()

    async def recently_played(self, access_token: str) -> Response:
        """Request the user's newest plays, up to 50; no cursor, because plays arrive late.

        Raises:
            SpotifyError: see the module.
        """
        path, endpoint = "/me/player/recently-played", "recently-played"
        return await self._get(path, {"limit": "50"}, access_token, endpoint)

    async def tracks(self, ids: Collection[str]) -> Response:
        """Request up to 50 tracks, with a token of the app's own."""
        return await self._get_many("tracks", ids)

    async def track(self, track_id: str) -> Response:
        """Request one track, in the shape of `tracks`: null when Spotify knows no such id."""
        return await self._get_one("tracks", track_id)

    async def artists(self, ids: Collection[str]) -> Response:
        """Request up to 50 artists."""
        return await self._get_many("artists", ids)

    async def artist(self, artist_id: str) -> Response:
        """Request one artist, as `track`."""
        return await self._get_one("artists", artist_id)

    async def audio_features(self, ids: Collection[str]) -> Response:
        """Request the features of up to 100 tracks."""
        return await self._get_many("audio-features", ids)

    async def refresh(self, refresh_token: str) -> Tokens:
        """Exchange a user's refresh token.

        When the response may have been lost after Spotify rotated the token, it is retried more
        often than anything else (``token_tries``): Spotify repeats its response for some minutes
        only, and a user whose new token is not received by then has to authorize again.

        Raises:
            InvalidGrant: it is dead or revoked; retrying will not help.
            SpotifyError: see the module.
        """
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        return await self._token(form, tokens.parse)

    async def _get_many(self, name: str, ids: Collection[str]) -> Response:
        return await self._get_as_app(f"/{name}", {"ids": ",".join(ids)}, name)

    async def _get_one(self, name: str, spotify_id: str) -> Response:
        path = f"/{name}/{quote(spotify_id, safe='')}"
        try:
            body, observed_at = await self._get_as_app(path, {}, name.removesuffix("s"))
        except UnknownToSpotify:
            body, observed_at = b"null", self.watch.now()
        return Response(b'{"%b":[%b]}' % (name.encode(), body), observed_at)

    async def _get_as_app(self, path: str, query: Mapping[str, str], endpoint: str) -> Response:
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
                token = self._app_token = await self._token(
                    {"grant_type": "client_credentials"}, tokens.parse_of_app
                )
            return token

    async def _token(
        self, form: Mapping[str, str], parse: Callable[[bytes, datetime], Tokens | None]
    ) -> Tokens:
        return await self._accounts.send(
            f"token {form['grant_type']}",
            "POST",
            f"{self._where.accounts_url}/api/token",
            lambda body: parse(body, self._clock()),
            tries_if_lost=self._where.token_tries,
            # Of any characters, which aiohttp itself would refuse to encode.
            data=urlencode(form, encoding="utf-8", errors="surrogatepass").encode(),
            headers={
                "Authorization": self._app,
                "Content-Type": "application/x-www-form-urlencoded",
            },
            timeout=aiohttp.ClientTimeout(total=_TOKEN_PATIENCE * self._where.timeout_s),
        )

    async def _get(
        self, path: str, query: Mapping[str, str], access_token: str | None, endpoint: str
    ) -> Response:
        if access_token is None or not tokens.can_be_sent(access_token):
            raise UnusableToken("No HTTP header can carry the access token: it needs a new one.")
        # As one text, which is parsed once however often it comes.
        url = f"{self._where.api_url}{path}?{urlencode(query)}"
        bearer = {"Authorization": f"Bearer {access_token}"}
        body = await self._api.send(endpoint, "GET", url, whole, headers=bearer)
        return Response(body, self.watch.now())


@asynccontextmanager
async def open_client(
    where: settings.Spotify,
    clock: Callable[[], datetime] = utc_now,
    budget: Budget | None = None,
) -> AsyncIterator[Client]:
    """Yield a client with a session of its own, closed at the end."""
    async with open_session(where) as session:
        yield Client(session, where, clock, budget)
