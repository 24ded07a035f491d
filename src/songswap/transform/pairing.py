"""Which play of the API is which stream of an export: the same play is told by both.

The API tells a play's start or its end, by the device. An export tells its end, and for how long
it was listened to; pauses are not counted, so the start may lie before ``ended_at - ms_played``.
A play and a stream of one track are the same where the play's time lies between the stream's start
and end, `NEAR` beyond either included: other importers allow 60 or 90 s, and Spotify's own times
differ by seconds. Before that counted start comes the time since the last stream on the same
platform had ended, of whatever track: that is where the pauses were.

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
from typing import NamedTuple

NEAR = timedelta(seconds=60)
"""How far a play's time may lie outside of the stream that it is."""

LONGEST_PAUSE = timedelta(hours=12)
"""How long a stream may have been paused in all."""

_MINUTE = timedelta(minutes=1)
_CLOSE = timedelta(seconds=5)

_TELLING = 10
"""From how many plays on they tell a habit."""
_NONE = timedelta(0)


class Heard(NamedTuple):
    """A stream as far as it is compared.

    ``after`` is when the stream before it ended, None where there is none, see `in_order`;
    ``to_the_minute`` says that the end is only known to lie within the minute that ``ended_at``
    begins.
    """

    track_id: str
    ended_at: datetime
    ms_played: int
    after: datetime | None = None
    to_the_minute: bool = False
    platform: str | None = None

    @property
    def latest(self) -> datetime:
        """When it ended at the latest."""
        return self.ended_at + (_MINUTE if self.to_the_minute else _NONE)

    @property
    def started_at(self) -> datetime:
        """When it would have started without pauses."""
        return self.ended_at - timedelta(milliseconds=self.ms_played)

    def earliest(self) -> datetime:
        """When it can have started, pauses included."""
        start = self.started_at
        longest = start - LONGEST_PAUSE
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
            return _outside(of_end), _outside(of_start)
        return abs(of_end), abs(of_start)


def _outside(since: timedelta) -> timedelta:
    """How far a time lies outside of a minute; ``since`` is how long after its beginning."""
    return max(-since, since - _MINUTE, _NONE)


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


def in_order(streams: Iterable[tuple[str, datetime, int, bool, str | None]]) -> list[Heard]:
    """Streams (track id, end, ms, to the minute, platform) by their ends, each with the end of the
    one before it: of the last on its platform that had ended when it began, as far as is counted.
    """
    ends: dict[str | None, list[datetime]] = {}
    heard = []
    for stream in sorted(streams, key=_end):
        one = Heard(stream[0], stream[1], stream[2], None, *stream[3:])
        before = ends.setdefault(one.platform, [])
        place = bisect_right(before, one.started_at + _CLOSE)
        # What had begun already, by seconds that Spotify's times differ, is not before it.
        while place and before[place - 1] >= one.ended_at:
            place -= 1
        heard.append(one._replace(after=before[place - 1]) if place else one)
        before.append(one.ended_at)
    return heard


def _end(stream: tuple[str, datetime, int, bool, str | None]) -> datetime:
    return stream[1]


def pair(plays: Sequence[Play], streams: Sequence[Heard]) -> dict[int, int]:
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


def _roomy(stream: Heard) -> Heard:
    """A stream of which others do not say when it can have begun, where that is not sure."""
    return stream._replace(after=None) if stream.to_the_minute else stream


def _habits(pairs: Iterable[tuple[datetime, Heard]]) -> dict[str | None, Habit]:
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


def _pair(plays: Sequence[Play], streams: Sequence[Heard], habits: _Habits) -> dict[int, int]:
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
    streams: Sequence[Heard],
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
    streams: Sequence[Heard],
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
