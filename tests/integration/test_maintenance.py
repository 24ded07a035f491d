"""Housekeeping in the warehouse: old rows of work go, and nothing that anybody still needs."""

import json
from datetime import datetime, timedelta

import psycopg
import pytest
from all_tables import AllTables, Rows, difference
from crashing import killed
from factories import MakePlatform, Platform
from typer.testing import CliRunner

from songswap.cli.main import app
from songswap.pipelines.maintenance import clean_warehouse
from songswap.settings.retention import Retention
from songswap.warehouse import runs
from songswap.warehouse.connection import connect

RETENTION = Retention(rows=timedelta(days=90), logs=timedelta(days=30))
CLEANED = {"songswap.runs", "songswap.steps", "songswap.requests", "songswap.snapshots"}


def clean(platform: Platform, *, dry_run: bool = False) -> dict[str, int]:
    """Clean the warehouse at the platform's time."""
    dsn, clock = platform.settings.warehouse_dsn, platform.clock
    return clean_warehouse(dsn, RETENTION, dry_run=dry_run, clock=clock)


def add_run(platform: Platform, run_id: str, days_ago: float, state: str = "success") -> None:
    """Add a run with a plan of 5 users and a batch."""
    started_at = platform.clock() - timedelta(days=days_ago)
    ended_at = None if state == "running" else started_at + timedelta(minutes=2)
    platform.execute(
        "INSERT INTO songswap.runs (run_id, started_at, ended_at, state, counted)"
        " VALUES (%s, %s, %s, %s, '{}')",
        *(run_id, started_at, ended_at, state),
    )
    platform.execute(
        "INSERT INTO songswap.steps (run_id, step, state, counts) VALUES"
        """ (%s, 'plan', 'done', '{"users": 5}'), (%s, 'fetch', 'done', '{}')""",
        *(run_id, run_id),
    )


def run_ids(platform: Platform) -> set[str]:
    """The runs that are there."""
    return {run_id for (run_id,) in platform.rows("SELECT run_id FROM songswap.runs")}


def all_rows(platform: Platform) -> Rows:
    """All rows of all tables."""
    with psycopg.connect(platform.settings.warehouse_dsn, autocommit=True) as connection:
        return AllTables(connection).read()


def others(rows: Rows) -> Rows:
    """The rows of the tables that are not cleaned."""
    return {table: found for table, found in rows.items() if table not in CLEANED}


def test_old_rows_of_work_go_and_all_else_stays(make_platform: MakePlatform) -> None:
    """Runs with their steps, snapshots, requests of a forgotten app. A dry run says the same and
    changes nothing; a second cleaning finds nothing."""
    platform = make_platform(users=3)
    platform.load()
    platform.advance(hours=2)
    platform.load()
    recent = run_ids(platform)
    # An open gap names the run that found it.
    platform.execute(
        "INSERT INTO songswap.gaps (user_id, after, before, found_at, run_id)"
        """ SELECT id, now() - interval '99 days', now() - interval '98 days', now(), 'old 0'"""
        ' FROM "Users"'
    )
    for number in range(120):
        add_run(platform, f"old {number}", 91 + number / 24)
    add_run(platform, "follow__old", 100)
    add_run(platform, "red and old", 100, "failed")
    add_run(platform, "young", 89)
    now = platform.clock()
    for days in (200, 91, 89):
        platform.execute(
            "INSERT INTO songswap.snapshots (taken_at, run_id, facts) VALUES (%s, 'r', '{}')",
            now - timedelta(days=days),
        )
    platform.execute(
        "INSERT INTO songswap.requests (app, span, at, priority, requests)"
        " VALUES ('gone', 'hour', %s, 0, 3)",
        now - timedelta(days=91),
    )
    before = all_rows(platform)

    expected = {"runs": 122, "steps": 244, "requests": 1, "snapshots": 2}
    assert clean(platform, dry_run=True) == expected
    assert difference(all_rows(platform), before) == ""
    assert clean(platform) == expected
    assert run_ids(platform) == recent | {"young"}
    assert difference(others(all_rows(platform)), others(before)) == ""
    assert clean(platform) == clean(platform, dry_run=True) == dict.fromkeys(expected, 0)

    platform.advance(hours=1)
    platform.load()
    assert platform.history() == platform.reachable()


