"""Until when Spotify takes no more requests of the app: noted by one run, kept to by all."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import NamedTuple

import psycopg

from songswap.errors import QuotaReserved, RateLimited
from songswap.warehouse.sql import statements


class Pause(NamedTuple):
    """Until when an app (its client id), or ``reccobeats``, may not be asked for, and why."""

    app: str
    reason: str
    until: datetime


def all_of_now(connection: psycopg.Connection, now: datetime) -> list[Pause]:
    """The pauses that hold, the longest first."""
    rows = connection.execute(statements("limits/pauses.sql")["all"], {"now": now})
    return [Pause(*row) for row in rows]


def find(connection: psycopg.Connection, app: str, now: datetime) -> RateLimited | None:
    """The pause that Spotify asked for, as the error that ended the attempt; None if it is over.

    Args:
        app: the client id.
    """
    row = connection.execute(
        statements("limits/pauses.sql")["find"], {"app": app, "now": now}
    ).fetchone()
    return RateLimited(*row) if row else None


def note(connection: psycopg.Connection, app: str, pause: RateLimited, now: datetime) -> None:
    """Note a pause; of two, the one that lasts longer holds, unless it was noted in the future."""
    connection.execute(
        statements("limits/pauses.sql")["note"],
        {"app": app, "until": pause.until, "reason": str(pause), "now": now},
    )


@contextmanager
def respecting_pause(
    connection: psycopg.Connection, app: str, clock: Callable[[], datetime]
) -> Iterator[None]:
    """Do not even begin while a pause holds, and note the one that ends the block.

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
        note(connection, app, error, clock())
        raise
