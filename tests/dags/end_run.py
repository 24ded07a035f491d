"""End a run of the hourly DAG from outside of its tasks, in a process of its own.

    end_run.py RUN_ID failed|success|timed_out|waited

By hand, as Airflow's api-server ends it, or for taking too long, as the scheduler does: while it
worked, or while its batches waited for a slot.
"""

import sys

from airflow.api_fastapi.core_api.datamodels.dag_run import DagRunMutableStates
from airflow.api_fastapi.core_api.services.public.dag_run import patch_dag_run_state
from airflow.dag_processing.dagbag import DagBag
from airflow.models.dagrun import DagRun
from airflow.models.serialized_dag import SerializedDagModel
from airflow.utils.session import create_session
from run_dag import call_back  # type: ignore[import-not-found]  # beside this script
from sqlalchemy import select

DAG = "load_listening_history"
LATER = {"batch", "enrich_tracks", "enrich_artists", "enrich_features", "summarise"}


def main(run_id: str, how: str) -> None:
    """End the run."""
    with create_session() as session:
        run = session.scalar(select(DagRun).where(DagRun.dag_id == DAG, DagRun.run_id == run_id))
        assert run is not None
        if how in ("timed_out", "waited"):
            run.state = "failed"
            waiting = [task for task in run.task_instances if task.task_id in LATER]
            for task in waiting if how == "waited" else ():
                task.state, task.hostname, task.start_date = "skipped", "", None
            session.flush()
            last = min(waiting, key=lambda task: task.task_id) if how == "waited" else None
            call_back(DagBag(), run, "timed_out", last)
        else:
            dag = SerializedDagModel.get_dag(DAG, session=session)
            assert dag is not None
            patch_dag_run_state(
                dag=dag,
                dag_run=run,
                state=DagRunMutableStates(how),
                session=session,
            )


if __name__ == "__main__":
    main(*sys.argv[1:])
