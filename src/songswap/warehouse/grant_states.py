"""What users' grants are worth at a time: their states, and whose end comes near."""

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

import psycopg

from songswap.warehouse.sql import statements

STATES = ("active", "expiring", "expired", "revoked", "lost", "forbidden")
"""Good; good for 30 days at most; six months old; refused by Spotify; refused because its successor
was lost in a crash or on the way; not allowed to the app."""

_SQL = statements("grant_states.sql")


class GrantStatus(NamedTuple):
    """How a user's grant stands; a time is None while it is not known.

    A refused grant is tried once more after ``ask_again_at``, see docs/adr/0008; never when None.
    """

    user_id: int
    username: str
    state: str
    authorized_at: datetime | None
    ends_at: datetime | None
    refreshed_at: datetime | None
    problem: str | None
    ask_again_at: datetime | None


def count(connection: psycopg.Connection, now: datetime) -> dict[str, int]:
    """How many grants are in each of the states."""
    found: dict[str, int] = dict(connection.execute(_SQL["count"], {"now": now}).fetchall())
    return {state: found.get(state, 0) for state in STATES}


def find(
    connection: psycopg.Connection, states: Collection[str], now: datetime
) -> list[GrantStatus]:
    """The grants in some of the states; those that end first come first."""
    rows = connection.execute(_SQL["list"], {"states": list(states), "now": now})
    return [GrantStatus(*row) for row in rows]


def warn(connection: psycopg.Connection, now: datetime) -> dict[str, int]:
    """Note for which grants the end has come as near as 30, 7 or 1 days.

    Returns:
        How many came that near since the last call, as ``expiring_in_7_days``; each grant is
        counted once at each distance.
    """
    rows = connection.execute(_SQL["warn"], {"now": now})
    return {f"expiring_in_{days}_days": number for days, number in rows}
