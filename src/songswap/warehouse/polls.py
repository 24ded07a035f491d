"""When each user was polled, and how many plays an hour to expect of them."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

import psycopg

from songswap.warehouse.locks import lock_users
from songswap.warehouse.sql import statements

PACE_DECAY = 0.9
"""Factor by which a user's pace decays on each quieter poll; it halves in about seven polls."""

POLL_THRESHOLD = 40
"""Plays since the last poll at which a user is polled: a fifth of the 50 is a reserve."""

_SQL = statements("polls.sql")


def at_risk(
    connection: psycopg.Connection, now: datetime, interval: timedelta, plays: int
) -> list[int]:
    """Return the users who may have ``plays`` plays since their last poll after ``interval``.

    The pace is that of each user's busiest hour seen lately. Users whom Spotify refuses are in it.
    """
    params = {"now": now, "interval": interval, "plays": plays}
    return [user_id for (user_id,) in connection.execute(_SQL["at_risk"], params)]


class Pollable(NamedTuple):
    """How many users can be polled, and how many of them are at risk, see `at_risk`.

    ``oldest`` is the oldest of their last responses, see `OldestPoll.since`.
    """

    users: int = 0
    at_risk: int = 0
    oldest: datetime | None = None


def count(
    connection: psycopg.Connection, now: datetime, interval: timedelta, plays: int
) -> Pollable:
    """Count the users who can be polled."""
    params = {"now": now, "interval": interval, "plays": plays}
    return Pollable(*(connection.execute(_SQL["count"], params).fetchone() or ()))


class OldestPoll(NamedTuple):
    """The user without a response for the longest time, of those who can be polled.

    ``since`` is the last response, or the authorization where there was none.
    """

    user_id: int
    username: str
    since: datetime


def oldest(connection: psycopg.Connection, now: datetime) -> OldestPoll | None:
    """Return whose last poll is the oldest; None where nobody can be polled."""
    row = connection.execute(_SQL["oldest"], {"now": now}).fetchone()
    return OldestPoll(*row) if row else None


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
