"""Alerts when a run fails and when it recovers: one message a run.

    task fails ──▶ record_problem: an XCom of the task describes its error
    run ends   ──▶ Alert or Recovery, in the dag-processor: reads states and XComs, sends a message

The run has ended before its message is sent, so no service can fail or delay it. Unsent messages
are in the log of the dag-processor. Airflow's variable ``alert_<dag_id>`` records since
when a DAG has been failing, and of what, until it recovers.
"""

import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseNotifier, Variable, get_current_context
from airflow.sdk.configuration import conf

from songswap.alerts import message
from songswap.alerts.message import FailedTask, Run
from songswap.alerts.notices import Notice
from songswap.alerts.problem import Problem
from songswap.errors import RunFailed, RunNeverBegan, RunOverdue, RunPaused
from songswap.orchestration.runs import end_row
from songswap.orchestration.sending import send

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)

PROBLEM = "problem"
"""The XCom with a failed task's problem."""

MESSAGE = "discord_message"
"""The XCom with the id of the message about a task."""

NOTICES = "notices"
"""The XCom with the notices of a run."""

_MOST_INDEX = 10
"""Only the first tasks of a mapped one record a problem: XComs stay small however many fail."""

_MOST_CAUSES = 10

_PAUSED = RunPaused.__name__

_OVERDUE = (
    "It took longer than the {minutes:,.0f} minutes that it may, and was ended. What it has loaded"
    " stays, and what Spotify has answered is in the spool: the next hourly load stores it."
)

_NEVER_BEGAN = (
    "None of its tasks was at work when it was ended after {minutes:,.0f} minutes: {waits}. Airflow"
    " never starts tasks of a pool that does not exist or has no slots."
)


def record_problem(context: "Context") -> None:
    """Describe a task's error for the run's alert; a task's ``on_failure_callback``."""
    task, error = context["ti"], context.get("exception")
    if isinstance(error, BaseException) and (task.map_index or -1) < _MOST_INDEX:
        causes = error.causes if isinstance(error, RunFailed) else ()
        problem = {**Problem.of(error)._asdict(), "causes": causes[:_MOST_CAUSES]}
        task.xcom_push(PROBLEM, problem)


def add_notices(notices: list[Notice]) -> None:
    """Log notices, and leave them in the task's XCom for the run's messages."""
    for notice in notices:
        log.warning("%s", notice.sentence)
    if notices:
        get_current_context()["ti"].xcom_push(NOTICES, [[*notice] for notice in notices])


def failed_tasks() -> list[tuple[FailedTask, Problem]]:
    """Return the tasks of this run that have failed so far, each with its problem.

    Only if there is none: the tasks that did not run because another one failed.
    """
    context = get_current_context()
    states = _task_states(context)
    tasks = list(_in_state(context, states, "failed"))
    tasks = tasks or list(_in_state(context, states, "upstream_failed"))
    unknown = Problem("", "failed, its task log says why")
    return [(task, task.problem or unknown) for task in tasks]


class Alert(BaseNotifier):
    """Reports a failed run (a DAG's ``on_failure_callback``) or a single failed task."""

    def notify(self, context: "Context") -> None:
        """Send the message; log it if nobody takes it."""
        run, at = run_of(context), datetime.now(UTC)
        error, task = context.get("exception"), context.get("ti")
        if task is not None and isinstance(error, BaseException):
            index = -1 if task.map_index is None else task.map_index
            failed = [FailedTask(task.task_id, index, Problem.of(error))]
            # A daily test would fill mailboxes: it deletes its message on Discord alone.
            by_hand = context["dag_run"].run_type == "manual"
            message_id = send(message.failure(run, failed, 1, 1, at), to_services=by_hand)
            if message_id:
                task.xcom_push(MESSAGE, message_id)
        else:
            self._run_failed(context, run, at)

    def _run_failed(self, context: "Context", run: Run, at: datetime) -> None:
        states = _task_states(context)
        failed = list(_in_state(context, states, "failed"))
        overdue = _overdue(context, states) if context.get("reason") == "timed_out" else None
        # Nothing failed in a paused run: its notices report the pause, once.
        paused = failed and all(task.problem and task.problem.kind == _PAUSED for task in failed)
        if overdue or not paused:
            in_a_row = _extend_failure(run, at, message.causes(failed, overdue))
            send(message.failure(run, failed, len(states), in_a_row, at, overdue))
        _send_notices(context, run, at)
        problem = overdue or next((task.problem for task in failed if task.problem), None)
        end_row(run.dag_id, run.run_id, problem.text if problem else "It was ended in Airflow.")


class Recovery(BaseNotifier):
    """Reports that a DAG recovered (its ``on_success_callback``), and the notices of any run."""

    def notify(self, context: "Context") -> None:
        """Send the notices, and the recovery if the DAG's last run failed."""
        run = run_of(context)
        _send_notices(context, run, datetime.now(UTC))
        failure = _failure(run)
        if failure is not None:
            since = datetime.fromisoformat(failure["since"])
            send(message.recovery(run, failure["runs"], since, datetime.now(UTC)))
            Variable.delete(_variable(run))


