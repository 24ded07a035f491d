"""Plays that an export told first, and that the API tells now: one play, at the API's time.

plays of an answer ──▶ streams near them that were made plays ──▶ pairs ──▶ the API's replaces ours
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

import psycopg

from songswap.models import Play
from songswap.transform.exports.intervals import StreamInterval, in_order
from songswap.transform.exports.name_matching import NameLookup, match_by_names
from songswap.transform.exports.outcomes import Outcome
from songswap.warehouse.exports.tracks import names
from songswap.warehouse.sql import statements


class _Near(NamedTuple):
    """A stream near plays that are told now."""

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
    def may_be_told(self) -> bool:
        """Whether its play was made of it, or waits for its track to be told."""
        waits = self.outcome == Outcome.UNIDENTIFIED and self.to_the_minute
        return waits or self.outcome == Outcome.LOADED


def merge(
    connection: psycopg.Connection, plays: Callable[[], Iterable[Play]], spans: dict[str, list[Any]]
) -> tuple[set[tuple[int, datetime]], set[tuple[int, datetime]]]:
    """Take away the plays that were made of streams which ``plays`` are.

    Args:
        plays: gives those that the API tells and that are not known at their times; is called where
            streams are near.
        spans: whose they are, and the times of which the API speaks: users, oldest, newest.

    Returns:
        The keys in "History" (user, time) of those of ``plays`` that replace others, and of these
        others, which are gone now.
    """
    sql = statements("exports/streams.sql")
    near: defaultdict[int, list[_Near]] = defaultdict(list)
    for row in connection.execute(sql["near"], spans):
        near[row[0]].append(_Near(*row))
    if not near:
        return set(), set()
    told: defaultdict[int, list[Play]] = defaultdict(list)
    for play in plays():
        told[play.user_id].append(play)
    named = partial(names, connection)
    pairs = [one for user_id, of in told.items() for one in _pairs(of, near[user_id], named)]
    if pairs:
        about = {
            "users": [play.user_id for play, _ in pairs],
            "told": [play.played_at for play, _ in pairs],
            "track_ids": [play.track_id for play, _ in pairs],
            "ended_at": [stream.ended_at for _, stream in pairs],
            "ms_played": [stream.ms_played for _, stream in pairs],
            "places": [stream.place for _, stream in pairs],
            "held": [stream.played_at for _, stream in pairs],
        }
        connection.execute(sql["merge"], about)
        connection.execute(sql["delete_plays"], about)
    return (
        {play[:2] for play, stream in pairs if stream.played_at},
        {(stream.user_id, stream.played_at) for _, stream in pairs if stream.played_at},
    )


def _pairs(
    plays: list[Play], near: Collection[_Near], names: NameLookup
) -> list[tuple[Play, _Near]]:
    ordered = sorted(near, key=lambda one: one.ended_at)
    # The end of the one before is looked for among all; only those made plays are paired.
    heard = in_order(map(StreamInterval.of, ordered))
    candidates = [place for place, one in enumerate(ordered) if one.may_be_told]
    found = match_by_names(
        [(play.played_at, play.track_id) for play in plays],
        [heard[place] for place in candidates],
        [(ordered[place].track_name, ordered[place].artist_name) for place in candidates],
        names,
    )
    return [(plays[play], ordered[candidates[stream]]) for stream, play in found.items()]
