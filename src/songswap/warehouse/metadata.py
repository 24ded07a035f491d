"""Metadata of tracks and artists: what is wanted, and loading what Spotify told."""

import json
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

import psycopg
from psycopg.types.json import Jsonb

from songswap.errors import LoadIncomplete
from songswap.models import Metadata
from songswap.warehouse.sql import statements

_dumps = partial(json.dumps, default=str)  # a time as PostgreSQL reads it


def wanted(connection: psycopg.Connection, kind: str, limit: int, now: datetime) -> list[str]:
    """Ids of which metadata is to be asked now, those that wait longest first.

    Args:
        kind: ``track``, ``artist`` or ``features``.
    """
    rows = connection.execute(
        statements("metadata.sql")["wanted"], {"kind": kind, "limit": limit, "now": now}
    )
    return [row[0] for row in rows]


def postpone(
    connection: psycopg.Connection, kind: str, ids: Collection[str], until: datetime
) -> None:
    """Do not ask for these before ``until``: an error is not a word about the id."""
    connection.execute(
        statements("metadata.sql")["postpone"], {"kind": kind, "ids": list(ids), "until": until}
    )


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

    Ids it tells are done; those it does not know are remembered as such; the others are asked for
    again after ``ask_again_after``.

    Args:
        source: who told it, ``spotify`` or ``reccobeats``.

    Raises:
        LoadIncomplete: a row was not in its table after its insertion; all is rolled back.
    """
    catalogue = metadata.catalogue
    # The third is the table in which the rows have to be then.
    parts: tuple[tuple[str, Iterable[NamedTuple], str | None], ...] = (
        ("update_track", catalogue.tracks.values(), None),
        ("want_new_artist", catalogue.artist_tracks.values(), None),
        ("upsert_artist", catalogue.artists.values(), "Artists"),
        ("insert_artist_track", catalogue.artist_tracks.values(), "ArtistTracks"),
        ("insert_track_popularity", catalogue.track_popularity.values(), "TrackPopularity"),
        ("upsert_track_image", catalogue.track_images.values(), "TrackImages"),
        ("upsert_track_preview", catalogue.track_previews.values(), "TrackPreviews"),
        ("insert_artist_popularity", metadata.popularity, "ArtistPopularity"),
        ("insert_artist_followers", metadata.followers, "ArtistFollowers"),
        ("insert_artist_genre", metadata.genres, "ArtistGenres"),
        ("upsert_artist_image", metadata.images.values(), "ArtistImages"),
        ("insert_features", metadata.features, "TrackFeatures"),
        ("insert_note", catalogue.notes | metadata.notes, None),
    )
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute(statements("history.sql")["alone"])
        for statement, rows, table in parts:
            # In key order, so that loads that run at once never deadlock.
            values = [{**row._asdict(), "now": observed_at} for row in sorted(rows)]
            if values:
                cursor.executemany(statements("metadata.sql")[statement], values)
                _verify(cursor, table, values)
        for known, ids in ((True, metadata.told), (False, metadata.unknown)):
            cursor.execute(
                statements("metadata.sql")["told"],
                {
                    "kind": kind,
                    "ids": list(ids),
                    "now": observed_at,
                    "known": known,
                    "source": source,
                },
            )
        unanswered = set(asked) - metadata.told - metadata.unknown
        postpone(connection, kind, unanswered, observed_at + ask_again_after)


def _verify(cursor: psycopg.Cursor, table: str | None, rows: list[dict[str, Any]]) -> None:
    """Raise `LoadIncomplete` unless the table has the rows that were just written to it."""
    if table is None:
        return
    check = statements("metadata.sql")[f"lacking_{table}"]
    counted = cursor.execute(check, {"rows": Jsonb(rows, _dumps)}).fetchone()
    if counted and counted[0]:
        raise LoadIncomplete(
            f"{counted[0]} of {len(rows)} rows were not in {table} after their own load. What came"
            " with them was rolled back and is asked for again; look for a trigger or rule on the"
            " table."
        )
