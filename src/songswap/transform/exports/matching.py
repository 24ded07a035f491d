"""Which play of the API is which stream of an export: the same play is told by both.

The API tells a play's start or its end, by the device. An export tells its end, and for how long
it was listened to; pauses are not counted, so the start may lie before ``ended_at - ms_played``.
A play and a stream of one track are the same where the play's time lies between the stream's start
and end, `NEAR` beyond either included: other importers allow 60 or 90 s, and Spotify's own times
differ by seconds. Before that counted start comes the time since the last stream on the same
platform had ended, of whatever track: that is where the pauses were. Of an offline phone the start
is known, and the pauses lie after the counted end, until the next stream on that platform began.

Each play is paired with one stream at most, and each stream with one play, so that a track that
was heard again stays two plays. Of all ways to pair them, in the order of their times, the one with
the most pairs is taken, and of these the one whose times lie nearest. Where a track is heard again
at once, the end of one is the start of the next: which of them a play tells is then decided by what
the user's other plays on that platform tell.

What is left is compared once more: two devices that play one track at once may tell it in another
order than it ended. Account data tells no platforms, so that what ended meanwhile may have sounded
on another device: this time its pauses may reach beyond that.
"""

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from enum import Enum
from typing import NamedTuple, Protocol

NEAR = timedelta(seconds=60)
"""How far a play's time may lie outside of the stream that it is."""

SLACK = timedelta(seconds=20)
"""How far streams that follow each other on a device may seem to overlap: crossfade takes 12 s, and
Spotify's own times differ by seconds."""

LONGEST_PAUSE = timedelta(hours=12)
"""How long a stream may have been paused in all."""

LONGEST_OFFLINE = timedelta(days=31)
"""Spotify asks a phone to be online once in 30 days."""

_MINUTE = timedelta(minutes=1)
_CLOSE = timedelta(seconds=5)

_TELLING = 10
"""From how many plays on they tell a habit."""
_NONE = timedelta(0)


class Timed(Protocol):
    """What of a stream is compared, whether it comes of a file or of the warehouse."""

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
    """A stream as far as it is compared.

    ``after`` is when the stream before it ended, None where there is none, see `in_order`;
    ``to_the_minute`` says that the end is only known to lie within the minute that ``ended_at``
    begins. ``reported_at`` says that the start is exact, and that it ended by then; ``until`` is
    when it ended at the latest in this case. ``is_crowded`` says of account data that others ended
    while it must have sounded: an offline phone reported them together, up to a month later.
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
    def of(cls, stream: "Timed") -> "StreamInterval":
        """A stream as it is compared, before others say when it can have begun."""
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
        """When it would have started without pauses."""
        return self.ended_at - timedelta(milliseconds=self.ms_played)

    def earliest(self) -> datetime:
        """When it can have started, pauses included."""
        start = self.started_at
        longest = start - (LONGEST_OFFLINE if self.is_crowded else LONGEST_PAUSE)
        return min(start, longest if self.after is None else max(self.after, longest))

    def distance(self, played_at: datetime, habit: "Habit | None" = None) -> timedelta:
        """How far a play's time lies from its end or its start, whichever is nearer.

        Where plays on its platform have a habit, what is not told by habit counts as farther off.
        """
        of_end, of_start = self.distances(played_at)
        if habit is Habit.ENDS:
            of_start += NEAR
        elif habit is Habit.STARTS:
            of_end += NEAR
        return min(of_end, of_start)

    def distances(self, played_at: datetime) -> tuple[timedelta, timedelta]:
        """How far a play's time lies from its end and from its start, or from their minutes."""
        of_end, of_start = played_at - self.ended_at, played_at - self.started_at
        if self.to_the_minute:
            return _outside(of_end, _MINUTE), _outside(of_start, _MINUTE)
        if self.until:
            return _outside(of_end, self.until - self.ended_at), abs(of_start)
        return abs(of_end), abs(of_start)


def _outside(since: timedelta, length: timedelta) -> timedelta:
    """How far a time lies outside of a span; ``since`` is how long after its beginning."""
    return max(-since, since - length, _NONE)


class Habit(Enum):
    """What nearly all plays of a user on a platform tell."""

    STARTS = "starts"
    ENDS = "ends"


_Habits = Mapping[str | None, Habit]

_Pairs = tuple["_Pairs | None", int, int]
"""Pairs as a chain: those before, a stream, a play."""

_Way = tuple[int, timedelta, _Pairs | None]
"""A way to pair: less the more pairs it has, how far apart their times lie in all, the pairs."""

Play = tuple[datetime, str]
"""When the API says that it was played, and the track."""


def in_order(streams: Iterable[StreamInterval]) -> list[StreamInterval]:
    """Streams by their ends, each with what the others say of when it can have begun and ended:
    ``after`` is the end of the last one on its platform that had ended when it began, as far as is
    counted; ``until`` and ``is_crowded`` as in `Heard`.
    """
    ends: dict[str | None, list[datetime]] = {}
    heard = []
    for one in sorted(streams, key=_end):
        before = ends.setdefault(one.platform, [])
        place = bisect_right(before, one.started_at + _CLOSE)
        # What had begun already, by seconds that Spotify's times differ, is not before it.
        while place and before[place - 1] >= one.ended_at:
            place -= 1
        before.append(one.ended_at)
        if one.reported_at:
            heard.append(one._replace(after=one.started_at))
        else:
            heard.append(one._replace(after=before[place - 1]) if place else one)
    _add_latest(heard)
    _add_crowded(heard)
    return heard


