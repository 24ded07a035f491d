"""Merge plays of the API with plays that an export brought first: one play, at the API's time.

plays of responses ──▶ streams near them ──▶ pairs ──▶ the API's play replaces the export's
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from functools import partial
from operator import attrgetter
from typing import Any, NamedTuple

import psycopg

from songswap.models import Play
from songswap.transform.exports.intervals import StreamInterval, in_order
from songswap.transform.exports.name_matching import NameLookup, match_by_names
from songswap.transform.exports.outcomes import Outcome
from songswap.warehouse.exports.tracks import track_names
from songswap.warehouse.sql import statements

Key = tuple[int, datetime]
"""The key of a row of "History": user id and time."""

_SQL = statements("exports/streams.sql")


class NearStream(NamedTuple):
    """A stored stream near plays of the API; see the statement ``near_streams``."""

    user_id: int
    ended_at: datetime
    ms_played: int
    place: int
    track_id: str | None
    to_the_minute: bool
    played_at: datetime | None
    outcome: str
    platform: str | None
    track_name: str
    artist_name: str
    reported_at: datetime | None

    @property
    def may_be_merged(self) -> bool:
        """Whether the stream is a play, or waits for its track to be identified."""
        waits = self.outcome == Outcome.UNIDENTIFIED and self.to_the_minute
        return waits or self.outcome == Outcome.LOADED


class Merged(NamedTuple):
    """Keys of the API's ``plays`` that replace others, and of the ``replaced`` plays."""

    plays: set[Key]
    replaced: set[Key]


def near_streams(
    connection: psycopg.Connection, spans: Mapping[str, list[Any]]
) -> dict[int, list[NearStream]]:
    """Return the streams of users near the times of responses, by user id.

    Args:
        spans: one list each of users, oldest and newest: the time that a response covers.
    """
    streams: defaultdict[int, list[NearStream]] = defaultdict(list)
    for row in connection.execute(_SQL["near_streams"], spans):
        stream = NearStream(*row)
        streams[stream.user_id].append(stream)
    return streams


def merge(
    connection: psycopg.Connection,
    plays: Iterable[Play],
    streams: Mapping[int, Collection[NearStream]],
) -> Merged:
    """Delete the plays of streams that the API returns too, and mark these streams as merged.

    Args:
        plays: of the API, at times that "History" does not have.
        streams: those near them, by user id.
    """
    plays_by_user: defaultdict[int, list[Play]] = defaultdict(list)
    for play in plays:
        if play.user_id in streams:
            plays_by_user[play.user_id].append(play)
    names = partial(track_names, connection)
    pairs = [
        pair
        for user_id, of_user in plays_by_user.items()
        for pair in _pairs(of_user, streams[user_id], names)
    ]
    replaced = {(row.user_id, row.played_at) for _, row in pairs if row.played_at}
    if pairs:
        _mark_merged(connection, pairs)
        users, times = [user_id for user_id, _ in replaced], [at for _, at in replaced]
        connection.execute(_SQL["delete_plays"], {"users": users, "played_at": times})
    return Merged({play[:2] for play, row in pairs if row.played_at}, replaced)


def _pairs(
    plays: list[Play], streams: Collection[NearStream], names: NameLookup
) -> list[tuple[Play, NearStream]]:
    ordered = sorted(streams, key=attrgetter("ended_at"))
    # All streams bound the times of their neighbours; only some can be paired.
    intervals = in_order(map(StreamInterval.of, ordered))
    candidates = [place for place, stream in enumerate(ordered) if stream.may_be_merged]
    found = match_by_names(
        [(play.played_at, play.track_id) for play in plays],
        [intervals[place] for place in candidates],
        [(ordered[place].track_name, ordered[place].artist_name) for place in candidates],
        names,
    )
    return [(plays[play], ordered[candidates[stream]]) for stream, play in found.items()]


def _mark_merged(
    connection: psycopg.Connection, pairs: Collection[tuple[Play, NearStream]]
) -> None:
    params = {
        "users": [play.user_id for play, _ in pairs],
        "played_at": [play.played_at for play, _ in pairs],
        "track_ids": [play.track_id for play, _ in pairs],
        "ended_at": [stream.ended_at for _, stream in pairs],
        "ms_played": [stream.ms_played for _, stream in pairs],
        "places": [stream.place for _, stream in pairs],
    }
    connection.execute(_SQL["mark_merged"], params)
