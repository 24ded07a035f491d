"""Who is told when a run fails, and when it is well again: one message a run, on Discord.

    task fails ──▶ note_problem: what its error says becomes an XCom of the task
    run ends   ──▶ Alert or Recovery, in the dag-processor: reads states and XComs, sends one embed

The run has ended when its message is sent, so Discord can neither fail it nor hold it up. What
could not be sent is in the log of the dag-processor. How long a DAG has been red, and of what,
stands in Airflow's variable ``alert_<dag_id>``, from its first failure until it is well again.
"""

import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseNotifier, Variable, get_current_context
from airflow.sdk.configuration import conf

from songswap.alerts import message
from songswap.alerts.message import Embed, Failed, Run
from songswap.alerts.problem import Problem
from songswap.alerts.warning import LOOK, Notice
from songswap.errors import RunFailed, RunOverdue, RunPaused, SongSwapError
from songswap.orchestration.rows import end_row

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)

PROBLEM = "problem"
"""The XCom that holds a failed task's problem."""

MESSAGE = "discord_message"
"""The XCom that holds the id of the message that was sent about a task."""

WARNINGS = "warnings"
"""The XCom that holds what is to be told of a run beside its failures."""

_MOST_INDEX = 10
"""Of a mapped task the first ones speak for all: a run's XComs stay small however many fail."""

_MOST_CAUSES = 10

_RED = ("failed", "upstream_failed")

_PAUSED = RunPaused.__name__

_OVERDUE = RunOverdue(
    "It took too long, and gave way to the next run. What was answered is in the spool: the next"
    " run brings it in."
)


def note_problem(context: "Context") -> None:
    """A task's ``on_failure_callback``: leave what its error says for the run's alert."""
    task, error = context["ti"], context.get("exception")
    if isinstance(error, BaseException) and (task.map_index or -1) < _MOST_INDEX:
        causes = error.causes if isinstance(error, RunFailed) else ()
        noted = {**Problem.of(error)._asdict(), "causes": causes[:_MOST_CAUSES]}
        task.xcom_push(PROBLEM, noted)


def warn(sentences: list[str]) -> None:
    """Leave what engineers have to look at for the run's message, in the task's XCom."""
    tell([Notice(LOOK, sentence) for sentence in sentences])


def tell(notices: list[Notice]) -> None:
    """Leave what engineers have to know of this run for its messages, in the task's XCom."""
    for one in notices:
        log.warning("%s", one.sentence)
    if notices:
        get_current_context()["ti"].xcom_push(WARNINGS, [[*one] for one in notices])


def failures() -> list[tuple[Failed, Problem]]:
    """The tasks of this run that failed until now, each with what is known of its problem.

    Those that were kept from their turn by another's failure are told only where none failed.
    """
    context = get_current_context()
    states = _states(context)
    bad: list[Failed] = []
    for state in _RED:
        bad = bad or list(_in_state(context, states, state))
    return [(one, one.problem or Problem("", "failed, its task log says why")) for one in bad]


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
            self._run_failed(context, run, at)

    def _run_failed(self, context: "Context", run: Run, at: datetime) -> None:
        states = _states(context)
        failed = list(_in_state(context, states, "failed"))
        overdue = Problem.of(_OVERDUE) if context.get("reason") == "timed_out" else None
        # A pause is told once, by the notices that the run left: nothing failed.
        paused = failed and all(one.problem and one.problem.kind == _PAUSED for one in failed)
        if overdue or not paused:
            red = _note_red(run, at, message.causes(failed, overdue))
            told = message.failure(run, failed, len(states), red["in_a_row"], at, overdue)
            _send(told)
        _tell_notices(context, run, at)
        problem = overdue or next((one.problem for one in failed if one.problem), None)
        end_row(run.dag_id, run.run_id, problem.text if problem else "It was ended in Airflow.")


class Recovery(BaseNotifier):
    """Tells that a DAG is well again: its ``on_success_callback``; silent where it was not red.

    What is to be told of the run all the same, such as a gap, is told too.
    """

    def notify(self, context: "Context") -> None:
        """Send the message where an alert went before, and those with the run's notices."""
        run = run_of(context)
        _tell_notices(context, run, datetime.now(UTC))
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


def _in_state(context: "Context", states: Mapping[str, str], state: str) -> Iterator[Failed]:
    """The tasks in a state, in the DAG's order, with what they noted."""
    for task in context["dag"].tasks:
        task_id = task.task_id
        if states.get(task_id) == state:
            yield _noted(context, task_id, -1)
        start = f"{task_id}_"
        ends = [name.removeprefix(start) for name in states if name.startswith(start)]
        for index in sorted(int(end) for end in ends if end.isdecimal()):
            if states[f"{start}{index}"] == state:
                yield _noted(context, task_id, index)


def _noted(context: "Context", task_id: str, index: int) -> Failed:
    if index >= _MOST_INDEX:
        return Failed(task_id, index, None)
    noted = context["ti"].xcom_pull(task_ids=task_id, key=PROBLEM, map_indexes=index)
    if not noted:
        return Failed(task_id, index, None)
    causes = tuple(Problem(*cause) for cause in noted["causes"])
    return Failed(task_id, index, Problem(noted["kind"], noted["text"]), causes)


def _tell_notices(context: "Context", run: Run, at: datetime) -> None:
    """Send what the run's tasks left to be told: one message of each sort."""
    task = context.get("ti")
    if task is None:
        return
    leaves = [one.task_id for one in context["dag"].tasks if not one.downstream_task_ids]
    left = [task.xcom_pull(task_ids=name, key=WARNINGS, map_indexes=-1) for name in leaves]
    notices = [Notice(*one) for some in left for one in some or ()]
    for about in dict.fromkeys(one.about for one in notices):
        sentences = [one.sentence for one in notices if one.about == about]
        _send(message.warning(run, sentences, at, about))


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


def _note_red(run: Run, at: datetime, causes: Iterable[str]) -> dict[str, Any]:
    """Note that the DAG is red, and of what; a run that is cleared and fails again counts once.

    ``in_a_row`` counts the runs up to this one that have a cause in common.
    """
    red: dict[str, Any] = {"runs": 0, "last": None, "in_a_row": 0, "causes": []}
    red |= {"since": at.isoformat()} | (_red(run) or {})
    again = red["last"] == run.run_id
    common = sorted(set(red["causes"]) & set(causes))
    if again:
        red["causes"] = common or sorted(set(causes))
    else:
        red["in_a_row"] = red["in_a_row"] + 1 if common else 1
        red |= {"runs": red["runs"] + 1, "causes": common or sorted(set(causes))}
    red["last"] = run.run_id
    Variable.set(
        _variable(run), json.dumps(red), description="Runs that failed; a good run takes it away."
    )
    return red
