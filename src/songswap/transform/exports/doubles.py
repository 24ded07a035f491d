"""Leave out rows of an export that are one play twice, with other seconds or another length.

Public exports hold such rows: a track twice with lengths 1 ms apart, or with ends 3 s apart. One
platform plays one thing at a time, so two streams of a track on it that overlap are one play.
"""

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Sequence
from datetime import datetime, timedelta
from operator import attrgetter
from typing import NamedTuple

from songswap.models import Stream
from songswap.transform.exports.intervals import SLACK

_NONE = timedelta()
_MINUTE = timedelta(minutes=1)
_MS = timedelta(milliseconds=1)


class _Candidate(NamedTuple):
    """A stream, and its position among the new ones; None where it is a stored play."""

    stream: Stream
    position: int | None
    started_at: datetime


class Double(NamedTuple):
    """A stream that is left out, the one that stays, and whether that is a stored play."""

    stream: Stream
    of: Stream
    is_stored: bool


def without_doubles(
    streams: Sequence[Stream], candidates: Iterable[int], plays: Iterable[Stream]
) -> tuple[list[Stream], list[Double]]:
    """Leave out streams that are the same play as another one; the longest stays.

    Args:
        candidates: the positions in ``streams`` of those that would be plays.
        plays: stored streams that are plays: they stay.

    Returns:
        The streams that stay, and the others.
    """
    positions, stored = list(candidates), list(plays)
    items = _overlapping([*map(streams.__getitem__, positions), *stored])
    if not items:
        return list(streams), []
    groups: defaultdict[Hashable, list[_Candidate]] = defaultdict(list)
    for position in positions:
        stream = streams[position]
        if (item := _item(stream)) in items:
            groups[item].append(_Candidate(stream, position, stream.started_at))
    for stream in stored:
        group = groups.get(_item(stream))
        if group:
            group.append(_Candidate(stream, None, stream.started_at))
    left_out: dict[int, Double] = {}
    for group in groups.values():
        _find_doubles(group, left_out)
    left = [stream for position, stream in enumerate(streams) if position not in left_out]
    return left, list(left_out.values())


def _overlapping(streams: Sequence[Stream]) -> set[Hashable]:
    """Return the items of streams that overlap an earlier one of their platform.

    Only these can have doubles: whatever overlaps an earlier stream of its own track by more than
    streams in a row can, overlaps the one that ended last by at least as much.
    """
    shortest = min((stream.ms_played for stream in streams), default=0)
    least_ms = min(SLACK / _MS, shortest / 2)
    items: set[Hashable] = set()
    ends: dict[str | None, datetime] = {}
    for stream in sorted(streams, key=attrgetter("ended_at")):
        end = ends.get(stream.platform)
        ends[stream.platform] = stream.ended_at
        if end is not None:
            since_ms = (stream.ended_at - end).total_seconds() * 1000
            if since_ms + least_ms < stream.ms_played:
                items.add(_item(stream))
    return items


def _find_doubles(group: Collection[_Candidate], left_out: dict[int, Double]) -> None:
    """Add the doubles among streams of one track on one platform to ``left_out``."""
    ordered = sorted(group, key=attrgetter("started_at"))
    same = [ordered[0]]
    for later in ordered[1:]:
        if _is_same(same[0].stream, later):
            stays, other = _stays_first(same[0], later)
            same = [stays, *same[1:], other]
        else:
            _leave_out(same, left_out)
            same = [later]
    _leave_out(same, left_out)


def _leave_out(same: Sequence[_Candidate], left_out: dict[int, Double]) -> None:
    """Leave out all streams of one play but the first."""
    stays, *others = same
    for other in others:
        if other.position is not None:
            is_stored = stays.position is None
            left_out[other.position] = Double(other.stream, stays.stream, is_stored)


def _stays_first(first: _Candidate, second: _Candidate) -> tuple[_Candidate, _Candidate]:
    """Return the stream that stays, then the other."""
    if second.position is None:
        return second, first
    if first.position is not None and second.stream.ms_played > first.stream.ms_played:
        return second, first
    return first, second


def _item(stream: Stream) -> Hashable:
    """Return what is equal in two rows of one play."""
    track_id = None if stream.to_the_minute else stream.track_id
    item = track_id or (stream.track_name, stream.artist_name)
    return item, stream.platform, stream.to_the_minute


def _is_same(first: Stream, later: _Candidate) -> bool:
    """Return whether two streams of a track overlap by more than streams in a row can.

    Two plays that were handed over together are two, however near.
    """
    if first.played_at and later.stream.played_at:
        return False
    overlap = min(first.ended_at, later.stream.ended_at) - later.started_at
    if overlap <= _NONE:
        return False
    if first.to_the_minute:
        # One may have ended when its minute began, the other when it was over.
        overlap -= _MINUTE
    return overlap > min(SLACK, min(first.ms_played, later.stream.ms_played) * _MS / 2)
