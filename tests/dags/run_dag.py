"""Run DAGs through ``dag.test()`` in a process of its own, and write what came of them as JSON.

    run_dag.py DAG[,DAG…] RESULT_FILE CONF

A process of its own, because Airflow reads its settings when it is imported. The callbacks of a DAG
run after its end, as in the dag-processor; ``dag.test()`` itself gives them a DAG without code.
"""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import structlog
from airflow.callbacks.callback_requests import DagCallbackRequest, DagRunContext
from airflow.dag_processing.dagbag import DagBag
from airflow.dag_processing.processor import _execute_dag_callbacks
from airflow.sdk.execution_time.supervisor import (
    InProcessSupervisorComms,
    InProcessTestSupervisor,
    set_supervisor_comms,
)


@contextmanager
def answered() -> Iterator[None]:
    """Let callbacks ask Airflow for states, XComs and variables, as the dag-processor does."""
    supervisor = InProcessTestSupervisor(
        id=uuid4(),
        pid=os.getpid(),
        process=psutil.Process(),
        process_log=structlog.get_logger(),
        client=InProcessTestSupervisor._api_client(),
    )
    supervisor.comms = InProcessSupervisorComms(supervisor=supervisor)
    with set_supervisor_comms(supervisor.comms):
        yield


def run_one(bag: DagBag, dag_id: str, conf: dict[str, Any] | None) -> dict[str, Any]:
    """The state of the run, of each task instance, and the run's id."""
    dag = bag.dags[dag_id]
    callbacks = dag.on_failure_callback, dag.on_success_callback
    dag.on_failure_callback = dag.on_success_callback = None
    run = dag.test(run_conf=conf)
    dag.on_failure_callback, dag.on_success_callback = callbacks
    call_back(bag, run, "task_failure" if run.state == "failed" else "success")
    tasks = {
        f"{one.task_id}[{one.map_index}]" if one.map_index >= 0 else one.task_id: str(one.state)
        for one in run.get_task_instances()
    }
    tries = sum(one.try_number for one in run.get_task_instances())
    return {"state": str(run.state), "run_id": run.run_id, "tasks": tasks, "tries": tries}


def call_back(bag: DagBag, run: Any, reason: str) -> None:
    """Run the callbacks of a run's DAG, as the dag-processor does."""
    dag = bag.dags[run.dag_id]
    ended = [one for one in run.get_task_instances() if one.state == run.state and one.end_date]
    request = DagCallbackRequest(
        filepath=Path(dag.fileloc).name,
        dag_id=run.dag_id,
        run_id=run.run_id,
        bundle_name="dags",
        bundle_version=None,
        context_from_server=DagRunContext(
            dag_run=run, last_ti=max(ended, key=lambda one: one.end_date, default=None)
        ),
        is_failure_callback=run.state == "failed",
        msg=reason,
    )
    with answered():
        _execute_dag_callbacks(bag, request, structlog.get_logger())


def main(dag_ids: str, result: str, conf: str) -> None:
    """Run the DAGs one after the other; the result of one, or of several by their ids."""
    bag = DagBag()
    told = {name: run_one(bag, name, json.loads(conf)) for name in dag_ids.split(",")}
    Path(result).write_text(json.dumps(told if len(told) > 1 else told[dag_ids]))


if __name__ == "__main__":
    main(*sys.argv[1:])
