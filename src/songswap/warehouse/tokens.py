"""Users' newest tokens: claimed for their exchange, stored in our own table, and mirrored.

Table `songswap.tokens` holds tokens of any length and with any characters. "SpotifyTokens" is the
platform's, and gets those that fit. A refresh token that the web app writes there later replaces
ours.
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import psycopg

from songswap.models import RotatedToken, Successor
from songswap.warehouse.retry import retried_async
from songswap.warehouse.sql import statements

log = logging.getLogger(__name__)

_SQL = statements("tokens.sql")

COLUMNS = ("access_token", "refresh_token")

LOCKED = "its row was locked by another session"

_UNFIT = (psycopg.DataError, psycopg.IntegrityError)
"""Errors of a token that the platform's columns do not take."""


class Claim(NamedTuple):
    """Tokens of users as one claim found them, by user id.

    ``mine`` are to be exchanged by this holder; ``current`` are access tokens that another holder
    got meanwhile. A user in neither is claimed by another holder, or in ``gone``: deleted.
    """

    mine: dict[int, "Claimed"]
    current: dict[int, str]
    gone: set[int]


class Claimed(NamedTuple):
    """A refresh token to exchange; ``unanswered_at`` is when it was sent without a known result."""

    refresh_token: str
    unanswered_at: datetime | None

    def __repr__(self) -> str:
        return f"Claimed(unanswered_at={self.unanswered_at})"


class NarrowColumn(NamedTuple):
    """A column of "SpotifyTokens" with ``size`` characters, where ``longest`` are needed."""

    name: str
    size: int
    longest: int
    users: int

    @property
    def remedy(self) -> str:
        """The statement that widens the column, with room to spare."""
        wanted = max(1024, 2 * self.longest)
        return f'ALTER TABLE "SpotifyTokens" ALTER COLUMN {self.name} TYPE varchar({wanted})'

    @property
    def sentence(self) -> str:
        """The problem and its fix, for an operator."""
        return (
            f'"SpotifyTokens".{self.name} holds {self.size} characters, and Spotify gives'
            f" {self.users:,} users tokens of up to {self.longest:,}: the pipeline uses its own"
            " copy, the web app has an old one. Have the table's owner run:"
            f" {self.remedy}"
        )


def encode(token: str) -> bytes:
    """Return a token as it is stored: any JSON string, lone surrogates included."""
    return token.encode("utf-8", "surrogatepass")


def decode(stored: bytes) -> str:
    """Return a stored token."""
    return bytes(stored).decode("utf-8", "surrogatepass")


@retried_async
async def claim(
    connection: psycopg.AsyncConnection,
    known: Mapping[int, str],
    holder: int,
    spool_id: UUID,
    lease: timedelta,
    now: datetime,
) -> Claim:
    """Claim the exchange of users' refresh tokens, and record which tokens will be sent.

    Args:
        known: by user id, the access token that has expired.
        holder: a number that no other process uses.
        spool_id: of the spool that the successors are written to.
        lease: how long claims last unless they are renewed, by the server's clock.
    """
    params = {"users": list(known), "holder": holder, "lease": lease, "now": now}
    async with connection.transaction():
        await connection.execute(_SQL["hold_users"], params)
        await connection.execute(_SQL["record_cut_off"], params)
        rows = await (await connection.execute(_SQL["claim"], params)).fetchall()
        claimed = {user_id for (user_id,) in rows}
        # After the claim: its last holder has stored the result by then.
        rows = await (await connection.execute(_SQL["current"], params)).fetchall()
        found = Claim({}, {}, set(known))
        for user_id, access_token, refresh_token, unanswered_at in rows:
            found.gone.discard(user_id)
            if decode(access_token) != known[user_id]:
                found.current[user_id] = decode(access_token)
            elif user_id in claimed:
                found.mine[user_id] = Claimed(decode(refresh_token), unanswered_at)
        mine = {"users": list(found.mine), "spool_id": spool_id}
        await connection.execute(_SQL["begin"], params | mine)
        unneeded = list(claimed - found.mine.keys())
        await connection.execute(_SQL["end"], params | {"users": unneeded})
    return found


async def renew(
    connection: psycopg.AsyncConnection, users: Collection[int], holder: int, lease: timedelta
) -> None:
    """Renew claims for another ``lease``."""
    params = {"users": list(users), "holder": holder, "lease": lease}
    await connection.execute(_SQL["renew"], params)


async def end(
    connection: psycopg.AsyncConnection,
    refused: Collection[int],
    unknown: Collection[int],
    holder: int,
) -> None:
    """End claims without a new token: Spotify refused it, or the result is unknown."""
    await connection.execute(_SQL["end"], {"users": list(refused), "holder": holder})
    await connection.execute(_SQL["release"], {"users": list(unknown), "holder": holder})


