"""For how long the pipeline's own records, Airflow's logs and raw responses are kept."""

from collections.abc import Mapping
from datetime import timedelta
from typing import NamedTuple

from songswap.settings.numbers import whole

RAW_DAYS = "SONGSWAP_KEEP_RAW_DAYS"


class Retention(NamedTuple):
    """How long ``rows`` of runs, steps and snapshots are kept, and ``logs`` of Airflow."""

    rows: timedelta
    logs: timedelta


def retention(environment: Mapping[str, str]) -> Retention:
    """Read ``SONGSWAP_KEEP_DAYS`` (90) and ``SONGSWAP_KEEP_LOG_DAYS`` (30).

    Raises:
        SettingsError: one is no number of days, or too small.
    """
    return Retention(
        timedelta(days=whole(environment, "SONGSWAP_KEEP_DAYS", 90, 7, 3650)),
        timedelta(days=whole(environment, "SONGSWAP_KEEP_LOG_DAYS", 30, 1, 3650)),
    )


def keep_raw_days(environment: Mapping[str, str]) -> int | None:
    """Read ``SONGSWAP_KEEP_RAW_DAYS``: the days after which the bucket deletes raw responses.

    Returns: None where it is not set: they are kept.

    Raises:
        SettingsError: it is no number of days.
    """
    return whole(environment, RAW_DAYS, 0, 1, 36_500) or None
