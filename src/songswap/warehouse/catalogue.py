"""Load what answers of recently played tell of tracks and artists.

    rows ──▶ what of them is known, by key ──▶ the rest ──COPY──▶ the platform's tables

Of two values the larger stands, whichever came first. What ``/tracks`` and ``/artists`` told stands
above both, and is only filled in (docs/adr/0012).
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import psycopg

from songswap.models import Artist, ArtistTrack, Catalogue, Image, Popularity, Preview, Track
from songswap.transform.catalogue import with_one_primary
from songswap.warehouse import popularity
from songswap.warehouse.copying import copy
from songswap.warehouse.popularity import Comparison
from songswap.warehouse.sql import statements


class _Table(NamedTuple):
    """A table, its columns, how many of them, the first ones, are its key, and of whom it tells."""

    name: str
    columns: tuple[str, ...]
    key: int
    kind: str = "track"


_TABLES = {
    "tracks": _Table("Tracks", Track._fields, 1),
    "artists": _Table("Artists", Artist._fields, 1, "artist"),
    "artist_tracks": _Table("ArtistTracks", ArtistTrack._fields, 2),
    "track_images": _Table("TrackImages", Image._fields, 3),
    "track_previews": _Table("TrackPreviews", Preview._fields, 1),
}
"""By its name in a catalogue, each after those it refers to."""

_Row = tuple[Any, ...]
_Rows = dict[_Row, _Row]
"""Rows by their keys."""


def load(connection: psycopg.Connection, catalogue: Catalogue) -> tuple[Counter[str], set[str]]:
    """Copy what is not known of tracks and artists, and complete it; under the lock of all loads.

    Returns:
        New rows by name, and the ids of the artists that are new.

    Raises:
        LoadIncomplete: rows were not in their table after their load.
        psycopg.Error: the server's own.
    """
    return _Load(connection).load(catalogue)


def observe(connection: psycopg.Connection, told: Iterable[Popularity]) -> None:
    """Load observations of popularity of tracks, those in the table; under the lock of all loads.

    Raises:
        LoadIncomplete: rows were not in the table after their load.
        psycopg.Error: the server's own.
    """
    this = _Load(connection)
    observed = list(told)
    there = this.there([row.id for row in observed])
    this.observe(this.compare([row for row in observed if row.id in there], there))


def fill_durations(connection: psycopg.Connection, ids: Collection[str]) -> None:
    """Give these tracks the length that exports tell, where Spotify has told none.

    Under the lock of all loads.

    Raises:
        psycopg.Error: the server's own.
    """
    _Load(connection).fill_durations(ids)


@dataclass(frozen=True, slots=True)
class _Load:
    """A load under way."""

    connection: psycopg.Connection

    def load(self, catalogue: Catalogue) -> tuple[Counter[str], set[str]]:
        counts, new_artists = Counter[str](), set[str]()
        there = self.there(catalogue.tracks)
        told = catalogue.track_popularity.values()
        compared = self.compare(told, there)
        forms = self._new_forms(catalogue, there)
        observed_anew = {row.id for row in told} - compared.known
        rows = _told_anew(catalogue, there - forms.keys() - observed_anew)
        # Of a new track nothing can be known: only the others are looked up.
        of = [track.id for track in rows["tracks"] if track.id in there]
        for name, table in _TABLES.items():
            ids = of if table.kind == "track" else [row[0] for row in rows[name]]
            known = self._known(name, ids)
            new, changed = self._settle(table, rows[name], known)
            self._change(f"change_{name}", table.columns, changed)
            counts[name] = copy(self.connection, table.name, table.columns, sorted(new))
            if name == "tracks":
                self.fill_durations([row[0] for row in new if not row[2]])
            if name == "artists":
                new_artists = {row[0] for row in new}
        counts["track_popularity"] = self.observe(compared)
        self._change("keep_forms", ("id", "form"), sorted(forms.items()))
        return counts, new_artists

    def there(self, ids: Collection[str]) -> set[str]:
        """Those of these tracks that are in the table."""
        return {id_ for (id_,) in self._execute("there", ids=list(ids))} if ids else set()

    def fill_durations(self, ids: Collection[str]) -> None:
        """Give these tracks the length that exports tell, where Spotify has told none."""
        if ids:
            self._execute("fill_durations", ids=list(ids))

    def compare(self, told: Iterable[Popularity], there: Collection[str]) -> Comparison:
        """What is told of popularity beside what is known of it in the same days."""
        observed = list(told)
        of = [row for row in observed if row.id in there]
        found: list[Popularity] = []
        if of:
            days = [row.date.date() for row in of]
            span = {"first": min(days), "last": max(days)}
            rows = self._execute("popularity", ids=list({row.id for row in of}), **span)
            found = [Popularity(*row) for row in rows]
        return popularity.compare(observed, found)

    def observe(self, compared: Comparison) -> int:
        """Load observations; how many rows are new."""
        self._change("move_popularity", popularity.Moved._fields, compared.moved)
        for one in compared.following:
            self._change("move_popularity", one._fields, [one])
        return copy(self.connection, "TrackPopularity", Popularity._fields, compared.new)

    def _execute(self, name: str, /, **parameters: object) -> psycopg.Cursor:
        return self.connection.execute(statements("catalogue.sql")[name], parameters)

    def _known(self, name: str, ids: Collection[str]) -> _Rows:
        """The rows of these tracks or artists."""
        key = _TABLES[name].key
        rows = self._execute(f"known_{name}", ids=list(ids)) if ids else ()
        return {row[:key]: row for row in rows}

    def _new_forms(self, catalogue: Catalogue, there: Collection[str]) -> dict[str, int]:
        """The tracks that are told in another form than that in which they were looked at."""
        ids = [id_ for id_ in catalogue.forms if id_ in there]
        kept: dict[str, int] = dict(self._execute("forms", ids=ids)) if ids else {}
        told = catalogue.forms.items()
        return {id_: form for id_, form in told if not form or form != kept.get(id_)}

    def _settle(
        self, table: _Table, told: Iterable[_Row], known: _Rows
    ) -> tuple[list[_Row], list[_Row]]:
        """The rows that are new, and those that change: what stands of what is told and known."""
        told = [row for row in told if known.get(row[: table.key]) != row]
        of = {row[0] for row in told} & {row[0] for row in known}
        answered = self._answered(table.kind, of)
        if table.columns == ArtistTrack._fields:
            told = _links(told, {key: row for key, row in known.items() if key[0] in of}, answered)
        new, changed = [], []
        for row in told:
            before = known.get(row[: table.key])
            if before is None:
                new.append(row)
            elif before != (row := _standing(before, row, table, row[0] in answered)):
                changed.append(row)
        return new, changed

    def _answered(self, kind: str, ids: Collection[str]) -> set[str]:
        """Those of these of which ``/tracks`` or ``/artists`` told."""
        if not ids:
            return set()
        return {id_ for (id_,) in self._execute("answered", kind=kind, ids=list(ids))}

    def _change(self, name: str, columns: Sequence[str], rows: Sequence[_Row]) -> None:
        """Run a statement with one list for each column of these rows."""
        if rows:
            lists = zip(*rows, strict=True)
            self._execute(name, **dict(zip(columns, map(list, lists), strict=True)))


def _standing(known: _Row, told: _Row, table: _Table, answered: bool) -> _Row:
    """Of each value the larger; what is known and not empty where it was answered."""
    if table.columns == ArtistTrack._fields:
        return told
    values = zip(known[table.key :], told[table.key :], strict=True)
    return *told[: table.key], *(one if answered and one else max(one, two) for one, two in values)


def _links(told: Iterable[_Row], known: _Rows, answered: Collection[str]) -> list[_Row]:
    """What is told of the artists of tracks, and what is known of them, with one primary artist.

    That one stays where it was answered.
    """
    stays = {row[0] for row in known.values() if row[2]}.intersection(answered)
    links = {key: ArtistTrack(*row) for key, row in known.items()}
    for track_id, artist_id, is_primary in told:
        link = ArtistTrack(track_id, artist_id, is_primary and track_id not in stays)
        before = links.setdefault((track_id, artist_id), link)
        links[track_id, artist_id] = max(before, link)
    return [*with_one_primary(links.values())]


def _told_anew(catalogue: Catalogue, old: Collection[str]) -> dict[str, list[Any]]:
    """The rows of a catalogue that may be new, by name, without those of tracks in ``old``.

    A track that was told in the same form before, with the same popularity on the same day, was
    looked at then.
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
