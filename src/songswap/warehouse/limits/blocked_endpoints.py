"""Endpoints that Spotify forbids to an app: tried again once a week."""

from datetime import datetime, timedelta

import psycopg

from songswap.warehouse.sql import statements

_RETRY_AFTER = timedelta(days=7)

_SQL = statements("limits/blocked_endpoints.sql")


def is_blocked(connection: psycopg.Connection, app: str, endpoint: str, now: datetime) -> bool:
    """Return whether an endpoint is forbidden to an app, and not to be tried yet.

    Args:
        app: the client id.
    """
    params = {"app": app, "endpoint": endpoint, "now": now}
    return connection.execute(_SQL["is_blocked"], params).fetchone() is not None


def block(connection: psycopg.Connection, app: str, endpoint: str, now: datetime) -> datetime:
    """Record that an endpoint is forbidden, and return when to try again: in a week."""
    again = now + _RETRY_AFTER
    params = {"app": app, "endpoint": endpoint, "now": now, "again": again}
    connection.execute(_SQL["block"], params)
    return again
