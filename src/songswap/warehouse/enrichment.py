"""Metadata of tracks and artists: what is wanted, and loading what Spotify told."""

import json
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

import psycopg
from psycopg.types.json import Json

from songswap.errors import LoadIncomplete
from songswap.models import Metadata
from songswap.warehouse.catalogue import observe
from songswap.warehouse.locks import lock_loads
from songswap.warehouse.retry import retried
from songswap.warehouse.sql import statements

MISSED_WAITS = [timedelta(days=1), timedelta(days=7), timedelta(days=30)]
"""When to ask again for an id that Spotify said it does not know, before that is believed."""

_dumps = partial(json.dumps, default=str)  # a time as PostgreSQL reads it


def queued_ids(connection: psycopg.Connection, kind: str, limit: int, now: datetime) -> list[str]:
    """Ids of which metadata is to be asked now, those that wait longest first.

    Args:
        kind: ``track``, ``artist`` or ``features``.
    """
    rows = connection.execute(
        statements("enrichment.sql")["queued_ids"], {"kind": kind, "limit": limit, "now": now}
    )
    return [row[0] for row in rows]


def postpone(
    connection: psycopg.Connection, kind: str, ids: Collection[str], until: datetime
) -> None:
    """Do not ask for these before ``until``: an error is not a word about the id."""
    if ids:
        connection.execute(
            statements("enrichment.sql")["postpone"],
            {"kind": kind, "ids": list(ids), "until": until},
        )


@retried
def load(
    connection: psycopg.Connection,
    kind: str,
    asked: Collection[str],
    metadata: Metadata,
    observed_at: datetime,
    ask_again_after: timedelta,
    source: str = "spotify",
) -> None:
    """Load one answer in one transaction, and note what it said of each id that was asked for.

    Ids it tells are done. Those it does not know are asked for again after each of `MISSED_WAITS`,
    and then remembered as unknown; the others are asked for again after ``ask_again_after``.

    Args:
        source: who told it, ``spotify`` or ``reccobeats``.

    Raises:
        LoadIncomplete: a row was not in its table after its insertion; all is rolled back.
    """
    catalogue = metadata.catalogue
    # The third is the table in which the rows have to be then.
    parts: tuple[tuple[str, Iterable[NamedTuple], str | None], ...] = (
        ("update_track", catalogue.tracks.values(), None),
        ("enqueue_new_artists", catalogue.artist_tracks.values(), None),
        ("upsert_artists", catalogue.artists.values(), "Artists"),
        ("change_primary_artists", catalogue.artist_tracks.values(), None),
        ("insert_artist_tracks", catalogue.artist_tracks.values(), "ArtistTracks"),
        ("upsert_track_images", catalogue.track_images.values(), "TrackImages"),
        ("upsert_track_previews", catalogue.track_previews.values(), "TrackPreviews"),
        ("insert_artist_popularity", metadata.popularity, "ArtistPopularity"),
        ("insert_artist_followers", metadata.followers, "ArtistFollowers"),
        ("insert_artist_genres", metadata.genres, "ArtistGenres"),
        ("upsert_artist_images", metadata.images.values(), "ArtistImages"),
        ("insert_features", metadata.features, "TrackFeatures"),
        ("insert_data_fixes", catalogue.data_fixes | metadata.data_fixes, None),
    )
    with connection.transaction(), connection.cursor() as cursor:
        lock_loads(connection)
        cursor.execute(statements("enrichment.sql")["by_key"])
        for statement, rows, table in parts:
            # In key order, so that who inserts without the lock does not deadlock with this.
            told = [row._asdict() for row in sorted(rows)]
            if told:
                values = {"rows": Json(told, _dumps), "now": observed_at}
                cursor.execute(statements("enrichment.sql")[statement], values)
                _verify(cursor, table, values, len(told))
        observe(connection, catalogue.track_popularity.values())
        about = {"kind": kind, "now": observed_at, "source": source, "waits": MISSED_WAITS}
        for statement, ids in (("known", metadata.received), ("missed", metadata.unknown)):
            if ids:
                cursor.execute(statements("enrichment.sql")[statement], about | {"ids": list(ids)})
        unanswered = set(asked) - metadata.received - metadata.unknown
        postpone(connection, kind, unanswered, observed_at + ask_again_after)


def _verify(cursor: psycopg.Cursor, table: str | None, values: dict[str, Any], number: int) -> None:
    """Raise `LoadIncomplete` unless the table has the rows that were just written to it."""
    if table is None:
        return
    counted = cursor.execute(statements("enrichment.sql")[f"lacking_{table}"], values).fetchone()
    if counted and counted[0]:
        raise LoadIncomplete(
            f"{counted[0]} of {number} rows were not in {table} after their own load. What came"
            " with them was rolled back and is asked for again; look for a trigger or rule on the"
            " table."
        )
