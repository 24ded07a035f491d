"""For how long the pipeline's own records and Airflow's logs are kept."""

from collections.abc import Mapping
from datetime import timedelta
from typing import NamedTuple

from songswap.settings.numbers import whole


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
