"""The schema that holds the platform's tables: ``public``, unless the platform has another.

the login's own search path     ──▶ its first schema with the tables
no schema of it has the tables  ──▶ the only schema that has them; several are an error
"""

import re
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import psycopg
from psycopg.rows import TupleRow

from songswap.errors import WarehouseRefused
from songswap.warehouse.contract import TABLES
from songswap.warehouse.sql import statements

OWN = "songswap"
"""The pipeline's own schema, which never holds the platform's tables."""

CANDIDATES = statements("schema.sql")["candidates"]
PARAMS = {"tables": list(TABLES)}
"""The statement with which a session finds the schema as it begins, and its parameters."""

_NAME = re.compile(r'"((?:[^"]|"")*)"|([^\s,"]+)')


class Candidates(NamedTuple):
    """The schemas to choose from.

    ``whole`` ones have "Users" and "History", ``begun`` ones "Users" and any other of the tables.
    """

    search_path: str
    role: str
    whole: Sequence[str]
    begun: Sequence[str]
    existing: Collection[str]


def find(connection: psycopg.Connection[Any]) -> str:
    """Return the schema of the platform's tables, or the one to create them in.

    Raises:
        WarehouseRefused: several schemas have them, and the search path names none of these.
    """
    return choose(_candidates(connection))


def of(connection: psycopg.Connection[Any]) -> str:
    """Return the schema whose tables the statements of a session use: it was found at its start."""
    platform: str | None = getattr(connection, "platform", None)
    return find(connection) if platform is None else platform


def chosen(row: TupleRow | None) -> str:
    """Return the schema by the row of `CANDIDATES`; see `find`."""
    assert row is not None  # noqa: S101 - search_path is a setting of every server
    return choose(Candidates(*row))


def others(connection: psycopg.Connection[Any]) -> list[str]:
    """Return the other schemas that have such tables."""
    found = _candidates(connection)
    return [name for name in found.whole if name != choose(found)]


def choose(found: Candidates) -> str:
    """Choose the schema, see `find`."""
    path = names(found.search_path)
    resolved = [found.role if name == "$user" else name for name in path]
    having = found.whole or found.begun
    for name in resolved:
        if name in having:
            return name
    if len(having) > 1:
        raise WarehouseRefused(
            "The warehouse (connection SongSwap_RDS) has the platform's tables in several schemas"
            f" ({', '.join(having)}), and the search path of its login ({found.search_path}) names"
            " none of them: nothing was read or written. Name the right one, with ALTER ROLE"
            f" {quoted(found.role)} SET search_path = {quoted(having[0])}, or with"
            f" options '-c search_path={having[0]}' in the connection's extra."
        )
    if having:
        return having[0]
    # "$user" is in every path by default: nobody has chosen it.
    chosen = (name for name in path if name in found.existing and name != OWN)
    return next(chosen, "public")


def _candidates(connection: psycopg.Connection[Any]) -> Candidates:
    row = connection.execute(CANDIDATES, PARAMS).fetchone()
    assert row is not None  # noqa: S101 - as above
    return Candidates(*row)


def quoted(name: str) -> str:
    """Return a name as an SQL identifier, in quotes where it needs them."""
    plain = re.fullmatch(r"[a-z_][a-z0-9_]*", name)
    return name if plain else '"' + name.replace('"', '""') + '"'


def names(search_path: str) -> list[str]:
    """Return the names in a search path."""
    return [
        plain.lower() if plain else inside.replace('""', '"')
        for inside, plain in _NAME.findall(search_path)
    ]
