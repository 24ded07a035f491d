"""What a run brought, as counts by the tables, whatever became of the run."""

from collections.abc import Mapping
from typing import NamedTuple

import psycopg
from psycopg.types.json import Jsonb

from songswap.warehouse import runs
from songswap.warehouse.sql import statements

_SQL = statements("news.sql")


class News(NamedTuple):
    """What is new of plays and of the catalogue.

    New rows, and the users with new plays; ``…_fetched`` are tracks and artists whose metadata was
    fetched, which may be known ones.
    """

    plays: int = 0
    users: int = 0
    tracks: int = 0
    artists: int = 0
    features: int = 0
    tracks_fetched: int = 0
    artists_fetched: int = 0


_NAMES = {
    "plays": "plays",
    "tracks": "tracks",
    "artists": "artists",
    "features": "features",
    "tracks_fetched": "track_received",
    "artists_fetched": "artist_received",
}
"""By field of `News`: the count of a load or an enrichment."""

PLAYS = ("plays",)
CATALOGUE = ("tracks", "artists", "features", "tracks_fetched", "artists_fetched")


def of_load(connection: psycopg.Connection, run_id: str) -> News:
    """Return what a run that polls users has loaded so far, all its tries together.

    ``users`` are those whose last poll in it brought plays; those whose plays had waited in a spool
    are not counted.
    """
    users = runs.outcomes(connection, run_id)["answered"]
    return _of_counts(runs.totals(connection, run_id))._replace(users=users)


def of_imports(connection: psycopg.Connection, run_id: str) -> News:
    """Return what the imports of a run have loaded so far, all its tries together."""
    rows = connection.execute(_SQL["of_imports"], {"prefix": f"{run_id}__user"})
    counts = {name: (total, users) for name, total, users in rows}
    plays, users = counts.get("loaded", (0, 0))
    return News(plays=plays, users=users, tracks=counts.get("tracks", (0, 0))[0])


def record(
    connection: psycopg.Connection, run_id: str, part: str, counts: Mapping[str, int]
) -> None:
    """Add to what a part of a replay or of a backfill has brought.

    Args:
        counts: as loads and enrichments return them; what is no news is left out.
    """
    brought = _of_counts(counts)
    new = {name: count for name, count in counts.items() if count and name in _NAMES.values()}
    if any(brought):
        params = {"run_id": run_id, "part": part, "counts": Jsonb(new)}
        connection.execute(_SQL["record"], params)


def of_parts(connection: psycopg.Connection, run_id: str) -> News:
    """Return what the parts of a replay or of a backfill have brought so far.

    It does not count the users.
    """
    return _of_counts(dict(connection.execute(_SQL["of_parts"], {"run_id": run_id}).fetchall()))


def _of_counts(counts: Mapping[str, int]) -> News:
    return News(**{field: counts.get(name, 0) for field, name in _NAMES.items()})


def beyond(found: Mapping[str, int], published: Mapping[str, int]) -> dict[str, int]:
    """Return the counts that are larger than what is published of them already, by how much."""
    return {
        name: count - published.get(name, 0)
        for name, count in found.items()
        if count > published.get(name, 0)
    }
