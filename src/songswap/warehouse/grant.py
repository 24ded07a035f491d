"""Users' tokens in the warehouse: who can be asked for, and a refresh that loses no token."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import NamedTuple

import psycopg
from psycopg_pool import AsyncConnectionPool

from songswap.errors import SpoolError, SpotifyError, WarehouseUnavailable
from songswap.raw.kept import RotatedToken
from songswap.raw.spool import Spool
from songswap.spotify.client import Tokens
from songswap.warehouse.run import Users
from songswap.warehouse.sql import statements

EXPIRES_SOON = timedelta(minutes=5)
"""An access token that ends within this time is refreshed before it is used."""

_SOME = 3
"""Refusals that are more than one user's own affair, when they are most of a run's."""

FORBIDDEN_FOR = timedelta(days=1)
"""How long a user whom the app may not ask for is left alone."""


class Grant(NamedTuple):
    """A user and the tokens to ask with.

    ``expires_at`` is None where it is not known, because the web app wrote the token.
    ``fingerprint`` is that of the newest answer in History; ``resting`` users are not asked for
    yet, or ever: their grant is revoked, or the app may not ask for them.
    """

    user_id: int
    access_token: str
    refresh_token: str
    expires_at: datetime | None
    fingerprint: bytes | None
    resting: bool


def note_authorized(connection: psycopg.Connection, now: datetime) -> None:
    """Note the tokens that the pipeline has not stored itself: their users authorized by ``now``.

    Whatever was known of a user's earlier tokens does not hold any more.
    """
    connection.execute(statements("grant.sql")["note_authorized"], {"now": now})


def askable(connection: psycopg.Connection, users: Users, now: datetime) -> list[Grant]:
    """The grants of users; first those who play so much that their oldest play may be forgotten."""
    rows = connection.execute(statements("grant.sql")["askable"], {**users._asdict(), "now": now})
    return [Grant(*row) for row in rows]


async def exchange(
    pool: AsyncConnectionPool,
    refresh: Callable[[str], Awaitable[Tokens]],
    grants: Collection[Grant],
    spool: Spool,
    now: datetime,
) -> dict[int, str | SpotifyError | None]:
    """Get new access tokens for users, side by side, and store what Spotify gave for them.

    The users' rows are locked meanwhile, so that of two who refresh a user at once one waits and
    takes what the other got. A rotated refresh token that is lost is a user that is lost: it is in
    the spool from when it comes until the warehouse has it.

    Returns:
        By user: the access token to go on with, what `songswap.spotify.client.Client.refresh`
        raised, or None when the user is gone.

    Raises:
        WarehouseUnavailable: the rows could not be read; nothing was exchanged.
    """
    got: dict[int, str | SpotifyError | None] = dict.fromkeys(one.user_id for one in grants)
    known = {one.user_id: one.access_token for one in grants}
    rotated: list[RotatedToken] = []
    try:
        async with pool.connection() as connection, connection.transaction():
            sql = statements("grant.sql")
            cursor = await connection.execute(sql["lock_tokens"], {"users": list(known)})
            spent: dict[int, str] = {}
            async for user_id, access_token, refresh_token in cursor:
                got[user_id] = access_token
                if access_token == known[user_id]:
                    spent[user_id] = refresh_token
            rotated = await _rotate(refresh, spent, spool, got)
            await _store(connection, rotated, now)
    except psycopg.OperationalError as error:
        if not rotated:
            raise WarehouseUnavailable(
                "The warehouse (connection SongSwap_RDS) was lost while tokens were read."
            ) from error
        await asyncio.to_thread(spool.keep_tokens, rotated)
    except (psycopg.DataError, psycopg.IntegrityError):
        await _store_each(pool, rotated, spool, now)
    else:
        await asyncio.to_thread(spool.drop_tokens, rotated)
    return got


async def _rotate(
    refresh: Callable[[str], Awaitable[Tokens]],
    spent: Mapping[int, str],
    spool: Spool,
    got: dict[int, str | SpotifyError | None],
) -> list[RotatedToken]:
    """Exchange refresh tokens, by user; what came of each is noted in ``got``."""

    async def exchange_one(user_id: int, token: str) -> RotatedToken | None:
        try:
            told = await refresh(token)
        except SpotifyError as error:
            got[user_id] = error
            return None
        got[user_id] = told.access_token
        return RotatedToken(
            user_id, token, told.access_token, told.refresh_token or token, told.expires_at
        )

    rotated: list[RotatedToken] = []
    asked = {asyncio.create_task(exchange_one(*one)) for one in spent.items()}
    while asked:
        done, asked = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        came = [one for task in done if (one := task.result())]
        rotated += came
        # The warehouse may take them all the same; a full disk is told when answers are kept.
        with suppress(SpoolError):
            await asyncio.to_thread(
                spool.keep_tokens, [one for one in came if one.refresh_token != one.spent]
            )
    return rotated


async def _store(
    connection: psycopg.AsyncConnection, rotated: Collection[RotatedToken], now: datetime
) -> None:
    sql = statements("grant.sql")
    await connection.execute(sql["store_tokens"], _columns(rotated))
    await connection.execute(sql["note_refreshed"], {**_columns(rotated), "now": now})


async def _store_each(
    pool: AsyncConnectionPool, rotated: Collection[RotatedToken], spool: Spool, now: datetime
) -> None:
    """Store tokens of which one does not fit; that one stays in the spool."""
    for one in rotated:
        try:
            async with pool.connection() as connection, connection.transaction():
                await _store(connection, [one], now)
        except (psycopg.OperationalError, psycopg.DataError, psycopg.IntegrityError):
            await asyncio.to_thread(spool.keep_tokens, [one])
        else:
            await asyncio.to_thread(spool.drop_tokens, [one])


def _columns(rotated: Collection[RotatedToken]) -> dict[str, list[object]]:
    """Tokens as one list for each of their fields."""
    return {name: [getattr(one, name) for one in rotated] for name in RotatedToken._fields}


def store_kept(connection: psycopg.Connection, token: RotatedToken, now: datetime) -> bool:
    """Store tokens from the spool; False when the user has newer ones, or is gone.

    Raises:
        psycopg.DataError, psycopg.IntegrityError: they do not fit the platform's table.
    """
    sql = statements("grant.sql")
    with connection.transaction():
        stored = connection.execute(sql["store_tokens"], _columns([token])).rowcount > 0
        if stored:
            connection.execute(sql["note_refreshed"], {**_columns([token]), "now": now})
    return stored


def note_refused(connection: psycopg.Connection, users: Iterable[int], run_id: str) -> None:
    """Note that Spotify refused these users' grants; `settle_refused` decides what it means."""
    _note(connection, users, "refused", run_id, None, "invalid_grant: the user has to authorize")


