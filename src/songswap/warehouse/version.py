"""The version of the pipeline's schema, and the table that holds it.

The web app's migrations call their table ``alembic_version``, and a role named like our schema
finds tables in that first: so ours has its own name. Up to version 0007 it had Alembic's.
"""

from typing import Any, NamedTuple

import psycopg

from songswap.warehouse.sql import statements

TABLE = "schema_version"

_EARLIER = "alembic_version"
_LAST_EARLIER = "0007"
"""The last version whose code uses the earlier name."""

_SQL = statements("version.sql")


class Stored(NamedTuple):
    """The table of the version, and the version: both None in a database without them.

    ``number`` is also None where the login may not read it.
    """

    table: str | None
    number: str | None


def read(connection: psycopg.Connection[Any]) -> Stored:
    """Read the version of a database, whichever name its table has."""
    try:
        return _read(connection)
    except psycopg.errors.UndefinedTable:
        # A migration renamed the table between the two statements.
        return _read(connection)


def _read(connection: psycopg.Connection[Any]) -> Stored:
    for table, is_readable in connection.execute(_SQL["tables"]).fetchall():
        if not is_readable:
            return Stored(table, None)
        if row := connection.execute(_SQL[table]).fetchone():
            return Stored(table, row[0])
        if table == TABLE:
            return Stored(table, None)
    return Stored(None, None)


def require_readable(connection: psycopg.Connection[Any], stored: Stored) -> None:
    """Raise PostgreSQL's own error where the login may not read the version.

    Raises:
        psycopg.errors.InsufficientPrivilege: names the missing right.
    """
    if stored.table and stored.number is None:
        connection.execute(_SQL[stored.table])


def table_of(number: str) -> str:
    """Return the name of the table that the code of a version uses."""
    return _EARLIER if number <= _LAST_EARLIER else TABLE


def rename(connection: psycopg.Connection[Any], name: str) -> None:
    """Rename the table, in the transaction of a migration.

    Raises:
        psycopg.errors.InsufficientPrivilege: the table belongs to another role.
    """
    if read(connection).table not in (None, name):
        connection.execute(_SQL[f"rename_to_{name}"])
