"""Load the tracks and artists of responses of recently played, before the plays.

    rows ──▶ look-up without a lock ──▶ new artists
                    └──▶ shards with news: lock ──▶ what has changed: look up again ──▶ COPY, commit

What is stored here is right whether or not the plays follow. What is to be fetched of a new track
or artist is queued in the transaction that makes the row: no later load finds it new, and its play
may have come from an export by then.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple

import psycopg

from songswap.models import Artist, Catalogue, Popularity
from songswap.transform.catalogue import select_tracks
from songswap.warehouse import artists, enrichment_queue, popularity
from songswap.warehouse.catalogue_lookup import (
    TABLES,
    Found,
    News,
    Row,
    compare_popularity,
    existing,
    look_up,
)
from songswap.warehouse.copying import copy
from songswap.warehouse.locks import lock_some_shards, shard_of, shard_versions
from songswap.warehouse.popularity import Comparison
from songswap.warehouse.retry import retried
from songswap.warehouse.sql import statements

_SQL = statements("catalogue.sql")

_ARTISTS_AT_ONCE = 2_000


class Times(NamedTuple):
    """When something is queued to be fetched: ``now``, unless it was received after ``stale``."""

    now: datetime
    stale: datetime


def load(
    connection: psycopg.Connection, catalogue: Catalogue, times: Times, counts: Counter[str]
) -> set[str]:
    """Insert unknown rows of tracks and artists, and complete known ones.

    Artists and then shards are written in transactions of their own: the more rows, the more
    transactions. Where none of the rows is new, nothing is locked.

    Args:
        catalogue: if all tracks are of one shard, no other is locked.
        counts: new rows by name are added to it, also those from before an error.

    Returns:
        The ids of new tracks: what is to be fetched of them and of their artists is queued.

    Raises:
        LoadIncomplete: rows were not in their table after their load. What was loaded before stays.
        psycopg.Error: the server's own; likewise.
    """
    versions, found = _look_up(connection, catalogue)
    seen = _Seen(replace(catalogue, artists={}), versions, found.news)
    for start in range(0, len(found.artists), _ARTISTS_AT_ONCE):
        some = found.artists[start : start + _ARTISTS_AT_ONCE]
        new_artists = _load_artists(connection, some, times)
        seen.queued_artists |= new_artists
        counts["artists"] += len(new_artists)
    left = sorted(found.news)
    new_tracks: set[str] = set()
    while left:
        written = _write_some(connection, left, seen, times)
        counts.update(written.counts)
        new_tracks |= written.new_tracks
        left = [shard for shard in left if shard not in written.shards]
    return new_tracks


def plan_by_key(connection: psycopg.Connection) -> None:
    """Have rows looked up by key until the end of the transaction, however small tables seem."""
    connection.execute(_SQL["plan_by_key"])


def load_popularity(connection: psycopg.Connection, rows: Collection[Popularity]) -> None:
    """Load the popularity of tracks that exist; needs the locks of their shards.

    Raises:
        LoadIncomplete: rows were not in the table after their load.
        psycopg.Error: the server's own.
    """
    stored = existing(connection, [row.id for row in rows])
    observed = [row for row in rows if row.id in stored]
    _store_popularity(connection, compare_popularity(connection, observed, stored))


def fill_durations(connection: psycopg.Connection, ids: Collection[str]) -> None:
    """Give these tracks the length that exports suggest, where Spotify has given none.

    Needs the locks of their shards.
    """
    if ids:
        connection.execute(_SQL["fill_durations"], {"ids": list(ids)})


@dataclass(slots=True)
class _Seen:
    """The ``news`` of a catalogue by shard, looked up when the shards had these ``versions``.

    Its artists are written before; ``queued_artists`` are in the enrichment queue by now.
    """

    catalogue: Catalogue
    versions: dict[int, int]
    news: dict[int, News]
    queued_artists: set[str] = field(default_factory=set)

    @property
    def rows_of_shard(self) -> float:
        """How many rows of news a shard has on average."""
        return sum(map(len, self.news.values())) / max(1, len(self.news))


class _Written(NamedTuple):
    """What a transaction wrote: ``counts`` are those of new rows by name."""

    shards: Collection[int]
    new_tracks: set[str]
    counts: Counter[str]


def _look_up(connection: psycopg.Connection, catalogue: Catalogue) -> tuple[dict[int, int], Found]:
    """Return the versions of shards and, looked up after them, the news of a catalogue."""
    if not catalogue.tracks:
        return {}, Found({}, [])
    with connection.transaction():
        plan_by_key(connection)
        return shard_versions(connection), look_up(connection, catalogue)


@retried
def _load_artists(
    connection: psycopg.Connection, rows: Collection[Artist], times: Times
) -> set[str]:
    """Write artists, in one transaction; return those who are new, queued by then."""
    with connection.transaction():
        plan_by_key(connection)
        new = artists.merge(connection, rows)
        enrichment_queue.enqueue(connection, [("artist", id_) for id_ in new], *times)
    return new


@retried
def _write_some(
    connection: psycopg.Connection, shards: Sequence[int], seen: _Seen, times: Times
) -> _Written:
    """Write some shards in one transaction."""
    with connection.transaction():
        plan_by_key(connection)
        locked = lock_some_shards(connection, shards, seen.rows_of_shard)
        changed = {
            shard for shard, version in locked.items() if version != seen.versions[shard] + 1
        }
        news = _together(seen.news[shard] for shard in locked.keys() - changed)
        if changed:
            news.add(_look_up_again(connection, changed, seen))
        counts = _write(connection, news)
        to_fetch = _to_fetch(connection, news, times.stale, seen.queued_artists)
        enrichment_queue.enqueue(connection, to_fetch, *times)
    return _Written(locked.keys(), {row[0] for row in news.new["tracks"]}, counts)


def _look_up_again(connection: psycopg.Connection, shards: Collection[int], seen: _Seen) -> News:
    """Return the news of locked shards that others have changed since they were looked up.

    A track that was new and is still not stored has no rows: what was found of it holds.
    """
    news = _together(seen.news[shard] for shard in shards)
    new = {row[0] for row in news.new["tracks"]}
    new -= existing(connection, new)
    others = {id_ for id_ in seen.catalogue.tracks if shard_of(id_) in shards} - new
    again = look_up(connection, select_tracks(seen.catalogue, others)).news
    return _together([news.of_new_tracks(new), *again.values()])


def _together(parts: Iterable[News]) -> News:
    """Return the news of several shards as one."""
    news = News()
    for part in parts:
        news.add(part)
    return news


def _write(connection: psycopg.Connection, news: News) -> Counter[str]:
    """Write the news of locked shards; return the counts of new rows by name."""
    counts: Counter[str] = Counter()
    for name, table in TABLES.items():
        new = sorted(news.new[name])
        _execute_with_columns(connection, f"change_{name}", table.columns, news.changed[name])
        counts[name] = copy(connection, table.name, table.columns, new)
        if name == "tracks":
            fill_durations(connection, [row[0] for row in new if not row[2]])
    counts["track_popularity"] = _store_popularity(connection, news.popularity)
    _execute_with_columns(connection, "upsert_forms", ("id", "form"), sorted(news.forms.items()))
    return counts


def _to_fetch(
    connection: psycopg.Connection, news: News, stale: datetime, queued_artists: Collection[str]
) -> list[enrichment_queue.Key]:
    """Return what new tracks lack, what of them is stale, and their artists of whom it is."""
    new = {row[0] for row in news.new["tracks"]}
    fresh = {row.id for row in news.popularity.new if row.date > stale}
    tracks = (new - fresh).union(news.incomplete)
    artists = {row[1] for row in news.new["artist_tracks"]}.difference(queued_artists)
    return [
        *(("features", id_) for id_ in new),
        *(("track", id_) for id_ in tracks),
        *(("artist", id_) for id_ in enrichment_queue.stale_artists(connection, artists, stale)),
    ]


def _store_popularity(connection: psycopg.Connection, compared: Comparison) -> int:
    """Write the rows of a comparison; return how many are new."""
    columns = popularity.Moved._fields
    _execute_with_columns(connection, "move_popularity", columns, compared.moved)
    for row in compared.following:
        _execute_with_columns(connection, "move_popularity", columns, [row])
    return copy(connection, "TrackPopularity", Popularity._fields, sorted(compared.new))


def _execute_with_columns(
    connection: psycopg.Connection, name: str, columns: Sequence[str], rows: Sequence[Row]
) -> None:
    """Execute a statement with one list of values a column."""
    if rows:
        values = map(list, zip(*rows, strict=True))
        connection.execute(_SQL[name], dict(zip(columns, values, strict=True)))
