"""Messages as Discord embeds, within Discord's limits."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from songswap.alerts.embed import Embed, embed
from songswap.alerts.message import FailedTask, Run, failure, notice, recovery
from songswap.alerts.notices import LOOK
from songswap.alerts.problem import Problem

RUN = Run("http://airflow:8080/", "load_listening_history", "scheduled__2026-07-01T10:01:00+00:00")
AT = datetime(2026, 7, 1, 10, 20, 30, tzinfo=UTC)
LOST = Problem("WarehouseUnavailable", "The warehouse was lost.")
PAGE = "http://airflow:8080/dags/load_listening_history"
RUN_PAGE = f"{PAGE}/runs/scheduled__2026-07-01T10%3A01%3A00%2B00%3A00"
ZONES = [ZoneInfo("America/Los_Angeles")]


def fields(shown: Embed) -> dict[str, str]:
    """The fields by name."""
    return {field["name"]: field["value"] for field in shown["fields"]}


def test_failure_has_error_advice_and_links() -> None:
    """The links lead to the log of the task, the DAG and the run."""
    shown = embed(failure(RUN, [FailedTask("batch.load", 3, LOST)], 12, 1, AT), ZONES)
    assert shown["title"] == "🔴 load_listening_history failed"
    assert shown["color"] == 0xD32F2F
    assert shown["description"] == "The warehouse was lost."
    assert shown["timestamp"] == "2026-07-01T10:20:30+00:00"
    assert fields(shown) == {
        "What to do": LOST.what_to_do,
        "Failed": "1 of 12 tasks: batch.load",
        "Log": rf"[batch.load\[3\]]({RUN_PAGE}/tasks/batch.load/mapped/3)",
        "DAG": rf"[load\_listening\_history]({PAGE})",
        "Run": rf"[scheduled\_\_2026-07-01T10:01:00+00:00]({RUN_PAGE})",
        "UTC": "2026-07-01 10:20:30",
        "Los Angeles": "2026-07-01 03:20:30 PDT",
    }


def test_every_time_zone_is_a_field() -> None:
    """By the name of its city, in the order of the setting; without any there is UTC."""
    zones = [ZoneInfo("Europe/Berlin"), ZoneInfo("America/Sao_Paulo")]
    shown = fields(embed(recovery(RUN, 1, AT, AT), zones))
    assert list(shown) == ["DAG", "Run", "UTC", "Berlin", "Sao Paulo"]
    assert shown["Berlin"] == "2026-07-01 12:20:30 CEST"
    assert shown["Sao Paulo"] == "2026-07-01 07:20:30 -03"
    assert list(fields(embed(recovery(RUN, 1, AT, AT), []))) == ["DAG", "Run", "UTC"]


@pytest.mark.parametrize(
    ("zone", "at", "local"),
    [
        ("Los_Angeles", datetime(2026, 3, 8, 9, 59, 59, tzinfo=UTC), "2026-03-08 01:59:59 PST"),
        ("Los_Angeles", datetime(2026, 3, 8, 10, 0, tzinfo=UTC), "2026-03-08 03:00:00 PDT"),
        ("Los_Angeles", datetime(2026, 11, 1, 8, 59, 59, tzinfo=UTC), "2026-11-01 01:59:59 PDT"),
        ("Los_Angeles", datetime(2026, 11, 1, 9, 0, tzinfo=UTC), "2026-11-01 01:00:00 PST"),
        ("New_York", datetime(2026, 11, 1, 5, 59, 59, tzinfo=UTC), "2026-11-01 01:59:59 EDT"),
        ("New_York", datetime(2026, 11, 1, 6, 0, tzinfo=UTC), "2026-11-01 01:00:00 EST"),
    ],
)
def test_local_time_follows_daylight_saving(zone: str, at: datetime, local: str) -> None:
    """To the second at which it begins and ends."""
    shown = fields(embed(failure(RUN, [], 1, 1, at), [ZoneInfo(f"America/{zone}")]))
    assert shown[zone.replace("_", " ")] == local


def test_long_text_is_cut_after_a_sentence() -> None:
    """The cut is marked."""
    shown = embed(notice(RUN, LOOK, ["This is one of many sentences."] * 200, AT), ZONES)
    assert len(shown["description"]) <= 2000
    assert shown["description"].endswith("sentences. …")


def test_text_from_outside_is_no_markdown() -> None:
    """In lines, names of tasks and the names of links."""
    hostile = "<@&1> [x](http://evil.example) *b* `c`"
    run = Run("http://a", "d", "[run](http://evil.example)")
    problem = Problem("X", hostile)
    shown = embed(failure(run, [FailedTask("t*a*", -1, problem)], 1, 1, AT), ZONES)
    escaped = r"\<@&1\> \[x\](http://evil.example) \*b\* \`c\`"
    assert shown["description"] == escaped
    assert r"t\*a\*" in fields(shown)["Failed"]
    assert fields(shown)["Run"].startswith(r"[\[run\](http://evil.example)](http://a/dags/d/runs/")


problems = st.builds(Problem, st.text(max_size=30), st.text(max_size=500)) | st.none()
tasks = st.builds(FailedTask, st.text(min_size=1, max_size=250), st.integers(-1, 2000), problems)


@given(
    run=st.builds(Run, st.just("http://a"), st.text(max_size=250), st.text(max_size=250)),
    failed=st.lists(tasks, max_size=30),
)
@example(run=Run("http://a", "d", "r"), failed=[FailedTask("漢" * 250, -1, None)])
def test_message_keeps_discords_limits(run: Run, failed: list[FailedTask]) -> None:
    """Whatever the names and errors are: no part is too long or empty."""
    shown = embed(failure(run, failed, 5000, 12, AT), ZONES)
    assert len(shown["title"]) <= 256
    assert 0 < len(shown["description"]) <= 4096
    for field in shown["fields"]:
        assert 0 < len(field["value"]) <= 1024
        assert 0 < len(field["name"]) <= 256
    parts = [shown["title"], shown["description"], *fields(shown), *fields(shown).values()]
    assert sum(map(len, parts)) <= 6000
