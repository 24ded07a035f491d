"""The row-by-row reference: plain json and dicts, nothing deduplicated, one user after another.

It loads the right rows, as such a pipeline is usually written first.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import psycopg2  # type: ignore[import-untyped]  # it has no types
from psycopg2.extras import execute_values  # type: ignore[import-untyped]  # as above

_COLUMNS = {
    "Artists": ("id", "name"),
    "Tracks": ("id", "name", "duration_ms"),
    "ArtistTracks": ("track_id", "artist_id", "is_primary"),
    "TrackPopularity": ("id", "date", "popularity"),
    "TrackImages": ("id", "height", "width", "url"),
    "TrackPreviews": ("id", "url"),
    "History": ("user_id", "played_at", "track_id"),
}
_PAGE_SIZE = 100

Rows = dict[str, list[dict[str, Any]]]
"""Rows by table, repeated as often as responses repeat them."""


def transform(body: bytes, user_id: int, observed_at: datetime) -> Rows:
    """Return the rows of a response body."""
    return rows(json.loads(body), user_id, observed_at)


def rows(response: dict[str, Any], user_id: int, observed_at: datetime) -> Rows:
    """Return the rows of a decoded response."""
    rows: Rows = defaultdict(list)
    for item in response["items"]:
        track = item["track"]
        rows["Tracks"].append(
            {"id": track["id"], "name": track["name"][:240], "duration_ms": track["duration_ms"]}
        )
        for position, artist in enumerate(track["artists"]):
            rows["Artists"].append({"id": artist["id"], "name": artist["name"][:120]})
            rows["ArtistTracks"].append(
                {
                    "track_id": track["id"],
                    "artist_id": artist["id"],
                    "is_primary": position == 0,
                }
            )
        for image in track["album"]["images"]:
            rows["TrackImages"].append({"id": track["id"], **image})
        rows["TrackPopularity"].append(
            {"id": track["id"], "date": observed_at, "popularity": track["popularity"]}
        )
        if track["preview_url"]:
            rows["TrackPreviews"].append({"id": track["id"], "url": track["preview_url"]})
        played_at = datetime.strptime(item["played_at"], "%Y-%m-%dT%H:%M:%S.%f%z")
        rows["History"].append(
            {"user_id": user_id, "played_at": played_at, "track_id": track["id"]}
        )
    return rows


def load(dsn: str, users: Sequence[Rows]) -> None:
    """Load one user's rows after another's, a transaction for each."""
    connection = psycopg2.connect(dsn, options="-c TimeZone=UTC")
    try:
        for rows in users:
            with connection, connection.cursor() as cursor:
                for table, columns in _COLUMNS.items():
                    names = ", ".join(columns)
                    execute_values(
                        cursor,
                        f'INSERT INTO "{table}" ({names}) VALUES %s ON CONFLICT DO NOTHING',
                        [tuple(row[column] for column in columns) for row in rows[table]],
                        page_size=_PAGE_SIZE,
                    )
    finally:
        connection.close()
