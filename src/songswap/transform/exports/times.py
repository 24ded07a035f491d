"""Parse the times of an export's rows, in whatever form they are written.

Spotify's own description says UTC, in the form ``2019-03-14 15:09:26``; most exports have
``2019-03-14T15:09:26Z``, some have numbers. An ambiguous date such as ``03/04/2019`` is refused.
"""

import re
from datetime import UTC, datetime, timedelta

from songswap.transform.exports.intervals import LONGEST_OFFLINE
from songswap.transform.values import moment

AHEAD = timedelta(seconds=60)
"""How far the clock of a phone may be ahead of Spotify's."""

_SPELLED = re.compile(
    r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?:[T_]| +|, *)"
    r"(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d+))?)?"
    r" *(?:Z|UTC|GMT|([+-]\d{2}):?(\d{2})?)?",
    re.IGNORECASE,
)


def export_time(value: str | float | None) -> datetime | None:
    """Parse a row's time, in UTC and cut to the millisecond; None where it is no time.

    A time without a zone is in UTC; a date alone is no time.
    """
    if value is None:
        return None
    if not isinstance(value, str):
        return _since_1970(value)
    return moment(value) or _other_form(value.strip())


def _other_form(text: str) -> datetime | None:
    if text.isascii() and text.isdigit() and len(text) in (10, 13):
        return _since_1970(int(text))
    return moment(text) or _spelled(text)


def _since_1970(number: float) -> datetime | None:
    """Return the time of seconds or ms, which have 10 and 13 digits from 2001 to 2286."""
    if 10**9 <= number < 10**10:
        number *= 1000
    elif not 10**12 <= number < 10**13:
        return None
    return datetime.fromtimestamp(number // 1000, UTC) + timedelta(milliseconds=number % 1000 // 1)


def _spelled(text: str) -> datetime | None:
    found = _SPELLED.fullmatch(text)
    if not found:
        return None
    *day, fraction, hours, minutes = found.groups()
    beyond = timedelta(milliseconds=int(f"{fraction or '':0<3.3}"))
    zone = timedelta(hours=int(hours or 0))
    zone += timedelta(minutes=int(minutes or 0)) * (-1 if zone < timedelta() else 1)
    try:
        return datetime(*(int(part or 0) for part in day), tzinfo=UTC) + beyond - zone  # type: ignore[arg-type, misc]
    except (ValueError, OverflowError):
        return None


def offline_end(
    reported_at: datetime, started_at: datetime | None, ms_played: int
) -> datetime | None:
    """Return when a play of an offline phone ended at the earliest, in UTC and whole seconds.

    Args:
        reported_at: the row's own time, which can be that of its upload.
        started_at: its ``offline_timestamp``.

    Returns:
        None where ``started_at`` is missing or does not fit: the play would have ended after
        ``reported_at``, or longer before it than a phone can be offline.
    """
    if started_at is None:
        return None
    # Cut like the row's own times: other exports of the same row have seconds instead of ms.
    ended_at = started_at.replace(microsecond=0) + timedelta(milliseconds=ms_played)
    ended_at = ended_at.replace(microsecond=0)
    if reported_at - LONGEST_OFFLINE <= ended_at <= reported_at + AHEAD:
        return ended_at
    return None
