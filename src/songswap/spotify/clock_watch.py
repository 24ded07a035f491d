"""Compare this machine's clock with the Date of a service's responses."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

from songswap.errors import ClockWrong

FARTHEST = timedelta(minutes=2)
"""How far the clock may be from the Date."""


class ClockWatch:
    """Decides whether the clock can be trusted, and gives the right time in any case.

    One server whose own clock is wrong does not stop a run: two responses that differ alike do, and
    only where none has agreed before. ``wrong`` is the error then, else None.

    Args:
        clock: the clock to watch (aware, UTC).
    """

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self.wrong: ClockWrong | None = None
        self._clock = clock
        self._has_agreed = False
        self._difference: timedelta | None = None

    def now(self) -> datetime:
        """The time by the clock, or by the responses' Date where the clock is wrong."""
        now = self._clock()
        return now + self._difference if self.wrong and self._difference else now

    def can_date(self, headers: Mapping[str, str], sent_at: datetime) -> bool:
        """Whether `now` dates a response to a request that was sent at ``sent_at`` by the clock.

        False while it is unknown whether the clock is wrong, or the response's Date. A response
        without a readable Date, or from a cache, says nothing about the time.
        """
        if self.wrong or self._has_agreed:
            return True
        date = _date(headers)
        if date is None:
            return True
        late = date - sent_at
        if late > FARTHEST:
            # It may have been in flight for long.
            late = max(timedelta(), date - self._clock())
        if abs(late) <= FARTHEST:
            self._has_agreed = True
            return True
        before, self._difference = self._difference, late
        if before is None or abs(late - before) > FARTHEST:
            return False
        direction = "slow" if late > timedelta() else "fast"
        self.wrong = ClockWrong(
            f"This machine's clock is {_in_words(abs(late))} {direction} by the date of Spotify's"
            " responses. Those received are stored with that date, no other user was polled, and"
            " nothing is lost yet: set the machine's clock, then clear the run."
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


def _in_words(difference: timedelta) -> str:
    minutes = difference.total_seconds() / 60
    if minutes < 120:
        return f"{minutes:.0f} minutes"
    return f"{minutes / 60:.0f} hours" if minutes < 48 * 60 else f"{minutes / 1440:.0f} days"
