"""When the scheduled loads run: at a minute that is a setting.

The DAG files read it when they are parsed: this imports next to nothing.
"""

from collections.abc import Mapping

from songswap.errors import SettingsError

NAME = "SONGSWAP_MINUTE"
DEFAULT = 1


def minute_of(environment: Mapping[str, str]) -> int:
    """Return the minute of each hour at which the hourly load runs.

    Raises:
        SettingsError: it is no whole number from 0 to 59.
    """
    text = environment.get(NAME, "").strip() or str(DEFAULT)
    if not (text.isascii() and text.isdecimal() and len(text) <= 2 and int(text) < 60):
        raise SettingsError(
            f"{NAME} has to be a whole number of 0 to 59, not {text[:20]!r}: until it is, the"
            f" hourly load runs at minute {DEFAULT}."
        )
    return int(text)


def hourly(minute: int) -> str:
    """Return the cron expression of the hourly load."""
    return f"{minute} * * * *"


def between(minute: int) -> str:
    """Return that of the polls between: every ten minutes, and five after the hourly load."""
    first = (minute + 5) % 10
    return f"{first}-{first + 50}/10 * * * *"