ALERTS: Mapping[str, Any] = {
    "on_failure_callback": Alert(),
    "on_success_callback": Recovery(),
}
"""The callbacks of every DAG: ``@dag(..., **ALERTS)``."""


def run_of(context: "Context") -> Run:
    """Return the run of a context, with the address of Airflow's pages."""
    base_url = conf.get("api", "base_url", fallback="") or "http://localhost:8080"
    return Run(base_url, context["dag"].dag_id, str(context["run_id"]))


def _task_states(context: "Context") -> dict[str, str]:
    """The states of the run's tasks; ids of mapped tasks end with their index."""
    task = context.get("ti")
    if task is None:
        return {}
    dag_id, run_id = context["dag"].dag_id, str(context["run_id"])
    states: dict[str, dict[str, str]] = task.get_task_states(dag_id=dag_id, run_ids=[run_id])
    return states.get(run_id, {})


def _in_state(context: "Context", states: Mapping[str, str], state: str) -> Iterator[FailedTask]:
    """The tasks in a state, in the DAG's order, with their problems."""
    for task in context["dag"].tasks:
        task_id = task.task_id
        if states.get(task_id) == state:
            yield _failed_task(context, task_id, -1)
        prefix = f"{task_id}_"
        ends = [name.removeprefix(prefix) for name in states if name.startswith(prefix)]
        for index in sorted(int(end) for end in ends if end.isdecimal()):
            if states[f"{prefix}{index}"] == state:
                yield _failed_task(context, task_id, index)


def _overdue(context: "Context", states: Mapping[str, str]) -> Problem:
    """Say why a run was ended for its time: the context's task is the last that was at work."""
    timeout = context["dag"].dagrun_timeout
    minutes = timeout.total_seconds() / 60 if timeout else 0
    task = context.get("ti")
    # A worker writes its name when it begins; a try is counted before that.
    if task is None or task.hostname:
        return Problem.of(RunOverdue(_OVERDUE.format(minutes=minutes)))
    waiting = [
        each
        for each in context["dag"].tasks
        if all(states.get(name) == "success" for name in each.upstream_task_ids)
        and any(_is_of(name, each.task_id) for name, state in states.items() if state == "skipped")
    ]
    waits = ", ".join(
        f"{each.task_id} waited for a slot of the pool {each.pool}" for each in waiting
    )
    return Problem.of(
        RunNeverBegan(_NEVER_BEGAN.format(minutes=minutes, waits=waits or "all waited for a slot"))
    )


def _is_of(name: str, task_id: str) -> bool:
    """Whether a name of `_task_states` is that of a task, or of an instance of it."""
    return name == task_id or name.removeprefix(f"{task_id}_").isdecimal()


def _failed_task(context: "Context", task_id: str, index: int) -> FailedTask:
    if index >= _MOST_INDEX:
        return FailedTask(task_id, index, None)
    recorded = context["ti"].xcom_pull(task_ids=task_id, key=PROBLEM, map_indexes=index)
    if not recorded:
        return FailedTask(task_id, index, None)
    causes = tuple(Problem(*cause) for cause in recorded["causes"])
    return FailedTask(task_id, index, Problem(recorded["kind"], recorded["text"]), causes)


def _send_notices(context: "Context", run: Run, at: datetime) -> None:
    """Send the notices that the run's last tasks left: one message of each kind."""
    task = context.get("ti")
    if task is None:
        return
    leaves = [leaf.task_id for leaf in context["dag"].tasks if not leaf.downstream_task_ids]
    left = [task.xcom_pull(task_ids=name, key=NOTICES, map_indexes=-1) for name in leaves]
    notices = [Notice(*fields) for of_task in left for fields in of_task or ()]
    for kind in dict.fromkeys(notice.kind for notice in notices):
        sentences = [notice.sentence for notice in notices if notice.kind == kind]
        send(message.notice(run, kind, sentences, at))


def _variable(run: Run) -> str:
    return f"alert_{run.dag_id}"


def _failure(run: Run) -> dict[str, Any] | None:
    """The failure of the DAG that has not recovered: since when, its runs and causes; or None."""
    recorded = Variable.get(_variable(run), default=None)
    failure: dict[str, Any] | None = json.loads(recorded) if recorded else None
    return failure


def _extend_failure(run: Run, at: datetime, causes: Iterable[str]) -> int:
    """Record that a run failed, and return how many in a row have a cause in common.

    A run that is cleared and fails again counts once.
    """
    failure: dict[str, Any] = {"runs": 0, "last": None, "in_a_row": 0, "causes": []}
    failure |= {"since": at.isoformat()} | (_failure(run) or {})
    common = sorted(set(failure["causes"]) & set(causes))
    if failure["last"] != run.run_id:
        failure["in_a_row"] = failure["in_a_row"] + 1 if common else 1
        failure["runs"] += 1
    failure["causes"] = common or sorted(set(causes))
    failure["last"] = run.run_id
    description = "The runs that failed; the next good run deletes this."
    Variable.set(_variable(run), json.dumps(failure), description=description)
    return int(failure["in_a_row"])
