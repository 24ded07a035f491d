"""Users' tokens in the warehouse: who can be asked for, and a refresh that loses no token."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

import psycopg
from psycopg_pool import AsyncConnectionPool

from songswap.errors import WarehouseUnavailable
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
    ``fingerprint`` is that of the newest answer in History; ``resting`` users are not asked for:
    their grant is revoked, or the app may not ask for them.
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
    grant: Grant,
    spool: Spool,
    now: datetime,
) -> str | None:
    """Get a new access token for a user, and store what Spotify gave for it in the same step.

    The user's row is locked meanwhile, so that of two who refresh at once one waits and takes what
    the other got. Tokens that the warehouse does not take (it is lost, or they do not fit) are kept
    in the spool: a rotated refresh token that is lost is a user that is lost.

    Returns:
        The access token to go on with; None when the user is gone.

    Raises:
        SpotifyError: what ``refresh`` raises, see `songswap.spotify.client.Client.refresh`.
        WarehouseUnavailable: the row could not be read; nothing was exchanged.
    """
    sql = statements("grant.sql")
    rotated: RotatedToken | None = None
    try:
        async with pool.connection() as connection, connection.transaction():
            cursor = await connection.execute(sql["lock_tokens"], {"user_id": grant.user_id})
            row = await cursor.fetchone()
            if row is None:
                return None
            access_token, spent = row
            if access_token != grant.access_token:
                return str(access_token)
            tokens = await refresh(spent)
            rotated = RotatedToken(
                grant.user_id,
                spent,
                tokens.access_token,
                tokens.refresh_token or spent,
                tokens.expires_at,
            )
            await connection.execute(sql["store_tokens"], rotated._asdict())
            await connection.execute(sql["note_refreshed"], {**rotated._asdict(), "now": now})
    except (psycopg.OperationalError, psycopg.DataError, psycopg.IntegrityError) as error:
        if rotated is None:
            raise WarehouseUnavailable(
                "The warehouse (connection SongSwap_RDS) was lost while tokens were read."
            ) from error
        await asyncio.to_thread(spool.keep_token, rotated)
    return rotated.access_token if rotated else None


def store_kept(connection: psycopg.Connection, token: RotatedToken, now: datetime) -> bool:
    """Store tokens from the spool; False when the user has newer ones, or is gone.

    Raises:
        psycopg.DataError, psycopg.IntegrityError: they do not fit the platform's table.
    """
    sql = statements("grant.sql")
    with connection.transaction():
        stored = connection.execute(sql["store_tokens"], token._asdict()).rowcount > 0
        if stored:
            connection.execute(sql["note_refreshed"], {**token._asdict(), "now": now})
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
    not count for that: many may end at once, and they are dead.

    Returns:
        How many were refused before their end, and whether it was an incident.
    """
    sql = statements("grant.sql")
    row = connection.execute(sql["count_refused"], {"run_id": run_id, "now": now}).fetchone()
    refused = int(row[0]) if row else 0
    many = refused >= at_least and refused > share * asked
    incident = many or (refused >= _SOME and 2 * refused > asked)
    state = "active" if incident else "revoked"
    connection.execute(sql["settle_refused"], {"run_id": run_id, "state": state, "now": now})
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
