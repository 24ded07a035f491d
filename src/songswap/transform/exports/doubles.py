"""Rows of an export that are one play told twice, in other seconds or another length.

Public exports hold such rows: a track twice with lengths 1 ms apart, or with ends 3 s apart. One
platform plays one thing at a time, so two streams of a track on it that overlap are one play.
"""

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Sequence
from datetime import timedelta
from operator import attrgetter
from typing import NamedTuple

from songswap.models import Stream
from songswap.transform.exports.matching import SLACK

_MINUTE = timedelta(minutes=1)
_MS = timedelta(milliseconds=1)


class _Candidate(NamedTuple):
    """A stream, and its place among the new ones; None where it is a play already."""

    stream: Stream
    place: int | None

    @property
    def started_at(self) -> object:
        return self.stream.started_at


class Double(NamedTuple):
    """A stream that is left out, and the one that stays; None where that is a play already."""

    stream: Stream
    of: Stream | None


def without_doubles(
    streams: Sequence[Stream], counting: Iterable[int], plays: Iterable[Stream]
) -> tuple[list[Stream], list[Double]]:
    """Leave out streams that are one play with another one; of several the longest stays.

    Args:
        counting: the places in ``streams`` of those that would be plays.
        plays: streams that are plays already, of earlier imports: they stay.

    Returns:
        What is left of ``streams``, and what is not.
    """
    groups: defaultdict[Hashable, list[_Candidate]] = defaultdict(list)
    for place in counting:
        groups[_item(streams[place])].append(_Candidate(streams[place], place))
    for stream in plays:
        group = groups.get(_item(stream))
        if group:
            group.append(_Candidate(stream, None))
    left_out: dict[int, Double] = {}
    for group in groups.values():
        if len(group) > 1:
            _leave_out(group, left_out)
    left = [one for place, one in enumerate(streams) if place not in left_out]
    return left, list(left_out.values())


def _leave_out(group: Collection[_Candidate], left_out: dict[int, Double]) -> None:
    ordered = sorted(group, key=attrgetter("started_at"))
    same = [ordered[0]]
    for one in ordered[1:]:
        if _is_same(same[0].stream, one.stream):
            kept, other = _first(same[0], one)
            same = [kept, *same[1:], other]
        else:
            _add(same, left_out)
            same = [one]
    _add(same, left_out)


def _add(same: Sequence[_Candidate], left_out: dict[int, Double]) -> None:
    """Of streams that are one play, all but the first are left out."""
    kept = same[0]
    for other in same[1:]:
        if other.place is not None:
            of = None if kept.place is None else kept.stream
            left_out[other.place] = Double(other.stream, of)


def _first(one: _Candidate, other: _Candidate) -> tuple[_Candidate, _Candidate]:
    """The one that stays, then the other."""
    if other.place is None:
        return other, one
    if one.place is not None and other.stream.ms_played > one.stream.ms_played:
        return other, one
    return one, other


def _item(stream: Stream) -> Hashable:
    """What two rows of one play agree in."""
    told = None if stream.to_the_minute else stream.track_id
    item = told or (stream.track_name, stream.artist_name)
    return item, stream.platform, stream.to_the_minute


def _is_same(one: Stream, later: Stream) -> bool:
    """Whether two streams of a track overlap so that they cannot have followed each other."""
    overlap = min(one.ended_at, later.ended_at) - later.started_at
    if one.to_the_minute:
        # One may have ended when its minute began, the other when it was over.
        overlap -= _MINUTE
    return overlap > min(SLACK, min(one.ms_played, later.ms_played) * _MS / 2)
