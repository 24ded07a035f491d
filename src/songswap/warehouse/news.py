"""What a run brought, as counts by the tables, whatever became of the run."""

from collections.abc import Mapping
from typing import NamedTuple

import psycopg

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


PLAYS = ("plays",)
CATALOGUE = ("tracks", "artists", "features", "tracks_fetched", "artists_fetched")


def of_load(connection: psycopg.Connection, run_id: str) -> News:
    """Return what a run that polls users has loaded so far, all its tries together.

    ``users`` are those whose last poll in it brought plays; those whose plays had waited in a spool
    are not counted.
    """
    totals = runs.totals(connection, run_id)
    return News(
        plays=totals.get("plays", 0),
        users=runs.outcomes(connection, run_id)["answered"],
        tracks=totals.get("tracks", 0),
        artists=totals.get("artists", 0),
        features=totals.get("features", 0),
        tracks_fetched=totals.get("track_received", 0),
        artists_fetched=totals.get("artist_received", 0),
    )


def of_imports(connection: psycopg.Connection, run_id: str) -> News:
    """Return what the imports of a run have loaded so far, all its tries together."""
    rows = connection.execute(_SQL["of_imports"], {"prefix": f"{run_id}__user"})
    counts = {name: (total, users) for name, total, users in rows}
    plays, users = counts.get("loaded", (0, 0))
    return News(plays=plays, users=users, tracks=counts.get("tracks", (0, 0))[0])


def beyond(found: Mapping[str, int], published: Mapping[str, int]) -> dict[str, int]:
    """Return the counts that are larger than what is published of them already, by how much."""
    return {
        name: count - published.get(name, 0)
        for name, count in found.items()
        if count > published.get(name, 0)
    }
