"""Messages about runs, in parts."""

from datetime import UTC, datetime, timedelta

from songswap.alerts.message import (
    Color,
    FailedTask,
    Link,
    Run,
    causes,
    failure,
    notice,
    recovery,
)
from songswap.alerts.notices import LOOK, PAUSED, RESUMED
from songswap.alerts.problem import Problem

RUN = Run("http://airflow:8080/", "load_listening_history", "scheduled__2026-07-01T10:01:00+00:00")
AT = datetime(2026, 7, 1, 10, 20, 30, tzinfo=UTC)
LOST = Problem("WarehouseUnavailable", "The warehouse was lost.")
RUN_PAGE = (
    "http://airflow:8080/dags/load_listening_history"
    "/runs/scheduled__2026-07-01T10%3A01%3A00%2B00%3A00"
)


def test_equal_failures_are_counted() -> None:
    """A task that only repeats them adds no line."""
    many = [FailedTask("batch.fetch", index, LOST if index < 10 else None) for index in range(200)]
    again = Problem("RunFailed", "fetch 0: The warehouse was lost.")
    other = Problem("SpoolError", "The disk is full.")
    failed = [*many, FailedTask("retry", -1, other), FailedTask("summarise", -1, again)]
    message = failure(RUN, failed, 405, 2, AT)
    assert message.title == "🔴 load_listening_history failed (2 runs in a row)"
    assert message.color == Color.RED
    assert message.lines == ("10 × The warehouse was lost.", "The disk is full.")
    assert message.failed == "202 of 405 tasks: 200 × batch.fetch, retry, summarise"
    assert len(message.logs) == 3
    assert message.logs[0] == Link("batch.fetch[0]", f"{RUN_PAGE}/tasks/batch.fetch/mapped/0")
    assert message.advice == (LOST.what_to_do, other.what_to_do)


def test_what_to_do_comes_from_the_causes() -> None:
    """For a task that sums up others, lines and advice are those of the causes."""
    disk, s3 = Problem("SpoolError", "The disk is full."), Problem("ArchiveError", "S3 is away.")
    summed = FailedTask("summarise", -1, Problem("RunFailed", "fetch 0: …"), (disk, s3, LOST))
    message = failure(RUN, [FailedTask("plan", -1, LOST), summed], 8, 1, AT)
    assert message.lines == (LOST.text, disk.text, s3.text)
    assert message.advice == (LOST.what_to_do, disk.what_to_do, s3.what_to_do)
    assert causes([summed]) == {"SpoolError", "ArchiveError", "WarehouseUnavailable"}
    follows = Problem("RunFailed", "It was never planned.")
    failed = [
        *(FailedTask("enrich", index, follows) for index in range(3)),
        FailedTask("retry", -1, LOST),
    ]
    assert failure(RUN, failed, 8, 1, AT).lines[-1] == "3 × It was never planned."
    more = (*summed.causes, Problem("SettingsError", "One."), Problem("CheckFailed", "Two."))
    message = failure(RUN, [summed._replace(causes=more)], 8, 1, AT)
    assert message.lines[3].startswith("2 more: ")


def test_overdue_run_is_reported_without_a_failed_task() -> None:
    """Its problem is that it took too long; its page has the rest."""
    overdue = Problem("RunOverdue", "It took too long.")
    message = failure(RUN, [], 8, 1, AT, overdue)
    assert message.lines == (overdue.text,)
    assert message.advice == (overdue.what_to_do,)
    assert message.failed == "0 of 8 tasks"
    assert message.logs == (Link("the run", RUN_PAGE),)


def test_killed_task_has_a_link_to_its_log() -> None:
    """It could not report a problem."""
    message = failure(RUN, [FailedTask("plan", -1, None)], 8, 1, AT)
    assert "was killed before it could report" in message.lines[0]
    assert message.logs == (Link("plan", f"{RUN_PAGE}/tasks/plan"),)


def test_recovery_names_the_failed_runs() -> None:
    """Their number, and since when they failed."""
    message = recovery(RUN, 3, AT - timedelta(hours=3), AT)
    assert message.title == "🟢 load_listening_history recovered"
    assert message.color == Color.GREEN
    assert message.lines[0].startswith("3 runs had failed since 2026-07-01 07:20:30 UTC")


def test_notice_has_a_sentence_a_line() -> None:
    """The title shows its kind."""
    message = notice(RUN, LOOK, ["One_two.", "Three."], AT)
    assert message.title == "🟡 load_listening_history: look at this"
    assert message.lines == ("One_two.", "Three.")
    assert notice(RUN, PAUSED, ["x"], AT).title == "🟡 load_listening_history is paused"
    assert notice(RUN, RESUMED, ["x"], AT).title == "🟢 load_listening_history goes on"
