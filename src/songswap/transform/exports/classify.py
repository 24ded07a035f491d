"""What becomes of the streams of an export: which are plays, which of them the API told.

streams ──▶ known from an earlier import                  again
        ──▶ more than once in this one (see `doubles`)    repeated
        ──▶ not a play: short, private, unidentified      kept beside "History"
        ──▶ told by the API too (see `matching`)          merged
        ──▶ the rest                                      loaded: a row of "History" each
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from operator import attrgetter
from typing import NamedTuple

from songswap.models import Stream
from songswap.transform.exports.doubles import without_doubles
from songswap.transform.exports.matching import Play, StreamInterval, in_order
from songswap.transform.exports.name_matching import Called, Names, match_by_names

_MS = timedelta(milliseconds=1)
_MINUTE_MS = 60_000
_AN_HOUR = timedelta(hours=1)

_TELLING = 20
"""From how many plays on they tell whose export it is."""


class Outcome(StrEnum):
    """What a stream is."""

    LOADED = "loaded"
    MERGED = "merged"
    SHORT = "short"
    PRIVATE = "private"
    UNIDENTIFIED = "unidentified"


class ClassifiedStream(NamedTuple):
    """A stream, what it is, and the row of "History" that it is: None where it is none.

    ``place`` tells streams apart that ended together after as many ms.
    """

    stream: Stream
    place: int
    outcome: Outcome
    played_at: datetime | None


class Rule(NamedTuple):
    """What counts as a play: ``least_ms`` of listening. A private session never does."""

    least_ms: int

    def of(self, stream: Stream) -> Outcome | None:
        """Why a stream is no play; None where it is one."""
        if stream.ms_played < self.least_ms:
            return Outcome.SHORT
        if stream.incognito:
            return Outcome.PRIVATE
        return Outcome.UNIDENTIFIED if stream.track_id is None else None

    def may_be_play(self, stream: Stream) -> bool:
        """Whether a stream is a play, or would be if its names told a track."""
        outcome = self.of(stream)
        return outcome is None or (outcome is Outcome.UNIDENTIFIED and stream.to_the_minute)


class NewStreams(NamedTuple):
    """What is new of an export.

    ``streams`` have to be settled; ``places`` has, by their `identity`, those of them that are
    there unlinked to any play, and may be settled otherwise now. ``takes_over`` maps streams to the
    rows told only to the minute that they are; ``dissolved`` are more such rows, of plays that were
    taken for two. ``counts`` has what is not new: known from an
    earlier import (again), or more than once in this one (repeated).
    """

    streams: list[Stream]
    places: dict[Hashable, ClassifiedStream]
    takes_over: dict[Stream, ClassifiedStream]
    dissolved: list[ClassifiedStream]
    counts: Counter[str]


def identity(stream: Stream) -> Hashable:
    """What two files that tell of one stream agree in."""
    told = None if stream.to_the_minute else stream.track_id
    item = told or (stream.track_name, stream.artist_name)
    return stream.ended_at, stream.ms_played, stream.to_the_minute, stream.nth, item


def number_repeats(streams: Iterable[Stream]) -> list[Stream]:
    """The streams of one file, those that are equal to the minute numbered.

    A short track that is heard again and again ends more than once in a minute. Where it cannot
    have been heard that often in it, a row stands there twice, and stays the same stream.
    """
    seen: Counter[Hashable] = Counter()
    apart = []
    for stream in streams:
        key = identity(stream)
        nth = seen[key]
        seen[key] += 1
        fits = stream.to_the_minute and nth * stream.ms_played < _MINUTE_MS
        apart.append(stream._replace(nth=nth) if nth and fits else stream)
    return apart


def _by_the_minute(stream: Stream) -> Hashable:
    """What the two kinds of exports agree in about one stream."""
    minute = (stream.reported_at or stream.ended_at).replace(second=0, microsecond=0)
    return minute, stream.ms_played, stream.track_name, stream.artist_name


def deduplicate(
    streams: Sequence[Stream], known: Sequence[ClassifiedStream], rule: Rule
) -> NewStreams:
    """Leave out what files tell twice, and what was known before.

    The account data tells to the minute what the extended history tells to the second: of one
    stream that both tell, the latter is kept, whichever comes first.
    """
    counting = (place for place, one in enumerate(streams) if rule.may_be_play(one))
    plays = (one.stream for one in known if one.played_at)
    streams, doubles = without_doubles(streams, counting, plays)
    there = {identity(one.stream): one for one in known}
    # Those to the second first: they decide which of the others are told twice.
    ordered = sorted(streams, key=attrgetter("to_the_minute", "ended_at"))
    rough = _Rough(known, ordered)
    counts = Counter("duplicates" if one.of is None else "repeated" for one in doubles)
    told = NewStreams([], {}, {}, [], counts)
    seen: set[Hashable] = set()
    for stream in ordered:
        key = identity(stream)
        before = there.get(key)
        if before and before.played_at:
            counts["duplicates"] += 1
            continue
        if key in seen:
            counts["repeated"] += 1
            continue
        seen.add(key)
        if rough.is_needed:
            if stream.to_the_minute:
                if once_more := rough.is_told_exactly(stream):
                    counts[once_more] += 1
                    continue
            elif before is None and (old := rough.taken_over_by(stream)):
                told.takes_over[stream] = old
        if before:
            told.places[key] = before
        told.streams.append(stream)
    for double in doubles if rough.is_needed else ():
        if not double.stream.to_the_minute and (old := rough.taken_over_by(double.stream)):
            _dissolve(told, double.of, old)
    return told


def _dissolve(told: NewStreams, stream: Stream | None, old: ClassifiedStream) -> None:
    """A row told to the minute turns out to be one with a stream that may have taken over another:
    the one that the API told stays."""
    if stream is None:
        told.dissolved.append(old)
        return
    rows = [row for row in (told.takes_over.get(stream), old) if row]
    rows.sort(key=lambda row: row.outcome is not Outcome.MERGED)
    told.takes_over[stream] = rows[0]
    told.dissolved.extend(rows[1:])


class _Rough:
    """The streams that are told to the minute, beside those that are told to the second."""

    def __init__(self, known: Sequence[ClassifiedStream], ordered: Sequence[Stream]) -> None:
        # Account data has no part in nearly all imports; what it needs is not looked up for them.
        streams = (*ordered[-1:], *(old.stream for old in known))
        self.is_needed = any(one.to_the_minute for one in streams)
        self._rough: defaultdict[Hashable, list[ClassifiedStream]] = defaultdict(list)
        self._exact: dict[str, Counter[Hashable]] = {"duplicates": Counter(), "repeated": Counter()}
        for one in known if self.is_needed else ():
            if one.stream.to_the_minute:
                self._rough[_by_the_minute(one.stream)].append(one)
            else:
                self._exact["duplicates"][_by_the_minute(one.stream)] += 1

    def is_told_exactly(self, stream: Stream) -> str | None:
        """Whether a stream is told to the second as well: by an earlier import (again), or by this
        one (repeated). Each answers once."""
        minute = _by_the_minute(stream)
        for name, exact in self._exact.items():
            if exact[minute] > 0:
                exact[minute] -= 1
                return name
        return None

    def taken_over_by(self, stream: Stream) -> ClassifiedStream | None:
        """The stream known to the minute that this is, told to the second."""
        minute = _by_the_minute(stream)
        self._exact["repeated"][minute] += 1
        old = self._rough.get(minute)
        return old.pop() if old else None


def share_told(streams: Iterable[Stream], plays: Sequence[Play]) -> float | None:
    """How much of what the API told of a user stands in an export: much, if it is that user's.

    Returns:
        The share of ``plays`` that have a stream of the same track near, or None where they are too
        few to tell.
    """
    if len(plays) < _TELLING:
        return None
    ends: defaultdict[str, list[datetime]] = defaultdict(list)
    for stream in streams:
        ends[stream.track_id or ""].append(stream.ended_at)
    for of_track in ends.values():
        of_track.sort()
    told = 0
    for played_at, track_id in plays:
        of_track = ends.get(track_id, [])
        place = bisect_left(of_track, played_at - _AN_HOUR)
        told += place < len(of_track) and of_track[place] <= played_at + _AN_HOUR
    return told / len(plays)


def classify(
    told: NewStreams,
    known: Sequence[ClassifiedStream],
    plays: Sequence[Play],
    taken: Iterable[datetime],
    rule: Rule,
    names: Names,
) -> list[ClassifiedStream]:
    """Decide what each new stream is.

    Args:
        known: the streams that are there.
        plays: the user's plays that no stream is yet.
        taken: the times of all plays of the user.
        names: gives the names of tracks and of their first artists: one recording can have several
            ids, and the API may tell another than the export.
    """
    place = _Places(known)
    moments = set(taken)
    settled: list[ClassifiedStream] = []
    counting: list[Stream] = []
    for stream in told.streams:
        outcome = rule.of(stream)
        rough = told.takes_over.get(stream) if told.takes_over else None
        if outcome is None and rough and _keeps_play(stream, rough):
            settled.append(ClassifiedStream(stream, place(stream), rough.outcome, rough.played_at))
        elif outcome is None or rule.may_be_play(stream):
            counting.append(stream)
        else:
            settled.append(ClassifiedStream(stream, place(stream, told), outcome, None))
    merged = _merge(counting, [*told.streams, *(one.stream for one in known)], plays, names)
    for number, stream in enumerate(counting):
        outcome = Outcome.MERGED
        at, track_id = merged.get(number, (None, stream.track_id))
        if stream.to_the_minute:
            # Of tracks that share their names, the API tells which it was.
            stream = stream._replace(track_id=track_id)
        if at is None and track_id is None:
            outcome = Outcome.UNIDENTIFIED
        elif at is None:
            outcome, at = Outcome.LOADED, stream.ended_at
            # Different songs can share a second, and one moment is one play.
            while at in moments:
                at += _MS
            moments.add(at)
        settled.append(ClassifiedStream(stream, place(stream, told), outcome, at))
    return settled


def _keeps_play(stream: Stream, rough: ClassifiedStream) -> bool:
    """Whether the play that was made of account data stays; not where it stands at the time when
    an offline phone told of it."""
    if rough.outcome is Outcome.LOADED and stream.reported_at:
        return False
    return rough.played_at is not None


def _merge(
    counting: Sequence[Stream],
    streams: Iterable[Stream],
    plays: Sequence[Play],
    names: Names,
) -> dict[int, Play]:
    """By their places in ``counting``, the plays that the API told too."""
    if not plays:
        return {}
    placed = {
        (one.ended_at, one.ms_played, one.platform): one
        for one in in_order(map(StreamInterval.of, streams))
    }
    heard = [
        placed[one.ended_at, one.ms_played, one.platform]._replace(
            track_id=one.track_id or "",
            to_the_minute=one.to_the_minute,
            reported_at=one.reported_at,
        )
        for one in counting
    ]
    pairs = match_by_names(plays, heard, [names_of(one) for one in counting], names)
    return {number: plays[place] for number, place in pairs.items()}


def names_of(stream: Stream) -> Called:
    """The names of its track and artist, empty where they are not told."""
    return stream.track_name or "", stream.artist_name or ""


class _Places:
    """Gives each stream a place among those that ended together after as many ms."""

    def __init__(self, known: Iterable[ClassifiedStream]) -> None:
        self._next: Counter[tuple[datetime, int]] = Counter()
        for one in known:
            key = one.stream.ended_at, one.stream.ms_played
            self._next[key] = max(self._next[key], one.place + 1)

    def __call__(self, stream: Stream, told: NewStreams | None = None) -> int:
        if told and told.places and (before := told.places.get(identity(stream))):
            return before.place
        key = stream.ended_at, stream.ms_played
        self._next[key] += 1
        return self._next[key] - 1
