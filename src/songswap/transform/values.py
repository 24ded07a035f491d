"""Single values as the columns take them: ids, texts, whole numbers, moments."""

import re
from datetime import UTC, datetime, timedelta

INTEGER_MAX = 2**31 - 1
"""The largest value of a PostgreSQL ``integer``."""

EARLIEST_PLAY = datetime(2006, 4, 23, tzinfo=UTC)
"""The day Spotify was founded: no play is older."""

_A_DAY = timedelta(days=1)

_ID = re.compile(r"[0-9A-Za-z_-]{1,24}")
_NOT_TEXT = re.compile("[\x00\ud800-\udfff]")


def is_id(text: str) -> bool:
    """Return whether ``text`` can be the id of a track or artist: 1-24 letters, digits, _ and -."""
    return _ID.fullmatch(text) is not None


def clean(text: str) -> str:
    """Drop the characters that PostgreSQL cannot store: NUL and halves of surrogate pairs."""
    return _NOT_TEXT.sub("", text) if not text.isprintable() else text


def whole(number: int | None, low: int, high: int) -> int | None:
    """Return ``number`` if it lies within ``low``-``high``, else None."""
    return number if number is not None and low <= number <= high else None


def moment(text: str) -> datetime | None:
    """Parse an ISO 8601 time with its zone, in UTC and cut to ms; None if it is no such time."""
    try:
        parsed = datetime.fromisoformat(text)
        if parsed.tzinfo is None:
            return None
        if parsed.tzinfo is not UTC:
            parsed = parsed.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    beyond = parsed.microsecond % 1000
    return parsed.replace(microsecond=parsed.microsecond - beyond) if beyond else parsed


def is_plausible(played_at: datetime, observed_at: datetime) -> bool:
    """Return whether a play observed at a time can have happened; a clock may be a day ahead."""
    return EARLIEST_PLAY <= played_at <= observed_at + _A_DAY
