"""Messages as plain text, in which nothing from outside is markup, whatever service shows it."""

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from hypothesis import example, given
from hypothesis import strategies as st

from songswap.alerts.message import FailedTask, Run, failure, notice
from songswap.alerts.notices import LOOK
from songswap.alerts.plain_text import body, title
from songswap.alerts.problem import Problem

AT = datetime(2026, 7, 1, 10, 20, 30, tzinfo=UTC)
ZONES = [ZoneInfo("America/Los_Angeles"), ZoneInfo("Asia/Tokyo")]
RUN = Run("http://airflow:8080/", "load_listening_history", "scheduled__2026-07-01T10:01:00+00:00")


def test_text_has_the_whole_message() -> None:
    """What happened, what to do, what failed, where to read on, and when."""
    problems = (
        Problem("SchemaOutdated", "The tables are old."),
        Problem("SpoolError", "The disk is full."),
    )
    summed = FailedTask("summarise", -1, Problem("RunFailed", "…"), problems)
    message = failure(RUN, [FailedTask("batch", 3, problems[0]), summed], 12, 2, AT)
    assert title(message) == "🔴 load_listening_history failed (2 runs in a row)"
    page = "http://airflow:8080/dags/load_listening_history"
    run_page = f"{page}/runs/scheduled__2026-07-01T10%3A01%3A00%2B00%3A00"
    assert body(message, ZONES) == (
        "The tables are old.\n"
        "The disk is full.\n"
        "\n"
        "What to do:\n"
        "Run 'songswap migrate', then clear the run.\n"
        "Free or repair the disk of SONGSWAP_SPOOL; 'songswap spool list' shows what waits. The"
        " next run tries again.\n"
        "Failed: 2 of 12 tasks: batch, summarise\n"
        "Log:\n"
        f"batch(3) {run_page}/tasks/batch/mapped/3\n"
        f"summarise {run_page}/tasks/summarise\n"
        f"DAG: load_listening_history {page}\n"
        f"Run: scheduled__2026-07-01T10:01:00+00:00 {run_page}\n"
        "UTC: 2026-07-01 10:20:30\n"
        "Los Angeles: 2026-07-01 03:20:30 PDT\n"
        "Tokyo: 2026-07-01 19:20:30 JST"
    )


MARKUP = re.compile(r"[<>@`*~|\[\]\\]|(?<!\w)_|_(?!\w)|^\s*#", re.MULTILINE)
texts = st.text(st.characters(codec="utf-8")) | st.text(
    "<!@&>[]()*_`~|\\# ah\n\r\u2028", max_size=40
)


@given(outside=texts)
@example(outside="<!channel> <@U1> <http://evil.example|Airflow> @everyone @here")
@example(outside="[Airflow](http://evil.example) ![](http://evil.example/p.png) <b>b</b>")
@example(outside="_it_ *b* `c` ~~s~~ ||s|| # heading")
@example(outside="x\n# heading\nWhat to do: open the door")
def test_nothing_from_outside_is_markup(outside: str) -> None:
    """No tag, link, mention or style begins in it, and it makes no line that looks like ours."""
    problem = Problem("X", outside)
    run = Run("http://a", outside, outside)
    message = failure(run, [FailedTask(outside, 3, problem)], 1, 1, AT)
    known = body(failure(Run("http://a", "d", "r"), [FailedTask("t", 3, problem)], 1, 1, AT), [])
    shown = body(message, [])
    urls = re.compile(r"http://a/dags/\S*")
    assert MARKUP.findall(urls.sub("", f"{title(message)}\n{shown}")) == []
    assert len(shown.splitlines()) == len(known.splitlines())
    (line, *_) = body(notice(run, LOOK, [outside, "ours"], AT), []).split("\nours")
    assert len(line.splitlines()) <= 1


def test_long_text_is_cut_after_a_sentence() -> None:
    """The fields behind it are whole."""
    shown = body(notice(RUN, LOOK, ["This is one of many sentences."] * 200, AT), ZONES)
    lines, fields = shown.split("\n\n")
    assert len(lines) <= 2000
    assert lines.endswith("sentences. …")
    assert fields.startswith("DAG: load_listening_history http")
