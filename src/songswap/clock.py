"""The clock."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """Return the time, aware, in UTC and cut to the millisecond."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)
