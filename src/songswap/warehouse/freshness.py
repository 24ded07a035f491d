"""What table ``songswap.runs`` says of the hourly load: how it ended last, and what came after."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

import psycopg

from songswap.warehouse.leases import LONGEST_RUN
from songswap.warehouse.sql import statements

_SQL = statements("freshness.sql")


class GoodRun(NamedTuple):
    """The hourly run that ended well last: ``success``, or ``paused`` by Spotify."""

    state: str
    ended_at: datetime
    started_at: datetime
    counts: Mapping[str, int]


class Facts(NamedTuple):
    """What is known of the hourly load.

    Args:
        good: the run that ended well last; None before the first.
        failed: how many runs failed or died since then.
        problem: of the newest of these, where it could report one.
        running_since: when a run began that is at work, within the time that it may take.
    """

    good: GoodRun | None
    failed: int
    problem: str | None
    running_since: datetime | None


def read(connection: psycopg.Connection, now: datetime) -> Facts:
    """Read the facts; SELECT on ``songswap.runs`` and ``songswap.steps`` is enough."""
    row = connection.execute(_SQL["good"], {"now": now}).fetchone()
    good = GoodRun(*row) if row else None
    params = {"now": now, "since": good and good.started_at, "longest": LONGEST_RUN}
    return Facts(good, *(connection.execute(_SQL["later"], params).fetchone() or (0, None, None)))