def test_needed_runs_stay_at_any_age(make_platform: MakePlatform) -> None:
    """After a standstill of half a year the last good run stays, with all that came after it; so
    does a run that goes on, one whose refused grants are not settled, and one whose counts are not
    in the totals."""
    platform = make_platform(users=2)
    platform.load()
    platform.execute("DELETE FROM songswap.runs")
    add_run(platform, "before", 191)
    add_run(platform, "unsettled", 190.5)
    add_run(platform, "in progress", 190.4, "running")
    add_run(platform, "not added up", 190.3, "died")
    platform.execute("UPDATE songswap.runs SET counted = NULL WHERE run_id = 'not added up'")
    add_run(platform, "good", 190)
    add_run(platform, "follow__good", 180)
    add_run(platform, "red", 179, "failed")
    platform.execute("UPDATE songswap.grants SET state = 'refused', refused_in = 'unsettled'")

    assert clean(platform)["runs"] == 1
    assert run_ids(platform) == {
        *("unsettled", "in progress", "not added up", "good", "follow__good", "red"),
    }


def test_last_run_that_found_users_stays(make_platform: MakePlatform) -> None:
    """The next plan compares with it, however many good runs have found nobody since."""
    platform = make_platform(users=2)
    add_run(platform, "older", 130)
    add_run(platform, "found users", 120)
    for days in (110, 100, 1):
        add_run(platform, f"found nobody {days}", days)
        platform.execute(
            """UPDATE songswap.steps SET counts = '{"users": 0}' WHERE run_id = %s""",
            f"found nobody {days}",
        )

    def found() -> runs.UsersFound | None:
        with connect(platform.settings.warehouse_dsn) as connection:
            return runs.users_found(connection, "found nobody 1")

    assert found() == (0, 5)
    assert clean(platform)["runs"] == 1
    assert "older" not in run_ids(platform)
    assert found() == (0, 5)


def test_newest_week_of_snapshots_stays(make_platform: MakePlatform) -> None:
    """The page shows the newest, however old it is; a check compares it with the day before."""
    platform = make_platform(users=1)
    for days in (310, 306, 301, 300):
        platform.execute(
            "INSERT INTO songswap.snapshots (taken_at, run_id, facts) VALUES (%s, 'r', '{}')",
            platform.clock() - timedelta(days=days),
        )
    assert clean(platform)["snapshots"] == 1


def test_clock_that_is_ahead_deletes_nothing(make_platform: MakePlatform) -> None:
    """A machine whose clock is years ahead counts by the server's."""
    platform = make_platform(users=1)
    add_run(platform, "one", 2)
    add_run(platform, "two", 1)

    def years_ahead() -> datetime:
        return platform.clock() + timedelta(days=3650)

    assert clean_warehouse(platform.settings.warehouse_dsn, RETENTION, clock=years_ahead) == {
        "runs": 0,
        "steps": 0,
        "requests": 0,
        "snapshots": 0,
    }


def test_row_that_somebody_works_on_is_left(make_platform: MakePlatform) -> None:
    """Cleaning waits for nobody: what is locked goes the next time."""
    platform = make_platform(users=1)
    for days in (101, 100, 1):
        add_run(platform, f"{days}", days)
    with psycopg.connect(platform.settings.warehouse_dsn) as other:
        other.execute("SELECT FROM songswap.runs WHERE run_id = '101' FOR UPDATE")
        assert clean(platform)["runs"] == 1
        assert run_ids(platform) == {"101", "1"}
    assert clean(platform)["runs"] == 1


def test_spooled_responses_of_a_deleted_run_are_loaded(make_platform: MakePlatform) -> None:
    """A host that comes back after months has responses of a run that is not there any more."""
    platform = make_platform("--rotate-refresh-tokens", "1", users=3)
    killed(platform, "before", "songswap.warehouse.plays:load", "1")
    assert platform.history().total() == 0, "nothing waits in the spool"
    platform.execute(
        "UPDATE songswap.runs SET state = 'died', started_at = '2026-01-01', counted = '{}'"
    )
    add_run(platform, "good", 0)
    assert clean(platform)["runs"] == 1
    platform.load()
    assert platform.history() == platform.reachable()
    assert platform.history().total() > 0


def test_command_cleans_the_warehouse(
    make_platform: MakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It needs the warehouse's connection alone."""
    platform = make_platform(users=1)
    add_run(platform, "old", 400)
    add_run(platform, "new", 1)
    dsn = platform.environment()["AIRFLOW_CONN_SONGSWAP_RDS"]
    monkeypatch.setenv("AIRFLOW_CONN_SONGSWAP_RDS", dsn)
    for options, ids in ((["--dry-run"], {"old", "new"}), ([], {"new"})):
        done = CliRunner().invoke(app, ["maintenance", "--json", *options])
        assert done.exit_code == 0, done.output
        counts = {"runs": 1, "steps": 2, "requests": 0, "snapshots": 0}
        assert json.loads(done.stdout) == counts
        assert run_ids(platform) == ids
    shown = CliRunner().invoke(app, ["maintenance"])
    assert "Deleted" in shown.output
