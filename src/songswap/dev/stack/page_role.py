"""A role that only reads, in a warehouse of a demo."""

from collections.abc import Sequence

import psycopg
from psycopg import sql


def let_read(dsn: str, role: str, password: str, grants: Sequence[str]) -> None:
    """Create a role unless it exists, and give it its password and rights.

    Args:
        dsn: of the warehouse, with a login that may create roles.
        grants: statements.
    """
    name = sql.Identifier(role)
    with psycopg.connect(dsn, autocommit=True) as connection:
        found = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [role])
        if found.fetchone() is None:
            connection.execute(sql.SQL("CREATE ROLE {}").format(name))
        login = sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}")
        connection.execute(login.format(name, sql.Literal(password)))
        for grant in grants:
            connection.execute(grant.encode())
