"""Run DAGs through ``dag.test()`` in a process of its own, and write their results as JSON.

    run_dag.py DAG[,DAG…] RESULT_FILE CONF AT

Airflow reads its settings when it is imported: hence a process. Callbacks run after the run's end,
as in the dag-processor; ``dag.test()`` itself would pass them a DAG without code.
"""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import structlog
from airflow.callbacks.callback_requests import DagCallbackRequest, DagRunContext
from airflow.dag_processing import dagbag
from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.dag_processing.dagbag import BundleDagBag, DagBag
from airflow.dag_processing.processor import _execute_dag_callbacks
from airflow.sdk.execution_time.supervisor import (
    InProcessSupervisorComms,
    InProcessTestSupervisor,
    PsutilTracker,
    set_supervisor_comms,
)
from airflow.sdk.observability import stats
from airflow.sdk.observability.metrics import stats_utils


@contextmanager
def api_server() -> Iterator[None]:
    """Give callbacks Airflow's API for states, XComs and variables, as the dag-processor does."""
    supervisor = InProcessTestSupervisor(
        id=uuid4(),
        pid=os.getpid(),
        process=PsutilTracker(psutil.Process()),
        process_log=structlog.get_logger(),
        client=InProcessTestSupervisor._api_client(),  # type: ignore[no-untyped-call]  # Airflow's
    )
    supervisor.comms = InProcessSupervisorComms(supervisor=supervisor)
    with set_supervisor_comms(supervisor.comms):
        yield


def parse() -> DagBag:
    """Parse all DAGs and write them to the metadata database, once for all runs of this process.

    Otherwise ``dag.test()`` does both again for each run.
    """
    manager = DagBundlesManager()  # type: ignore[no-untyped-call]  # Airflow's
    manager.sync_bundles_to_db()
    (bundle,) = manager.get_all_dag_bundles()
    bundle.initialize()
    bag = BundleDagBag(bundle.path, bundle_path=bundle.path, bundle_name=bundle.name)
    dagbag.sync_bag_to_db(bag, bundle.name, bundle.version)
    dagbag.BundleDagBag = lambda *_, **__: bag  # type: ignore[assignment,misc]
    dagbag.sync_bag_to_db = lambda *_, **__: None
    return bag


def run_one(bag: DagBag, dag_id: str, conf: dict[str, Any] | None, at: str) -> dict[str, Any]:
    """Run a DAG; return its run's state and id, and the states of the tasks."""
    dag = bag.dags[dag_id]
    callbacks = dag.on_failure_callback, dag.on_success_callback
    dag.on_failure_callback = dag.on_success_callback = None
    time = datetime.fromisoformat(at) if at else datetime.now(UTC)
    run = dag.test(run_conf=conf, logical_date=time, run_after=time)
    dag.on_failure_callback, dag.on_success_callback = callbacks
    call_back(bag, run, "task_failure" if run.state == "failed" else "success")
    tasks = {
        f"{task.task_id}[{task.map_index}]" if task.map_index >= 0 else task.task_id: str(
            task.state
        )
        for task in run.get_task_instances()
    }
    tries = sum(task.try_number for task in run.get_task_instances())
    return {"state": str(run.state), "run_id": run.run_id, "tasks": tasks, "tries": tries}


def call_back(bag: DagBag, run: Any, reason: str, last: Any = None) -> None:
    """Run the callbacks of a run's DAG, as the dag-processor does.

    Args:
        last: the task that the context is to have; the one that ended last if None.
    """
    dag = bag.dags[run.dag_id]
    tasks = run.get_task_instances()
    ended = [task for task in tasks if task.state == run.state and task.end_date]
    request = DagCallbackRequest(
        filepath=Path(dag.fileloc).name,
        dag_id=run.dag_id,
        run_id=run.run_id,
        bundle_name="dags",
        bundle_version=None,
        context_from_server=DagRunContext(
            dag_run=run,
            last_ti=last or max(ended, key=lambda task: task.end_date, default=None),
        ),
        is_failure_callback=run.state == "failed",
        msg=reason,
    )
    with api_server():
        _execute_dag_callbacks(bag, request, structlog.get_logger())


def main(dag_ids: str, result: str, conf: str, at: str) -> None:
    """Run DAGs in turn; write the result of a single one, or of several by id."""
    # As in the process of a task: metrics are sent where they are on.
    stats.initialize(factory=stats_utils.get_stats_factory(), export_legacy_names=False)
    bag = parse()
    results = {name: run_one(bag, name, json.loads(conf), at) for name in dag_ids.split(",")}
    Path(result).write_text(json.dumps(results if len(results) > 1 else results[dag_ids]))


if __name__ == "__main__":
    main(*sys.argv[1:])
