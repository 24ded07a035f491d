"""Rows of classified streams and their plays as they are copied, and streams of stored rows."""

from collections.abc import Collection, Iterable
from functools import lru_cache
from operator import attrgetter
from typing import Any

import psycopg

from songswap.models import Play, Stream
from songswap.transform.exports.deduplicate import number_repeats
from songswap.transform.exports.outcomes import ClassifiedStream, Outcome
from songswap.warehouse.copying import NULL, copy_lines, text, time

_COLUMNS = (
    *("user_id", "ended_at", "ms_played", "place", "played_at", "track_id"),
    *("track_name", "artist_name", "reported_at"),
    *("outcome", "to_the_minute", "shuffle", "skipped", "offline", "incognito"),
    *("reason_start", "reason_end", "platform", "country"),
)

_NOTHING = f"{NULL}\t{NULL}\t{NULL}"
"""The third line of columns, in most rows: an identified track has its names elsewhere."""


def copy_streams(
    connection: psycopg.Connection, user_id: int, streams: Collection[ClassifiedStream]
) -> None:
    """Copy new rows of ``songswap.streams``; raises as `songswap.warehouse.copying.copy`."""
    lines = (_line_of(user_id, row) for row in streams)
    copy_lines(connection, "songswap.streams", _COLUMNS, lines, len(streams))


def copy_plays(connection: psycopg.Connection, plays: Collection[Play]) -> None:
    """Copy new rows of "History"; raises as `copy_streams`."""
    lines = (f"{user_id}\t{time(at)}\t{text(track_id)}\n" for user_id, at, track_id in plays)
    copy_lines(connection, "History", Play._fields, lines, len(plays))


def _line_of(user_id: int, classified: ClassifiedStream) -> str:
    stream, place, outcome, played_at = classified
    ended = time(stream.ended_at)
    if played_at is None:
        played = NULL
    else:
        played = ended if played_at is stream.ended_at else time(played_at)
    extra = _NOTHING
    if stream.track_id is None or stream.to_the_minute or stream.reported_at:
        extra = _extra(stream)
    heard = _heard(
        outcome,
        stream.to_the_minute,
        stream.shuffle,
        stream.skipped,
        stream.offline,
        stream.incognito,
        stream.reason_start,
        stream.reason_end,
        stream.platform,
        stream.country,
    )
    return (
        f"{user_id}\t{ended}\t{stream.ms_played}\t{place}\t{played}\t{text(stream.track_id)}"
        f"\t{extra}\t{heard}\n"
    )


def _extra(stream: Stream) -> str:
    """Return the names of a stream that came without an id, and its own time where it has one."""
    names = NULL, NULL
    if stream.track_id is None or stream.to_the_minute:
        names = text(stream.track_name), text(stream.artist_name)
    return "\t".join((*names, time(stream.reported_at) if stream.reported_at else NULL))


@lru_cache(4_096)
def _heard(outcome: Outcome, *values: bool | str | None) -> str:
    """Return what a stream is and how it was heard, which is the same for many."""
    texts = (str(value) if isinstance(value, bool) else text(value) for value in values)
    return "\t".join((outcome, *texts))


def from_rows(rows: Iterable[tuple[Any, ...]]) -> list[ClassifiedStream]:
    """Return the streams of rows of the statement ``stored_streams``."""
    stored = [_from_row(row) for row in rows]
    exact = [row for row in stored if not row.stream.to_the_minute]
    # Rows of account data can be equal: the table has them in the order of `number_repeats`.
    rough = sorted((row for row in stored if row.stream.to_the_minute), key=attrgetter("place"))
    numbered = number_repeats(row.stream for row in rough)
    rough = [row._replace(stream=stream) for row, stream in zip(rough, numbered, strict=True)]
    return exact + rough


def _from_row(row: tuple[Any, ...]) -> ClassifiedStream:
    ended_at, ms_played, track_id, name, artist, incognito, platform, to_the_minute, *rest = row
    place, outcome, played_at, reported_at = rest
    stream = Stream(
        ended_at,
        ms_played,
        track_id,
        name,
        artist,
        incognito=incognito,
        platform=platform,
        to_the_minute=to_the_minute,
        reported_at=reported_at,
    )
    return ClassifiedStream(stream, place, Outcome(outcome), played_at)
