"""The tasks of the sanity checks.

The DAG files import this to be parsed: what only a task needs is imported inside it.
"""

import logging
import os

from airflow.sdk import XComArg, task

log = logging.getLogger(__name__)


def check_tasks(check: str, *steps: str) -> list[XComArg]:
    """Return a task for each of these steps of a check, in their order and not wired yet."""
    return [run_step.override(task_id=step)(check, step) for step in steps]


@task
def run_step(check: str, step: str) -> None:
    """Run a step of the check, and log what it found."""
    from songswap.checks.sanity import run
    from songswap.checks.sanity.context import CheckContext
    from songswap.clock import utc_now
    from songswap.orchestration.connections import find_connection, find_variable
    from songswap.orchestration.runs import current_run_id

    run_id = current_run_id()
    context = CheckContext(find_connection, find_variable, os.environ, run_id, utc_now)
    log.info(run.run_step(check, step, context))
