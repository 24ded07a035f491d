"""Decide what each new stream of an export is.

new streams ──▶ no play: short, private, unidentified          stored beside "History"
            ──▶ a play that the API returned (see `matching`)  merged
            ──▶ the rest                                       loaded: a row of "History" each
"""

from collections.abc import Iterable, Sequence, Set
from datetime import datetime, timedelta
from functools import partial

from songswap.models import Stream
from songswap.transform.exports.deduplicate import NewStreams, identity
from songswap.transform.exports.intervals import StreamInterval, in_order
from songswap.transform.exports.matching import Play
from songswap.transform.exports.name_matching import NameLookup, match_by_names, names_of
from songswap.transform.exports.outcomes import ClassifiedStream, Outcome, Rule

_MS = timedelta(milliseconds=1)
_SECOND = timedelta(seconds=1)
_MINUTE = timedelta(minutes=1)

_classified = partial(tuple.__new__, ClassifiedStream)


def classify(
    new: NewStreams,
    known: Sequence[ClassifiedStream],
    plays: Sequence[Play],
    taken: Iterable[datetime],
    rule: Rule,
    names: NameLookup,
    settled: Set[datetime] = frozenset(),
) -> list[ClassifiedStream]:
    """Decide what each new stream is.

    Args:
        known: the stored streams of the user.
        plays: the user's plays that belong to no stream yet.
        taken: the times of all plays of the user.
        names: looks up the names of tracks and of their first artists: one recording can have
            several ids, and the API may return another than the export.
        settled: the times of plays of the API that were handed over with these streams. Which
            stream each of them is was decided there, by ``played_at``: no other one is.
    """
    places = _Places(known, new)
    classified: list[ClassifiedStream] = []
    candidates: list[Stream] = []
    for stream in new.streams:
        reason = rule.of(stream)
        rough = new.replaces.get(stream) if new.replaces else None
        if reason is None and rough and _keeps_play(stream, rough):
            place = places.next_of(stream)
            classified.append(ClassifiedStream(stream, place, rough.outcome, rough.played_at))
        elif reason is None or rule.may_be_play(stream):
            candidates.append(stream)
        else:
            classified.append(_classified((stream, places.of(stream), reason, None)))
    merged = _settled_pairs(candidates, plays, settled)
    unsettled = [play for play in plays if play[0] not in settled]
    if unsettled:
        unpaired = [number for number in range(len(candidates)) if number not in merged]
        streams = [*new.streams, *(row.stream for row in known)]
        found = _match([candidates[number] for number in unpaired], streams, unsettled, names)
        merged |= {unpaired[number]: play for number, play in found.items()}
    times = set(taken)
    # First those whose time is settled: it must not be taken.
    for number, stream in sorted(enumerate(candidates), key=_is_without_time):
        play = merged.get(number)
        classified.append(_classify_candidate(stream, play, places, times))
    return classified


def _settled_pairs(
    candidates: Sequence[Stream], plays: Sequence[Play], settled: Set[datetime]
) -> dict[int, Play]:
    """Return the plays that candidates are by ``played_at``, by the candidates' positions."""
    if not settled:
        return {}
    left = {play[0]: play for play in plays if play[0] in settled}
    pairs = {}
    for number, stream in enumerate(candidates):
        if stream.played_at and (play := left.pop(stream.played_at, None)):
            pairs[number] = play
    return pairs


def _is_without_time(numbered: tuple[int, Stream]) -> bool:
    return numbered[1].played_at is None


def _keeps_play(stream: Stream, rough: ClassifiedStream) -> bool:
    """Return whether the play that was made of account data keeps its time.

    It does not where that is the time at which an offline phone reported it.
    """
    if rough.outcome is Outcome.LOADED and stream.reported_at:
        return False
    return rough.played_at is not None


def _classify_candidate(
    stream: Stream, play: Play | None, places: "_Places", times: set[datetime]
) -> ClassifiedStream:
    """Classify a stream that is a play where its track is known; adds a new play to ``times``."""
    played_at = None
    if play:
        played_at, track_id = play
        outcome = Outcome.MERGED
        if stream.to_the_minute:
            # Of tracks that share their names, the API returns the one that was played.
            stream = stream._replace(track_id=track_id)
    elif stream.track_id is None:
        outcome = Outcome.UNIDENTIFIED
    else:
        outcome = Outcome.LOADED
        played_at = _time_of(stream) if stream.played_at else stream.ended_at
        # Different songs can share a second, and one moment is one play.
        while played_at in times:
            played_at += _MS
        times.add(played_at)
    return _classified((stream, places.of(stream), outcome, played_at))


def _time_of(stream: Stream) -> datetime:
    """Return the time of a play that only exports have: the stream's end, or the one settled.

    That lies in the minute before the end, for a play that account data had brought first, or
    milliseconds after it, where several ended together.
    """
    at = stream.played_at
    return at if at and -_MINUTE <= at - stream.ended_at <= _SECOND else stream.ended_at


def _match(
    candidates: Sequence[Stream],
    streams: Iterable[Stream],
    plays: Sequence[Play],
    names: NameLookup,
) -> dict[int, Play]:
    """Return the plays that candidates are, by the candidates' positions."""
    bounded = {
        (interval.ended_at, interval.ms_played, interval.platform): interval
        for interval in in_order(map(StreamInterval.of, streams))
    }
    intervals = [
        bounded[stream.ended_at, stream.ms_played, stream.platform]._replace(
            track_id=stream.track_id or "",
            to_the_minute=stream.to_the_minute,
            reported_at=stream.reported_at,
        )
        for stream in candidates
    ]
    pairs = match_by_names(plays, intervals, [names_of(stream) for stream in candidates], names)
    return {number: plays[position] for number, position in pairs.items()}


class _Places:
    """Numbers streams that ended together after as many ms."""

    def __init__(self, known: Iterable[ClassifiedStream], new: NewStreams) -> None:
        self._stored = new.stored
        self._next: dict[tuple[datetime, int], int] = {}
        for row in known:
            key = row.stream.ended_at, row.stream.ms_played
            self._next[key] = max(self._next.get(key, 0), row.place + 1)

    def of(self, stream: Stream) -> int:
        """Return the place of the stream's stored row, or the next one."""
        row = self._stored.get(identity(stream)) if self._stored else None
        return row.place if row else self.next_of(stream)

    def next_of(self, stream: Stream) -> int:
        """Return the next free place."""
        key = stream.ended_at, stream.ms_played
        place = self._next.get(key, 0)
        self._next[key] = place + 1
        return place
