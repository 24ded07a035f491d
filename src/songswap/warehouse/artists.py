"""Write artists, who belong to many tracks and so to no shard: under locks of their own rows."""

from collections.abc import Collection, Iterable

import psycopg

from songswap.durations import timed
from songswap.errors import LoadIncomplete
from songswap.models import Artist
from songswap.warehouse.catalogue_lookup import authoritative
from songswap.warehouse.sql import statements

_SQL = statements("artists.sql")


def merge(connection: psycopg.Connection, artists: Collection[Artist]) -> set[str]:
    """Insert artists of plays; of an artist that exists the larger name stays.

    A name that ``/artists`` returned stays in any case, unless it is empty (docs/adr/0012).

    Returns:
        The ids of the new artists.

    Raises:
        LoadIncomplete: some were not in the table after their insertion.
    """
    new, locked = _insert_and_lock(connection, artists, ())
    # Only in a statement that begins after the lock is it certain who has named the artist.
    named = authoritative(connection, "artist", locked)
    known = {id_: name for id_, name in locked.items() if not name or id_ not in named}
    _change(connection, [row for row in artists if known.get(row.id, row.name) < row.name])
    return new


def replace(
    connection: psycopg.Connection, artists: Collection[Artist], others: Collection[str] = ()
) -> set[str]:
    """Write artists whom Spotify's endpoints returned: their names replace others.

    Args:
        others: ids to lock too, for rows about them, or what the queue says of them, to change.

    Returns:
        The ids of the new artists.

    Raises:
        LoadIncomplete: some were not in the table after their insertion.
    """
    new, locked = _insert_and_lock(connection, artists, others)
    named = [row for row in artists if row.name]
    _change(connection, [row for row in named if locked.get(row.id, row.name) != row.name])
    return new


def differing(connection: psycopg.Connection, artists: Iterable[Artist]) -> list[Artist]:
    """Return the artists who are not in the table, or have another name there."""
    rows = list(artists)
    if not rows:
        return rows
    ids = [row.id for row in rows]
    names: dict[str, str] = dict(connection.execute(_SQL["names"], {"ids": ids}).fetchall())
    return [row for row in rows if names.get(row.id) != row.name]


def _insert_and_lock(
    connection: psycopg.Connection, artists: Collection[Artist], others: Collection[str]
) -> tuple[set[str], dict[str, str]]:
    """Return the ids of the artists that were inserted, and the names of all others, now locked."""
    new: set[str] = set()
    if artists:
        inserted = connection.execute(_SQL["insert"], _params(artists))
        new.update(id_ for (id_,) in inserted)
    known = {artist.id for artist in artists} - new
    if not known and not others:
        return new, {}
    ids = {*known, *others}
    with timed("lock_wait"):
        rows = connection.execute(_SQL["lock"], {"ids": list(ids)}).fetchall()
    locked: dict[str, str] = dict(rows)
    if lacking := known - locked.keys():
        raise LoadIncomplete(
            f"{len(lacking)} of {len(artists)} rows were not in Artists after their own load. All"
            " that came with them was rolled back; look for a trigger or rule on the table."
        )
    return new, locked


def _change(connection: psycopg.Connection, artists: Collection[Artist]) -> None:
    if artists:
        connection.execute(_SQL["change"], _params(artists))


def _params(artists: Collection[Artist]) -> dict[str, object]:
    return {"ids": [row.id for row in artists], "names": [row.name for row in artists]}
