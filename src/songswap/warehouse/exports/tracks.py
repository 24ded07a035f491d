"""The tracks of exports: what is known of them by names, and what exports tell of them."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

import psycopg

from songswap.models import DataFix, Stream, Track
from songswap.transform.exports.name_matching import names_of
from songswap.transform.track import TRACK_NAME, fit
from songswap.warehouse.copying import copy
from songswap.warehouse.sql import statements

_TO_ITS_END = "trackdone"
"""Why a stream ended that was heard to the end of its track."""


def identified(
    connection: psycopg.Connection, user_id: int, streams: Sequence[Stream]
) -> list[Stream]:
    """Streams; those without an id get the one that their names have, if it is one alone.

    Of several, it is the one that the user is known to play, if that is one alone.
    """
    wanted = sorted({names_of(one) for one in streams if one.to_the_minute and one.track_name})
    if not wanted:
        return list(streams)
    candidates: defaultdict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for one in streams:
        if one.track_id:
            candidates[names_of(one)][one.track_id] = 1
    tracks, artists = zip(*wanted, strict=True)
    about = {"user_id": user_id, "names": list(tracks), "artists": list(artists)}
    for name, artist, track_id, played in connection.execute(
        statements("exports/streams.sql")["identify"], about
    ):
        candidates[name, artist].setdefault(track_id, played)
    return [
        one._replace(track_id=_only(candidates[names_of(one)]))
        if one.to_the_minute and one.track_name
        else one
        for one in streams
    ]


def _only(candidates: dict[str, int]) -> str | None:
    """The one track, or the one that is played."""
    found = list(candidates)
    if len(found) > 1:
        found = [track_id for track_id, played in candidates.items() if played]
    return found[0] if len(found) == 1 else None


def names(connection: psycopg.Connection, ids: Sequence[str]) -> dict[str, tuple[str, str]]:
    """The names of tracks and of their first artists."""
    rows = connection.execute(statements("exports/streams.sql")["names"], {"ids": list(ids)})
    return {track_id: (name, artist) for track_id, name, artist in rows}


def keep_names(connection: psycopg.Connection, streams: Iterable[Stream]) -> None:
    """Keep what an export says of tracks: their names, and how long they are.

    That no export says. Who heard a track to its end listened for its length, less what was skipped
    in it: so it is the longest such time.
    """
    of: dict[str, tuple[str, str, str]] = {}
    durations: Counter[str] = Counter()
    for one in streams:
        if one.track_id and one.track_name:
            told = one.track_name, one.artist_name or "", one.album_name or ""
            of[one.track_id] = max(told, of.get(one.track_id, told))
            if one.reason_end == _TO_ITS_END and not one.to_the_minute:
                durations[one.track_id] = max(durations[one.track_id], one.ms_played)
    columns = map(list, zip(*of.values(), strict=True)) if of else ([], [], [])
    about = dict(zip(("names", "artists", "albums"), columns, strict=True)) | {
        "ids": list(of),
        "durations": [durations[track_id] for track_id in of],
    }
    connection.execute(statements("exports/streams.sql")["insert_names"], about)


def load_tracks(
    connection: psycopg.Connection, streams: Iterable[Stream], now: datetime
) -> Counter[str]:
    """Load what an export knows of tracks that are not there, and want the rest of them."""
    sql = statements("plays.sql")
    heard = {one.track_id: one for one in streams if one.track_id}
    known = statements("catalogue.sql")["there"]
    rows = connection.execute(known, {"ids": sorted(heard)})
    missing = sorted(heard.keys() - {row[0] for row in rows})
    data_fixes: set[DataFix] = set()
    tracks = [
        # Its length is filled in, see `catalogue.fill_durations`.
        Track(one, fit(heard[one].track_name or "", TRACK_NAME, "track", one, data_fixes), 0)
        for one in missing
    ]
    counts = Counter({"tracks": copy(connection, "Tracks", Track._fields, tracks)})
    if data_fixes:
        kinds, of, fields, problems = map(list, zip(*sorted(data_fixes), strict=True))
        about = {"kinds": kinds, "ids": of, "fields": fields, "problems": problems, "now": now}
        counts["data_fixes"] = connection.execute(sql["insert_data_fixes"], about).rowcount
    wanted = {"heard": missing, "incomplete": missing, "stale": now, "now": now}
    for name in ("enqueue_features", "enqueue_tracks"):
        connection.execute(sql[name], wanted)
    return counts
