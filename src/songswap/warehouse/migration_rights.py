"""The rights that a login needs to bring the schema to another version."""

from collections.abc import Collection, Iterator

import psycopg

from songswap.errors import WarehouseRefused
from songswap.warehouse import rights, schema
from songswap.warehouse.contract import TABLES
from songswap.warehouse.sql import statements

_LAST_WITH_USERS = "0012"
"""The last version whose migration adds a foreign key to users."""

_FIRST_WITH_TOKENS = "0006"
"""Its downgrade writes tokens into the platform's table."""

_SQL = statements("migration_rights.sql")


def require(connection: psycopg.Connection, platform: str, found: str | None, to: str) -> None:
    """Raise where the login lacks rights for the migrations from ``found`` to ``to``.

    Args:
        platform: the schema of the platform's tables.
        found: the version of ours, None before the first.

    Raises:
        WarehouseRefused: says what to run and as whom; nothing was begun.
    """
    owners = [schema.quoted(name) for (name,) in connection.execute(_SQL["owners"])]
    if owners:
        # No GRANT: an owner may be a superuser.
        raise WarehouseRefused(
            "The login of SongSwap_RDS may not change the tables of schema songswap: they are owned"
            f" by {' and '.join(owners)}. Run 'songswap migrate' with that login, or with a member"
            " of it. Nothing was changed."
        )
    platform_tables = {"schema": platform, "tables": list(TABLES)}
    rows = connection.execute(_SQL["existing_tables"], platform_tables)
    existing = {name for (name,) in rows}
    needed = list(_needed(existing, found, to))
    of_tables, of_columns, allowed = zip(*needed, strict=True) if needed else ((), (), ())
    params = {
        "schema": platform,
        "makes_tables": found is None and len(existing) < len(TABLES),
        "of_tables": list(of_tables),
        "of_columns": list(of_columns),
        "rights": list(allowed),
    }
    lacking = [statement for (statement,) in connection.execute(_SQL["lacking"], params)]
    if lacking:
        raise WarehouseRefused(
            "The login of SongSwap_RDS may not bring the schema up to date. Have the owner of the"
            f" database and of its tables run: {'; '.join(lacking)}. Then run 'songswap migrate'"
            " again, or run it with that owner's login. Nothing was changed."
        )


def for_loads(connection: psycopg.Connection) -> str:
    """Return the rights that loads with this login would lack, as a sentence; empty if none.

    Migrations need fewer rights to the platform's tables, and may have their own login.
    """
    grants = rights.missing_grants(connection)
    if not grants:
        return ""
    return (
        "Loads with this login would be refused: if they are to use it, have the tables' owner run:"
        f" {'; '.join(grants)}."
    )


def _needed(
    existing: Collection[str], found: str | None, to: str
) -> Iterator[tuple[str, str, str]]:
    """Yield the rights to the platform's tables that the migrations between two versions need.

    Args:
        existing: the tables that exist; the first migration creates the others.

    Yields:
        Table, column, and the right to the column.
    """
    if found is None:
        missing = [table for name, table in TABLES.items() if name not in existing]
        parents = {parent for table in missing for parent in table.parents.values()}
        for parent in TABLES:
            if parent in parents | {"Users"}:
                yield parent, "id", "REFERENCES"
    elif found < min(to, _LAST_WITH_USERS):
        yield "Users", "id", "REFERENCES"
    if found is not None and to < _FIRST_WITH_TOKENS <= found:
        yield "SpotifyTokens", "id", "SELECT"
        for column in ("access_token", "refresh_token"):
            yield "SpotifyTokens", column, "SELECT"
            yield "SpotifyTokens", column, "UPDATE"
