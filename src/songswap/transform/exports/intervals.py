"""The time in which a stream of an export can have been played, with its pauses.

An export has a stream's end, and for how long it was listened to; pauses are not counted, so it may
have started before ``ended_at - ms_played``. The pauses lie in the time since the last stream on
the same platform ended, of whatever track. Of an offline phone the start is known, and the pauses
lie after the counted end, until the next stream on that platform began.
"""

from bisect import bisect_right
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

SLACK = timedelta(seconds=20)
"""How far streams that follow each other on a device may seem to overlap: crossfade takes 12 s, and
Spotify's own times differ by seconds."""

LONGEST_PAUSE = timedelta(hours=12)
"""How long a stream may have been paused in all."""

LONGEST_OFFLINE = timedelta(days=31)
"""Spotify requires a phone to be online once in 30 days."""

_MINUTE = timedelta(minutes=1)
_CLOSE = timedelta(seconds=5)
_NONE = timedelta(0)


class Timed(Protocol):
    """The part of a stream that is compared, whether it comes from a file or the warehouse."""

    @property
    def track_id(self) -> str | None: ...
    @property
    def ended_at(self) -> datetime: ...
    @property
    def ms_played(self) -> int: ...
    @property
    def to_the_minute(self) -> bool: ...
    @property
    def platform(self) -> str | None: ...
    @property
    def reported_at(self) -> datetime | None: ...


class StreamInterval(NamedTuple):
    """The part of a stream that is compared with plays.

    ``after`` is when the stream before it ended, None where there is none, see `in_order`. With
    ``to_the_minute`` the end lies within the minute that ``ended_at`` begins. With ``reported_at``
    the start is exact and the end lies before that time; ``until`` is then its latest end.
    ``is_crowded`` marks account data whose neighbours ended while it must have been playing: an
    offline phone reported them together, up to a month later.
    """

    track_id: str
    ended_at: datetime
    ms_played: int
    after: datetime | None = None
    to_the_minute: bool = False
    platform: str | None = None
    reported_at: datetime | None = None
    until: datetime | None = None
    is_crowded: bool = False

    @classmethod
    def of(cls, stream: Timed) -> "StreamInterval":
        """Take over a stream, without the bounds that its neighbours set."""
        return cls(
            stream.track_id or "",
            stream.ended_at,
            stream.ms_played,
            None,
            stream.to_the_minute,
            stream.platform,
            stream.reported_at,
        )

    @property
    def latest(self) -> datetime:
        """When it ended at the latest."""
        return self.until or self.ended_at + (_MINUTE if self.to_the_minute else _NONE)

    @property
    def started_at(self) -> datetime:
        """When it started, had it not been paused."""
        return self.ended_at - timedelta(milliseconds=self.ms_played)

    def earliest(self) -> datetime:
        """Return when it can have started, pauses included."""
        start = self.started_at
        longest = start - (LONGEST_OFFLINE if self.is_crowded else LONGEST_PAUSE)
        return min(start, longest if self.after is None else max(self.after, longest))

    def distances(self, played_at: datetime) -> tuple[timedelta, timedelta]:
        """Return how far a play's time lies from its end and from its start, or their minutes."""
        of_end, of_start = played_at - self.ended_at, played_at - self.started_at
        if self.to_the_minute:
            return _outside(of_end, _MINUTE), _outside(of_start, _MINUTE)
        if self.until:
            return _outside(of_end, self.until - self.ended_at), abs(of_start)
        return abs(of_end), abs(of_start)


def _outside(since: timedelta, length: timedelta) -> timedelta:
    """Return how far a time lies outside of a span; ``since`` counts from the span's beginning."""
    return max(-since, since - length, _NONE)


def in_order(streams: Iterable[StreamInterval]) -> list[StreamInterval]:
    """Sort streams by their ends and set ``after``, ``until`` and ``is_crowded``.

    ``after`` is the end of the last stream on the platform that had ended when this one began,
    without its pauses; where the start is known, it is the start.
    """
    ends: dict[str | None, list[datetime]] = {}
    ordered = []
    for stream in sorted(streams, key=_end):
        before = ends.setdefault(stream.platform, [])
        place = bisect_right(before, stream.started_at + _CLOSE)
        # Spotify's times differ by seconds: a stream that ended no earlier is not before this one.
        while place and before[place - 1] >= stream.ended_at:
            place -= 1
        before.append(stream.ended_at)
        if stream.reported_at:
            ordered.append(stream._replace(after=stream.started_at))
        else:
            ordered.append(stream._replace(after=before[place - 1]) if place else stream)
    _set_until(ordered)
    _set_crowded(ordered)
    return ordered


def _set_until(ordered: list[StreamInterval]) -> None:
    """Let streams with a known start end as late as the next start on their platform."""
    starts: dict[str | None, datetime] = {}
    for place in reversed(range(len(ordered))):
        stream = ordered[place]
        if stream.reported_at:
            latest = min(stream.reported_at, stream.ended_at + LONGEST_PAUSE)
            latest = min(latest, starts.get(stream.platform, latest))
            ordered[place] = stream._replace(until=max(stream.ended_at, latest))
        starts[stream.platform] = stream.started_at


def _set_crowded(ordered: list[StreamInterval]) -> None:
    """Mark account data's streams that cannot both have ended in their minutes on one device."""
    for place in range(1, len(ordered)):
        stream, later = ordered[place - 1 : place + 1]
        overlap = stream.ended_at - max(stream.started_at, later.started_at)
        if overlap > _MINUTE + SLACK and stream.to_the_minute and later.to_the_minute:
            ordered[place - 1] = stream._replace(is_crowded=True)
            ordered[place] = later._replace(is_crowded=True)


def _end(stream: StreamInterval) -> datetime:
    return stream.ended_at
