"""The ids under which the pipeline records Airflow's runs, and runs that end without `summarise`.

The plugin imports this in every process of Airflow: the rest is imported inside the functions.
"""

import logging
from datetime import UTC, datetime

log = logging.getLogger(__name__)

_PREFIXES = {"load_listening_history": "", "follow_heavy_listeners": "follow__"}
"""By DAG with rows in table ``songswap.runs``: the prefix of its ids. Airflow's are unique only
within a DAG."""


def current_dag_id() -> str:
    """Return the DAG of the current task."""
    from airflow.sdk import get_current_context

    return str(get_current_context()["dag"].dag_id)


def current_run_id() -> str:
    """Return the id under which the pipeline records the current task's run."""
    from airflow.sdk import get_current_context

    context = get_current_context()
    return _PREFIXES.get(context["dag"].dag_id, "") + str(context["run_id"])


def end_row(dag_id: str, run_id: str, problem: str) -> None:
    """End the row of a run that ended before `summarise` could; do nothing for other DAGs.

    Args:
        dag_id, run_id: Airflow's.
        problem: a sentence.
    """
    if dag_id not in _PREFIXES:
        return
    from songswap.errors import SongSwapError
    from songswap.orchestration.connections import find_connection, read_warehouse
    from songswap.warehouse import runs
    from songswap.warehouse.connection import connect

    recorded_id = _PREFIXES[dag_id] + run_id
    try:
        if find_connection("SongSwap_RDS") is None:
            log.warning(
                "The row of run %s is left to the next run, which finds that no process works on"
                " it: this part of Airflow has no connection SongSwap_RDS.",
                recorded_id,
            )
            return
        with connect(read_warehouse()) as connection:
            if runs.fail_running(connection, recorded_id, problem, datetime.now(UTC)):
                log.warning("The row of run %s is ended: %s", recorded_id, problem)
    except SongSwapError as error:
        # The next run finds that no process works on this one, and ends it.
        log.error("The end of run %s is not recorded: %s", recorded_id, error)  # noqa: TRY400 - a sentence
