"""What Airflow says of DAGs and tasks, through the Task SDK: a task has no metadata database.

It tells whether a DAG is paused, when its runs were due, and how many of its tasks are in a state.
It does not tell of pools: that one is missing shows in tasks that stay ``scheduled`` while none of
its tasks runs.
"""

from collections.abc import Iterator
from datetime import datetime
from http import HTTPStatus

from airflow.sdk import get_current_context
from airflow.sdk.exceptions import AirflowRuntimeError
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import GetPreviousDagRun, PreviousDagRunResult

from songswap.pipelines.standstills import Waiting

POOLS = {
    "spotify": {
        "load_listening_history": ["batch", "enrich_tracks", "enrich_artists", "enrich_features"],
        "follow_heavy_listeners": ["batch"],
    },
    "backfill": {
        "backfill_data": ["fill_artists", "fill_tracks", "fill_features"],
        "import_streaming_history": ["load"],
        "replay_archive": ["replay"],
    },
}
"""The tasks that each pool limits, by DAG."""

_AT_WORK = ["queued", "running", "restarting", "deferred"]


def is_paused(dag_id: str) -> bool:
    """Return whether a DAG is paused; a DAG that Airflow does not know is not."""
    try:
        return bool(get_current_context()["ti"].get_dag(dag_id).is_paused)
    except AirflowRuntimeError as error:
        if (error.error.detail or {}).get("status_code") != HTTPStatus.NOT_FOUND:
            raise
        return False


def last_due(dag_id: str, now: datetime) -> datetime | None:
    """Return when the last run of a DAG that Airflow made by its schedule was due."""
    # `get_previous_dagrun` of a task asks for its own DAG alone.
    response = task_runner.SUPERVISOR_COMMS.send(GetPreviousDagRun(dag_id=dag_id, logical_date=now))
    run = response.dag_run if isinstance(response, PreviousDagRunResult) else None
    return run.run_after if run else None


def waiting() -> Iterator[Waiting]:
    """Count the tasks of each pool that wait for a slot of it, and see whether any is at work."""
    for pool, dags in POOLS.items():
        tasks = {dag_id: _count(dag_id, names, ["scheduled"]) for dag_id, names in dags.items()}
        # The tasks of a paused DAG wait for that.
        tasks = {dag_id: number for dag_id, number in tasks.items() if number}
        tasks = {dag_id: number for dag_id, number in tasks.items() if not is_paused(dag_id)}
        if tasks:
            at_work = any(_count(dag_id, names, _AT_WORK) for dag_id, names in dags.items())
            yield Waiting(pool, tasks, at_work)


def _count(dag_id: str, task_ids: list[str], states: list[str]) -> int:
    return int(get_current_context()["ti"].get_ti_count(dag_id, task_ids=task_ids, states=states))