@retried_async
async def store(
    connection: psycopg.AsyncConnection,
    rotated: Sequence[RotatedToken | Successor],
    now: datetime,
) -> list[int]:
    """Store tokens, mirror those that fit into "SpotifyTokens", and return their users.

    Tokens are dropped where the user has newer ones, which the web app wrote; and those of erased
    users, but see `keep_sign_in`.
    """
    old = _digests(rotated)
    # The one statement that has to carry tokens, but for `keep_sign_in`.
    columns = _columns(rotated)
    times = {"expires_at": [token.expires_at for token in rotated], "now": now}
    async with connection.transaction():
        cursor = await connection.execute(_SQL["store"], old | columns | times)
        users = [user_id async for (user_id,) in cursor]
        await connection.execute(_SQL["end_exchanged"], old)
        await connection.execute(_SQL["record_refreshed"], {"users": users, "now": now})
    await _mirror(connection, users)
    for token in rotated:
        if token.user_id not in users:
            await _keep_sign_in(connection, token)
    return users


def keep_sign_in(connection: psycopg.Connection, token: RotatedToken) -> None:
    """Write an erased user's new tokens into "SpotifyTokens", if the user keeps the account.

    Only where it has the token that these replace. One that does not fit there is lost: the user
    has to sign in again.
    """
    try:
        connection.execute(_SQL["keep_sign_in"], _digests([token]) | _columns([token]))
    except _UNFIT as error:
        _warn_of_sign_in(token, error)


async def _keep_sign_in(
    connection: psycopg.AsyncConnection, token: RotatedToken | Successor
) -> None:
    try:
        await connection.execute(_SQL["keep_sign_in"], _digests([token]) | _columns([token]))
    except _UNFIT as error:
        _warn_of_sign_in(token, error)


def _warn_of_sign_in(token: RotatedToken | Successor, error: psycopg.Error) -> None:
    log.warning(
        'User %d, who is erased and keeps the account, has to sign in again: "SpotifyTokens" does'
        " not take the user's new token (SQLSTATE %s).",
        token.user_id,
        error.sqlstate,
    )


def _digests(rotated: Sequence[RotatedToken | Successor]) -> dict[str, list[Any]]:
    return {
        "user_id": [token.user_id for token in rotated],
        "old_digest": [token.old_digest for token in rotated],
    }


def _columns(rotated: Sequence[RotatedToken | Successor]) -> dict[str, list[Any]]:
    return {name: [encode(getattr(token, name)) for token in rotated] for name in COLUMNS}


async def unlisted(
    connection: psycopg.AsyncConnection, latest: Sequence[tuple[int, bytes]]
) -> list[tuple[int, bytes]]:
    """Return user ids and digests of stored refresh tokens that are not in ``latest``.

    Args:
        latest: user ids and digests of refresh tokens; a user can have several.
    """
    users, digests = zip(*latest, strict=True)
    params = {"user_id": list(users), "digest": list(digests)}
    rows = await (await connection.execute(_SQL["unlisted"], params)).fetchall()
    return [(user_id, bytes(digest)) for user_id, digest in rows]


async def _mirror(connection: psycopg.AsyncConnection, users: Collection[int]) -> None:
    """Write tokens into the platform's table; where they do not fit, those of each user that do."""
    try:
        async with connection.transaction():
            await _mirror_some(connection, users, None, access=True, refresh=True)
    except psycopg.OperationalError:
        raise
    except psycopg.Error:
        for user_id in users:
            await _mirror_one(connection, user_id)


async def _mirror_one(connection: psycopg.AsyncConnection, user_id: int) -> None:
    problem: str | None = None
    for access, refresh in ((True, True), (False, True), (True, False)):
        try:
            async with connection.transaction():
                await _mirror_some(connection, [user_id], problem, access=access, refresh=refresh)
        except psycopg.OperationalError:
            raise
        except psycopg.Error as error:
            # The server's own text would quote the token.
            problem = f"SQLSTATE {error.sqlstate}"
        else:
            return
    await connection.execute(_SQL["record_not_mirrored"], {"users": [user_id], "problem": problem})


async def _mirror_some(
    connection: psycopg.AsyncConnection,
    users: Collection[int],
    problem: str | None,
    *,
    access: bool,
    refresh: bool,
) -> None:
    params = {"users": list(users), "access": access, "refresh": refresh}
    cursor = await connection.execute(_SQL["mirror"], params)
    mirrored = [user_id async for (user_id,) in cursor]
    await connection.execute(_SQL["record_mirrored"], {"users": mirrored, "problem": problem})
    locked = list(set(users) - set(mirrored))
    await connection.execute(_SQL["record_not_mirrored"], {"users": locked, "problem": LOCKED})


def orphaned(connection: psycopg.Connection, now: datetime) -> list[int]:
    """Return users whose exchange was cut off, with its process, within the last hour."""
    return [user_id for (user_id,) in connection.execute(_SQL["orphaned"], {"now": now})]


def narrow_columns(connection: psycopg.Connection) -> list[NarrowColumn]:
    """Return the columns of "SpotifyTokens" that are too short for tokens in use."""
    return [NarrowColumn(*row) for row in connection.execute(_SQL["narrow_columns"])]
