"""All rows of all tables of a warehouse, to be compared, and put back as they were."""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import reduce
from operator import and_, or_
from typing import LiteralString

import psycopg
from psycopg import sql

Rows = dict[str, Counter[str]]
"""Rows as text, by table."""

NOT_COMPARED = {
    # The server's own time, and how many rows were new to the import.
    "songswap.imports": {"ended_at", "counts"},
    # How many of a part's tracks were new to it.
    "songswap.news": {"counts"},
    # The form in which a track came last, which spares a comparison.
    "songswap.track_forms": {"form"},
    # How often a shard was taken.
    "songswap.catalogue_shards": {"version"},
}
"""Columns that depend on who came first, or when: only whether they are NULL is compared."""


class AllTables:
    """The tables of the platform and of the pipeline in one warehouse.

    Args:
        connection: a superuser's, in autocommit.
        without: more such columns.
    """

    def __init__(
        self, connection: psycopg.Connection, without: Mapping[str, set[str]] | None = None
    ) -> None:
        self._connection = connection
        columns = connection.execute(
            "SELECT table_schema, table_name,"
            " array_agg(column_name::text ORDER BY ordinal_position)"
            " FROM information_schema.columns JOIN information_schema.tables"
            " USING (table_schema, table_name)"
            " WHERE table_schema IN ('public', 'songswap') AND table_type = 'BASE TABLE'"
            " GROUP BY 1, 2 ORDER BY 1, 2"
        ).fetchall()
        left_out = NOT_COMPARED | dict(without or {})
        self._names = [(schema, table) for schema, table, _ in columns]
        self._read = sql.SQL(" UNION ALL ").join(
            sql.SQL("SELECT {}, ROW({})::text FROM {}").format(
                f"{schema}.{table}",
                sql.SQL(", ").join(
                    sql.SQL(
                        "{} IS NULL" if name in left_out.get(f"{schema}.{table}", ()) else "{}"
                    ).format(sql.Identifier(name))
                    for name in names
                ),
                sql.Identifier(schema, table),
            )
            for schema, table, names in columns
        )

    def read(self) -> Rows:
        """Return all rows."""
        rows: Rows = {f"{schema}.{table}": Counter() for schema, table in self._names}
        for table, row in self._connection.execute(self._read):
            rows[table][row] += 1
        return rows

    def keep(self) -> None:
        """Copy all rows, so that `restore` can put them back."""
        self._each("CREATE TABLE kept.{name} AS SELECT * FROM {table}", "CREATE SCHEMA kept")

    def restore(self) -> None:
        """Put all rows back that there were when they were kept."""
        self._each(
            "DELETE FROM {table}; INSERT INTO {table} OVERRIDING SYSTEM VALUE"
            " SELECT * FROM kept.{name}",
            # No foreign key is checked, so that the order of the tables does not matter.
            "SET LOCAL session_replication_role = replica",
        )

    def _each(self, statement: LiteralString, first: LiteralString) -> None:
        statements: list[sql.Composable] = [sql.SQL(first)]
        statements += [
            sql.SQL(statement).format(
                name=sql.Identifier(f"{schema}.{table}"), table=sql.Identifier(schema, table)
            )
            for schema, table in self._names
        ]
        with self._connection.transaction():
            self._connection.execute(sql.SQL("; ").join(statements))


def difference(found: Rows, expected: Rows) -> str:
    """Return the rows that only one of two has, a line each; empty where they are equal."""
    lines = []
    for table in sorted(found.keys() | expected.keys()):
        lines += [f"+ {table} {row}" for row in (found[table] - expected[table]).elements()]
        lines += [f"- {table} {row}" for row in (expected[table] - found[table]).elements()]
    return "\n".join(lines)


def unexplained(found: Rows, serial: Sequence[Rows]) -> str:
    """Return what no serial order explains, a line each: rows that none of them leaves, rows that
    are missing although all leave them, and tables with fewer or more rows than after any."""
    lines = []
    for table, rows in sorted(found.items()):
        each = [tables[table] for tables in serial]
        lines += [f"+ {table} {row}" for row in (rows - reduce(or_, each)).elements()]
        lines += [f"- {table} {row}" for row in (reduce(and_, each) - rows).elements()]
        sizes = [one.total() for one in each]
        if not min(sizes) <= rows.total() <= max(sizes):
            lines.append(f"{table} has {rows.total()} rows, not {min(sizes)} to {max(sizes)}")
    return "\n".join(lines)
