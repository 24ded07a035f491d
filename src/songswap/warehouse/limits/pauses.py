"""Pauses that Spotify asked of the app: recorded by one run, respected by all."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import NamedTuple

import psycopg

from songswap.errors import QuotaReserved, RateLimited
from songswap.warehouse.sql import statements

_SQL = statements("limits/pauses.sql")


class Pause(NamedTuple):
    """Until when an app (its client id), or ``reccobeats``, is to send no requests, and why."""

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


@contextmanager
def respecting_pause(
    connection: psycopg.Connection, app: str, clock: Callable[[], datetime]
) -> Iterator[None]:
    """Do not enter the block during a pause, and record the pause that ends it.

    Raises:
        RateLimited: the pause.
    """
    pause = find(connection, app, clock())
    if pause is not None:
        raise pause
    try:
        yield
    except QuotaReserved:
        raise
    except RateLimited as error:
        record(connection, app, error, clock())
        raise
