"""Answer the approval of a run as soon as it is asked for, as Airflow's api-server does.

    approve.py DAG Approve|Reject|times_out

It takes the route of the api-server, with a user of its simple auth manager, and prints what was
asked: subject, body and options. "times_out" lets the time pass for the scheduler's sweep.
"""

import json
import sys
import time
from datetime import UTC, datetime, timedelta

from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
from airflow.api_fastapi.core_api.datamodels.hitl import UpdateHITLDetailPayload
from airflow.api_fastapi.core_api.routes.public.hitl import update_hitl_detail
from airflow.jobs.job import Job
from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
from airflow.models.taskinstance import TaskInstance
from airflow.utils.session import create_session
from airflow.utils.state import TaskInstanceState
from sqlalchemy import select
from sqlalchemy.orm import joinedload

TASK = "approve"
_LONGEST_S = 120


def main(dag_id: str, answer: str) -> None:
    """Wait for the request, and answer it."""
    waiting = (
        select(TaskInstance)
        .where(
            TaskInstance.dag_id == dag_id,
            TaskInstance.task_id == TASK,
            TaskInstance.state == TaskInstanceState.AWAITING_INPUT,
        )
        .options(joinedload(TaskInstance.hitl_detail))
    )
    end = time.monotonic() + _LONGEST_S
    while time.monotonic() < end:
        with create_session() as session:
            if (task := session.scalar(waiting)) is not None:
                asked = task.hitl_detail
                request = {"subject": asked.subject, "body": asked.body, "options": asked.options}
                if answer == "times_out":
                    task.trigger_timeout = datetime.now(UTC) - timedelta(seconds=1)
                    session.flush()
                    job = Job()  # type: ignore[no-untyped-call]  # Airflow's
                    SchedulerJobRunner(job).check_awaiting_input_timeouts(session=session)
                else:
                    update_hitl_detail(
                        dag_id,
                        task.run_id,
                        TASK,
                        UpdateHITLDetailPayload(chosen_options=[answer]),
                        SimpleAuthManagerUser(username="anna", role="op"),
                        session,
                    )
        if task is not None:
            print(json.dumps(request))
            return
        time.sleep(0.2)
    raise SystemExit(f"{dag_id} asked for nothing.")


if __name__ == "__main__":
    main(*sys.argv[1:])
