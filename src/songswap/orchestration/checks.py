"""The steps of the sanity checks as Airflow's tasks run them: context what Airflow keeps."""

import logging
import os

from airflow.sdk import get_current_context

from songswap.checks.sanity.context import CheckContext
from songswap.checks.sanity.run import run_step
from songswap.clock import utc_now
from songswap.orchestration.connections import find_connection, find_variable

log = logging.getLogger(__name__)


def run(check: str, step: str) -> None:
    """Run a step of a check for this run of the DAG, and log what it saw.

    Raises:
        SongSwapError: it failed; the sentence says what to set or mend, and where.
    """
    run_id = str(get_current_context()["dag_run"].run_id)
    context = CheckContext(find_connection, find_variable, os.environ, run_id, utc_now)
    log.info(run_step(check, step, context))
