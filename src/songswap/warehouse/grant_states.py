"""States of users' grants, and which grants end soon."""

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

import psycopg

from songswap.warehouse.sql import statements

STATES = ("active", "expiring", "expired", "revoked", "lost", "forbidden")
"""Good; good for 30 days at most; six months old; refused by Spotify; refused because the token's
successor was lost in a crash or on the network; not allowed to the app."""

_SQL = statements("grant_states.sql")


class GrantStatus(NamedTuple):
    """The state of a user's grant; an unknown time is None.

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
    """Count the grants in each state."""
    found: dict[str, int] = dict(connection.execute(_SQL["count"], {"now": now}).fetchall())
    return {state: found.get(state, 0) for state in STATES}


def find(
    connection: psycopg.Connection, states: Collection[str], now: datetime
) -> list[GrantStatus]:
    """Return the grants in these states, the first to end first."""
    rows = connection.execute(_SQL["list"], {"states": list(states), "now": now})
    return [GrantStatus(*row) for row in rows]


def warn(connection: psycopg.Connection, now: datetime) -> dict[str, int]:
    """Record which grants are 30, 7 or 1 days from their end.

    Returns:
        How many came that near since the last call, as ``expiring_in_7_days``; each grant counts
        once at each distance.
    """
    rows = connection.execute(_SQL["warn"], {"now": now})
    return {f"expiring_in_{days}_days": number for days, number in rows}
