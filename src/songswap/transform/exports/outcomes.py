"""What a stream of an export is: a play, or the reason why it is none."""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from songswap.models import Stream


class Outcome(StrEnum):
    """What a stream is: a new play, a play that the API returned too, or no play."""

    LOADED = "loaded"
    MERGED = "merged"
    SHORT = "short"
    PRIVATE = "private"
    UNIDENTIFIED = "unidentified"


class ClassifiedStream(NamedTuple):
    """A stream, what it is, and the time of its row of "History"; None where it has no row.

    ``place`` numbers streams that ended together after as many ms.
    """

    stream: Stream
    place: int
    outcome: Outcome
    played_at: datetime | None


class Rule(NamedTuple):
    """What counts as a play: ``least_ms`` of listening, outside of private sessions."""

    least_ms: int

    def of(self, stream: Stream) -> Outcome | None:
        """Return why a stream is no play; None where it is one.

        A play that was handed over stays one, whatever counted as one where it comes from.
        """
        if stream.ms_played < self.least_ms and stream.played_at is None:
            return Outcome.SHORT
        if stream.incognito:
            return Outcome.PRIVATE
        return Outcome.UNIDENTIFIED if stream.track_id is None else None

    def may_be_play(self, stream: Stream) -> bool:
        """Return whether a stream is a play, or would be once its names identify a track."""
        outcome = self.of(stream)
        return outcome is None or (outcome is Outcome.UNIDENTIFIED and stream.to_the_minute)
