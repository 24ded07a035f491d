"""Snapshots of what an operator sees, and plays by the hour: written hourly, read by the page."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import psycopg
from psycopg.types.json import Jsonb

from songswap.warehouse import overview
from songswap.warehouse.sql import statements

DAYS_OF_PLAYS = timedelta(days=30)
"""For how long plays are counted by the hour."""

_SQL = statements("snapshots.sql")


class Snapshot(NamedTuple):
    """What an operator sees, as at ``taken_at``; docs/json.md explains the keys of ``facts``."""

    taken_at: datetime
    run_id: str
    facts: Mapping[str, Any]


class PlaysOfHour(NamedTuple):
    """How many plays began in an hour of UTC, of all users but user 0."""

    hour: datetime
    plays: int


def write(connection: psycopg.Connection, snapshot: Snapshot) -> None:
    """Record a snapshot; one that was taken at the same moment gives way."""
    params = {**snapshot._asdict(), "facts": Jsonb(snapshot.facts)}
    connection.execute(_SQL["write"], params)


def latest(connection: psycopg.Connection, now: datetime) -> Snapshot | None:
    """Return the snapshot that was taken last; None before the first.

    One that is more than 2 minutes ahead of ``now`` is passed over.
    """
    row = connection.execute(_SQL["latest"], {"now": now}).fetchone()
    return Snapshot(*row) if row else None


def count_plays(connection: psycopg.Connection, since: datetime, now: datetime) -> None:
    """Count the plays of each hour from that of ``since`` to now, and record them.

    It costs an index lookup a user, and the plays in these hours.
    """
    way = "by_user" if overview.is_indexed_by_user(connection) else "by_time"
    connection.execute(_SQL[f"count_plays_{way}"], {"since": since, "now": now})


def plays_by_hour(connection: psycopg.Connection, now: datetime) -> list[PlaysOfHour]:
    """Return the plays of each counted hour of the last 30 days, the oldest first."""
    rows = connection.execute(_SQL["plays_by_hour"], {"now": now, "age": DAYS_OF_PLAYS})
    return [PlaysOfHour(*row) for row in rows]
