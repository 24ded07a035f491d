"""Read all that is stored of a user, as it was at one moment.

All of it is one transaction that sees one snapshot, changes nothing, and locks nothing that a load
waits for. Rows come through cursors on the server, some thousand at a time, however many there are.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import psycopg
from psycopg.rows import dict_row

from songswap.warehouse import erasures
from songswap.warehouse.catalogue import plan_by_key
from songswap.warehouse.sql import statements

_ROWS_AT_ONCE = 2_000

_ACCOUNT = ("grant", "tokens", "exchange", "poll", "disconnect")

_SQL = statements("user_data.sql")

Row = dict[str, Any]


@contextmanager
def snapshot(connection: psycopg.Connection) -> Iterator[None]:
    """Let all statements in the block see one moment, and change nothing."""
    usual = connection.isolation_level, connection.read_only
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    connection.read_only = True
    try:
        with connection.transaction():
            plan_by_key(connection)
            yield
    finally:
        if not connection.closed:
            connection.isolation_level, connection.read_only = usual


class UserData(NamedTuple):
    """What is stored of a user; to be read in `snapshot`."""

    connection: psycopg.Connection
    user_id: int

    def is_erased(self) -> bool:
        """Return whether an erasure of the user is in force."""
        return erasures.in_force_since(self.connection, self.user_id) is not None

    def account(self) -> Row | None:
        """Return who the user is, with the keys of `songswap.transform.handover.tables.ACCOUNT`.

        Returns:
            None where there is no such user.
        """
        user = next(self.rows("user"), None)
        if user is None:
            return None
        parts = {name: next(self.rows(name), None) for name in _ACCOUNT}
        return {"user": user, **parts, "erasures": list(self.rows("erasures"))}

    def sizes(self) -> dict[str, int]:
        """Return how many plays and streams there are."""
        return next(self.rows("sizes"))

    def plays(self) -> Iterator[Row]:
        """Yield the plays in the order of time, each with the stream that it is, if any."""
        streams = self.rows("stream_of_play")
        stream = next(streams, None)
        for play in self.rows("plays"):
            while stream and stream["played_at"] < play["played_at"]:
                stream = next(streams, None)
            its = stream if stream and stream["played_at"] == play["played_at"] else None
            play["source"] = "export" if its and its["outcome"] == "loaded" else "api"
            play["ms_played"] = its and its["ms_played"]
            yield play

    def rows(self, name: str) -> Iterator[Row]:
        """Yield the rows of a statement, in its order."""
        with self.connection.cursor(f"songswap_{name}", row_factory=dict_row) as cursor:
            cursor.itersize = _ROWS_AT_ONCE
            yield from cursor.execute(_SQL[name], {"user_id": self.user_id})
