"""Load what answers of recently played tell of tracks and artists.

    rows ──▶ what of them is known, by key ──▶ the rest ──COPY──▶ the platform's tables

What is there stands; what an earlier answer had left out is filled in.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import psycopg

from songswap.models import Catalogue, Popularity
from songswap.warehouse import popularity
from songswap.warehouse.copying import copy
from songswap.warehouse.sql import statements

_TABLES = {
    "tracks": ("Tracks", 1),
    "artists": ("Artists", 1),
    "artist_tracks": ("ArtistTracks", 2),
    "track_popularity": ("TrackPopularity", 2),
    "track_images": ("TrackImages", 3),
    "track_previews": ("TrackPreviews", 1),
}
"""By its name in a catalogue: the table, after those it refers to, and how many of its columns, the
first ones, are its key."""


def load(connection: psycopg.Connection, catalogue: Catalogue) -> tuple[Counter[str], set[str]]:
    """Copy what is not known of tracks and artists, and complete it; under the lock of all loads.

    Returns:
        New rows by name, and the ids of the artists that are new.

    Raises:
        LoadIncomplete: rows were not in their table after their load.
        psycopg.Error: the server's own.
    """
    return _Load(connection).load(catalogue)


@dataclass(frozen=True, slots=True)
class _Load:
    """A load under way."""

    connection: psycopg.Connection

    def load(self, catalogue: Catalogue) -> tuple[Counter[str], set[str]]:
        counts = Counter[str]()
        there = self._lacking("tracks", catalogue.tracks)
        observed = self._compare_popularity(catalogue, there)
        rows = _told_anew(catalogue, observed.known - self._waiting(observed.known))
        # Of a new track nothing can be known: only the others are looked up.
        of = [track.id for track in rows["tracks"] if track.id in there]
        artists = self._lacking("artists", [artist.id for artist in rows["artists"]])
        known = {
            "tracks": {(id_,) for id_ in there},
            "artists": {(id_,) for id_ in artists},
            "artist_tracks": self._known("artist_tracks", of),
            "track_popularity": set[tuple[Any, ...]](),
            "track_images": self._known("track_images", of),
            "track_previews": self._known("track_previews", of),
        }
        self._change("complete_tracks", [row for row in rows["tracks"] if there.get(row.id)])
        self._change("complete_artists", [row for row in rows["artists"] if artists.get(row.id)])
        self._change("observe_earlier", observed.earlier)
        for name, (table, key) in _TABLES.items():
            told = observed.new if name == "track_popularity" else rows[name]
            new = sorted(row for row in told if row[:key] not in known[name])
            counts[name] = copy(self.connection, table, new)
        return counts, {artist.id for artist in rows["artists"]} - artists.keys()

    def _execute(self, name: str, /, **parameters: object) -> psycopg.Cursor:
        return self.connection.execute(statements("catalogue.sql")[name], parameters)

    def _known(self, name: str, ids: Collection[str]) -> set[tuple[Any, ...]]:
        return set(self._execute(f"known_{name}", ids=list(ids))) if ids else set()

    def _lacking(self, name: str, ids: Collection[str]) -> dict[str, bool]:
        """Which of these tracks or artists are known, and whether they lack a name or duration."""
        return dict(self._execute(f"known_{name}", ids=list(ids))) if ids else {}

    def _compare_popularity(
        self, catalogue: Catalogue, there: Collection[str]
    ) -> popularity.Comparison:
        """What is told of popularity beside what is known of it in the same days."""
        told = catalogue.track_popularity.values()
        of = [row for row in told if row.id in there]
        found: list[Popularity] = []
        if of:
            days = [row.date.date() for row in of]
            span = {"first": min(days), "last": max(days)}
            rows = self._execute("popularity", ids=list({row.id for row in of}), **span)
            found = [Popularity(*row) for row in rows]
        return popularity.compare(told, found)

    def _waiting(self, ids: Collection[str]) -> set[str]:
        """The tracks of which something was missing and is still to be asked for."""
        if not ids:
            return set()
        return {id_ for (id_,) in self._execute("waiting_tracks", ids=list(ids))}

    def _change(self, name: str, rows: Sequence[NamedTuple]) -> None:
        """Change rows that are there: a statement with one list for each of these rows' columns."""
        if rows:
            columns = {field: [getattr(row, field) for row in rows] for field in rows[0]._fields}
            self._execute(name, **columns)


def _told_anew(catalogue: Catalogue, old: Collection[str]) -> dict[str, list[Any]]:
    """The rows of a catalogue that may be new, by name, without those of tracks in ``old``.

    A track whose popularity was told before on the same day was looked at then: its artists, images
    and preview are looked at again on another day. What was missing then is asked of ``/tracks``.
    """
    links = [link for link in catalogue.artist_tracks.values() if link.track_id not in old]
    named = {link.artist_id for link in links}
    return {
        "tracks": [row for row in catalogue.tracks.values() if row.id not in old],
        "artists": [row for row in catalogue.artists.values() if row.id in named],
        "artist_tracks": links,
        "track_images": [row for row in catalogue.track_images.values() if row.id not in old],
        "track_previews": [row for row in catalogue.track_previews.values() if row.id not in old],
    }
