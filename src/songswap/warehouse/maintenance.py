"""Delete rows that are older than a limit and that nothing reads any more, some at a time.

Runs with their steps, snapshots, and requests of apps that are not used any more. What is about a
user, a play or an export is no housekeeping: it stays, and so do the notices, which would be sent
again.
"""

from collections import Counter
from datetime import datetime, timedelta
from typing import NamedTuple

import psycopg

from songswap.warehouse.retry import retried
from songswap.warehouse.sql import statements

_SQL = statements("maintenance.sql")

_RUNS_AT_ONCE = 50
"""A run of 500,000 users has 2,000 steps, and each transaction is to take well below a second."""

_SNAPSHOTS_AT_ONCE = 500


class AgeLimits(NamedTuple):
    """Rows from ``before`` may go, runs that began before ``runs_before``."""

    before: datetime
    runs_before: datetime


def age_limits(connection: psycopg.Connection, now: datetime, keep: timedelta) -> AgeLimits:
    """Return what is old: ``runs_before`` is earlier if a run is needed that began before."""
    row = connection.execute(_SQL["limits"], {"now": now, "keep": keep}).fetchone()
    assert row is not None  # noqa: S101 - a SELECT without FROM has one row
    return AgeLimits(*row)


def count_old(connection: psycopg.Connection, limits: AgeLimits) -> dict[str, int]:
    """Return how many rows `delete_old` would delete, by table."""
    return dict(connection.execute(_SQL["count_old"], limits._asdict()).fetchall())


def delete_old(connection: psycopg.Connection, limits: AgeLimits) -> dict[str, int]:
    """Delete old rows in short transactions; return how many, by table."""
    deleted = Counter(runs=0, steps=0, snapshots=0)
    while (of_runs := _delete_runs(connection, limits))["runs"]:
        deleted.update(of_runs)
    deleted["requests"] = _delete(connection, "delete_requests", limits)
    while snapshots := _delete(connection, "delete_snapshots", limits):
        deleted["snapshots"] += snapshots
    return dict(deleted)


@retried
def _delete_runs(connection: psycopg.Connection, limits: AgeLimits) -> dict[str, int]:
    params = {**limits._asdict(), "at_most": _RUNS_AT_ONCE}
    row = connection.execute(_SQL["delete_runs"], params).fetchone()
    assert row is not None  # noqa: S101 - a SELECT without FROM has one row
    return {"runs": row[0], "steps": row[1]}


@retried
def _delete(connection: psycopg.Connection, statement: str, limits: AgeLimits) -> int:
    params = {**limits._asdict(), "at_most": _SNAPSHOTS_AT_ONCE}
    return connection.execute(_SQL[statement], params).rowcount
