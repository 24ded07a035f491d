"""The time."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """Now, aware and to the millisecond."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)
