"""Find the stored streams that are plays of the API, by what another warehouse has handed over.

    hand-over: stream, played_at ──▶ its stored row: the same, to the minute, or a double of it
                                     └─▶ made a play of its own there: gives way to the API's

Without it that play and the API's would be one play twice, where no rule here joins the two.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from songswap.models import Stream
from songswap.transform.exports.deduplicate import identity, minute_of, without
from songswap.transform.exports.doubles import without_doubles
from songswap.transform.exports.outcomes import ClassifiedStream, Outcome, Rule


class Settled(NamedTuple):
    """A stored ``row``, and the play of the API that it is: its time and its track."""

    row: ClassifiedStream
    played_at: datetime
    track_id: str

    @property
    def merged(self) -> ClassifiedStream:
        """The row as that play."""
        stream = self.row.stream
        if stream.to_the_minute:
            stream = stream._replace(track_id=self.track_id)
        return self.row._replace(stream=stream, outcome=Outcome.MERGED, played_at=self.played_at)


def settle(
    streams: Sequence[Stream],
    known: Sequence[ClassifiedStream],
    plays: Mapping[datetime, str],
    rule: Rule,
) -> list[Settled]:
    """Return the stored streams that have to give up their play for one of the API.

    Args:
        streams: that were handed over, with ``played_at``.
        known: the stored streams of the user.
        plays: the tracks, by time, of plays of the API that were handed over with the streams, and
            that belong to no stored stream.
    """
    left = dict(plays)
    claims = [row for row in streams if row.played_at in left and rule.may_be_play(row)]
    settled: dict[ClassifiedStream, Settled] = {}
    for stream, row in _pairs(claims, streams, known) if claims else ():
        at = stream.played_at
        if at in left and row not in settled:
            settled[row] = Settled(row, at, left.pop(at))
    return list(settled.values())


def _pairs(
    claims: Sequence[Stream], streams: Sequence[Stream], known: Sequence[ClassifiedStream]
) -> Iterator[tuple[Stream, ClassifiedStream]]:
    """Yield streams with the plays of exports that they may be, the surest first."""
    loaded = {identity(row.stream): row for row in known if row.outcome is Outcome.LOADED}
    for stream in claims:
        if row := loaded.get(identity(stream)):
            yield stream, row
    # A row that was handed over as well is another stream.
    others = [row for row in without(known, streams) if row.outcome is Outcome.LOADED]
    stored = {identity(row.stream) for row in known}
    rest = [stream for stream in claims if identity(stream) not in stored]
    by_minute: defaultdict[Hashable, list[ClassifiedStream]] = defaultdict(list)
    for row in others:
        by_minute[minute_of(row.stream), row.stream.to_the_minute].append(row)
    for stream in rest:
        for row in by_minute.get((minute_of(stream), not stream.to_the_minute), ()):
            yield stream, row
    doubles = without_doubles(rest, range(len(rest)), (row.stream for row in others))[1]
    for stream, stays, is_stored in doubles:
        if is_stored:
            yield stream, loaded[identity(stays)]
