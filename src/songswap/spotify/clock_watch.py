"""Compares this machine's clock with the Date of a service's answers."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

from songswap.errors import ClockWrong

FARTHEST = timedelta(minutes=2)
"""How far the clock may be from the Date."""


class ClockWatch:
    """Tells whether the clock can be trusted with what an answer says.

    One server whose own clock is wrong does not stop a run: two answers that differ alike do, and
    only where no answer has agreed before. An answer that differs is never used.

    Args:
        clock: the clock that is watched (aware, UTC).
    """

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._has_agreed = False
        self._differed: timedelta | None = None
        self._wrong: ClockWrong | None = None

    def require_trust(self) -> None:
        """Raise the `ClockWrong` that was found before: nobody else is asked in vain."""
        if self._wrong:
            raise self._wrong

    def agrees(self, headers: Mapping[str, str], sent_at: datetime) -> bool:
        """Whether the clock agrees with an answer to a request that was sent at ``sent_at``.

        An answer without a readable Date, or out of a cache, says nothing of the time: it agrees.

        Raises:
            ClockWrong: a second answer differs from the clock by as much as the one before.
        """
        date = _date(headers)
        if date is None:
            return True
        late = date - sent_at
        if late > FARTHEST:
            # It may have been under way for long.
            late = max(timedelta(), date - self._clock())
        if abs(late) <= FARTHEST:
            self._has_agreed = True
            return True
        before, self._differed = self._differed, late
        if not self._has_agreed and before is not None and abs(late - before) <= FARTHEST:
            way = "slow" if late > timedelta() else "fast"
            self._wrong = ClockWrong(
                f"This machine's clock is {_said(abs(late))} {way} by the date that Spotify's"
                " answers have. Nothing of them was stored, and nothing is lost yet: set the"
                " machine's clock, then clear the run."
            )
            raise self._wrong
        return False


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