def note_forbidden(
    connection: psycopg.Connection, users: Iterable[int], run_id: str, now: datetime
) -> None:
    """Leave users alone whom the app may not ask for, for a day."""
    problem = "403: not on the app's allow-list, or not allowed to the app"
    _note(connection, users, "forbidden", run_id, now + FORBIDDEN_FOR, problem)


def settle_refused(
    connection: psycopg.Connection,
    run_id: str,
    asked: int,
    share: float,
    at_least: int,
    now: datetime,
) -> tuple[int, bool]:
    """Decide what the refusals of a run mean: dead grants, or an incident at Spotify.

    Spotify has refused everybody's grant during an outage: when at least ``at_least`` users and
    more than ``share`` of those asked for were refused, nobody's grant is taken for dead; nor when
    most of a few were, for a run may be cut short in an outage. Grants whose six months are over do
    not count for that: many may end at once, and they are dead. All others that are taken for dead
    are asked for again: in the next hour, a day later and a week later. A run for some users only
    decides nothing but ends: others stay active until the hourly load asks everybody.

    Returns:
        How many were refused before their end, and whether it was an incident.
    """
    sql = statements("grant.sql")
    row = connection.execute(sql["count_refused"], {"run_id": run_id, "now": now}).fetchone()
    refused = int(row[0]) if row else 0
    many = refused >= at_least and refused > share * asked
    incident = many or (refused >= _SOME and 2 * refused > asked)
    about = {"run_id": run_id, "incident": incident, "now": now}
    connection.execute(sql["settle_refused"], about)
    return refused, incident


def _note(
    connection: psycopg.Connection,
    users: Iterable[int],
    state: str,
    run_id: str,
    ask_again_at: datetime | None,
    problem: str,
) -> None:
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(
            statements("grant.sql")["note_state"],
            [
                {
                    "user_id": user_id,
                    "state": state,
                    "run_id": run_id,
                    "ask_again_at": ask_again_at,
                    "problem": problem,
                }
                for user_id in users
            ],
        )
