"""The one HTTP client of the Web API and its accounts service, and its manners.

A network error, a 5xx or an unreadable answer is tried again after a growing wait. A 429 with a
short ``Retry-After`` makes every request of this client wait; a long, missing or absurd one ends
the attempt with `RateLimited`, so that no worker sleeps on it. All else that Spotify says has a
meaning of its own, see `songswap.errors`.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Any, NamedTuple

import aiohttp
import msgspec

from songswap import settings
from songswap.errors import (
    CredentialsRefused,
    Forbidden,
    GrantRefused,
    RateLimited,
    RequestRefused,
    SpotifyUnavailable,
    Unauthorized,
    UnknownToSpotify,
)

TRACKS_PER_CALL = 50
ARTISTS_PER_CALL = 50
FEATURES_PER_CALL = 100

# How long to stay away after a 429 that does not say it: the window is 30 s, the quota a day.
_WINDOW = timedelta(seconds=30)
_QUOTA = timedelta(hours=24)
_LONGEST_PAUSE = timedelta(days=2)
_MOST_PAUSES = 10


def utc_now() -> datetime:
    """Now, aware and to the millisecond."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


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
    expires_in: int
    refresh_token: str | None = None


class Client:
    """The client; ``calls`` counts every request sent, by endpoint and outcome.

    Args:
        session: the open HTTP session, which bounds the connections.
        where: addresses, credentials and patience.
        clock: gives the time of an answer (aware, UTC).
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        where: settings.Spotify,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self.calls: Counter[str] = Counter()
        self._session = session
        self._where = where
        self._clock = clock
        self._app = aiohttp.encode_basic_auth(where.client_id, where.client_secret)
        self._resume_at = 0.0
        self._app_token: Tokens | None = None
        self._app_token_lock = asyncio.Lock()

    async def recently_played(self, access_token: str) -> Answer:
        """The user's newest plays, up to 50; no cursor, because plays arrive late.

        Raises:
            SpotifyError: see the module.
        """
        return await self._get("/me/player/recently-played", {"limit": "50"}, access_token)

    async def tracks(self, ids: Collection[str]) -> Answer:
        """Up to 50 tracks, with a token of the app's own."""
        return await self._get_many("/tracks", ids)

    async def artists(self, ids: Collection[str]) -> Answer:
        """Up to 50 artists."""
        return await self._get_many("/artists", ids)

    async def audio_features(self, ids: Collection[str]) -> Answer:
        """The features of up to 100 tracks."""
        return await self._get_many("/audio-features", ids)

    async def refresh(self, refresh_token: str) -> Tokens:
        """Exchange a user's refresh token.

        Raises:
            GrantRefused: it is dead or revoked; asking again will not help.
        """
        return await self._token({"grant_type": "refresh_token", "refresh_token": refresh_token})

    async def _get_many(self, path: str, ids: Collection[str]) -> Answer:
        query = {"ids": ",".join(ids)}
        token = await self._app_access_token()
        try:
            return await self._get(path, query, token.access_token)
        except Unauthorized:
            token = await self._app_access_token(instead_of=token)
            return await self._get(path, query, token.access_token)

    async def _app_access_token(self, instead_of: Tokens | None = None) -> Tokens:
        async with self._app_token_lock:
            token = self._app_token
            if token is None or token is instead_of or token.expires_at <= self._clock():
                token = self._app_token = await self._token({"grant_type": "client_credentials"})
            return token

    async def _token(self, form: Mapping[str, str]) -> Tokens:
        body = await self._send(
            f"token {form['grant_type']}",
            "POST",
            f"{self._where.accounts_url}/api/token",
            data=form,
            headers={"Authorization": self._app},
        )
        try:
            told = msgspec.json.decode(body, type=_TokenAnswer)
        except msgspec.MsgspecError as error:
            raise SpotifyUnavailable(
                "Spotify's accounts service gave no readable token."
            ) from error
        expires_at = self._clock() + timedelta(seconds=told.expires_in)
        return Tokens(told.access_token, told.refresh_token, expires_at)

    async def _get(self, path: str, query: Mapping[str, str], access_token: str) -> Answer:
        body = await self._send(
            path.rsplit("/", 1)[-1],
            "GET",
            self._where.api_url + path,
            params=query,
            headers={"Authorization": f"Bearer {access_token}"},
        )
        return Answer(body, self._clock())

    async def _send(self, endpoint: str, method: str, url: str, **request: Any) -> bytes:
        failures = pauses = 0
        while True:
            await self._pause()
            try:
                async with self._session.request(method, url, **request) as response:
                    body = await response.read()
                    status, headers = response.status, response.headers
            except (aiohttp.ClientError, TimeoutError) as error:
                problem = type(error).__name__
                self.calls[f"{endpoint} {problem}"] += 1
            else:
                self.calls[f"{endpoint} {status}"] += 1
                if status == 200 and _looks_whole(body):
                    return body
                if status == 429:
                    pauses += 1
                    self._respect(headers, body, pauses)
                    continue
                if 400 <= status < 500:
                    raise _refusal(endpoint, status, body)
                problem = f"status {status}" + (", not whole JSON" if status == 200 else "")
            failures += 1
            if failures == self._where.tries:
                raise SpotifyUnavailable(
                    f"Spotify gave no usable answer to {endpoint} in {failures} tries; the last:"
                    f" {problem}. Nothing is lost yet: the next run asks again."
                )
            # Jitter, so that many that failed together do not come back together.
            wait_s = self._where.first_wait_s * 2 ** (failures - 1)
            await asyncio.sleep(wait_s * random.uniform(0.5, 1.5))  # noqa: S311 - not a secret

    async def _pause(self) -> None:
        """Wait while a 429 that anyone of this client got asks for it."""
        loop = asyncio.get_running_loop()
        while (wait_s := self._resume_at - loop.time()) > 0:
            await asyncio.sleep(wait_s)

    def _respect(self, headers: Mapping[str, str], body: bytes, pauses: int) -> None:
        """Note a 429's pause, or end the attempt when it is longer than an attempt may wait."""
        text = headers.get("Retry-After", "")
        if b"QUOTA_EXCEEDED" in body:
            pause = _QUOTA
        elif text.isascii() and text.isdigit():
            pause = min(timedelta(seconds=float(text)) if len(text) < 9 else _QUOTA, _LONGEST_PAUSE)
        else:
            pause = _WINDOW
        if pause.total_seconds() > self._where.longest_wait_s or pauses > _MOST_PAUSES:
            until = self._clock() + pause
            raise RateLimited(
                f"Spotify allows no more requests of this app until {until:%Y-%m-%d %H:%M:%S} UTC."
                " What was answered is kept; the first run after that asks for the rest.",
                until,
            )
        loop_time = asyncio.get_running_loop().time()
        self._resume_at = max(self._resume_at, loop_time + pause.total_seconds())


@asynccontextmanager
async def open_client(
    where: settings.Spotify, clock: Callable[[], datetime] = utc_now
) -> AsyncIterator[Client]:
    """A client with a session of its own, closed at the end."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=where.in_flight),
        timeout=aiohttp.ClientTimeout(total=where.timeout_s),
        headers={"User-Agent": f"songswap-airflow/{version('songswap-airflow')}"},
    ) as session:
        yield Client(session, where, clock)


def _looks_whole(body: bytes) -> bool:
    """Whether a body can be an answer: a truncated one is worth another try."""
    return body.lstrip()[:1] == b"{" and body.rstrip()[-1:] == b"}"


def _refusal(endpoint: str, status: int, body: bytes) -> Exception:
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
