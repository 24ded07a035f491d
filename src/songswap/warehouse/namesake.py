"""A role named like the pipeline's schema, as the web app's may be.

PostgreSQL's default search path begins with the schema named like the role. So once our schema
exists, such a role creates its tables in it, and Alembic's autogenerate would drop all of ours. Its
path has to be as it was before, without that schema.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import psycopg

from songswap.errors import WarehouseRefused
from songswap.warehouse import schema, version
from songswap.warehouse.contract import TABLES
from songswap.warehouse.sql import statements

_SQL = statements("namesake.sql")


class Shadow(NamedTuple):
    """The search path of such a role, the right one, and the statement that sets it.

    ``may_set``: the role of the connection may do that.
    """

    path: str
    right_path: str
    remedy: str
    may_set: bool

    @property
    def sentence(self) -> str:
        """The problem and its fix, for an operator."""
        return (
            f"the role {schema.OWN} has a search path ({self.path}) in which the pipeline's own"
            " schema comes first, so that it would make its tables there. Have it, or a superuser,"
            f" run: {self.remedy}."
        )


def find(connection: psycopg.Connection[Any], platform: str) -> Shadow | None:
    """Return the search path of a role named like our schema, if the schema is in it.

    Args:
        platform: the schema of the platform's tables.
    """
    row = connection.execute(_SQL["search_path"], {"name": schema.OWN}).fetchone()
    if row is None:
        return None
    path, may_set, database = row
    names = schema.names(path)
    others = [name for name in names if name not in ("$user", schema.OWN)]
    if others == names:
        return None
    right_path = ", ".join(map(schema.quoted, others or [platform]))
    alter = f"ALTER ROLE {schema.OWN} IN DATABASE {schema.quoted(database)}"
    return Shadow(path, right_path, f"{alter} SET search_path = {right_path}", may_set)


def fix_search_path(connection: psycopg.Connection[Any], platform: str) -> str:
    """Remove our schema from the search path of a role named like it, in the caller's transaction.

    Returns:
        What was done, or has to be done by another role, for the operator; empty if nothing.
    """
    shadow = find(connection, platform)
    if shadow is None:
        return ""
    if not shadow.may_set:
        return f"But {shadow.sentence}"
    connection.execute(shadow.remedy.encode())
    return (
        f"The role {schema.OWN} is named like the pipeline's own schema: its search path in this"
        f" database is {shadow.right_path} from its next session on, so that it makes no tables"
        " there."
    )


def require_own_schema(connection: psycopg.Connection[Any], platform: str) -> None:
    """Raise where tables of the web app are in the pipeline's schema.

    Raises:
        WarehouseRefused: says how to move them.
    """
    own = version.read(connection).table
    tables = [name for name in (*TABLES, "alembic_version") if name != own]
    rows = connection.execute(_SQL["misplaced"], {"name": schema.OWN, "tables": tables})
    found = [name for (name,) in rows]
    if found:
        raise WarehouseRefused(
            f"Tables of the web app ({', '.join(found)}) are in schema {schema.OWN}, which is the"
            " pipeline's own: a role of that name has made them there. Have their owner run:"
            f" {'; '.join(_moves(found, platform))}. Then run 'songswap migrate' again. Nothing was"
            " changed."
        )


def _moves(tables: Sequence[str], platform: str) -> list[str]:
    to = schema.quoted(platform)
    moves = [f"ALTER TABLE {schema.OWN}.{schema.quoted(name)} SET SCHEMA {to}" for name in tables]
    return [f"ALTER ROLE {schema.OWN} SET search_path = {to}", *moves]
