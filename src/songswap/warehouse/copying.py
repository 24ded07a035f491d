"""Copy new rows into their table."""

from collections.abc import Collection, Sequence
from typing import Any

import psycopg
from psycopg import sql

from songswap.errors import LoadIncomplete


def copy(
    connection: psycopg.Connection,
    table: str,
    columns: Sequence[str],
    rows: Collection[Sequence[Any]],
) -> int:
    """Copy rows with COPY, and return how many there were.

    Args:
        table: its name, or ``schema.name``.
        columns: of the rows' values; the table may have others, and in another order.

    Raises:
        LoadIncomplete: the table did not take all of them.
        psycopg.Error: a row exists already, or does not fit.
    """
    if not rows:
        return 0
    into = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(*table.split(".")), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with connection.cursor() as cursor:
        with cursor.copy(into) as writer:
            for row in rows:
                writer.write_row(row)
        if cursor.rowcount != len(rows):
            raise LoadIncomplete(
                f"{len(rows) - cursor.rowcount} of {len(rows)} rows were not in {table} after"
                " their own load. All that came with them was rolled back; look for a trigger or"
                " rule on the table."
            )
    return len(rows)
