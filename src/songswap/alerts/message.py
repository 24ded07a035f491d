"""Messages about runs, as Discord embeds: pure, and within Discord's limits.

256 characters for a title, 4,096 for a description, 1,024 for a field, 6,000 for all of it:
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

from songswap.alerts.problem import Problem, cut
from songswap.alerts.warning import LOOK, PAUSED, RESUMED

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
"""Of the 4,096 that Discord takes: all together have to be fewer than 6,000."""

_FIELD = 1024
_NOTICES = {
    LOOK: ("🟡 {}: look at this", _YELLOW),
    PAUSED: ("🟡 {} is paused", _YELLOW),
    RESUMED: ("🟢 {} goes on", _GREEN),
}
_MARKDOWN = re.compile(r"([\\`*_~|\[\]<>])")


class Failed(NamedTuple):
    """A task that failed; ``map_index`` is -1 unless it is one of a mapped task.

    ``causes`` are what its problem comes of, where it only sums up what others failed of.
    """

    task_id: str
    map_index: int
    problem: Problem | None
    causes: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Run:
    """A run of a DAG, in the Airflow whose pages lie at ``base_url``."""

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

    def log_url(self, task: Failed) -> str:
        """The page with the log of a task."""
        mapped = f"/mapped/{task.map_index}" if task.map_index >= 0 else ""
        return f"{self.url}/tasks/{quote(task.task_id)}{mapped}"


def failure(
    run: Run,
    failed: Sequence[Failed],
    tasks: int,
    in_a_row: int,
    at: datetime,
    overdue: Problem | None = None,
) -> Embed:
    """The message that a run failed, or a task of it.

    Args:
        failed: the tasks that failed.
        tasks: how many tasks the run has.
        in_a_row: how many runs of the DAG have failed of the same one after the other, this one
            included.
        at: when it failed (aware).
        overdue: why the run itself was ended, if it was.
    """
    again = f" ({in_a_row} runs in a row)" if in_a_row > 1 else ""
    told = [(overdue, 1)] if overdue else []
    told += _problems(failed)
    lines = [_line(problem, count) for problem, count in told[:_MOST_PROBLEMS]]
    if more := len(told) - len(lines):
        lines.append(f"{more} more: the log of the last task that failed has them.")
    advice = dict.fromkeys(problem.what_to_do for problem, _ in told[:_MOST_PROBLEMS])
    which = f"{len(failed):,} of {tasks:,} tasks"
    return {
        "title": f"🔴 {run.dag_id} failed{again}"[:_TITLE],
        "color": _RED,
        "description": cut("\n".join(lines), _DESCRIPTION)
        or "It ended without a word: its log may say why.",
        "fields": [
            _field("What to do", "\n".join(advice) or "Read the log, then clear the task."),
            _field("Failed", f"{which}: {_names(failed)}" if failed else which),
            _field("Log", _logs(run, failed)),
            *_where_and_when(run, at),
        ],
        "timestamp": at.astimezone(UTC).isoformat(),
    }


def causes(failed: Sequence[Failed], overdue: Problem | None = None) -> set[str]:
    """What a run failed of, as names that are the same for the next run that fails of the same."""
    told = [overdue] if overdue else []
    told += [problem for problem, _ in _problems(failed)]
    silent = {f"{task.task_id} ended without a word" for task in failed if not task.problem}
    return {problem.cause for problem in told} or silent


def recovery(run: Run, failures: int, since: datetime, at: datetime) -> Embed:
    """The message that a run went well after others had failed.

    Args:
        failures: how many runs had failed.
        since: when the first of them failed (aware).
        at: when this one ended (aware).
    """
    runs = "1 run" if failures == 1 else f"{failures:,} runs"
    return {
        "title": f"🟢 {run.dag_id} is well again"[:_TITLE],
        "color": _GREEN,
        "description": f"{runs} had failed since {_utc(since)} UTC; this one went well.",
        "fields": _where_and_when(run, at),
        "timestamp": at.astimezone(UTC).isoformat(),
    }


def warning(run: Run, sentences: Sequence[str], at: datetime, about: str = LOOK) -> Embed:
    """The message about what has to be known of a run beside its failures.

    Args:
        sentences: what it is, at least one.
        at: when the run ended (aware).
        about: what no next run can mend, a pause that began, or one that is over.
    """
    title, color = _NOTICES[about]
    return {
        "title": title.format(run.dag_id)[:_TITLE],
        "color": color,
        "description": cut("\n".join(map(_plain, sentences)), _DESCRIPTION),
        "fields": _where_and_when(run, at),
        "timestamp": at.astimezone(UTC).isoformat(),
    }


def as_text(embed: Embed) -> str:
    """A message as it goes to the log when Discord does not take it."""
    fields = [f"{field['name']}: {field['value']}" for field in embed["fields"]]
    return "\n".join([embed["title"], embed["description"], *fields])


def _where_and_when(run: Run, at: datetime) -> list[dict[str, Any]]:
    return [
        _field("DAG", _link(run.dag_id, run.dag_url), inline=True),
        _field("Run", _link(run.run_id, run.url), inline=True),
        _field("UTC", _utc(at), inline=True),
        _field("Los Angeles", f"{at.astimezone(_LOS_ANGELES):%Y-%m-%d %H:%M:%S %Z}", inline=True),
    ]


def _problems(failed: Sequence[Failed]) -> list[tuple[Problem, int]]:
    """What most failed of comes first, what only follows from others last.

    One that only repeats another is left out.
    """
    counts = Counter(task.problem for task in failed if task.problem and not task.causes)
    for task in failed:
        for cause in task.causes:
            counts.setdefault(cause, 1)
    texts = [problem.text for problem in counts]
    in_order = sorted(counts.most_common(), key=lambda one: one[0].kind == "RunFailed")
    return [
        (problem, count)
        for problem, count in in_order
        if not any(text in problem.text for text in texts if text != problem.text)
    ]


def _line(problem: Problem, count: int) -> str:
    return _plain(f"{count:,} × {problem.text}" if count > 1 else problem.text)


def _names(failed: Sequence[Failed]) -> str:
    counts = Counter(task.task_id for task in failed)
    names = [f"{count:,} × {name}" if count > 1 else name for name, count in counts.items()]
    more = [f"{len(names) - _MOST_TASKS} more"] if len(names) > _MOST_TASKS else []
    return _plain(", ".join([*names[:_MOST_TASKS], *more]))


def _logs(run: Run, failed: Sequence[Failed]) -> str:
    """Links to the logs of the first task with each name: theirs is where the reason is."""
    first = {task.task_id: task for task in reversed(failed)}
    tasks = [first[name] for name in dict.fromkeys(task.task_id for task in failed)]
    links = [_link("the run", run.url)] if not tasks else []
    for task in tasks[:_MOST_LOGS]:
        index = f"[{task.map_index}]" if task.map_index >= 0 else ""
        link = _link(task.task_id + index, run.log_url(task))
        # Half a link would be none.
        if sum(map(len, links)) + len(link) + _MOST_LOGS <= _FIELD:
            links.append(link)
    return "\n".join(links)


def _link(text: str, url: str) -> str:
    return f"[{_plain(text)}]({url})"


def _plain(text: str) -> str:
    """Text that Discord shows as it is, where an underscore would else begin italics."""
    return _MARKDOWN.sub(r"\\\1", text)


def _utc(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def _field(name: str, value: str, *, inline: bool = False) -> dict[str, Any]:
    return {"name": name, "value": cut(value, _FIELD), "inline": inline}
