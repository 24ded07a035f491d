"""Locks of loads, for which a session may wait longer than for those of strangers.

    users ──▶ shards of the catalogue ──▶ artists ──▶ data_fixes ──▶ enrichment_queue
    users ──▶ "SpotifyTokens" ──▶ erasures ──▶ tokens ──▶ token_exchanges ──▶ grants

Every transaction takes its locks in this order, and those of one kind in the order of their keys:
so no two wait for each other. None that has locked users takes a shard. `grants.record_authorized`
alone has tokens before users, by the foreign key of new grants, and is retried.
"""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from zlib import crc32

import psycopg

from songswap.durations import timed
from songswap.errors import WarehouseRefused
from songswap.warehouse import erasures
from songswap.warehouse.sql import statements
from songswap.warehouse.timeouts import limits, ms

SHARDS = 64
"""Parts of the catalogue that are locked one by one."""

_ROWS_AT_ONCE = 1_000
"""Rows of a transaction: with fewer, its own cost is more than theirs; with more, others wait."""

_SHARDS_AT_ONCE = 8
"""Shards of a transaction, however many rows they have: an eighth leaves enough for others."""

_EVER = datetime.min.replace(tzinfo=UTC)

_SQL = statements("locks.sql")

_MIGRATIONS = 7_317_529
"""Any number, as long as all processes have the same."""


@lru_cache(1 << 16)
def shard_of(track_id: str) -> int:
    """Return the shard of a track: that of all rows about it, but for plays and artists."""
    return crc32(track_id.encode()) % SHARDS


def shard_versions(connection: psycopg.Connection) -> dict[int, int]:
    """Return the versions of all shards: who looks rows up afterwards sees them or later ones."""
    return dict(connection.execute(_SQL["shard_versions"]).fetchall())


def lock_shards(connection: psycopg.Connection, shards: Collection[int]) -> dict[int, int]:
    """Lock shards until the end of the transaction, for rows of their tracks to change.

    Returns:
        Their versions: each is one more than before.

    Raises:
        psycopg.errors.LockNotAvailable: other loads took too long.
        WarehouseRefused: the table lacks a shard.
    """
    if not shards:
        return {}
    params = {"shards": list(shards), **_waits()}
    with timed("lock_wait"):
        row = connection.execute(_SQL["lock_shards"], params).fetchone()
    assert row is not None  # noqa: S101 - a sum has a row
    versions = dict(zip(row[0], row[1], strict=True))
    if lacking := set(shards) - versions.keys():
        raise WarehouseRefused(
            f"songswap.catalogue_shards lacks the rows {sorted(lacking)}, which loads lock: nothing"
            " was loaded. Insert them, with version 0."
        )
    return versions


def lock_some_shards(
    connection: psycopg.Connection, shards: Sequence[int], rows: float
) -> dict[int, int]:
    """Lock as many of these shards as one transaction writes, free ones first.

    If none is free, wait for the first.

    Args:
        rows: to write in each of them, on average.

    Returns:
        Their versions, and raises, as `lock_shards`.
    """
    most = max(_SHARDS_AT_ONCE, int(_ROWS_AT_ONCE / max(1, rows)))
    locked = _lock_free_shards(connection, shards, most)
    if not locked:
        # Others may be free by then. They are not waited for: no two wait for each other.
        locked = lock_shards(connection, shards[:1])
        locked |= _lock_free_shards(connection, shards[1:], most - 1)
    return locked


def _lock_free_shards(
    connection: psycopg.Connection, shards: Sequence[int], most: int
) -> dict[int, int]:
    params = {"shards": list(shards), "most": most}
    return dict(connection.execute(_SQL["lock_free_shards"], params).fetchall())


def lock_users(connection: psycopg.Connection, users: Collection[int]) -> dict[int, datetime]:
    """Lock users until the end of the transaction, for their plays and what is known of them.

    Returns:
        Those who exist and are not erased, and since when their data is to be loaded: after an
        erased user has authorized again, nothing from before is.

    Raises:
        psycopg.errors.LockNotAvailable: as `lock_shards`.
    """
    params = {"users": list(users), **_waits()}
    with timed("lock_wait"):
        row = connection.execute(_SQL["lock_users"], params).fetchone()
    assert row is not None  # noqa: S101 - a sum has a row
    erased = erasures.not_loadable(connection, row[0])
    since = {user_id: erased.get(user_id, _EVER) for user_id in row[0]}
    return {user_id: at for user_id, at in since.items() if at is not None}


def lock_to_erase(connection: psycopg.Connection, user_id: int) -> None:
    """Lock a user, if there is one, and the tokens of the platform.

    Also against new rows of any table that refer to the user.

    Raises:
        psycopg.errors.LockNotAvailable: as `lock_shards`.
    """
    params = {"user_id": user_id, **_waits()}
    connection.execute(_SQL["lock_to_erase"], params)
    connection.execute(_SQL["lock_tokens_to_erase"], params)


def lock_migrations(connection: psycopg.Connection) -> None:
    """Take the lock of migrations until the end of the transaction; raises as `lock_shards`."""
    connection.execute(_SQL["lock_migrations"], {"number": _MIGRATIONS, **_waits()})


def _waits() -> dict[str, str]:
    within = limits()
    return {"turn": ms(within.turn_s), "lock": ms(within.lock_s)}
