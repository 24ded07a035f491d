"""Load the tracks and artists of responses of recently played.

    rows ──▶ which of them are known, by key ──▶ the rest ──COPY──▶ the platform's tables

Of two values the larger stays, whichever came first. A value that ``/tracks`` or ``/artists``
returned stays in any case, and only empty ones are filled in (docs/adr/0012).
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import psycopg

from songswap.models import (
    Artist,
    ArtistTrack,
    Catalogue,
    DataFix,
    Image,
    Popularity,
    Preview,
    Track,
)
from songswap.transform.catalogue import with_one_primary
from songswap.warehouse import popularity
from songswap.warehouse.copying import copy
from songswap.warehouse.popularity import Comparison
from songswap.warehouse.sql import statements

_SQL = statements("catalogue.sql")

_Row = tuple[Any, ...]
_Rows = dict[_Row, _Row]
"""Rows by their keys."""


class _Table(NamedTuple):
    """A table: its first ``key_size`` columns are its key, and ``kind`` is whose rows it has."""

    name: str
    columns: tuple[str, ...]
    key_size: int
    kind: str = "track"

    def key(self, row: _Row) -> _Row:
        return row[: self.key_size]


_TABLES = {
    "tracks": _Table("Tracks", Track._fields, 1),
    "artists": _Table("Artists", Artist._fields, 1, "artist"),
    "artist_tracks": _Table("ArtistTracks", ArtistTrack._fields, 2),
    "track_images": _Table("TrackImages", Image._fields, 3),
    "track_previews": _Table("TrackPreviews", Preview._fields, 1),
}
"""By their names in a catalogue, each after those it refers to."""


def load(connection: psycopg.Connection, catalogue: Catalogue) -> tuple[Counter[str], set[str]]:
    """Insert unknown rows of tracks and artists, and complete known ones.

    Needs the lock of all loads.

    Returns:
        The counts of new rows by name, and the ids of the new artists.

    Raises:
        LoadIncomplete: rows were not in their table after their load.
        psycopg.Error: the server's own.
    """
    counts, new_artists = Counter[str](), set[str]()
    stored = existing(connection, catalogue.tracks)
    observed = catalogue.track_popularity.values()
    compared = _compare_popularity(connection, observed, stored)
    new_forms = _new_forms(connection, catalogue, stored)
    changed_popularity = {row.id for row in observed} - compared.known
    rows = _without_tracks(catalogue, stored - new_forms.keys() - changed_popularity)
    # A new track has no rows yet: only the others are looked up.
    known_tracks = [track.id for track in rows["tracks"] if track.id in stored]
    for name, table in _TABLES.items():
        ids = known_tracks if table.kind == "track" else [row[0] for row in rows[name]]
        new, changed = _compare(connection, name, rows[name], ids)
        _execute_with_columns(connection, f"change_{name}", table.columns, changed)
        counts[name] = copy(connection, table.name, table.columns, sorted(new))
        if name == "tracks":
            fill_durations(connection, [row[0] for row in new if not row[2]])
        if name == "artists":
            new_artists = {row[0] for row in new}
    counts["track_popularity"] = _store_popularity(connection, compared)
    _execute_with_columns(connection, "upsert_forms", ("id", "form"), sorted(new_forms.items()))
    return counts, new_artists


def load_popularity(connection: psycopg.Connection, rows: Iterable[Popularity]) -> None:
    """Load the popularity of tracks that exist; needs the lock of all loads.

    Raises:
        LoadIncomplete: rows were not in the table after their load.
        psycopg.Error: the server's own.
    """
    observed = list(rows)
    stored = existing(connection, [row.id for row in observed])
    observed = [row for row in observed if row.id in stored]
    _store_popularity(connection, _compare_popularity(connection, observed, stored))


def existing(connection: psycopg.Connection, ids: Collection[str]) -> set[str]:
    """Return those of these tracks that are in the table."""
    if not ids:
        return set()
    return {id_ for (id_,) in connection.execute(_SQL["existing"], {"ids": list(ids)})}


def fill_durations(connection: psycopg.Connection, ids: Collection[str]) -> None:
    """Give these tracks the length that exports suggest, where Spotify has given none.

    Needs the lock of all loads.
    """
    if ids:
        connection.execute(_SQL["fill_durations"], {"ids": list(ids)})


def store_fixes(connection: psycopg.Connection, fixes: Collection[DataFix], now: datetime) -> int:
    """Record what was cut, cleaned or left out of rows; return how many fixes are new."""
    if not fixes:
        return 0
    kinds, ids, fields, problems = map(list, zip(*fixes, strict=True))
    params = {"kinds": kinds, "ids": ids, "fields": fields, "problems": problems, "now": now}
    return connection.execute(_SQL["insert_data_fixes"], params).rowcount


def _compare_popularity(
    connection: psycopg.Connection, observed: Collection[Popularity], stored: Collection[str]
) -> Comparison:
    """Compare popularity with the rows of the same days; tracks not in ``stored`` have none."""
    of_stored = [row for row in observed if row.id in stored]
    if not of_stored:
        return popularity.compare(observed, [])
    days = [row.date.date() for row in of_stored]
    params = {
        "ids": list({row.id for row in of_stored}),
        "first": min(days),
        "last": max(days),
    }
    rows = connection.execute(_SQL["popularity"], params)
    return popularity.compare(observed, [Popularity(*row) for row in rows])


def _store_popularity(connection: psycopg.Connection, compared: Comparison) -> int:
    """Write the rows of a comparison; return how many are new."""
    columns = popularity.Moved._fields
    _execute_with_columns(connection, "move_popularity", columns, compared.moved)
    for row in compared.following:
        _execute_with_columns(connection, "move_popularity", columns, [row])
    return copy(connection, "TrackPopularity", Popularity._fields, compared.new)


def _new_forms(
    connection: psycopg.Connection, catalogue: Catalogue, stored: Collection[str]
) -> dict[str, int]:
    """Return the checksums of tracks whose stored checksum is another, or which have none."""
    ids = [id_ for id_ in catalogue.forms if id_ in stored]
    known: dict[str, int] = dict(connection.execute(_SQL["forms"], {"ids": ids})) if ids else {}
    return {
        id_: form for id_, form in catalogue.forms.items() if not form or form != known.get(id_)
    }


def _compare(
    connection: psycopg.Connection, name: str, rows: Iterable[_Row], ids: Collection[str]
) -> tuple[list[_Row], list[_Row]]:
    """Return the rows that are new, and those that change a known row.

    Args:
        ids: of the tracks or artists whose rows are looked up.
    """
    table = _TABLES[name]
    found = connection.execute(_SQL[f"known_{name}"], {"ids": list(ids)}) if ids else ()
    known = {table.key(row): row for row in found}
    rows = [row for row in rows if known.get(table.key(row)) != row]
    ids = {row[0] for row in rows} & {row[0] for row in known}
    authoritative = _authoritative(connection, table.kind, ids)
    if name == "artist_tracks":
        links = {key: row for key, row in known.items() if key[0] in ids}
        rows = _links(rows, links, authoritative)
    new, changed = [], []
    for row in rows:
        before = known.get(table.key(row))
        if before is None:
            new.append(row)
            continue
        if name != "artist_tracks":
            row = _merged(before, row, table, row[0] in authoritative)
        if row != before:
            changed.append(row)
    return new, changed


def _authoritative(connection: psycopg.Connection, kind: str, ids: Collection[str]) -> set[str]:
    """Return those of these ids that ``/tracks`` or ``/artists`` returned."""
    if not ids:
        return set()
    params = {"kind": kind, "ids": list(ids)}
    return {id_ for (id_,) in connection.execute(_SQL["authoritative"], params)}


def _execute_with_columns(
    connection: psycopg.Connection, name: str, columns: Sequence[str], rows: Sequence[_Row]
) -> None:
    """Execute a statement with one list of values a column."""
    if rows:
        values = map(list, zip(*rows, strict=True))
        connection.execute(_SQL[name], dict(zip(columns, values, strict=True)))


def _merged(known: _Row, row: _Row, table: _Table, authoritative: bool) -> _Row:
    """Return the larger of each two values; an authoritative one stays unless it is empty."""
    size = table.key_size
    values = zip(known[size:], row[size:], strict=True)
    return *row[:size], *(old if authoritative and old else max(old, new) for old, new in values)


def _links(rows: Iterable[_Row], known: _Rows, authoritative: Collection[str]) -> list[_Row]:
    """Return all links of tracks to artists, with one primary artist a track.

    An authoritative primary artist stays.
    """
    fixed = {row[0] for row in known.values() if row[2]}.intersection(authoritative)
    links = {key: ArtistTrack(*row) for key, row in known.items()}
    for track_id, artist_id, is_primary in rows:
        link = ArtistTrack(track_id, artist_id, is_primary and track_id not in fixed)
        before = links.setdefault((track_id, artist_id), link)
        links[track_id, artist_id] = max(before, link)
    return [*with_one_primary(links.values())]


def _without_tracks(catalogue: Catalogue, unchanged: Collection[str]) -> dict[str, list[Any]]:
    """Return the rows of a catalogue by name, without those of ``unchanged`` tracks.

    A track is unchanged that came in the same form before, with the same popularity on the day.
    """
    links = [row for row in catalogue.artist_tracks.values() if row.track_id not in unchanged]
    artists = {row.artist_id for row in links}
    images, previews = catalogue.track_images.values(), catalogue.track_previews.values()
    return {
        "tracks": [row for row in catalogue.tracks.values() if row.id not in unchanged],
        "artists": [row for row in catalogue.artists.values() if row.id in artists],
        "artist_tracks": links,
        "track_images": [row for row in images if row.id not in unchanged],
        "track_previews": [row for row in previews if row.id not in unchanged],
    }
