"""The rows of ``songswap.runs`` that belong to runs of DAGs, and how they end without a task."""

import logging
from datetime import UTC, datetime

log = logging.getLogger(__name__)

FOLLOWED = "follow__"
"""Before the ids of runs in between the hours: the hourly load may have some of the same name."""

_BEFORE = {"load_listening_history": "", "follow_heavy_listeners": FOLLOWED}


def end_row(dag_id: str, run_id: str, problem: str) -> None:
    """End the row of a run that ended before `summarise` could; do nothing for other DAGs' runs.

    Args:
        dag_id, run_id: as Airflow has them.
        problem: a sentence.
    """
    if dag_id not in _BEFORE:
        return
    from songswap.errors import SongSwapError
    from songswap.orchestration.connections import read_warehouse
    from songswap.warehouse import runs
    from songswap.warehouse.connection import connect

    row = _BEFORE[dag_id] + run_id
    try:
        with connect(read_warehouse()) as connection:
            if runs.fail_running(connection, row, problem, datetime.now(UTC)):
                log.warning("The row of run %s is ended: %s", row, problem)
    except SongSwapError as error:
        # The next run sees that nobody works on this one.
        log.error("The end of run %s is not noted: %s", row, error)  # noqa: TRY400 - a sentence
