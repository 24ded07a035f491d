"""The version of the pipeline's schema, and the table that holds it.

The web app's migrations call their table ``alembic_version``, and a role named like our schema
finds what is in it first: so ours has a name of its own. Up to version 0007 it had Alembic's.
"""

from typing import Any, NamedTuple

import psycopg

from songswap.warehouse.sql import statements

TABLE = "schema_version"

_EARLIER = "alembic_version"
_LAST_EARLIER = "0007"
"""The last version whose code looks for the table by the earlier name."""

_SQL = statements("version.sql")


class Stored(NamedTuple):
    """Where the version stands, and what it is: both None in a database without it.

    ``number`` is None too where the login may not read it.
    """

    table: str | None
    number: str | None


def read(connection: psycopg.Connection[Any]) -> Stored:
    """The version that a database has, whichever name its table has."""
    try:
        return _looked_up(connection)
    except psycopg.errors.UndefinedTable:
        # A migration has renamed it between the two statements.
        return _looked_up(connection)


def _looked_up(connection: psycopg.Connection[Any]) -> Stored:
    for table, is_readable in connection.execute(_SQL["tables"]).fetchall():
        if not is_readable:
            return Stored(table, None)
        if row := connection.execute(_SQL[table]).fetchone():
            return Stored(table, row[0])
        if table == TABLE:
            return Stored(table, None)
    return Stored(None, None)


def require_readable(connection: psycopg.Connection[Any], stored: Stored) -> None:
    """Let PostgreSQL say which right a login lacks that may not read the version.

    Raises:
        psycopg.errors.InsufficientPrivilege: it may not.
    """
    if stored.table and stored.number is None:
        connection.execute(_SQL[stored.table])


def table_of(number: str) -> str:
    """The name of the table that the code of a version looks for."""
    return _EARLIER if number <= _LAST_EARLIER else TABLE


def rename(connection: psycopg.Connection[Any], name: str) -> None:
    """Give the table this name; part of the transaction of a migration.

    Raises:
        psycopg.errors.InsufficientPrivilege: it belongs to another role.
    """
    if read(connection).table not in (None, name):
        connection.execute(_SQL[f"rename_to_{name}"])
