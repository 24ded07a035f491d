"""Look up what of the rows of tracks and artists is new, or changes what is stored.

    rows ──▶ popularity of the day, checksums of forms ──▶ tracks with news ──▶ their stored rows

Of two values the larger stays, whichever came first. A value that ``/tracks`` or ``/artists``
returned stays in any case, and only empty ones are filled in (docs/adr/0012).
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from itertools import chain, starmap
from typing import Any, NamedTuple

import psycopg

from songswap.models import (
    Artist,
    ArtistTrack,
    Catalogue,
    Image,
    Popularity,
    Preview,
    Track,
)
from songswap.transform.catalogue import select_tracks, with_one_primary
from songswap.warehouse import popularity
from songswap.warehouse.locks import shard_of
from songswap.warehouse.popularity import Comparison
from songswap.warehouse.sql import statements

_SQL = statements("catalogue.sql")

Row = tuple[Any, ...]
_Rows = dict[Row, Row]
"""Rows by their keys."""


class Table(NamedTuple):
    """A table: its first ``key_size`` columns are its key, and ``kind`` is whose rows it has."""

    name: str
    columns: tuple[str, ...]
    key_size: int
    kind: str = "track"

    def key(self, row: Row) -> Row:
        return row[: self.key_size]


_ARTISTS = Table("Artists", Artist._fields, 1, "artist")

TABLES = {
    "tracks": Table("Tracks", Track._fields, 1),
    "artist_tracks": Table("ArtistTracks", ArtistTrack._fields, 2),
    "track_images": Table("TrackImages", Image._fields, 3),
    "track_previews": Table("TrackPreviews", Preview._fields, 1),
}
"""The tables of tracks by their names in a catalogue, each after those it refers to."""


@dataclass(slots=True)
class News:
    """What is to be written to a shard, or to several.

    ``new`` and ``changed`` are rows by the names of `TABLES`; ``incomplete`` are new tracks that
    lack something.
    """

    new: dict[str, list[Row]] = field(default_factory=lambda: {name: [] for name in TABLES})
    changed: dict[str, list[Row]] = field(default_factory=lambda: {name: [] for name in TABLES})
    popularity: Comparison = field(default_factory=lambda: Comparison([], [], [], set()))
    forms: dict[str, int] = field(default_factory=dict)
    incomplete: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        """Return the number of rows."""
        rows = chain(self.new.values(), self.changed.values())
        return sum(map(len, rows)) + len(self.popularity.new) + len(self.forms)

    def add(self, other: "News") -> None:
        """Add the rows of another shard."""
        for name in TABLES:
            self.new[name] += other.new[name]
            self.changed[name] += other.changed[name]
        self.popularity.new.extend(other.popularity.new)
        self.popularity.moved.extend(other.popularity.moved)
        self.popularity.following.extend(other.popularity.following)
        self.forms |= other.forms
        self.incomplete += other.incomplete

    def of_new_tracks(self, ids: Collection[str]) -> "News":
        """Return the rows of these tracks, which are new."""
        news = News()
        for name in TABLES:
            news.new[name] = [row for row in self.new[name] if row[0] in ids]
        news.popularity.new.extend(row for row in self.popularity.new if row.id in ids)
        news.forms = {id_: form for id_, form in self.forms.items() if id_ in ids}
        news.incomplete = [id_ for id_ in self.incomplete if id_ in ids]
        return news


class Found(NamedTuple):
    """The news of a catalogue by shard, and its artists who are new or have another name."""

    news: dict[int, News]
    artists: list[Artist]


def look_up(connection: psycopg.Connection, catalogue: Catalogue) -> Found:
    """Return what of a catalogue is not stored yet; shards without news are not in it.

    Without a lock the rows may change before they are written: `songswap.warehouse.locks` says how
    that is noticed.
    """
    stored = existing(connection, catalogue.tracks)
    observed = catalogue.track_popularity.values()
    compared = compare_popularity(connection, observed, stored)
    forms = _new_forms(connection, catalogue, stored)
    unchanged = stored - forms.keys() - ({row.id for row in observed} - compared.known)
    # A track is unchanged that came in the same form before, with the same popularity on the day.
    rows = select_tracks(catalogue, catalogue.tracks.keys() - unchanged)
    # A new track has no rows yet: only the others are looked up.
    known_tracks = [id_ for id_ in rows.tracks if id_ in stored]
    news = _by_shard(compared, forms)
    for name, table in TABLES.items():
        new, changed = _compare(connection, name, table, getattr(rows, name).values(), known_tracks)
        for row in new:
            news[shard_of(row[0])].new[name].append(row)
        for row in changed:
            news[shard_of(row[0])].changed[name].append(row)
    for track_id in catalogue.incomplete - stored:
        news[shard_of(track_id)].incomplete.append(track_id)
    artists = chain(*_compare(connection, "artists", _ARTISTS, rows.artists.values(), rows.artists))
    return Found(dict(news), [Artist(*row) for row in artists])


def existing(connection: psycopg.Connection, ids: Collection[str]) -> set[str]:
    """Return those of these tracks that are in the table."""
    if not ids:
        return set()
    return {id_ for (id_,) in _rows(connection, "existing", {"ids": list(ids)})}


def authoritative(connection: psycopg.Connection, kind: str, ids: Collection[str]) -> set[str]:
    """Return those of these ids that ``/tracks`` or ``/artists`` returned."""
    if not ids:
        return set()
    params = {"kind": kind, "ids": list(ids)}
    return {id_ for (id_,) in _rows(connection, "authoritative", params)}


def compare_popularity(
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
    rows = _rows(connection, "popularity", params)
    return popularity.compare(observed, [Popularity(*row) for row in rows])


def _rows(connection: psycopg.Connection, name: str, params: dict[str, Any]) -> list[Row]:
    """Return all rows of a query at once: one by one, they would cost twice as much."""
    return connection.execute(_SQL[name], params).fetchall()


def _by_shard(compared: Comparison, forms: dict[str, int]) -> defaultdict[int, News]:
    """Begin the news of each shard with popularity and forms."""
    news: defaultdict[int, News] = defaultdict(News)
    for row in compared.new:
        news[shard_of(row.id)].popularity.new.append(row)
    for moved in compared.moved:
        news[shard_of(moved.id)].popularity.moved.append(moved)
    for moved in compared.following:
        news[shard_of(moved.id)].popularity.following.append(moved)
    for id_, form in forms.items():
        news[shard_of(id_)].forms[id_] = form
    return news


def _new_forms(
    connection: psycopg.Connection, catalogue: Catalogue, stored: Collection[str]
) -> dict[str, int]:
    """Return the checksums of tracks whose stored checksum is another, or which have none."""
    ids = [id_ for id_ in catalogue.forms if id_ in stored]
    known: dict[str, int] = dict(_rows(connection, "forms", {"ids": ids})) if ids else {}
    return {
        id_: form for id_, form in catalogue.forms.items() if not form or form != known.get(id_)
    }


def _compare(
    connection: psycopg.Connection,
    name: str,
    table: Table,
    rows: Iterable[Row],
    ids: Collection[str],
) -> tuple[list[Row], list[Row]]:
    """Return the rows that are new, and those that change a known row.

    Args:
        ids: of the tracks or artists whose rows are looked up.
    """
    found = _rows(connection, f"known_{name}", {"ids": list(ids)}) if ids else ()
    known = {table.key(row): row for row in found}
    if not known:
        if name == "artist_tracks":
            rows = with_one_primary(starmap(ArtistTrack, rows))
        return [*rows], []
    rows = [row for row in rows if known.get(table.key(row)) != row]
    ids = {row[0] for row in rows} & {row[0] for row in known}
    named = authoritative(connection, table.kind, ids)
    if name == "artist_tracks":
        links = {key: row for key, row in known.items() if key[0] in ids}
        rows = _links(rows, links, named)
    new, changed = [], []
    for row in rows:
        before = known.get(table.key(row))
        if before is None:
            new.append(row)
            continue
        if name != "artist_tracks":
            row = _merged(before, row, table, row[0] in named)
        if row != before:
            changed.append(row)
    return new, changed


def _merged(known: Row, row: Row, table: Table, authoritative: bool) -> Row:
    """Return the larger of each two values; an authoritative one stays unless it is empty."""
    size = table.key_size
    values = zip(known[size:], row[size:], strict=True)
    return *row[:size], *(old if authoritative and old else max(old, new) for old, new in values)


def _links(rows: Iterable[Row], known: _Rows, authoritative: Collection[str]) -> list[Row]:
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
