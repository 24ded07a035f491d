"""The tracks of exports: ids found by names, and what exports say of tracks."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import psycopg

from songswap.models import DataFix, ExportTrack, Stream
from songswap.transform.exports.name_matching import TrackNames, names_of
from songswap.transform.track import TRACK_NAME, fit
from songswap.warehouse import data_fixes, enrichment_queue
from songswap.warehouse.catalogue import fill_durations, plan_by_key
from songswap.warehouse.catalogue_lookup import existing
from songswap.warehouse.copying import require_all
from songswap.warehouse.locks import lock_some_shards, shard_of
from songswap.warehouse.retry import retried
from songswap.warehouse.sql import scalar, statements

_TO_ITS_END = "trackdone"
"""``reason_end`` of a stream that was heard to the end of its track."""

_SQL = statements("exports/streams.sql")


def identify(
    connection: psycopg.Connection, user_id: int, streams: Sequence[Stream]
) -> list[Stream]:
    """Give streams of account data the id of the only track that has their names.

    Of several such tracks, it is the only one that the user has played.
    """
    unknown = sorted({names_of(stream) for stream in streams if _has_names_alone(stream)})
    if not unknown:
        return list(streams)
    plays: defaultdict[TrackNames, dict[str, int]] = defaultdict(dict)
    for stream in streams:
        if stream.track_id:
            plays[names_of(stream)][stream.track_id] = 1
    names, artists = map(list, zip(*unknown, strict=True))
    params = {"user_id": user_id, "names": names, "artists": artists}
    for name, artist, track_id, played in connection.execute(_SQL["identify"], params):
        plays[name, artist].setdefault(track_id, played)
    return [
        stream._replace(track_id=_only(plays[names_of(stream)]))
        if _has_names_alone(stream)
        else stream
        for stream in streams
    ]


def _has_names_alone(stream: Stream) -> bool:
    return stream.to_the_minute and bool(stream.track_name)


def _only(plays: dict[str, int]) -> str | None:
    """Return the only track of these, or the only one with plays."""
    found = list(plays)
    if len(found) > 1:
        found = [track_id for track_id, played in plays.items() if played]
    return found[0] if len(found) == 1 else None


def track_names(connection: psycopg.Connection, ids: Sequence[str]) -> dict[str, TrackNames]:
    """Return the names of tracks and of their primary artists, by track id."""
    rows = connection.execute(_SQL["track_names"], {"ids": list(ids)})
    return {track_id: (name, artist) for track_id, name, artist in rows}


def store_tracks(
    connection: psycopg.Connection,
    descriptions: Collection[ExportTrack],
    heard: Mapping[str, str],
    now: datetime,
    counts: Counter[str],
) -> None:
    """Store what an export says of tracks: some shards at a time, in a transaction of their own.

    It is right whether or not the streams follow. Tracks that only exports name are inserted where
    they were heard, and queued for enrichment. Where nothing is new, nothing is locked.

    Args:
        heard: the names of tracks that were played, by id.
        counts: the new rows are added to it: tracks, data_fixes.
    """
    shards: defaultdict[int, list[ExportTrack]] = defaultdict(list)
    with connection.transaction():
        plan_by_key(connection)
        params = _params(descriptions) | {"heard": [row.id in heard for row in descriptions]}
        news = {id_ for (id_,) in connection.execute(_SQL["tracks_with_news"], params)}
    for row in descriptions:
        if row.id in news:
            shards[shard_of(row.id)].append(row)
    while shards:
        stored, new = _store_some(connection, shards, heard, now)
        counts.update(new)
        for shard in stored:
            del shards[shard]


def descriptions(streams: Iterable[Stream]) -> list[ExportTrack]:
    """Return what streams say of their tracks: the largest names, and an estimate of the length.

    No export has the length. A track heard to its end was played for its length, less what was
    skipped within it, so the longest such time is the best estimate.
    """
    longest: dict[tuple[str, str | None, str | None, str | None], int] = {}
    for stream in streams:
        if stream.track_id:
            said = stream.track_id, stream.track_name, stream.artist_name, stream.album_name
            heard_whole = stream.reason_end == _TO_ITS_END and not stream.to_the_minute
            duration_ms = stream.ms_played if heard_whole else 0
            if duration_ms >= longest.get(said, 0):
                longest[said] = duration_ms
    rows: dict[str, ExportTrack] = {}
    for (track_id, name, artist, album), duration_ms in longest.items():
        row = rows.setdefault(track_id, ExportTrack(track_id))
        if name:
            names = max((name, artist or "", album or ""), (row.name or "", row.artist, row.album))
            rows[track_id] = ExportTrack(track_id, *names, max(row.duration_ms, duration_ms))
    return list(rows.values())


def undescribed(
    connection: psycopg.Connection, described: Sequence[ExportTrack], streams: Iterable[Stream]
) -> list[ExportTrack]:
    """Return what a hand-over says of tracks of which Spotify has not said all here.

    It says what Spotify calls a track. Rows of account data find their track by the names of
    exports, so where an export has named a track, here or in the hand-over, that name stays.

    Args:
        streams: of the hand-over.
    """
    params = {"ids": [row.id for row in described]}
    stored = {id_: names for id_, *names in connection.execute(_SQL["undescribed"], params)}
    named = {row.id: row for row in descriptions(streams) if row.name}
    rows = []
    for row in described:
        if row.id in stored:
            name, artist, album = stored[row.id]
            by_export = named.get(row.id, row)
            if name is not None:
                by_export = ExportTrack(row.id, name, artist, album)
            rows.append(by_export._replace(duration_ms=row.duration_ms))
    return rows


@retried
def _store_some(
    connection: psycopg.Connection,
    shards: Mapping[int, Sequence[ExportTrack]],
    heard: Mapping[str, str],
    now: datetime,
) -> tuple[Collection[int], Counter[str]]:
    """Store the tracks of some shards; return which, and the counts of new rows."""
    rows_of_shard = sum(map(len, shards.values())) / len(shards)
    with connection.transaction():
        locked = lock_some_shards(connection, sorted(shards), rows_of_shard).keys()
        plan_by_key(connection)
        rows = [row for shard in locked for row in shards[shard]]
        return locked, _store_locked(connection, rows, heard, now)


def _store_locked(
    connection: psycopg.Connection,
    rows: Collection[ExportTrack],
    heard: Mapping[str, str],
    now: datetime,
) -> Counter[str]:
    """Store tracks of locked shards; return the counts of new rows."""
    ids = [row.id for row in rows]
    fixes: set[DataFix] = set()
    connection.execute(_SQL["upsert_names"], _params([row for row in rows if row.name]))
    missing = sorted(heard.keys() & set(ids) - existing(connection, ids))
    names = [fit(heard[id_], TRACK_NAME, "track", id_, fixes) for id_ in missing]
    inserted = scalar(connection.execute(_SQL["insert_tracks"], {"ids": missing, "names": names}))
    require_all(inserted, len(missing), "Tracks")
    fill_durations(connection, set(ids).difference(missing))
    fixed = data_fixes.store(connection, [(fix, now) for fix in fixes])
    queued = [(kind, id_) for kind in ("features", "track") for id_ in missing]
    enrichment_queue.enqueue(connection, queued, now, stale=now)
    return Counter(tracks=len(missing), data_fixes=fixed)


def _params(rows: Collection[ExportTrack]) -> dict[str, list[Any]]:
    return {
        "ids": [row.id for row in rows],
        "names": [row.name for row in rows],
        "artists": [row.artist for row in rows],
        "albums": [row.album for row in rows],
        "durations": [row.duration_ms for row in rows],
    }
