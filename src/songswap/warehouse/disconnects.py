"""Users who have to be erased: whose grant was revoked, or who are gone from ``"Users"``."""

from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

import psycopg

from songswap.warehouse.retry import retried
from songswap.warehouse.sql import scalar, statements

REVOKED, GONE = "revoked", "gone"

_RULES = ("record_revoked", "record_gone")

_SQL = statements("disconnects.sql")


class Due(NamedTuple):
    """A user who has to be erased by ``due_at``: its day, in UTC.

    ``reason`` is ``revoked`` or ``gone``; ``since`` is when Spotify first refused the grant, or
    when it was first seen that the user is gone.
    """

    user_id: int
    reason: str
    since: datetime
    due_at: datetime

    @property
    def day(self) -> date:
        """The day (UTC) by which the user has to be erased."""
        return self.due_at.astimezone(UTC).date()

    def days_left(self, now: datetime) -> int:
        """Return the days until that day: 0 on it, less than 0 when it is over."""
        return (self.day - now.astimezone(UTC).date()).days

    def is_due(self, now: datetime) -> bool:
        """Return whether that day has come."""
        return self.days_left(now) <= 0


@retried
def refresh(
    connection: psycopg.Connection,
    archived: Collection[int] | None,
    days: timedelta,
    now: datetime,
) -> None:
    """Bring the list up to date, in a transaction.

    Args:
        archived: all users of whom the archive has something; None where it was not listed: who is
            gone stays as it was then.
        days: from the beginning of a disconnect until its user has to be erased.
    """
    params = {"archived": list(archived or ()), "only": None, "days": days, "now": now}
    with connection.transaction():
        found = [
            user_id for name in _RULES for (user_id,) in connection.execute(_SQL[name], params)
        ]
        is_listed = archived is not None
        connection.execute(_SQL["forget"], {"found": found, "is_listed": is_listed})


def not_ahead(connection: psycopg.Connection, now: datetime) -> datetime:
    """Return the time by our clock, or by the server's where ours is ahead."""
    moment: datetime = scalar(connection.execute(_SQL["not_ahead"], {"now": now}))
    return moment


def is_due(connection: psycopg.Connection, user_id: int, days: timedelta, now: datetime) -> bool:
    """Return whether a user whom `refresh` has listed has to be erased still, by the same rules.

    Call it when the user is locked: nobody authorizes again between this and the request.
    """
    params = {"archived": [user_id], "only": user_id, "days": days, "now": now}
    listed = [row for name in _RULES for row in connection.execute(_SQL[name], params)]
    return bool(listed) and bool(scalar(connection.execute(_SQL["is_due"], params)))


def find(connection: psycopg.Connection) -> list[Due]:
    """Return who has to be erased as the last refresh found it, the first to be erased first."""
    return [Due(*row) for row in connection.execute(_SQL["find"])]


def count(connection: psycopg.Connection) -> int:
    """Return how many they are."""
    return int(scalar(connection.execute(_SQL["count"])))
