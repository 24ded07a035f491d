"""What Spotify does not give to an app: remembered, and tried again only rarely."""

from datetime import datetime, timedelta

import psycopg

from songswap.warehouse.sql import statements

_ASK_AGAIN_AFTER = timedelta(days=7)


def is_blocked(connection: psycopg.Connection, app: str, endpoint: str, now: datetime) -> bool:
    """Whether an endpoint was refused to an app, and is not to be tried yet.

    Args:
        app: the client id.
    """
    row = connection.execute(
        statements("limits/blocked_endpoints.sql")["stands"],
        {"app": app, "endpoint": endpoint, "now": now},
    ).fetchone()
    return row is not None


def block(connection: psycopg.Connection, app: str, endpoint: str, now: datetime) -> datetime:
    """Remember a refusal, and return when to try again: in a week."""
    again = now + _ASK_AGAIN_AFTER
    connection.execute(
        statements("limits/blocked_endpoints.sql")["note"],
        {"app": app, "endpoint": endpoint, "now": now, "again": again},
    )
    return again
