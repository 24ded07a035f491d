"""Messages about runs, pure, in parts: `embed` and `plain_text` put them into words for a service.

A message is written once and looks alike everywhere. Its lines, tasks and names may be text from
outside, which is never markup; its advice is our own.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from typing import NamedTuple
from urllib.parse import quote
from zoneinfo import ZoneInfo

from songswap.alerts.notices import GOES_ON, LOOK, PAUSED, RESUMED, STANDSTILL
from songswap.alerts.problem import Problem

_MOST_PROBLEMS = 3
_MOST_LOGS = 3
_MOST_TASKS = 10


class Color(IntEnum):
    """How urgent a message is, as a color of Discord."""

    RED = 0xD32F2F
    GREEN = 0x2E7D32
    YELLOW = 0xF9A825


_NOTICES = {
    LOOK: ("🟡 {}: look at this", Color.YELLOW),
    PAUSED: ("🟡 {} is paused", Color.YELLOW),
    RESUMED: ("🟢 {} goes on", Color.GREEN),
    # The DAG that notices it is not the one that stands still: the sentences name that.
    STANDSTILL: ("🔴 Something stands still", Color.RED),
    GOES_ON: ("🟢 It goes on again", Color.GREEN),
}


class FailedTask(NamedTuple):
    """A task that failed.

    Args:
        map_index: -1 unless the task is mapped.
        problem: None where the task could not report one.
        causes: the problems behind it, where the task only sums up others.
    """

    task_id: str
    map_index: int
    problem: Problem | None
    causes: tuple[Problem, ...] = ()


class Link(NamedTuple):
    """A page of Airflow; the text may be from outside."""

    text: str
    url: str


@dataclass(frozen=True, slots=True)
class Run:
    """A run of a DAG; ``base_url`` is the address of Airflow's pages."""

    base_url: str
    dag_id: str
    run_id: str

    @property
    def dag_url(self) -> str:
        """The page of the DAG."""
        return f"{self.base_url.rstrip('/')}/dags/{quote(self.dag_id)}"

    @property
    def url(self) -> str:
        """The page of the run."""
        return f"{self.dag_url}/runs/{quote(self.run_id)}"

    def log_url(self, task: FailedTask) -> str:
        """The page with the log of a task."""
        mapped = f"/mapped/{task.map_index}" if task.map_index >= 0 else ""
        return f"{self.url}/tasks/{quote(task.task_id)}{mapped}"


@dataclass(frozen=True, slots=True)
class Message:
    """A message about a run.

    Args:
        at: when it happened (aware).
        lines: what happened.
        advice: what an operator does about it, in our own words with commands in backticks.
        failed: how many tasks failed, and which.
        logs: the logs to read.
    """

    title: str
    color: Color
    run: Run
    at: datetime
    lines: tuple[str, ...]
    advice: tuple[str, ...] = ()
    failed: str = ""
    logs: tuple[Link, ...] = ()


def failure(
    run: Run,
    failed: Sequence[FailedTask],
    tasks: int,
    in_a_row: int,
    at: datetime,
    overdue: Problem | None = None,
) -> Message:
    """Build the message that a run failed, or a task of it.

    Args:
        failed: the tasks that failed.
        tasks: the number of tasks in the run.
        in_a_row: the number of successive runs that failed of the same cause, with this one.
        at: when it failed (aware).
        overdue: set where the run took too long and was ended.
    """
    again = f" ({in_a_row} runs in a row)" if in_a_row > 1 else ""
    problems = [(overdue, 1)] if overdue else []
    problems += _problems(failed)
    lines = [_line(problem, count) for problem, count in problems[:_MOST_PROBLEMS]]
    if more := len(problems) - len(lines):
        lines.append(f"{more} more: the log of the last task that failed has them.")
    if not any(lines):
        lines = ["The task was killed before it could report: its log may say why."]
    advice = dict.fromkeys(problem.what_to_do for problem, _ in problems[:_MOST_PROBLEMS])
    share = f"{len(failed):,} of {tasks:,} tasks"
    return Message(
        title=f"🔴 {run.dag_id} failed{again}",
        color=Color.RED,
        run=run,
        at=at,
        lines=tuple(lines),
        advice=tuple(advice) or ("Read the log, then clear the task.",),
        failed=f"{share}: {_names(failed)}" if failed else share,
        logs=tuple(_logs(run, failed)),
    )


def causes(failed: Sequence[FailedTask], overdue: Problem | None = None) -> set[str]:
    """Return names of what a run failed of; a later run of the same cause has the same name."""
    problems = [overdue] if overdue else []
    problems += [problem for problem, _ in _problems(failed)]
    killed = {f"{task.task_id} was killed" for task in failed if not task.problem}
    return {problem.cause for problem in problems} or killed


def recovery(run: Run, failures: int, since: datetime, at: datetime) -> Message:
    """Build the message that a run succeeded after others had failed.

    Args:
        failures: the number of runs that had failed.
        since: when the first of them failed (aware).
        at: when this run ended (aware).
    """
    runs = "1 run" if failures == 1 else f"{failures:,} runs"
    line = f"{runs} had failed since {utc(since)} UTC; this one succeeded."
    return Message(f"🟢 {run.dag_id} recovered", Color.GREEN, run, at, (line,))


def notice(run: Run, kind: str, sentences: Sequence[str], at: datetime) -> Message:
    """Build the message with the notices of one kind.

    Args:
        kind: `LOOK` (what no later run can fix), or another of `songswap.alerts.notices`.
        sentences: at least one.
        at: when the run ended (aware).
    """
    title, color = _NOTICES[kind]
    return Message(title.format(run.dag_id), color, run, at, tuple(sentences))


def utc(at: datetime) -> str:
    """Format a time as all messages do."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def label(zone: ZoneInfo) -> str:
    """Return how people call a time zone: Los Angeles for ``America/Los_Angeles``."""
    return zone.key.rpartition("/")[2].replace("_", " ")


def _problems(failed: Sequence[FailedTask]) -> list[tuple[Problem, int]]:
    """The problems with their numbers of tasks: the most frequent first, summaries last.

    A problem that only repeats another is left out.
    """
    counts = Counter(task.problem for task in failed if task.problem and not task.causes)
    for task in failed:
        for cause in task.causes:
            counts.setdefault(cause, 1)
    texts = [problem.text for problem in counts]
    in_order = sorted(counts.most_common(), key=lambda item: item[0].kind == "RunFailed")
    return [
        (problem, count)
        for problem, count in in_order
        if not any(text in problem.text for text in texts if text != problem.text)
    ]


def _line(problem: Problem, count: int) -> str:
    return f"{count:,} × {problem.text}" if count > 1 else problem.text


def _names(failed: Sequence[FailedTask]) -> str:
    counts = Counter(task.task_id for task in failed)
    names = [f"{count:,} × {name}" if count > 1 else name for name, count in counts.items()]
    more = [f"{len(names) - _MOST_TASKS} more"] if len(names) > _MOST_TASKS else []
    return ", ".join([*names[:_MOST_TASKS], *more])


def _logs(run: Run, failed: Sequence[FailedTask]) -> list[Link]:
    """Links to the logs; of a mapped task, to that of the first instance that failed."""
    first = {task.task_id: task for task in reversed(failed)}
    tasks = [first[name] for name in dict.fromkeys(task.task_id for task in failed)]
    if not tasks:
        return [Link("the run", run.url)]
    return [
        Link(task.task_id + (f"[{task.map_index}]" if task.map_index >= 0 else ""), url)
        for task, url in ((task, run.log_url(task)) for task in tasks[:_MOST_LOGS])
    ]
