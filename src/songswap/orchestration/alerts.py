"""Who is told when a run fails, and when it is well again: one message a run, on Discord.

    task fails ──▶ note_problem: its error's first line becomes an XCom of the task
    run ends   ──▶ Alert or Recovery, in the dag-processor: reads states and XComs, sends one embed

The run has ended when its message is sent, so Discord can neither fail it nor hold it up. What
could not be sent is in the log of the dag-processor. How long a DAG has been red stands in
Airflow's variable ``alert_<dag_id>``, from its first failure until it is well again.
"""

import json
import logging
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseNotifier, Variable, get_current_context
from airflow.sdk.configuration import conf

from songswap.alerts import message
from songswap.alerts.message import Embed, Failed, Run
from songswap.alerts.problem import Problem
from songswap.errors import SongSwapError

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)

PROBLEM = "problem"
"""The XCom that holds a failed task's problem."""

MESSAGE = "discord_message"
"""The XCom that holds the id of the message that was sent about a task."""

WARNINGS = "warnings"
"""The XCom that holds what is to be told of a run that went well."""

_MOST_INDEX = 10
"""Of a mapped task the first ones speak for all: a run's XComs stay small however many fail."""


def note_problem(context: "Context") -> None:
    """A task's ``on_failure_callback``: leave the error's first line for the run's alert."""
    task, error = context["ti"], context.get("exception")
    if isinstance(error, BaseException) and (task.map_index or -1) < _MOST_INDEX:
        task.xcom_push(PROBLEM, Problem.of(error)._asdict())


def warn(sentences: list[str]) -> None:
    """Leave what engineers have to know of this run for its message, in the task's XCom."""
    for sentence in sentences:
        log.warning("%s", sentence)
    if sentences:
        get_current_context()["ti"].xcom_push(WARNINGS, sentences)


class Alert(BaseNotifier):
    """Tells that a run failed: a DAG's ``on_failure_callback``, or a single task's."""

    def notify(self, context: "Context") -> None:
        """Send the message; when Discord does not take it, it goes to the log."""
        run, at = run_of(context), datetime.now(UTC)
        error, task = context.get("exception"), context.get("ti")
        if task is not None and isinstance(error, BaseException):
            failed = [Failed(task.task_id, _index(task.map_index), Problem.of(error))]
            sent = _send(message.failure(run, failed, 1, 1, at))
            if sent:
                task.xcom_push(MESSAGE, sent)
        else:
            red = _note_red(run, at)
            states = _states(context)
            failed = list(_failed(context, states))
            _send(message.failure(run, failed, len(states), red["runs"], at))
            _tell_warnings(context, run, at)


class Recovery(BaseNotifier):
    """Tells that a DAG is well again: its ``on_success_callback``; silent where it was not red.

    What is to be told of the run all the same, such as a gap, is told too.
    """

    def notify(self, context: "Context") -> None:
        """Send the message where an alert went before, and one with the run's warnings."""
        run = run_of(context)
        _tell_warnings(context, run, datetime.now(UTC))
        red = _red(run)
        if red is not None:
            since = datetime.fromisoformat(red["since"])
            _send(message.recovery(run, red["runs"], since, datetime.now(UTC)))
            Variable.delete(_variable(run))


ALERTS: Mapping[str, Any] = {
    "on_failure_callback": Alert(),
    "on_success_callback": Recovery(),
}
"""What every DAG passes on: ``@dag(..., **ALERTS)``."""


def run_of(context: "Context") -> Run:
    """The run that a context belongs to, with the address of Airflow's pages."""
    base_url = conf.get("api", "base_url", fallback="") or "http://localhost:8080"
    return Run(base_url, context["dag"].dag_id, str(context["run_id"]))


def _index(map_index: int | None) -> int:
    return -1 if map_index is None else map_index


def _states(context: "Context") -> dict[str, str]:
    """The states of the run's tasks; those of a mapped task have its index at the end."""
    task = context.get("ti")
    if task is None:
        return {}
    dag_id, run_id = context["dag"].dag_id, str(context["run_id"])
    states: dict[str, dict[str, str]] = task.get_task_states(dag_id=dag_id, run_ids=[run_id])
    return states.get(run_id, {})


def _failed(context: "Context", states: Mapping[str, str]) -> Iterator[Failed]:
    """The tasks that failed, in the DAG's order, with what they noted."""
    for task in context["dag"].tasks:
        task_id = task.task_id
        if states.get(task_id) == "failed":
            yield Failed(task_id, -1, _noted(context, task_id, -1))
        start = f"{task_id}_"
        ends = [name.removeprefix(start) for name in states if name.startswith(start)]
        for index in sorted(int(end) for end in ends if end.isdecimal()):
            if states[f"{start}{index}"] == "failed":
                yield Failed(task_id, index, _noted(context, task_id, index))


def _noted(context: "Context", task_id: str, index: int) -> Problem | None:
    if index >= _MOST_INDEX:
        return None
    noted = context["ti"].xcom_pull(task_ids=task_id, key=PROBLEM, map_indexes=index)
    return Problem(**noted) if noted else None


def _tell_warnings(context: "Context", run: Run, at: datetime) -> None:
    """Send what the run's tasks left to be told, in one message."""
    task = context.get("ti")
    if task is None:
        return
    leaves = [one.task_id for one in context["dag"].tasks if not one.downstream_task_ids]
    left = [task.xcom_pull(task_ids=name, key=WARNINGS, map_indexes=-1) for name in leaves]
    sentences = [sentence for some in left for sentence in some or ()]
    if sentences:
        _send(message.warning(run, sentences, at))


def _send(embed: Embed) -> str | None:
    """Send a message and return its id; what cannot be sent goes to the log."""
    from songswap.orchestration.discord import DiscordHook

    try:
        return DiscordHook().send(embed)
    except SongSwapError as error:
        log.error("%s This message was not sent:\n%s", error, message.as_text(embed))  # noqa: TRY400 - the sentence says all
        return None


def _variable(run: Run) -> str:
    return f"alert_{run.dag_id}"


def _red(run: Run) -> dict[str, Any] | None:
    """Since when the DAG is red, with how many runs, the last of them; None while it is well."""
    noted = Variable.get(_variable(run), default=None)
    red: dict[str, Any] | None = json.loads(noted) if noted else None
    return red


def _note_red(run: Run, at: datetime) -> dict[str, Any]:
    """Note that the DAG is red; a run that is cleared and fails again counts once."""
    red = _red(run) or {"since": at.isoformat(), "runs": 0, "last": None}
    red = {**red, "runs": red["runs"] + (red["last"] != run.run_id), "last": run.run_id}
    Variable.set(
        _variable(run), json.dumps(red), description="Runs that failed; a good run takes it away."
    )
    return red
