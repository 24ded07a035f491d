"""The schedules of the DAGs whose minute is a setting."""

import logging
import os

from songswap import schedule
from songswap.errors import SettingsError

log = logging.getLogger(__name__)


def hourly() -> str:
    """Return the schedule of the hourly load."""
    return schedule.hourly(_minute())


def between() -> str:
    """Return the schedule of the polls between the hourly loads."""
    return schedule.between(_minute())


def _minute() -> int:
    """The minute of the setting; the default if it is wrong.

    A DAG file that fails is a DAG that stops, and plays are lost: a load at another minute is not.
    The check `test_discord` is red until the setting is right.
    """
    try:
        return schedule.minute_of(os.environ)
    except SettingsError as error:
        log.error("%s", error)  # noqa: TRY400 - a sentence
        return schedule.DEFAULT
