"""Which errors Airflow tries again, and after how long.

Exceptions are named by their path, so that a DAG file imports none of the pipeline to be parsed.
"""

import os
from datetime import timedelta
from typing import Any

from airflow.sdk.definitions.retry_policy import ExceptionRetryPolicy, RetryAction, RetryRule

from songswap.orchestration.alerts import note_problem

TASK_TIMEOUT = timedelta(minutes=50)
"""How long a try of a task may take. What asks Spotify has to end by itself before."""

LONGEST_TASK = timedelta(days=1)
"""How long a try of a task may take that is as long as what it is given: a backfill, a replay, an
import. No task may take longer: docker-compose.yaml has Redis give a task to another worker when it
was not ended for a little longer (``VISIBILITY_TIMEOUT``)."""

RUN_TIMEOUT = timedelta(minutes=55)
"""How long a run of the scheduled DAGs may take in all: then it gives way to the next hour's."""

_RETRIES = 2

_WITHOUT_USE = (
    "RateLimited",
    "InvalidClient",
    "ClockWrong",
    "SettingsError",
    "SchemaOutdated",
    "CodeOutdated",
    "WarehouseRefused",
    "LoadIncomplete",
    "RunFailed",
    "ExportRefused",
)


def retried() -> dict[str, Any]:
    """The ``default_args`` of a DAG that does the pipeline's work.

    Lost services are tried again in a minute, a task that was killed too; what trying cannot mend
    fails at once. The minute is the setting ``SONGSWAP_RETRY_DELAY_S``.
    """
    delay = timedelta(seconds=float(os.environ.get("SONGSWAP_RETRY_DELAY_S") or 60))
    policy = ExceptionRetryPolicy(
        rules=[
            RetryRule(
                exception=[f"songswap.errors.{name}" for name in _WITHOUT_USE],
                action=RetryAction.FAIL,
                reason="Trying again at once would not help.",
            ),
            RetryRule(
                exception="songswap.errors.SongSwapError",
                action=RetryAction.RETRY,
                retry_delay=delay,
                reason="A service was lost; what was done until then is kept.",
            ),
        ]
    )
    return {
        "retries": _RETRIES,
        "retry_delay": delay,
        "retry_policy": policy,
        "execution_timeout": TASK_TIMEOUT,
        "on_failure_callback": note_problem,
    }


def tried_once() -> dict[str, Any]:
    """The ``default_args`` of a DAG that checks something: it tells what is so now."""
    return {
        "retries": 0,
        "execution_timeout": timedelta(minutes=5),
        "on_failure_callback": note_problem,
    }
