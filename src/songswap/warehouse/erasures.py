"""Erasures of users: what is recorded of them, and whose data is loaded no more.

An erasure is in force from its request until its user authorizes again after its end. Until then
nothing of the user is polled or loaded; afterwards only what came since.
"""

from collections.abc import Collection, Mapping
from datetime import datetime

import psycopg

from songswap.warehouse.sql import statements

_SQL = statements("erasures.sql")


def not_loadable(
    connection: psycopg.Connection, users: Collection[int]
) -> Mapping[int, datetime | None]:
    """Return which of these users were ever erased.

    Call it when the users are locked: an erasure that is requested later waits for the lock.

    Returns:
        By user id: since when the user's data is loaded again; None where nothing of it is.
    """
    return dict(connection.execute(_SQL["not_loadable"], {"users": list(users)}).fetchall())


def record_renewed(connection: psycopg.Connection, now: datetime) -> None:
    """Record which erased users have authorized again, by their tokens."""
    connection.execute(_SQL["record_renewed"], {"now": now})


def in_force_since(connection: psycopg.Connection, user_id: int) -> datetime | None:
    """Return when the erasure that is in force was requested; None where none is."""
    row = connection.execute(_SQL["in_force"], {"user_id": user_id}).fetchone()
    return row[0] if row else None
