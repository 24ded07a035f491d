"""When each user was polled, and how many plays an hour to expect of them."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import psycopg

from songswap.warehouse.locks import lock_users
from songswap.warehouse.sql import statements

PACE_DECAY = 0.9
"""Factor by which a user's pace decays on each quieter poll; it halves in about seven polls."""

_SQL = statements("polls.sql")


def at_risk(
    connection: psycopg.Connection, now: datetime, interval: timedelta, plays: int
) -> list[int]:
    """Return the users who may have ``plays`` plays since their last poll after ``interval``.

    The pace is that of each user's busiest hour seen lately. Users whom Spotify refuses are in it.
    """
    params = {"now": now, "interval": interval, "plays": plays}
    return [user_id for (user_id,) in connection.execute(_SQL["at_risk"], params)]


def record_polls(
    connection: psycopg.Connection, problems: Mapping[int, str | None], now: datetime
) -> None:
    """Record when users were polled without a new play.

    Locks them: a load that is at work on their polls ends first.

    Args:
        problems: by user id, why the poll failed; None where the response held nothing new.
    """
    if not problems:
        return
    params = {
        "users": list(problems),
        "problems": list(problems.values()),
        "now": now,
        "decay": PACE_DECAY,
    }
    with connection.transaction():
        lock_users(connection, problems)
        connection.execute(_SQL["record_polls"], params)
