"""Load the metadata of tracks and artists that was fetched."""

import json
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

import psycopg
from psycopg.types.json import Json

from songswap.errors import LoadIncomplete
from songswap.models import Metadata
from songswap.warehouse import artists, data_fixes, enrichment_queue
from songswap.warehouse.catalogue import load_popularity, plan_by_key
from songswap.warehouse.enrichment_queue import Results
from songswap.warehouse.locks import lock_shards, shard_of
from songswap.warehouse.retry import retried
from songswap.warehouse.sql import scalar, statements

_dumps = partial(json.dumps, default=str)  # a time as PostgreSQL reads it

_SQL = statements("enrichment.sql")


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

    Ids with metadata are done. Those that Spotify does not know are requested again after some
    waits, see `songswap.warehouse.enrichment_queue`; ids without any result after ``retry_after``.

    Args:
        source: whose metadata it is, ``spotify`` or ``reccobeats``.

    Raises:
        LoadIncomplete: a row was not in its table after its insertion; all is rolled back.
    """
    with connection.transaction():
        lock_shards(connection, _shards(kind, requested, metadata))
        plan_by_key(connection)
        new_artists = _write_artists(connection, kind, requested, metadata)
        _write_rows(connection, metadata, observed_at)
        fixes = metadata.catalogue.data_fixes | metadata.data_fixes
        data_fixes.store(connection, [(fix, observed_at) for fix in fixes])
        missed = metadata.unknown - metadata.received
        rest = set(requested) - metadata.received - missed
        results = Results(
            kind, metadata.received, missed, rest, observed_at + retry_after, new_artists
        )
        enrichment_queue.record(connection, results, observed_at, source)


def _shards(kind: str, requested: Collection[str], metadata: Metadata) -> set[int]:
    """Return the shards of the tracks of a response, and of those whose state in the queue changes.

    Features have their own table, and nothing else depends on them.
    """
    if kind == "features":
        return set()
    catalogue = metadata.catalogue
    tracks = {*catalogue.tracks, *(link.track_id for link in catalogue.artist_tracks.values())}
    tracks.update(row.id for row in catalogue.track_popularity.values())
    if kind == "track":
        tracks.update(requested, metadata.received)
    return {shard_of(track_id) for track_id in tracks}


def _write_artists(
    connection: psycopg.Connection, kind: str, requested: Collection[str], metadata: Metadata
) -> set[str]:
    """Write the names of artists; return the ids of those who are new by a track."""
    named = metadata.catalogue.artists.values()
    if kind == "artist":
        artists.replace(connection, [*named], {*requested, *metadata.received})
        return set()
    return artists.replace(connection, artists.differing(connection, named))


def _write_rows(connection: psycopg.Connection, metadata: Metadata, observed_at: datetime) -> None:
    """Write all other rows of a response."""
    with connection.cursor() as cursor:
        for statement, rows, table in _parts(metadata):
            found = [row._asdict() for row in sorted(rows)]
            if found:
                params = {"rows": Json(found, _dumps), "now": observed_at}
                cursor.execute(_SQL[statement], params)
                _verify(cursor, table, params, len(found))
    load_popularity(connection, list(metadata.catalogue.track_popularity.values()))


def _parts(metadata: Metadata) -> tuple[tuple[str, Iterable[NamedTuple], str | None], ...]:
    """Return the statements in their order, the rows of each, and the table that has them then."""
    catalogue = metadata.catalogue
    links = catalogue.artist_tracks.values()
    return (
        ("update_tracks", catalogue.tracks.values(), None),
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
