"""Arguments that all DAGs of a kind share: ``@dag(..., **PIPELINE_DAG)``."""

from datetime import UTC, datetime
from typing import Any

from songswap.orchestration.alerts import ALERTS
from songswap.orchestration.retries import retried, tried_once

_EVERY_DAG: dict[str, Any] = {
    "start_date": datetime(2026, 1, 1, tzinfo=UTC),
    "catchup": False,
    "max_active_runs": 1,
    **ALERTS,
}

PIPELINE_DAG = {**_EVERY_DAG, "default_args": retried()}
"""For DAGs that load data: lost services are retried."""

TEST_DAG = {**_EVERY_DAG, "default_args": tried_once()}
"""For DAGs that check something: they report the first result."""
