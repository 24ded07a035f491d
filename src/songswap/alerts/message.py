"""Messages about runs, as Discord embeds: pure, and within Discord's limits.

A title has up to 256 characters, a description 4,096, a field 1,024, an embed 6,000:
https://discord.com/developers/docs/resources/message#embed-object-embed-limits
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import quote
from zoneinfo import ZoneInfo

from songswap.alerts.notices import GOES_ON, LOOK, PAUSED, RESUMED, STANDSTILL
from songswap.alerts.problem import Problem, cut

Embed = dict[str, Any]

_LOS_ANGELES = ZoneInfo("America/Los_Angeles")
_RED = 0xD32F2F
_GREEN = 0x2E7D32
_YELLOW = 0xF9A825
_MOST_PROBLEMS = 3
_MOST_LOGS = 3
_MOST_TASKS = 10
_TITLE = 256
_DESCRIPTION = 2000
"""Of Discord's 4,096, to keep the whole embed below 6,000."""

_FIELD = 1024
_NOTICES = {
    LOOK: ("🟡 {}: look at this", _YELLOW),
    PAUSED: ("🟡 {} is paused", _YELLOW),
    RESUMED: ("🟢 {} goes on", _GREEN),
    # The DAG that notices it is not the one that stands still: the sentences name that.
    STANDSTILL: ("🔴 Something stands still", _RED),
    GOES_ON: ("🟢 It goes on again", _GREEN),
}
_MARKDOWN = re.compile(r"([\\`*_~|\[\]<>])")


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


def failure(
    run: Run,
    failed: Sequence[FailedTask],
    tasks: int,
    in_a_row: int,
    at: datetime,
    overdue: Problem | None = None,
) -> Embed:
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
    advice = dict.fromkeys(problem.what_to_do for problem, _ in problems[:_MOST_PROBLEMS])
    share = f"{len(failed):,} of {tasks:,} tasks"
    return {
        "title": f"🔴 {run.dag_id} failed{again}"[:_TITLE],
        "color": _RED,
        "description": cut("\n".join(lines), _DESCRIPTION)
        or "The task was killed before it could report: its log may say why.",
        "fields": [
            _field("What to do", "\n".join(advice) or "Read the log, then clear the task."),
            _field("Failed", f"{share}: {_names(failed)}" if failed else share),
            _field("Log", _logs(run, failed)),
            *_where_and_when(run, at),
        ],
        "timestamp": at.astimezone(UTC).isoformat(),
    }


def causes(failed: Sequence[FailedTask], overdue: Problem | None = None) -> set[str]:
    """Return names of what a run failed of; a later run of the same cause has the same name."""
    problems = [overdue] if overdue else []
    problems += [problem for problem, _ in _problems(failed)]
    killed = {f"{task.task_id} was killed" for task in failed if not task.problem}
    return {problem.cause for problem in problems} or killed


def recovery(run: Run, failures: int, since: datetime, at: datetime) -> Embed:
    """Build the message that a run succeeded after others had failed.

    Args:
        failures: the number of runs that had failed.
        since: when the first of them failed (aware).
        at: when this run ended (aware).
    """
    runs = "1 run" if failures == 1 else f"{failures:,} runs"
    return {
        "title": f"🟢 {run.dag_id} recovered"[:_TITLE],
        "color": _GREEN,
        "description": f"{runs} had failed since {_utc(since)} UTC; this one succeeded.",
        "fields": _where_and_when(run, at),
        "timestamp": at.astimezone(UTC).isoformat(),
    }


def notice(run: Run, kind: str, sentences: Sequence[str], at: datetime) -> Embed:
    """Build the message with the notices of one kind.

    Args:
        kind: `LOOK` (what no later run can fix), or another of `songswap.alerts.notices`.
        sentences: at least one.
        at: when the run ended (aware).
    """
    title, color = _NOTICES[kind]
    return {
        "title": title.format(run.dag_id)[:_TITLE],
        "color": color,
        "description": cut("\n".join(map(_plain, sentences)), _DESCRIPTION),
        "fields": _where_and_when(run, at),
        "timestamp": at.astimezone(UTC).isoformat(),
    }


def as_text(embed: Embed) -> str:
    """Format a message for the log, where Discord did not take it."""
    fields = [f"{field['name']}: {field['value']}" for field in embed["fields"]]
    return "\n".join([embed["title"], embed["description"], *fields])


def _where_and_when(run: Run, at: datetime) -> list[dict[str, Any]]:
    return [
        _field("DAG", _link(run.dag_id, run.dag_url), inline=True),
        _field("Run", _link(run.run_id, run.url), inline=True),
        _field("UTC", _utc(at), inline=True),
        _field("Los Angeles", f"{at.astimezone(_LOS_ANGELES):%Y-%m-%d %H:%M:%S %Z}", inline=True),
    ]


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
    return _plain(f"{count:,} × {problem.text}" if count > 1 else problem.text)


def _names(failed: Sequence[FailedTask]) -> str:
    counts = Counter(task.task_id for task in failed)
    names = [f"{count:,} × {name}" if count > 1 else name for name, count in counts.items()]
    more = [f"{len(names) - _MOST_TASKS} more"] if len(names) > _MOST_TASKS else []
    return _plain(", ".join([*names[:_MOST_TASKS], *more]))


def _logs(run: Run, failed: Sequence[FailedTask]) -> str:
    """Links to the logs; of a mapped task, to that of the first instance that failed."""
    first = {task.task_id: task for task in reversed(failed)}
    tasks = [first[name] for name in dict.fromkeys(task.task_id for task in failed)]
    links = [_link("the run", run.url)] if not tasks else []
    for task in tasks[:_MOST_LOGS]:
        index = f"[{task.map_index}]" if task.map_index >= 0 else ""
        link = _link(task.task_id + index, run.log_url(task))
        # A link that is cut does not work.
        if sum(map(len, links)) + len(link) + _MOST_LOGS <= _FIELD:
            links.append(link)
    return "\n".join(links)


def _link(text: str, url: str) -> str:
    return f"[{_plain(text)}]({url})"


def _plain(text: str) -> str:
    """Escape Markdown: an underscore would begin italics."""
    return _MARKDOWN.sub(r"\\\1", text)


def _utc(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def _field(name: str, value: str, *, inline: bool = False) -> dict[str, Any]:
    return {"name": name, "value": cut(value, _FIELD), "inline": inline}
