"""Compares this machine's clock with the Date of a service's answers."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

from songswap.errors import ClockWrong

FARTHEST = timedelta(minutes=2)
"""How far the clock may be from the Date."""


class ClockWatch:
    """Tells whether the clock can be trusted, and the time in any case.

    One server whose own clock is wrong does not stop a run: two answers that differ alike do, and
    only where no answer has agreed before. ``wrong`` is the error then, else None.

    Args:
        clock: the clock that is watched (aware, UTC).
    """

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self.wrong: ClockWrong | None = None
        self._clock = clock
        self._has_agreed = False
        self._difference: timedelta | None = None

    def now(self) -> datetime:
        """The time by the clock, or by the answers' Date where the clock is wrong."""
        now = self._clock()
        return now + self._difference if self.wrong and self._difference else now

    def can_date(self, headers: Mapping[str, str], sent_at: datetime) -> bool:
        """Whether `now` dates an answer to a request that was sent at ``sent_at`` by the clock.

        False while nobody can know whether it is the clock that is wrong, or the answer's Date. An
        answer without a readable Date, or out of a cache, says nothing of the time.
        """
        date = _date(headers)
        if date is None or self.wrong or self._has_agreed:
            return True
        late = date - sent_at
        if late > FARTHEST:
            # It may have been under way for long.
            late = max(timedelta(), date - self._clock())
        if abs(late) <= FARTHEST:
            self._has_agreed = True
            return True
        before, self._difference = self._difference, late
        if before is None or abs(late - before) > FARTHEST:
            return False
        way = "slow" if late > timedelta() else "fast"
        self.wrong = ClockWrong(
            f"This machine's clock is {_said(abs(late))} {way} by the date that Spotify's answers"
            " have. What was answered is kept with that date, nobody else was asked, and nothing is"
            " lost yet: set the machine's clock, then clear the run."
        )
        return True


def _date(headers: Mapping[str, str]) -> datetime | None:
    if "Age" in headers:
        return None
    try:
        date = parsedate_to_datetime(headers.get("Date", ""))
    except (ValueError, OverflowError):
        return None
    return date if date.tzinfo else None


def _said(difference: timedelta) -> str:
    minutes = difference.total_seconds() / 60
    if minutes < 120:
        return f"{minutes:.0f} minutes"
    return f"{minutes / 60:.0f} hours" if minutes < 48 * 60 else f"{minutes / 1440:.0f} days"
