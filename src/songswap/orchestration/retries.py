"""Which errors Airflow tries again, and after how long.

Exceptions are named by their path, so that a DAG file imports none of the pipeline to be parsed.
"""

import os
from datetime import timedelta

from airflow.sdk.definitions.retry_policy import ExceptionRetryPolicy, RetryAction, RetryRule

RETRIES = 2
"""How often a task is tried again where its error allows it."""

_WITHOUT_USE = (
    "RateLimited",
    "CredentialsRefused",
    "SettingsError",
    "SchemaOutdated",
    "LoadIncomplete",
    "RunFailed",
)


def by_kind() -> ExceptionRetryPolicy:
    """Lost services are tried again in a minute; what trying cannot mend fails at once.

    The minute is the setting ``SONGSWAP_RETRY_DELAY_S``.
    """
    delay_s = float(os.environ.get("SONGSWAP_RETRY_DELAY_S") or 60)
    return ExceptionRetryPolicy(
        rules=[
            RetryRule(
                exception=[f"songswap.errors.{name}" for name in _WITHOUT_USE],
                action=RetryAction.FAIL,
                reason="Trying again at once would not help; the next hourly run goes on.",
            ),
            RetryRule(
                exception="songswap.errors.SongSwapError",
                action=RetryAction.RETRY,
                retry_delay=timedelta(seconds=delay_s),
                reason="A service was lost; what was done until then is kept.",
            ),
        ]
    )
