"""``songswap check --fresh``: from real loads, with a login that may only read."""

import json
from datetime import timedelta
from typing import Any

import pytest
from factories import MakePlatform, Platform
from typer.testing import CliRunner

from songswap.cli.main import app
from songswap.errors import RunFailed, RunPaused
from songswap.pipelines import freshness, hourly_load
from songswap.pipelines.freshness import LIMIT, Verdict
from songswap.warehouse import rights
from songswap.warehouse.connection import connect
from songswap.warehouse.freshness import read

FEED = "/v1/me/player/recently-played"


def verdict(platform: Platform, limit: timedelta = LIMIT) -> Verdict:
    """What is decided of a platform, at its time."""
    with connect(platform.settings.warehouse_dsn) as connection:
        now = platform.clock()
        return freshness.decide(read(connection, now), limit, now)


def test_goes_stale_when_loads_stop_and_fresh_when_they_go_on(make_platform: MakePlatform) -> None:
    """Before the first load, after it, when none follows, when some fail, and when one is good."""
    platform = make_platform(users=3)
    assert verdict(platform).sentence.startswith("No hourly load has ended well yet")
    platform.load()
    first = verdict(platform)
    assert first.is_fresh
    assert "polled 3 users" in first.sentence
    assert first.figures["oldest_poll_minutes"] == 0

    platform.advance(minutes=90)
    assert verdict(platform).is_fresh
    platform.advance(minutes=2)
    stale = verdict(platform)
    assert not stale.is_fresh
    assert stale.sentence.endswith(", and none has begun since.")

    platform.fault(path="/*", status=503)
    with pytest.raises(RunFailed):
        platform.load()
    red = verdict(platform)
    assert not red.is_fresh
    assert red.sentence.endswith(": 1 run failed since.")
    assert red.problem
    assert "Spotify" in red.problem
    platform.mend()
    platform.load()
    assert verdict(platform).is_fresh
    assert verdict(platform).problem is None


def test_pause_and_platforms_without_users_alarm_nobody(make_platform: MakePlatform) -> None:
    """Neither is a standstill: runs end as they should."""
    platform = make_platform(users=2)
    platform.load()
    platform.advance(minutes=80)
    platform.fault(path=FEED, status=429, headers={"Retry-After": "7200"})
    with pytest.raises(RunPaused):
        platform.load()
    platform.advance(minutes=60)
    paused = verdict(platform)
    assert paused.is_fresh, paused.sentence
    assert "pause" in paused.sentence

    platform.execute('DELETE FROM "SpotifyTokens"')
    platform.mend()
    platform.advance(hours=3)
    platform.load()
    empty = verdict(platform)
    assert empty.is_fresh
    assert "found no user to poll" in empty.sentence


def test_run_at_work_counts_until_it_is_dead(make_platform: MakePlatform) -> None:
    """A run that nobody works on is not fresh, though its row says that it is running."""
    platform = make_platform(users=2)
    platform.load()
    platform.advance(minutes=85)
    hourly_load.plan(platform.settings, "slow", platform.clock)
    platform.advance(minutes=8)
    at_work = verdict(platform)
    assert at_work.is_fresh, at_work.sentence
    assert at_work.sentence.startswith("An hourly load is at work since")
    # As with a missing pool: planned, and no batch ever begins. The lease is by the server's clock.
    platform.execute("UPDATE songswap.runs SET alive_until = now() - interval '1 minute'")
    platform.advance(minutes=5)
    stuck = verdict(platform)
    assert not stuck.is_fresh
    assert stuck.sentence.endswith(": 1 run failed since.")


def test_wrong_clock_proves_nothing(make_platform: MakePlatform) -> None:
    """A run that ended in the future would keep the load fresh for as long."""
    platform = make_platform(users=1)
    platform.load()
    platform.execute("UPDATE songswap.runs SET ended_at = ended_at + interval '1 day'")
    assert not verdict(platform).is_fresh


def test_polls_of_heavy_listeners_are_no_hourly_load(make_platform: MakePlatform) -> None:
    """They go on while the hourly load is paused, for some users only."""
    platform = make_platform(users=1)
    platform.load()
    platform.execute(
        "INSERT INTO songswap.runs SELECT 'follow__' || run_id, started_at, ended_at, state"
        " FROM songswap.runs"
    )
    platform.execute("DELETE FROM songswap.steps")
    platform.execute("DELETE FROM songswap.runs WHERE NOT starts_with(run_id, 'follow__')")
    assert not verdict(platform).is_fresh


def test_command_needs_no_more_than_to_read(make_platform: MakePlatform) -> None:
    """It takes the read-only login where one is set, exits with 0 or 1, and says why."""
    platform = make_platform(users=2, real_time=True)
    environment = platform.environment()
    platform.execute("CREATE ROLE watcher LOGIN PASSWORD 'seen'")
    try:
        for grant in rights.page_grants("public", "watcher"):
            platform.execute(grant)
        rds = json.loads(environment["AIRFLOW_CONN_SONGSWAP_RDS"])
        read_only = json.dumps(rds | {"login": "watcher", "password": "seen"})
        alone = {"AIRFLOW_CONN_SONGSWAP_RDS": "", "AIRFLOW_CONN_SONGSWAP_RDS_READONLY": read_only}

        def check(*options: str, **more: str) -> Any:
            settings = environment | alone | {"COLUMNS": "200"} | more
            return CliRunner().invoke(app, ["check", "--fresh", *options], env=settings)

        never = check("90m")
        assert (never.exit_code, never.stdout) == (1, "")
        assert "Error: No hourly load has ended well yet" in never.stderr
        platform.load()
        done = check("90m")
        assert done.exit_code == 0, done.output
        assert done.stdout.startswith("The last hourly load that ended well did so")
        figures = json.loads(check("2h", "--json").stdout)
        assert (figures["fresh"], figures["polled"], figures["limit_minutes"]) == (True, 2, 120)

        platform.execute("UPDATE songswap.runs SET ended_at = ended_at - interval '2 hours'")
        late = check("90m", "--json")
        assert late.exit_code == 1
        assert json.loads(late.stdout)["fresh"] is False
        assert "none has begun since" in check("90m").stderr

        mistyped = check("90")
        assert mistyped.exit_code == 2
        assert "A duration is written as 90m, 2h or 1h30m" in mistyped.stderr
        assert check("90m", "s3").exit_code == 2
        gone = check(
            "90m",
            AIRFLOW_CONN_SONGSWAP_RDS_READONLY=json.dumps(json.loads(read_only) | {"port": 1}),
        )
        assert (gone.exit_code, gone.stdout) == (1, "")
    finally:
        platform.execute("DROP OWNED BY watcher")
        platform.execute("DROP ROLE watcher")
