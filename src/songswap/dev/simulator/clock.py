"""The simulator's time: the real one, or one that moves only when it is set."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache


class ClockError(ValueError):
    """The clock cannot be set to this time."""


class Clock:
    """Time in milliseconds since 1970 UTC; `frozen_at` makes it stand still until it is set."""

    def __init__(self, frozen_at: int | None = None) -> None:
        self._frozen_at = frozen_at

    @property
    def is_frozen(self) -> bool:
        """Return whether time moves only when it is set."""
        return self._frozen_at is not None

    def now(self) -> int:
        """Return the time in ms."""
        return time.time_ns() // 1_000_000 if self._frozen_at is None else self._frozen_at

    def set(self, to: int) -> None:
        """Move a frozen clock forward to a time in ms.

        Raises:
            ClockError: The clock is real, or the time lies before the present one.
        """
        if self._frozen_at is None:
            raise ClockError("the clock runs with real time; start with --clock frozen to set it")
        if to < self._frozen_at:
            raise ClockError(f"the clock stands at {iso(self._frozen_at)} and cannot go back")
        self._frozen_at = to


def iso(ms: int) -> str:
    """Return a time in ms in Spotify's format: `2026-11-22T08:00:00.000Z`."""
    days, ms = divmod(ms, 86_400_000)
    minutes, ms = divmod(ms, 60_000)
    hours, minutes = divmod(minutes, 60)
    seconds, ms = divmod(ms, 1000)
    return f"{_date(days)}T{hours:02d}:{minutes:02d}:{seconds:02d}.{ms:03d}Z"


@lru_cache(1_000)
def _date(days: int) -> str:
    return (date(1970, 1, 1) + timedelta(days)).isoformat()


def parse_iso(text: str) -> int:
    """Return the ms since 1970 of an ISO 8601 time; without a zone it is UTC.

    Raises:
        ValueError: The text is not such a time.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    whole = moment.replace(microsecond=0)
    return int(whole.timestamp()) * 1000 + moment.microsecond // 1000
