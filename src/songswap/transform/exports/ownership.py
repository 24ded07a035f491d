"""Compare an export with the user's plays, to find out whose it is."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from songswap.models import Stream
from songswap.transform.exports.matching import Play

_AN_HOUR = timedelta(hours=1)

_ENOUGH_PLAYS = 20
"""Fewer plays do not show whose export it is."""


def share_found(streams: Iterable[Stream], plays: Sequence[Play]) -> float | None:
    """Return the share of plays that have a stream of their track within an hour.

    It is large if the export is that user's; None where there are too few plays to decide.

    Args:
        plays: what the API returned of the user.
    """
    if len(plays) < _ENOUGH_PLAYS:
        return None
    ends: defaultdict[str, list[datetime]] = defaultdict(list)
    for stream in streams:
        ends[stream.track_id or ""].append(stream.ended_at)
    for of_track in ends.values():
        of_track.sort()
    found = 0
    for played_at, track_id in plays:
        of_track = ends.get(track_id, [])
        first = bisect_left(of_track, played_at - _AN_HOUR)
        found += first < len(of_track) and of_track[first] <= played_at + _AN_HOUR
    return found / len(plays)
