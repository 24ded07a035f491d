"""What an operator sees of the warehouse, as numbers that an hourly snapshot can afford."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

import psycopg
from psycopg.rows import dict_row

from songswap.warehouse import disconnects
from songswap.warehouse.sql import scalar, statements

RUNS = 24
"""How many hourly runs an overview has."""

_NEWEST = 20
"""How many gaps and imports it has."""

_MOST_DUE = 100
"""How many users who have to be erased it has."""

_SQL = statements("overview.sql")

Row = dict[str, Any]


class Ages(NamedTuple):
    """How old the last responses are of ``users`` who can be polled.

    ``never`` of them had none. ``percentiles`` are the ages in minutes of half of the others, of
    nine in ten, and of the oldest; None without others. ``up_to`` has how many are younger than so
    many minutes, and than no lower bar; None is above all bars.
    """

    users: int
    never: int
    percentiles: Sequence[int] | None
    up_to: dict[int | None, int]


class Ending(NamedTuple):
    """How many grants of a state end on a day of UTC."""

    state: str
    day: date | None
    users: int


class Overview(NamedTuple):
    """What is in the warehouse; dicts have the columns of their statement in overview.sql."""

    users: int
    users_with_tokens: int
    newest_play: datetime | None
    ages: Ages
    open_gaps: int
    closed_gaps: int
    newest_gaps: list[Row]
    requests_in_window: int
    runs: list[Row]
    steps: list[Row]
    polls_between: Row
    grants: list[Ending]
    imports: list[Row]
    due_users: int
    due: list[Row]
    open_erasures: list[Row]


def read(connection: psycopg.Connection, bars: Sequence[int], now: datetime) -> Overview:
    """Read all of it, in one transaction; takes some 0.1 s for each 5,000 users.

    Args:
        bars: minutes, for `Ages.up_to`.
    """
    with connection.transaction():
        params = {"now": now, "bars": list(bars), "at_most": _NEWEST, "most_due": _MOST_DUE}
        users, with_tokens = connection.execute(_SQL["users"]).fetchall()[0]
        open_gaps, closed_gaps = connection.execute(_SQL["gaps"], params).fetchall()[0]
        way = "by_user" if is_indexed_by_user(connection) else "by_time"
        runs = _rows(connection, "runs", {"now": now, "at_most": RUNS})
        ids = [run["run_id"] for run in runs]
        return Overview(
            users=users,
            users_with_tokens=with_tokens,
            newest_play=scalar(connection.execute(_SQL[f"newest_play_{way}"])),
            ages=_ages(connection, params),
            open_gaps=open_gaps,
            closed_gaps=closed_gaps,
            newest_gaps=_rows(connection, "newest_gaps", params),
            requests_in_window=scalar(connection.execute(_SQL["requests_in_window"])),
            runs=runs,
            steps=_rows(connection, "steps", {"runs": ids}),
            polls_between=_rows(connection, "polls_between", params)[0],
            grants=[Ending(*row) for row in connection.execute(_SQL["grants"], params)],
            imports=_rows(connection, "imports", params),
            due_users=disconnects.count(connection),
            due=_rows(connection, "due", params),
            open_erasures=_rows(connection, "open_erasures", params),
        )


def is_indexed_by_user(connection: psycopg.Connection) -> bool:
    """Return whether the plays of a user can be read without those of the others."""
    return bool(scalar(connection.execute(_SQL["is_indexed_by_user"])))


def _ages(connection: psycopg.Connection, params: Row) -> Ages:
    users, never, percentiles = connection.execute(_SQL["answered"], params).fetchall()[0]
    up_to: dict[int | None, int] = dict(connection.execute(_SQL["ages"], params).fetchall())
    return Ages(users, never, percentiles, up_to)


def _rows(connection: psycopg.Connection, name: str, params: Row) -> list[Row]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_SQL[name], params).fetchall()
