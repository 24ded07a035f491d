"""Which errors Airflow retries, and after how long.

Exceptions are named by their path: a DAG file imports nothing of the pipeline to be parsed.
"""

import os
from datetime import timedelta
from typing import Any

from airflow.sdk.definitions.retry_policy import ExceptionRetryPolicy, RetryAction, RetryRule

from songswap.orchestration.alerts import record_problem

TASK_TIMEOUT = timedelta(minutes=50)
"""How long a try of a task may take. Tasks that call Spotify stop by themselves before."""

LONGEST_TASK = timedelta(days=1)
"""How long a try may take where the work has any size: a backfill, a replay, an import. No limit
may be longer: soon after it, Redis gives a task to a second worker (``VISIBILITY_TIMEOUT`` in
docker-compose.yaml)."""

RUN_TIMEOUT = timedelta(minutes=55)
"""How long a run of the hourly load may take: then it makes way for the next hour's."""

POLLS_TIMEOUT = timedelta(minutes=25)
"""How long a run of the polls in between may take, which makes way for the next one's look at the
hourly load. A load waits at most 15 minutes for another one of the same user."""

TEST_RUN_TIMEOUT = timedelta(minutes=30)
"""How long a run of a check may take: its tasks have 5 minutes each, one after the other."""

DAILY_TIMEOUT = timedelta(hours=23)
"""How long a run of a daily DAG may take: then it makes way for the next day's."""

DAILY_TASK = timedelta(hours=22)
"""How long a try of its tasks may take."""

ON_DEMAND_TIMEOUT = timedelta(days=7)
"""How long a run on demand may take, whose tasks have a day for each try, and wait for each hourly
load and for Spotify's pauses. What it has loaded stays."""

_RETRIES = 2

_NOT_RETRIED = (
    "RateLimited",
    "InvalidClient",
    "ClockWrong",
    "SettingsError",
    "SchemaOutdated",
    "CodeOutdated",
    "WarehouseRefused",
    "LoadIncomplete",
    "RunFailed",
    "EraseRefused",
    "ErasureOutdated",
    "ExportRefused",
)


def retried() -> dict[str, Any]:
    """Return the ``default_args`` of a DAG that loads data.

    A lost service or a killed task is retried after a minute (the setting
    ``SONGSWAP_RETRY_DELAY_S``). Errors that a retry cannot fix fail at once.
    """
    delay = timedelta(seconds=float(os.environ.get("SONGSWAP_RETRY_DELAY_S") or 60))
    policy = ExceptionRetryPolicy(
        rules=[
            RetryRule(
                exception=[f"songswap.errors.{name}" for name in _NOT_RETRIED],
                action=RetryAction.FAIL,
                reason="A retry would not help.",
            ),
            RetryRule(
                exception="songswap.errors.SongSwapError",
                action=RetryAction.RETRY,
                retry_delay=delay,
                reason="A service was lost; what was done before is stored.",
            ),
        ]
    )
    return {
        "retries": _RETRIES,
        "retry_delay": delay,
        "retry_policy": policy,
        "execution_timeout": TASK_TIMEOUT,
        "on_failure_callback": record_problem,
    }


def tried_once() -> dict[str, Any]:
    """Return the ``default_args`` of a DAG that checks something: the first result counts."""
    return {
        "retries": 0,
        "execution_timeout": timedelta(minutes=5),
        "on_failure_callback": record_problem,
    }
