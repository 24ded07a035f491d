"""The tokens that Spotify gave last: claimed, read, stored in a table of our own, and mirrored.

`songswap.tokens` holds them whatever their length and characters. "SpotifyTokens" is the
platform's: it gets what fits. A refresh token that the web app writes there later takes the place
of ours.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import psycopg

from songswap.models import RotatedToken, Successor
from songswap.warehouse.retry import retried_async
from songswap.warehouse.sql import statements

_SQL = statements("tokens.sql")

COLUMNS = ("access_token", "refresh_token")

LOCKED = "its row was locked by somebody else"


class Claim(NamedTuple):
    """Tokens of users as one claim found them, by user id.

    ``mine`` are to be exchanged by this holder; ``current`` are access tokens that another one got
    meanwhile; who is in neither is claimed by another, or gone.
    """

    mine: dict[int, "Claimed"]
    current: dict[int, str]
    gone: set[int]


class Claimed(NamedTuple):
    """A refresh token to be exchanged; ``unanswered_at`` if it was sent before, without an end."""

    refresh_token: str
    unanswered_at: datetime | None

    def __repr__(self) -> str:
        return f"Claimed(unanswered_at={self.unanswered_at})"


class NarrowColumn(NamedTuple):
    """A column of "SpotifyTokens" that holds ``size`` characters, and what it has to hold."""

    name: str
    size: int
    longest: int
    users: int

    @property
    def remedy(self) -> str:
        """The statement that widens it, with room to spare."""
        wanted = max(1024, 2 * self.longest)
        return f'ALTER TABLE "SpotifyTokens" ALTER COLUMN {self.name} TYPE varchar({wanted})'

    @property
    def sentence(self) -> str:
        """What it means, for an operator."""
        return (
            f'"SpotifyTokens".{self.name} holds {self.size} characters, and Spotify gives'
            f" {self.users:,} users tokens of up to {self.longest:,}: the pipeline goes on with its"
            " own copy, the web app has an old one. Have the table's owner run:"
            f" {self.remedy}"
        )


def encode(token: str) -> bytes:
    """A token as it is stored: whatever a JSON string can hold, lone surrogates too."""
    return token.encode("utf-8", "surrogatepass")


def decode(stored: bytes) -> str:
    """The token that was stored."""
    return bytes(stored).decode("utf-8", "surrogatepass")


@retried_async
async def claim(
    connection: psycopg.AsyncConnection,
    known: Mapping[int, str],
    holder: int,
    lease: timedelta,
    now: datetime,
) -> Claim:
    """Claim the exchange of users' refresh tokens, and record which tokens will be sent.

    Args:
        known: by user id, the access token that is not good any more.
        holder: tells one process's claims from another's.
        lease: how long the claims hold unless they are renewed, by the server's clock.
    """
    params = {"users": list(known), "holder": holder, "lease": lease, "now": now}
    async with connection.transaction():
        rows = await (await connection.execute(_SQL["claim"], params)).fetchall()
        claimed = {user_id for (user_id,) in rows}
        # After the claim: whoever held it before has stored what came of it.
        rows = await (await connection.execute(_SQL["current"], params)).fetchall()
        found = Claim({}, {}, set(known))
        for user_id, access_token, refresh_token, unanswered_at in rows:
            found.gone.discard(user_id)
            if decode(access_token) != known[user_id]:
                found.current[user_id] = decode(access_token)
            elif user_id in claimed:
                found.mine[user_id] = Claimed(decode(refresh_token), unanswered_at)
        await connection.execute(_SQL["begin"], params | {"users": list(found.mine)})
        unneeded = list(claimed - found.mine.keys())
        await connection.execute(_SQL["end"], params | {"users": unneeded})
    return found


async def renew(
    connection: psycopg.AsyncConnection, users: Collection[int], holder: int, lease: timedelta
) -> None:
    """Keep claims for another ``lease``."""
    await connection.execute(
        _SQL["renew"], {"users": list(users), "holder": holder, "lease": lease}
    )


async def end(
    connection: psycopg.AsyncConnection,
    refused: Collection[int],
    unknown: Collection[int],
    holder: int,
) -> None:
    """End claims that brought no token: Spotify refused it, or what became of it is unknown."""
    await connection.execute(_SQL["end"], {"users": list(refused), "holder": holder})
    await connection.execute(_SQL["release"], {"users": list(unknown), "holder": holder})


@retried_async
async def store(
    connection: psycopg.AsyncConnection,
    given: Sequence[RotatedToken | Successor],
    now: datetime,
) -> list[int]:
    """Store tokens, mirror into "SpotifyTokens" what fits there, and return whose were stored.

    Where the user has newer ones, because the web app wrote them, these are dropped.
    """
    spent = {
        "user_id": [token.user_id for token in given],
        "spent": [token.old_digest for token in given],
    }
    # The one statement that has to carry tokens.
    columns = {name: [encode(getattr(token, name)) for token in given] for name in COLUMNS}
    times = {"expires_at": [token.expires_at for token in given], "now": now}
    async with connection.transaction():
        cursor = await connection.execute(_SQL["store"], spent | columns | times)
        users = [user_id async for (user_id,) in cursor]
        await connection.execute(_SQL["end_exchanged"], spent)
        await connection.execute(_SQL["note_refreshed"], {"users": users, "now": now})
    await _mirror(connection, users)
    return users


async def not_held(
    connection: psycopg.AsyncConnection, latest: Sequence[tuple[int, bytes]]
) -> list[tuple[int, bytes]]:
    """Of whom the warehouse holds another refresh token than these: its digest, by user id.

    Args:
        latest: digests of refresh tokens by user id, of a user maybe several.
    """
    users, digests = zip(*latest, strict=True)
    about = {"user_id": list(users), "digest": list(digests)}
    rows = await (await connection.execute(_SQL["not_held"], about)).fetchall()
    return [(user_id, bytes(digest)) for user_id, digest in rows]


async def _mirror(connection: psycopg.AsyncConnection, users: Collection[int]) -> None:
    """Write tokens into the platform's table: both, or of a user whose do not fit what does."""
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
    await connection.execute(_SQL["note_not_mirrored"], {"users": [user_id], "problem": problem})


async def _mirror_some(
    connection: psycopg.AsyncConnection,
    users: Collection[int],
    problem: str | None,
    *,
    access: bool,
    refresh: bool,
) -> None:
    parameters = {"users": list(users), "access": access, "refresh": refresh}
    cursor = await connection.execute(_SQL["mirror"], parameters)
    mirrored = [user_id async for (user_id,) in cursor]
    await connection.execute(_SQL["note_mirrored"], {"users": mirrored, "problem": problem})
    locked = list(set(users) - set(mirrored))
    await connection.execute(_SQL["note_not_mirrored"], {"users": locked, "problem": LOCKED})


def orphaned(connection: psycopg.Connection, now: datetime) -> list[int]:
    """Users whose exchange was cut off within the last hour, with the process that had begun it."""
    return [user_id for (user_id,) in connection.execute(_SQL["orphaned"], {"now": now})]


def narrow_columns(connection: psycopg.Connection) -> list[NarrowColumn]:
    """The columns of "SpotifyTokens" that are too short for tokens which are in use."""
    return [NarrowColumn(*row) for row in connection.execute(_SQL["narrow_columns"])]
