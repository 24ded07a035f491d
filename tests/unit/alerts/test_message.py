"""Messages about runs, within Discord's limits."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from songswap.alerts.message import (
    Embed,
    FailedTask,
    Run,
    as_text,
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
PAGE = "http://airflow:8080/dags/load_listening_history"
RUN_PAGE = f"{PAGE}/runs/scheduled__2026-07-01T10%3A01%3A00%2B00%3A00"


def fields(embed: Embed) -> dict[str, str]:
    """The fields by name."""
    return {field["name"]: field["value"] for field in embed["fields"]}


def test_failure_has_error_advice_and_links() -> None:
    """The links lead to the log of the task, the DAG and the run."""
    embed = failure(RUN, [FailedTask("batch.load", 3, LOST)], 12, 1, AT)
    assert embed["title"] == "🔴 load_listening_history failed"
    assert embed["description"] == "The warehouse was lost."
    assert fields(embed) == {
        "What to do": LOST.what_to_do,
        "Failed": "1 of 12 tasks: batch.load",
        "Log": rf"[batch.load\[3\]]({RUN_PAGE}/tasks/batch.load/mapped/3)",
        "DAG": rf"[load\_listening\_history]({PAGE})",
        "Run": rf"[scheduled\_\_2026-07-01T10:01:00+00:00]({RUN_PAGE})",
        "UTC": "2026-07-01 10:20:30",
        "Los Angeles": "2026-07-01 03:20:30 PDT",
    }


def test_equal_failures_are_counted() -> None:
    """A task that only repeats them adds no line."""
    many = [FailedTask("batch.fetch", index, LOST if index < 10 else None) for index in range(200)]
    again = Problem("RunFailed", "fetch 0: The warehouse was lost.")
    other = Problem("SpoolError", "The disk is full.")
    failed = [*many, FailedTask("retry", -1, other), FailedTask("summarise", -1, again)]
    embed = failure(RUN, failed, 405, 2, AT)
    assert embed["title"] == "🔴 load_listening_history failed (2 runs in a row)"
    assert embed["description"] == "10 × The warehouse was lost.\nThe disk is full."
    shown = fields(embed)
    assert shown["Failed"] == "202 of 405 tasks: 200 × batch.fetch, retry, summarise"
    assert shown["Log"].count("](") == 3
    assert shown["What to do"].splitlines() == [LOST.what_to_do, other.what_to_do]


def test_what_to_do_comes_from_the_causes() -> None:
    """For a task that sums up others, lines and advice are those of the causes."""
    disk, s3 = Problem("SpoolError", "The disk is full."), Problem("ArchiveError", "S3 is away.")
    summed = FailedTask("summarise", -1, Problem("RunFailed", "fetch 0: …"), (disk, s3, LOST))
    embed = failure(RUN, [FailedTask("plan", -1, LOST), summed], 8, 1, AT)
    assert embed["description"].splitlines() == [LOST.text, disk.text, s3.text]
    advice = [LOST.what_to_do, disk.what_to_do, s3.what_to_do]
    assert fields(embed)["What to do"].splitlines() == advice
    assert causes([summed]) == {"SpoolError", "ArchiveError", "WarehouseUnavailable"}
    follows = Problem("RunFailed", "It was never planned.")
    failed = [
        *(FailedTask("enrich", index, follows) for index in range(3)),
        FailedTask("retry", -1, LOST),
    ]
    embed = failure(RUN, failed, 8, 1, AT)
    assert embed["description"].splitlines()[-1] == "3 × It was never planned."
    more = (*summed.causes, Problem("SettingsError", "One."), Problem("CheckFailed", "Two."))
    embed = failure(RUN, [summed._replace(causes=more)], 8, 1, AT)
    assert embed["description"].splitlines()[3].startswith("2 more: ")


def test_overdue_run_is_reported_without_a_failed_task() -> None:
    """Its problem is that it took too long."""
    overdue = Problem("RunOverdue", "It took too long.")
    embed = failure(RUN, [], 8, 1, AT, overdue)
    assert embed["description"] == overdue.text
    assert fields(embed)["What to do"] == overdue.what_to_do
    assert fields(embed)["Failed"] == "0 of 8 tasks"


def test_long_text_is_cut_after_a_sentence() -> None:
    """The cut is marked."""
    embed = notice(RUN, LOOK, ["This is one of many sentences."] * 200, AT)
    assert len(embed["description"]) <= 2000
    assert embed["description"].endswith("sentences. …")


def test_killed_task_has_a_link_to_its_log() -> None:
    """It could not report a problem."""
    embed = failure(RUN, [FailedTask("plan", -1, None)], 8, 1, AT)
    assert "was killed before it could report" in embed["description"]
    assert f"[plan]({RUN_PAGE}/tasks/plan)" in fields(embed)["Log"]


@pytest.mark.parametrize(
    ("at", "local"),
    [
        (datetime(2026, 3, 8, 9, 59, 59, tzinfo=UTC), "2026-03-08 01:59:59 PST"),
        (datetime(2026, 3, 8, 10, 0, tzinfo=UTC), "2026-03-08 03:00:00 PDT"),
        (datetime(2026, 11, 1, 8, 59, 59, tzinfo=UTC), "2026-11-01 01:59:59 PDT"),
        (datetime(2026, 11, 1, 9, 0, tzinfo=UTC), "2026-11-01 01:00:00 PST"),
    ],
)
def test_los_angeles_time_follows_daylight_saving(at: datetime, local: str) -> None:
    """To the second at which it begins and ends."""
    assert fields(failure(RUN, [], 1, 1, at))["Los Angeles"] == local


def test_recovery_names_the_failed_runs() -> None:
    """Their number, and since when they failed."""
    embed = recovery(RUN, 3, AT - timedelta(hours=3), AT)
    assert embed["title"] == "🟢 load_listening_history recovered"
    assert embed["description"].startswith("3 runs had failed since 2026-07-01 07:20:30 UTC")


def test_notice_has_a_sentence_a_line() -> None:
    """The title shows its kind."""
    embed = notice(RUN, LOOK, ["One_two.", "Three."], AT)
    assert embed["title"] == "🟡 load_listening_history: look at this"
    assert embed["description"] == "One\\_two.\nThree."
    assert fields(embed)["UTC"] == "2026-07-01 10:20:30"
    assert notice(RUN, PAUSED, ["x"], AT)["title"] == "🟡 load_listening_history is paused"
    assert notice(RUN, RESUMED, ["x"], AT)["title"] == "🟢 load_listening_history goes on"


def test_text_for_the_log_has_the_whole_message() -> None:
    """It replaces a message that Discord did not take."""
    text = as_text(failure(RUN, [FailedTask("plan", -1, LOST)], 8, 1, AT))
    for part in ("🔴", "The warehouse was lost.", "plan", RUN_PAGE, "Los Angeles: 2026-07-01 03"):
        assert part in text


problems = st.builds(Problem, st.text(max_size=30), st.text(max_size=500)) | st.none()
tasks = st.builds(FailedTask, st.text(min_size=1, max_size=250), st.integers(-1, 2000), problems)


@given(
    run=st.builds(Run, st.just("http://a"), st.text(max_size=250), st.text(max_size=250)),
    failed=st.lists(tasks, max_size=30),
)
def test_message_keeps_discords_limits(run: Run, failed: list[FailedTask]) -> None:
    """Whatever the names and errors are: no part is too long or empty."""
    embed = failure(run, failed, 5000, 12, AT)
    assert len(embed["title"]) <= 256
    assert 0 < len(embed["description"]) <= 4096
    for field in embed["fields"]:
        assert 0 < len(field["value"]) <= 1024
        assert 0 < len(field["name"]) <= 256
    parts = [embed["title"], embed["description"], *fields(embed), *fields(embed).values()]
    assert sum(map(len, parts)) <= 6000
