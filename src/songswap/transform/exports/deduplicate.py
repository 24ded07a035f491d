"""Leave out the streams of an export that are stored already, or that are in it twice.

streams ──▶ stored by an earlier import                 duplicates
        ──▶ more than once in this one (see `doubles`)  repeated
        ──▶ the rest                                    new: see `classify`

Account data has to the minute what the extended history has to the second: of a stream that is in
both, the exact row stays, whichever was imported first.
"""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from operator import attrgetter
from typing import NamedTuple

from songswap.models import Stream
from songswap.transform.exports.doubles import Double, without_doubles
from songswap.transform.exports.outcomes import ClassifiedStream, Outcome, Rule

_MINUTE_MS = 60_000


class NewStreams(NamedTuple):
    """The streams of an export that have to be classified, and the stored rows that they affect.

    ``stored`` has, by `identity`, the rows of those ``streams`` that are stored without a play and
    may be one after all. ``replaces`` maps exact streams to the rows of account data that they are.
    ``superseded`` are rows of account data whose play another row has as well. ``counts`` has the
    streams left out, as ``duplicates`` and ``repeated``.
    """

    streams: list[Stream]
    stored: dict[Hashable, ClassifiedStream]
    replaces: dict[Stream, ClassifiedStream]
    superseded: list[ClassifiedStream]
    counts: Counter[str]


def identity(stream: Stream) -> Hashable:
    """Return what is equal in two files that hold the same stream."""
    track_id = None if stream.to_the_minute else stream.track_id
    item = track_id or (stream.track_name, stream.artist_name)
    return stream.ended_at, stream.ms_played, stream.to_the_minute, stream.nth, item


def number_repeats(streams: Iterable[Stream]) -> list[Stream]:
    """Number those streams of a file that are equal to the minute.

    A short track on repeat ends more than once in a minute. Equal rows of a track that is too long
    for that are one stream.
    """
    seen: Counter[Hashable] = Counter()
    numbered = []
    for stream in streams:
        key = identity(stream)
        nth = seen[key]
        seen[key] += 1
        fits = stream.to_the_minute and nth * stream.ms_played < _MINUTE_MS
        numbered.append(stream._replace(nth=nth) if nth and fits else stream)
    return numbered


def deduplicate(
    streams: Sequence[Stream],
    known: Sequence[ClassifiedStream],
    rule: Rule,
    is_settled: bool = False,
) -> NewStreams:
    """Leave out streams that are in the export twice, or are stored as a play.

    Args:
        known: the stored streams of the user around the time of the export.
        is_settled: the streams were handed over: no two of them are one, wherever they are.
    """
    candidates = [place for place, stream in enumerate(streams) if rule.may_be_play(stream)]
    others = without(known, streams) if is_settled else known
    plays = (row.stream for row in others if row.played_at)
    streams, doubles = without_doubles(streams, candidates, plays)
    # Exact streams first: they decide which rows of account data are duplicates.
    ordered = sorted(streams, key=attrgetter("ended_at"))
    ordered.sort(key=attrgetter("to_the_minute"))
    by_minute = _ByMinute(others, ordered, is_settled)
    stored = {identity(row.stream): row for row in known}
    counts = Counter("duplicates" if double.is_stored else "repeated" for double in doubles)
    new = NewStreams([], {}, {}, [], counts)
    seen: set[Hashable] = set()
    before: Stream | None = None
    for stream in ordered:
        row = stored.get(identity(stream)) if stored else None
        if row and row.played_at:
            counts["duplicates"] += 1
            continue
        # Equal ones ended together, so they follow each other.
        if before is None or stream.ended_at != before.ended_at:
            seen.clear()
        else:
            seen.add(identity(before))
            if identity(stream) in seen:
                counts["repeated"] += 1
                continue
        before = stream
        if by_minute.is_needed and (count := _compare_minutes(new, stream, row, by_minute)):
            counts[count] += 1
            continue
        if row:
            new.stored[identity(stream)] = row
        new.streams.append(stream)
    if by_minute.is_needed:
        _replace_rows_of_doubles(new, doubles, by_minute)
    return new


def without(
    known: Sequence[ClassifiedStream], streams: Iterable[Stream]
) -> Sequence[ClassifiedStream]:
    """Leave out the rows of these streams."""
    own = {identity(stream) for stream in streams}
    return [row for row in known if identity(row.stream) not in own]


def _compare_minutes(
    new: NewStreams, stream: Stream, row: ClassifiedStream | None, by_minute: "_ByMinute"
) -> str | None:
    """Compare account data with the extended history.

    Returns:
        The count in which a row of account data is left out; None where the stream is new.
    """
    if stream.to_the_minute:
        return by_minute.take_exact(stream)
    if row is None and (replaced := by_minute.take_rough(stream)):
        new.replaces[stream] = replaced
    return None


def _replace_rows_of_doubles(
    new: NewStreams, doubles: Iterable[Double], by_minute: "_ByMinute"
) -> None:
    """Find the rows of account data that are streams which `without_doubles` left out."""
    for stream, stays, is_stored in doubles:
        row = None if stream.to_the_minute else by_minute.take_rough(stream)
        if row is None:
            continue
        if is_stored:
            new.superseded.append(row)
            continue
        # Both rows are the stream that stays: the one that the API returned too is replaced.
        rows = [each for each in (new.replaces.get(stays), row) if each]
        rows.sort(key=lambda each: each.outcome is not Outcome.MERGED)
        new.replaces[stays] = rows[0]
        new.superseded.extend(rows[1:])


class _ByMinute:
    """Stored rows of account data, and exact streams, by what both kinds of exports agree in.

    Nearly all imports are without account data: then ``is_needed`` is false and nothing is indexed.
    Where the new streams are settled, no two of them are compared.
    """

    def __init__(
        self, known: Sequence[ClassifiedStream], ordered: Sequence[Stream], is_settled: bool
    ) -> None:
        self._is_settled = is_settled
        # Rows of account data are the last in order.
        streams = (*ordered[-1:], *(row.stream for row in known))
        self.is_needed = any(stream.to_the_minute for stream in streams)
        self._rough: defaultdict[Hashable, list[ClassifiedStream]] = defaultdict(list)
        self._exact: dict[str, Counter[Hashable]] = {"duplicates": Counter(), "repeated": Counter()}
        for row in known if self.is_needed else ():
            if row.stream.to_the_minute:
                self._rough[minute_of(row.stream)].append(row)
            else:
                self._exact["duplicates"][minute_of(row.stream)] += 1

    def take_exact(self, stream: Stream) -> str | None:
        """Take the exact stream that a row of account data is; each is taken once.

        Returns:
            ``duplicates`` where an earlier import has it, ``repeated`` where this one has it; None
            where there is none.
        """
        minute = minute_of(stream)
        for count, exact in self._exact.items():
            if exact[minute] > 0:
                exact[minute] -= 1
                return count
        return None

    def take_rough(self, stream: Stream) -> ClassifiedStream | None:
        """Add an exact stream, and take the stored row of account data that it is, if any."""
        minute = minute_of(stream)
        if not self._is_settled:
            self._exact["repeated"][minute] += 1
        rows = self._rough.get(minute)
        return rows.pop() if rows else None


def minute_of(stream: Stream) -> Hashable:
    """Return what is equal in the two kinds of exports for one stream."""
    minute = (stream.reported_at or stream.ended_at).replace(second=0, microsecond=0)
    return minute, stream.ms_played, stream.track_name, stream.artist_name
