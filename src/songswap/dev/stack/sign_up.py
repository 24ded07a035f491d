"""Signs up the simulator's listeners, as the web app signs up people.

Each authorizes the app at Spotify's accounts service, the code is exchanged for tokens, and the
web app's tables get a row in "Users" and one in "SpotifyTokens".
"""

import asyncio
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import psycopg

from songswap.dev.stack.plan import SIMULATED_APP
from songswap.supervision.errors import StackError, StartRefused
from songswap.warehouse.connection import connect

SCOPE = "user-read-email user-read-recently-played"
_CONCURRENT = 16
_BATCH_SIZE = 500


def sign_up(
    dsn: str, url: str, listeners: Sequence[dict[str, Any]], say: Callable[[str], None]
) -> int:
    """Sign up the listeners who are missing in the warehouse; return their number.

    Args:
        dsn: the warehouse.
        url: the simulator's address.
        listeners: id, display_name and email of each.
        say: receives the progress, as text.

    Raises:
        StartRefused: the warehouse holds users whom the simulator does not know.
    """
    with connect(dsn) as connection:
        rows = connection.execute(
            'SELECT u.spotify_id, t.id IS NOT NULL FROM "Users" u'
            ' LEFT JOIN "SpotifyTokens" t ON t.id = u.id'
        )
        has_tokens: dict[str, bool] = dict(rows.fetchall())
        strangers = has_tokens.keys() - {listener["id"] for listener in listeners}
        if strangers:
            raise StartRefused(
                f"The warehouse holds {len(strangers)} users whom the simulator does not know. "
                "Set SPOTIFY_CLIENT_ID and SPOTIFY_CLIENT_SECRET, or use an empty database."
            )
        missing = iter([each for each in listeners if not has_tokens.get(each["id"])])
        signed_up = 0
        while batch := list(islice(missing, _BATCH_SIZE)):
            tokens = asyncio.run(_authorize_all(url, [each["id"] for each in batch]))
            with connection.transaction():
                _insert(connection, batch, tokens)
            signed_up += len(batch)
            say(f"{signed_up} of {len(listeners)}")
    return signed_up


def _insert(
    connection: psycopg.Connection,
    listeners: Sequence[dict[str, Any]],
    tokens: Sequence[tuple[str, str]],
) -> None:
    for listener, (access, refresh) in zip(listeners, tokens, strict=True):
        user = connection.execute(
            'INSERT INTO "Users" (username, email, spotify_id)'
            " VALUES (%(display_name)s, %(email)s, %(id)s)"
            " ON CONFLICT (spotify_id) DO UPDATE SET username = EXCLUDED.username RETURNING id",
            listener,
        ).fetchone()
        connection.execute(
            'INSERT INTO "SpotifyTokens" (id, access_token, refresh_token) VALUES (%s, %s, %s)',
            [*(user or ()), access, refresh],
        )


async def _authorize_all(url: str, users: Sequence[str]) -> list[tuple[str, str]]:
    """The access and refresh tokens of users, in their order."""
    semaphore = asyncio.Semaphore(_CONCURRENT)
    async with aiohttp.ClientSession(url) as session:

        async def authorize(user: str) -> tuple[str, str]:
            async with semaphore:
                return await _authorize(session, user)

        return list(await asyncio.gather(*map(authorize, users)))


async def _authorize(session: aiohttp.ClientSession, user: str) -> tuple[str, str]:
    """Run the authorization code flow for a user; return the access and refresh tokens."""
    redirect_uri = SIMULATED_APP["SPOTIFY_REDIRECT_URI"]
    query = {
        "client_id": SIMULATED_APP["SPOTIFY_CLIENT_ID"],
        "response_type": "code",
        "redirect_uri": redirect_uri,
        "scope": SCOPE,
        "state": user,
        "simulated_user": user,
    }
    async with session.get("/authorize", params=query, allow_redirects=False) as consent:
        redirect = parse_qs(urlsplit(consent.headers.get("Location", "")).query)
        if redirect.get("state") != [user] or "code" not in redirect:
            raise StackError(f"{user} could not be signed up: {await consent.text()}")
    form = {
        "grant_type": "authorization_code",
        "code": redirect["code"][0],
        "redirect_uri": redirect_uri,
    }
    app = aiohttp.encode_basic_auth(query["client_id"], SIMULATED_APP["SPOTIFY_CLIENT_SECRET"])
    async with session.post("/api/token", data=form, headers={"Authorization": app}) as response:
        body = await response.json()
        if response.status != 200:
            raise StackError(f"{user} could not be signed up: {body}")
        return body["access_token"], body["refresh_token"]
