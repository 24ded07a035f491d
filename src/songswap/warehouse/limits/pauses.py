"""Pauses that Spotify asked of the app: recorded by one run, respected by all.

Spotify limits single endpoints too, and it may close one with a 429. So a pause that a request for
metadata met is that endpoint's, unless the day's quota is spent: plays vanish meanwhile. Where it
is the app's all the same, the first polls meet it, and theirs is everybody's.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import NamedTuple

import psycopg

from songswap.errors import QuotaReserved, RateLimited
from songswap.warehouse.sql import statements

_SQL = statements("limits/pauses.sql")


class Pause(NamedTuple):
    """Until when an app is to send no requests, and why.

    ``app`` is its client id, also with the name of an endpoint behind it, or ``reccobeats``.
    """

    app: str
    reason: str
    until: datetime


def active(connection: psycopg.Connection, now: datetime) -> list[Pause]:
    """Return the pauses that are not over, the longest first."""
    rows = connection.execute(_SQL["active"], {"now": now})
    return [Pause(*row) for row in rows]


def find(connection: psycopg.Connection, app: str, now: datetime) -> RateLimited | None:
    """Return an app's pause, as the error that began it; None if there is none.

    Args:
        app: the client id.
    """
    row = connection.execute(_SQL["find"], {"app": app, "now": now}).fetchone()
    return RateLimited(*row) if row else None


def record(connection: psycopg.Connection, app: str, pause: RateLimited, now: datetime) -> None:
    """Record a pause; of two the longer one stays, unless it was recorded in the future."""
    connection.execute(
        _SQL["record"],
        {"app": app, "until": pause.until, "reason": str(pause), "now": now},
    )


def of_endpoint(app: str, endpoint: str) -> str:
    """Return under which name a pause of one endpoint of an app is recorded."""
    return f"{app} {endpoint}"


@contextmanager
def respecting_pause(
    connection: psycopg.Connection, app: str, clock: Callable[[], datetime], endpoint: str = ""
) -> Iterator[None]:
    """Do not enter the block during a pause, and record the pause that ends it.

    Args:
        endpoint: what the block sends requests to; empty where a pause is that of all.

    Raises:
        RateLimited: the pause.
    """
    own = of_endpoint(app, endpoint) if endpoint else app
    for paused in dict.fromkeys((app, own)):
        if pause := find(connection, paused, clock()):
            raise pause
    try:
        yield
    except QuotaReserved:
        raise
    except RateLimited as error:
        record(connection, app if error.is_quota else own, error, clock())
        raise