def _add_latest(heard: list[StreamInterval]) -> None:
    """Where a start is known, the end can be as late as the next start on the same platform."""
    starts: dict[str | None, datetime] = {}
    for place in reversed(range(len(heard))):
        one = heard[place]
        if one.reported_at:
            latest = min(one.reported_at, one.ended_at + LONGEST_PAUSE)
            latest = min(latest, starts.get(one.platform, latest))
            heard[place] = one._replace(until=max(one.ended_at, latest))
        starts[one.platform] = one.started_at


def _add_crowded(heard: list[StreamInterval]) -> None:
    """Account data's streams that cannot both have ended in their minutes on one device."""
    for place in range(1, len(heard)):
        one, later = heard[place - 1 : place + 1]
        overlap = one.ended_at - max(one.started_at, later.started_at)
        if overlap > _MINUTE + SLACK and one.to_the_minute and later.to_the_minute:
            heard[place - 1] = one._replace(is_crowded=True)
            heard[place] = later._replace(is_crowded=True)


def _end(stream: StreamInterval) -> datetime:
    return stream.ended_at


def match(plays: Sequence[Play], streams: Sequence[StreamInterval]) -> dict[int, int]:
    """Pair plays with streams of the same track, one to one.

    Returns:
        By a stream's place in ``streams``, the place in ``plays`` of the play that it is.
    """
    pairs = _pair(plays, streams, {})
    habits = _habits((plays[play][0], streams[stream]) for stream, play in pairs.items())
    if habits:
        pairs = _pair(plays, streams, habits)
    paired = set(pairs.values())
    rest = [place for place in range(len(plays)) if place not in paired]
    if rest:
        left = [place for place in range(len(streams)) if place not in pairs]
        found = _pair(
            [plays[place] for place in rest], [_roomy(streams[place]) for place in left], habits
        )
        pairs |= {left[stream]: rest[play] for stream, play in found.items()}
    return pairs


def _roomy(stream: StreamInterval) -> StreamInterval:
    """A stream of which others do not say when it can have begun, where that is not sure."""
    return stream._replace(after=None) if stream.to_the_minute else stream


def _habits(pairs: Iterable[tuple[datetime, StreamInterval]]) -> dict[str | None, Habit]:
    """What plays tell, by the platform, where it is clear."""
    told: defaultdict[str | None, Counter[Habit]] = defaultdict(Counter)
    for played_at, stream in pairs:
        of_end, of_start = stream.distances(played_at)
        if min(of_end, of_start) < _CLOSE:
            told[stream.platform][Habit.ENDS if of_end < of_start else Habit.STARTS] += 1
    return {
        platform: habit
        for platform, habits in told.items()
        for habit, number in habits.items()
        if number >= max(_TELLING, 0.9 * habits.total())
    }


def _pair(
    plays: Sequence[Play], streams: Sequence[StreamInterval], habits: _Habits
) -> dict[int, int]:
    played: defaultdict[str, list[int]] = defaultdict(list)
    for place, (_, track_id) in enumerate(plays):
        played[track_id].append(place)
    heard: defaultdict[str, list[int]] = defaultdict(list)
    for place, stream in enumerate(streams):
        if stream.track_id in played:
            heard[stream.track_id].append(place)
    pairs: dict[int, int] = {}
    for track_id, of_track in heard.items():
        of_track.sort(key=lambda place: streams[place].ended_at)
        told = sorted(played[track_id], key=lambda place: plays[place][0])
        pairs |= _pair_track(plays, streams, told, of_track, habits)
    return pairs


def _pair_track(
    plays: Sequence[Play],
    streams: Sequence[StreamInterval],
    told: list[int],
    heard: list[int],
    habits: _Habits,
) -> dict[int, int]:
    """Pair the plays and streams of one track, each in the order of their times."""
    pairs: dict[int, int] = {}
    begin = 0
    while heard:
        # What cannot be joined with anything later is a part of its own.
        part = [heard[0]]
        until = streams[part[0]].latest + NEAR
        while len(part) < len(heard) and streams[heard[len(part)]].earliest() - NEAR <= until:
            until = max(until, streams[heard[len(part)]].latest + NEAR)
            part.append(heard[len(part)])
        heard = heard[len(part) :]
        since = min(streams[place].earliest() for place in part) - NEAR
        while begin < len(told) and plays[told[begin]][0] < since:
            begin += 1
        end = begin
        while end < len(told) and plays[told[end]][0] <= until:
            end += 1
        pairs |= _best(plays, streams, told[begin:end], part, habits)
        begin = end
    return pairs


def _best(
    plays: Sequence[Play],
    streams: Sequence[StreamInterval],
    told: list[int],
    heard: list[int],
    habits: _Habits,
) -> dict[int, int]:
    """The most pairs in the order of times, and of these the nearest."""
    times = [plays[place][0] for place in told]
    # The best way to pair the streams so far with none, one, two … of the plays. What a stream is
    # too far from, it leaves as it was.
    ways: list[_Way] = [(0, _NONE, None)]
    for of_stream in heard:
        stream = streams[of_stream]
        habit = habits.get(stream.platform)
        first = bisect_left(times, stream.earliest() - NEAR)
        last = bisect_right(times, stream.latest + NEAR)
        ways += [ways[-1]] * (last + 1 - len(ways))
        before = ways[first]
        for place in range(first, last):
            count, distance, pairs = before
            before = ways[place + 1]
            best = min(before, ways[place], key=_cost)
            joined = (count - 1, distance + stream.distance(times[place], habit))
            if joined < best[:2]:
                best = (*joined, (pairs, of_stream, told[place]))
            ways[place + 1] = best
    return dict(_each(ways[-1][2]))


def _cost(way: _Way) -> tuple[int, timedelta]:
    return way[:2]


def _each(pairs: _Pairs | None) -> Iterator[tuple[int, int]]:
    while pairs:
        pairs, of_stream, of_play = pairs
        yield of_stream, of_play
