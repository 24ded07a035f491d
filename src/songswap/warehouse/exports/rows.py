"""Rows of ``songswap.streams``, to classified streams and back."""

from collections.abc import Iterable
from operator import attrgetter
from typing import Any

from songswap.models import Stream
from songswap.transform.exports.deduplicate import number_repeats
from songswap.transform.exports.outcomes import ClassifiedStream, Outcome

COLUMNS = (
    "user_id",
    "ended_at",
    "ms_played",
    "place",
    "played_at",
    "outcome",
    "to_the_minute",
    "track_id",
    "shuffle",
    "skipped",
    "offline",
    "incognito",
    "reason_start",
    "reason_end",
    "platform",
    "country",
    "track_name",
    "artist_name",
    "reported_at",
)
"""The columns of `to_row`."""


def to_row(user_id: int, classified: ClassifiedStream) -> tuple[Any, ...]:
    """Return a row of ``songswap.streams``."""
    stream, place, outcome, played_at = classified
    return (
        user_id,
        stream.ended_at,
        stream.ms_played,
        place,
        played_at,
        outcome.value,
        stream.to_the_minute,
        stream.track_id,
        stream.shuffle,
        stream.skipped,
        stream.offline,
        stream.incognito,
        stream.reason_start,
        stream.reason_end,
        stream.platform,
        stream.country,
        *_names(stream),
        stream.reported_at,
    )


def _names(stream: Stream) -> tuple[str | None, str | None]:
    """Return the names of a stream that came without an id; others' are stored by the id."""
    if stream.track_id is None or stream.to_the_minute:
        return stream.track_name, stream.artist_name
    return None, None


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
