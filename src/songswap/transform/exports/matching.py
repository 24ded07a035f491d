"""Match plays of the API with streams of an export: both sources hold the same plays.

The API gives a play's start or its end, by the device. A play and a stream of one track are the
same where the play's time lies between the stream's earliest start and latest end (see
`intervals`), `NEAR` beyond either included: other importers allow 60 or 90 s, and Spotify's own
times differ by seconds.

Each play is paired with one stream at most, and each stream with one play, so that a track that
was played again stays two plays. Of all pairings in the order of their times, the one with the most
pairs is taken, and of these the one whose times lie nearest. Where a track is repeated at once, the
end of one stream is the start of the next: the user's other plays on that platform show which of
them the API gives.

The rest is compared once more. Two devices that play one track at once may report it in another
order than it ended. Account data has no platforms, so a stream that ended meanwhile may have played
on another device: this time pauses may reach beyond it.
"""

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import Enum

from songswap.transform.exports.intervals import StreamInterval

NEAR = timedelta(seconds=60)
"""How far a play's time may lie outside of the stream that it is."""

_CLOSE = timedelta(seconds=5)
_NONE = timedelta(0)

_ENOUGH_PLAYS = 10
"""Fewer plays of a platform do not show its anchor."""

Play = tuple[datetime, str]
"""The API's time of a play, and its track."""


class Anchor(Enum):
    """The time of a stream that nearly all of a user's plays on a platform have."""

    START = "start"
    END = "end"


_Anchors = Mapping[str | None, Anchor]
"""By the platform."""

_Pairs = tuple["_Pairs | None", int, int]
"""Pairs as a chain: those before, a stream, a play."""

_Pairing = tuple[int, timedelta, _Pairs | None]
"""The negative number of pairs, the sum of the distances of their times, the pairs."""


def match(plays: Sequence[Play], streams: Sequence[StreamInterval]) -> dict[int, int]:
    """Pair plays with streams of the same track, one to one.

    Returns:
        The positions in ``plays`` by the positions of their streams in ``streams``.
    """
    pairs = _pair(plays, streams, {})
    anchors = _anchors((plays[play][0], streams[stream]) for stream, play in pairs.items())
    if anchors:
        pairs = _pair(plays, streams, anchors)
    paired = set(pairs.values())
    left_plays = [play for play in range(len(plays)) if play not in paired]
    if left_plays:
        left_streams = [stream for stream in range(len(streams)) if stream not in pairs]
        more = _pair(
            [plays[play] for play in left_plays],
            [_without_after(streams[stream]) for stream in left_streams],
            anchors,
        )
        pairs |= {left_streams[stream]: left_plays[play] for stream, play in more.items()}
    return pairs


def _without_after(stream: StreamInterval) -> StreamInterval:
    """Drop the bound that other streams set, where they may be of another device."""
    return stream._replace(after=None) if stream.to_the_minute else stream


def _anchors(pairs: Iterable[tuple[datetime, StreamInterval]]) -> _Anchors:
    """Return the anchors of the platforms where pairs show them clearly."""
    counts: defaultdict[str | None, Counter[Anchor]] = defaultdict(Counter)
    for played_at, stream in pairs:
        of_end, of_start = stream.distances(played_at)
        if min(of_end, of_start) < _CLOSE:
            counts[stream.platform][Anchor.END if of_end < of_start else Anchor.START] += 1
    return {
        platform: anchor
        for platform, of_platform in counts.items()
        for anchor, number in of_platform.items()
        if number >= max(_ENOUGH_PLAYS, 0.9 * of_platform.total())
    }


def _pair(
    plays: Sequence[Play], streams: Sequence[StreamInterval], anchors: _Anchors
) -> dict[int, int]:
    plays_of: defaultdict[str, list[int]] = defaultdict(list)
    for play, (_, track_id) in enumerate(plays):
        plays_of[track_id].append(play)
    streams_of: defaultdict[str, list[int]] = defaultdict(list)
    for place, stream in enumerate(streams):
        if stream.track_id in plays_of:
            streams_of[stream.track_id].append(place)
    pairs: dict[int, int] = {}
    for track_id, of_track in streams_of.items():
        of_track.sort(key=lambda place: streams[place].ended_at)
        track_plays = sorted(plays_of[track_id], key=lambda play: plays[play][0])
        pairs |= _pair_track(plays, streams, track_plays, of_track, anchors)
    return pairs


def _pair_track(
    plays: Sequence[Play],
    streams: Sequence[StreamInterval],
    track_plays: list[int],
    track_streams: list[int],
    anchors: _Anchors,
) -> dict[int, int]:
    """Pair the plays and streams of one track, each in the order of their times."""
    pairs: dict[int, int] = {}
    begin = 0
    for part, until in _parts(streams, track_streams):
        since = min(streams[stream].earliest() for stream in part) - NEAR
        while begin < len(track_plays) and plays[track_plays[begin]][0] < since:
            begin += 1
        end = begin
        while end < len(track_plays) and plays[track_plays[end]][0] <= until:
            end += 1
        pairs |= _best_pairs(plays, streams, track_plays[begin:end], part, anchors)
        begin = end
    return pairs


def _parts(
    streams: Sequence[StreamInterval], track_streams: Iterable[int]
) -> Iterator[tuple[list[int], datetime]]:
    """Cut the streams of a track where no play is near both sides; each part with its end."""
    part: list[int] = []
    until = datetime.min.replace(tzinfo=UTC)
    for place in track_streams:
        stream = streams[place]
        if part and stream.earliest() - NEAR > until:
            yield part, until
            part = []
        until = max(until, stream.latest + NEAR)
        part.append(place)
    if part:
        yield part, until


def _best_pairs(
    plays: Sequence[Play],
    streams: Sequence[StreamInterval],
    track_plays: list[int],
    track_streams: list[int],
    anchors: _Anchors,
) -> dict[int, int]:
    """Return the most pairs in the order of times, and of these the nearest."""
    times = [plays[play][0] for play in track_plays]
    # best[n] is the best pairing of the streams so far with the first n plays. A stream changes
    # only the entries of plays that are near it.
    best: list[_Pairing] = [(0, _NONE, None)]
    for place in track_streams:
        stream = streams[place]
        anchor = anchors.get(stream.platform)
        first = bisect_left(times, stream.earliest() - NEAR)
        last = bisect_right(times, stream.latest + NEAR)
        best += [best[-1]] * (last + 1 - len(best))
        before = best[first]
        for play in range(first, last):
            count, distance, pairs = before
            before = best[play + 1]
            unpaired = min(before, best[play], key=_cost)
            cost = (count - 1, distance + _distance(stream, times[play], anchor))
            if cost < unpaired[:2]:
                best[play + 1] = (*cost, (pairs, place, track_plays[play]))
            else:
                best[play + 1] = unpaired
    return dict(_unchain(best[-1][2]))


def _distance(stream: StreamInterval, played_at: datetime, anchor: Anchor | None) -> timedelta:
    """Return how far a play's time lies from the stream's start or end, whichever is nearer.

    Where the platform's anchor is known, the other one counts as farther off.
    """
    of_end, of_start = stream.distances(played_at)
    if anchor is Anchor.END:
        of_start += NEAR
    elif anchor is Anchor.START:
        of_end += NEAR
    return min(of_end, of_start)


def _cost(pairing: _Pairing) -> tuple[int, timedelta]:
    return pairing[:2]


def _unchain(pairs: _Pairs | None) -> Iterator[tuple[int, int]]:
    while pairs:
        pairs, stream, play = pairs
        yield stream, play
