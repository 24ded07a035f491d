"""Signs the simulator's listeners up, as the web app does it with people.

Each one authorizes the app at Spotify's accounts service, the code is exchanged for tokens, and
the web app's tables get a row in "Users" and one in "SpotifyTokens".
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
_AT_ONCE = 16
_A_TRANSACTION = 500


def sign_up(
    dsn: str, url: str, listeners: Sequence[dict[str, Any]], say: Callable[[str], None]
) -> int:
    """Signs up the listeners who are missing in the warehouse; gives how many that were.

    Args:
        dsn: the warehouse.
        url: the simulator's address.
        listeners: id, display_name and email of each.
        say: is told how far it is.

    Raises:
        StartRefused: the warehouse holds other users, whom the simulator does not know.
    """
    with connect(dsn) as connection:
        rows = connection.execute(
            'SELECT u.spotify_id, t.id IS NOT NULL FROM "Users" u'
            ' LEFT JOIN "SpotifyTokens" t ON t.id = u.id'
        )
        known: dict[str, bool] = dict(rows.fetchall())
        strangers = known.keys() - {listener["id"] for listener in listeners}
        if strangers:
            raise StartRefused(
                f"The warehouse holds {len(strangers)} users whom the simulator does not know. "
                "Set SPOTIFY_CLIENT_ID and SPOTIFY_CLIENT_SECRET, or use an empty database."
            )
        missing = iter([each for each in listeners if not known.get(each["id"])])
        signed_up = 0
        while some := list(islice(missing, _A_TRANSACTION)):
            tokens = asyncio.run(_authorize_all(url, [each["id"] for each in some]))
            with connection.transaction():
                _insert(connection, some, tokens)
            signed_up += len(some)
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
    places = asyncio.Semaphore(_AT_ONCE)
    async with aiohttp.ClientSession(url) as session:

        async def one(user: str) -> tuple[str, str]:
            async with places:
                return await _authorize(session, user)

        return list(await asyncio.gather(*map(one, users)))


async def _authorize(session: aiohttp.ClientSession, user: str) -> tuple[str, str]:
    """The authorization code flow of one user."""
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
        back = parse_qs(urlsplit(consent.headers.get("Location", "")).query)
        if back.get("state") != [user] or "code" not in back:
            raise StackError(f"{user} could not be signed up: {await consent.text()}")
    form = {
        "grant_type": "authorization_code",
        "code": back["code"][0],
        "redirect_uri": redirect_uri,
    }
    app = aiohttp.encode_basic_auth(query["client_id"], SIMULATED_APP["SPOTIFY_CLIENT_SECRET"])
    async with session.post("/api/token", data=form, headers={"Authorization": app}) as answer:
        told = await answer.json()
        if answer.status != 200:
            raise StackError(f"{user} could not be signed up: {told}")
        return told["access_token"], told["refresh_token"]
