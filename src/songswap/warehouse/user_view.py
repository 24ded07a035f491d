"""What an operator sees of one user: plays a day, the last poll, the grant, gaps and imports."""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import dict_row

from songswap.warehouse.sql import statements

DAYS = 90
"""How many days of plays there are, today included."""

_NEWEST = 20
"""How many gaps and imports there are."""

_MOST_ID = 2**31 - 1

_SQL = statements("user_view.sql")

View = dict[str, Any]


def read(connection: psycopg.Connection, user_id: int, now: datetime) -> View | None:
    """Return what is known of a user, also an erased one, with the keys of docs/json.md.

    It has neither names nor tracks. `songswap.warehouse.rights.READ_BY_PAGE` suffices.

    Returns:
        None for user 0, who belongs to the test DAGs, and for an id that is and was no user.
    """
    if not 0 < user_id <= _MOST_ID:
        return None
    until = now.astimezone(UTC).replace(tzinfo=None)
    since = until - timedelta(days=DAYS - 1)
    params = {"user": user_id, "now": now, "since": since, "until": until, "at_most": _NEWEST}
    with connection.transaction():
        if connection.execute(_SQL["user"], params).fetchone() is None:
            return None
        rows = {name: _rows(connection, name, params) for name in _SQL if name != "user"}
    return {
        "user_id": user_id,
        "read_at": now,
        "plays_by_day": rows["plays_by_day"],
        "poll": next(iter(rows["poll"]), None),
        "grant": next(iter(rows["grant"]), None),
        "gaps": rows["gaps"],
        "imports": rows["imports"],
        "due": next(iter(rows["due"]), None),
        "erasure": next(iter(rows["erasure"]), None),
    }


def _rows(connection: psycopg.Connection, name: str, params: View) -> list[View]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_SQL[name], params).fetchall()
