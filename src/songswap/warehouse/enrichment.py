"""Metadata of tracks and artists: the queue of what to fetch, and loading what was fetched."""

import json
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

import psycopg
from psycopg.types.json import Json

from songswap.errors import LoadIncomplete
from songswap.models import Metadata
from songswap.warehouse.catalogue import load_popularity, store_fixes
from songswap.warehouse.locks import lock_loads
from songswap.warehouse.retry import retried
from songswap.warehouse.sql import scalar, statements

MISSED_WAITS = [timedelta(days=1), timedelta(days=7), timedelta(days=30)]
"""How long to wait before each new request of an id that Spotify says it does not know."""

_dumps = partial(json.dumps, default=str)  # a time as PostgreSQL reads it

_SQL = statements("enrichment.sql")


def queued_ids(connection: psycopg.Connection, kind: str, limit: int, now: datetime) -> list[str]:
    """Return ids whose metadata is to be fetched now, the longest queued first.

    Args:
        kind: ``track``, ``artist`` or ``features``.
    """
    params = {"kind": kind, "limit": limit, "now": now}
    return [id_ for (id_,) in connection.execute(_SQL["queued_ids"], params)]


def enqueue(
    connection: psycopg.Connection,
    tracks: Collection[str],
    *,
    incomplete: Collection[str],
    artists: Collection[str],
    now: datetime,
    stale: datetime,
) -> None:
    """Queue what is unknown or stale of tracks and of their artists.

    Args:
        incomplete: tracks to queue even if their popularity is fresh.
        artists: to queue besides the artists of ``tracks``.
        stale: metadata from before this time is fetched again.
    """
    params = {"tracks": list(tracks), "now": now, "stale": stale}
    if tracks:
        connection.execute(_SQL["enqueue_features"], params)
        connection.execute(_SQL["enqueue_tracks"], params | {"incomplete": list(incomplete)})
    if tracks or artists:
        connection.execute(_SQL["enqueue_artists"], params | {"artists": list(artists)})


def postpone(
    connection: psycopg.Connection, kind: str, ids: Collection[str], until: datetime
) -> None:
    """Do not request these ids before ``until``: an error says nothing about an id."""
    if ids:
        connection.execute(_SQL["postpone"], {"kind": kind, "ids": list(ids), "until": until})


@retried
def load(
    connection: psycopg.Connection,
    kind: str,
    requested: Collection[str],
    metadata: Metadata,
    observed_at: datetime,
    retry_after: timedelta,
    source: str = "spotify",
) -> None:
    """Load a response in one transaction, and record the result for each requested id.

    Ids with metadata are done. Those that Spotify does not know are requested again after each of
    `MISSED_WAITS`, and then recorded as unknown; ids without any result after ``retry_after``.

    Args:
        source: whose metadata it is, ``spotify`` or ``reccobeats``.

    Raises:
        LoadIncomplete: a row was not in its table after its insertion; all is rolled back.
    """
    catalogue = metadata.catalogue
    with connection.transaction(), connection.cursor() as cursor:
        lock_loads(connection)
        cursor.execute(_SQL["plan_by_key"])
        for statement, rows, table in _parts(metadata):
            # In key order, so that whoever inserts without the lock does not deadlock with this.
            found = [row._asdict() for row in sorted(rows)]
            if found:
                params = {"rows": Json(found, _dumps), "now": observed_at}
                cursor.execute(_SQL[statement], params)
                _verify(cursor, table, params, len(found))
        store_fixes(connection, catalogue.data_fixes | metadata.data_fixes, observed_at)
        load_popularity(connection, catalogue.track_popularity.values())
        params = {"kind": kind, "now": observed_at, "source": source, "waits": MISSED_WAITS}
        if metadata.received:
            cursor.execute(_SQL["record_received"], params | {"ids": list(metadata.received)})
        if metadata.unknown:
            cursor.execute(_SQL["record_missed"], params | {"ids": list(metadata.unknown)})
        rest = set(requested) - metadata.received - metadata.unknown
        postpone(connection, kind, rest, observed_at + retry_after)


def _parts(metadata: Metadata) -> tuple[tuple[str, Iterable[NamedTuple], str | None], ...]:
    """Return the statements in their order, the rows of each, and the table that has them then."""
    catalogue = metadata.catalogue
    links = catalogue.artist_tracks.values()
    return (
        ("update_tracks", catalogue.tracks.values(), None),
        ("enqueue_new_artists", links, None),
        ("upsert_artists", catalogue.artists.values(), "Artists"),
        ("change_primary_artists", links, None),
        ("insert_artist_tracks", links, "ArtistTracks"),
        ("upsert_track_images", catalogue.track_images.values(), "TrackImages"),
        ("upsert_track_previews", catalogue.track_previews.values(), "TrackPreviews"),
        ("insert_artist_popularity", metadata.popularity, "ArtistPopularity"),
        ("insert_artist_followers", metadata.followers, "ArtistFollowers"),
        ("insert_artist_genres", metadata.genres, "ArtistGenres"),
        ("upsert_artist_images", metadata.images.values(), "ArtistImages"),
        ("insert_features", metadata.features, "TrackFeatures"),
    )


def _verify(cursor: psycopg.Cursor, table: str | None, params: dict[str, Any], number: int) -> None:
    """Raise `LoadIncomplete` unless the table has the rows that were just written to it."""
    if table is None:
        return
    lacking = scalar(cursor.execute(_SQL[f"lacking_{table}"], params))
    if lacking:
        raise LoadIncomplete(
            f"{lacking} of {number} rows were not in {table} after their own load. What came with"
            " them was rolled back and is requested again; look for a trigger or rule on the table."
        )
