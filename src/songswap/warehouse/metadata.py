"""Metadata of tracks and artists: what is wanted, and loading what Spotify told."""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import psycopg

from songswap.models import Metadata
from songswap.warehouse.sql import statements


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
) -> None:
    """Load one answer in one transaction, and note what it said of each id that was asked for.

    Ids it tells are done; those it does not know are remembered as such; the others are asked for
    again after ``ask_again_after``.
    """
    sql = statements("metadata.sql")
    catalogue = metadata.catalogue
    tables: tuple[tuple[str, Iterable[NamedTuple]], ...] = (
        ("update_track", catalogue.tracks.values()),
        ("upsert_artist", catalogue.artists.values()),
        ("insert_artist_track", catalogue.artist_tracks.values()),
        ("want_artist", catalogue.artist_tracks.values()),
        ("insert_track_popularity", catalogue.track_popularity.values()),
        ("upsert_track_image", catalogue.track_images.values()),
        ("upsert_track_preview", catalogue.track_previews.values()),
        ("insert_artist_popularity", metadata.popularity),
        ("insert_artist_followers", metadata.followers),
        ("insert_artist_genre", metadata.genres),
        ("upsert_artist_image", metadata.images.values()),
        ("insert_features", metadata.features),
        ("insert_note", catalogue.notes | metadata.notes),
    )
    with connection.transaction(), connection.cursor() as cursor:
        for statement, rows in tables:
            # In key order, so that loads that run at once never deadlock.
            values: list[dict[str, Any]] = [
                {**row._asdict(), "now": observed_at} for row in sorted(rows)
            ]
            if values:
                cursor.executemany(sql[statement], values)
        for known, ids in ((True, metadata.told), (False, metadata.unknown)):
            cursor.execute(
                sql["told"], {"kind": kind, "ids": list(ids), "now": observed_at, "known": known}
            )
        unanswered = set(asked) - metadata.told - metadata.unknown
        postpone(connection, kind, unanswered, observed_at + ask_again_after)
