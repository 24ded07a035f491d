"""The tracks of exports: ids found by names, and what exports say of tracks."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

import psycopg

from songswap.models import DataFix, Stream, Track
from songswap.transform.exports.name_matching import TrackNames, names_of
from songswap.transform.track import TRACK_NAME, fit
from songswap.warehouse import catalogue, enrichment
from songswap.warehouse.copying import copy
from songswap.warehouse.sql import statements

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


def store_names(connection: psycopg.Connection, streams: Iterable[Stream]) -> None:
    """Store what an export says of tracks: their names, and an estimate of their length.

    No export has the length. A track heard to its end was played for its length, less what was
    skipped within it, so the longest such time is the best estimate.
    """
    names: dict[str, tuple[str, str, str]] = {}
    durations: Counter[str] = Counter()
    for stream in streams:
        if stream.track_id and stream.track_name:
            found = stream.track_name, stream.artist_name or "", stream.album_name or ""
            names[stream.track_id] = max(found, names.get(stream.track_id, found))
            if stream.reason_end == _TO_ITS_END and not stream.to_the_minute:
                durations[stream.track_id] = max(durations[stream.track_id], stream.ms_played)
    params = {
        "ids": list(names),
        "names": [name for name, _, _ in names.values()],
        "artists": [artist for _, artist, _ in names.values()],
        "albums": [album for _, _, album in names.values()],
        "durations": [durations[track_id] for track_id in names],
    }
    connection.execute(_SQL["upsert_names"], params)


def load_tracks(
    connection: psycopg.Connection, streams: Iterable[Stream], now: datetime
) -> Counter[str]:
    """Insert tracks that are only known from an export, and queue them for enrichment.

    Returns:
        The new rows: tracks, data_fixes.
    """
    streams_by_id = {stream.track_id: stream for stream in streams if stream.track_id}
    missing = sorted(streams_by_id.keys() - catalogue.existing(connection, streams_by_id))
    fixes: set[DataFix] = set()
    tracks = [
        # `catalogue.fill_durations` fills in the length.
        Track(id_, fit(streams_by_id[id_].track_name or "", TRACK_NAME, "track", id_, fixes), 0)
        for id_ in missing
    ]
    inserted = copy(connection, "Tracks", Track._fields, tracks)
    fixed = catalogue.store_fixes(connection, fixes, now)
    enrichment.enqueue(connection, missing, incomplete=missing, artists=(), now=now, stale=now)
    return Counter(tracks=inserted, data_fixes=fixed)
