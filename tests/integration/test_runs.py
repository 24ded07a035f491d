"""Rows of runs: who is alive, how each ends, and what engineers are told of it."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from factories import MakePlatform, Platform

from songswap.alerts.notices import LOOK, PAUSED, RESUMED
from songswap.errors import Interrupted, RunFailed, RunPaused, SpotifyUnavailable
from songswap.pipelines import backfill, hourly_load
from songswap.pipelines.batch_load import load_batch
from songswap.pipelines.enrich import enrich
from songswap.pipelines.fetch import fetch
from songswap.supervision.process import wait_until
from songswap.warehouse import leases, runs
from songswap.warehouse.connection import connect

FEED = "/v1/me/player/recently-played"
PASSED_ON = ("PATH", "SONGSWAP_WAIT_S")


def is_active(platform: Platform, now: datetime | None = None) -> bool:
    """Whether an hourly run is in progress."""
    with connect(platform.settings.warehouse_dsn) as connection:
        return leases.is_hourly_run_active(connection, now or platform.clock())


def row(platform: Platform, run_id: str) -> tuple[Any, ...]:
    """State, problem and seconds of a run."""
    (row,) = platform.rows(
        "SELECT state, problem, extract(epoch FROM ended_at - started_at)::int"
        " FROM songswap.runs WHERE run_id = %s",
        run_id,
    )
    return row


@contextmanager
def load_under_way(platform: Platform, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A load in a process of its own, which has sent its first requests to a slow Spotify."""
    platform.fault(path=FEED, delay_ms=8_000)
    with subprocess.Popen(
        [sys.executable, "-m", "songswap.cli.main", "load", "--run-id", "r"],
        cwd=folder,
        env={name: os.environ[name] for name in PASSED_ON if name in os.environ}
        | platform.environment(),
    ) as command:
        try:
            sent = "SELECT FROM songswap.requests"
            assert wait_until(lambda: bool(platform.rows(sent)), 60)
            yield command
        finally:
            command.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopped_load_ends_its_row(
    make_platform: MakePlatform, tmp_path: Path, number: signal.Signals
) -> None:
    """A load that is told to stop notes that it failed, and says by whose hand."""
    platform = make_platform(users=3, real_time=True)
    with load_under_way(platform, tmp_path) as command:
        command.send_signal(number)
        assert command.wait(60) == 130
    state, problem, seconds = row(platform, "r")
    assert (state, seconds is not None) == ("failed", True)
    assert problem.startswith("It was stopped (KeyboardInterrupt).")


def test_killed_load_holds_nobody_up(
    make_platform: MakePlatform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a load lives a backfill waits for it; when the lease of a dead one has ended nobody
    does."""
    monkeypatch.setenv("SONGSWAP_WAIT_S", "3")
    platform = make_platform(users=3, real_time=True)
    with load_under_way(platform, tmp_path):
        # A live one is believed however long nothing has been heard of it.
        assert is_active(platform, platform.clock() + timedelta(minutes=50))
    platform.rows(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    assert row(platform, "r")[0] == "running"
    assert is_active(platform), "its process may still be there"
    assert wait_until(lambda: not is_active(platform), 30)
    platform.mend()
    found = backfill.find(platform.settings, "artist")
    backfill.fill(platform.settings, "artist", found, lambda *_: None)
    state, problem, seconds = row(platform, "r")
    assert (state, seconds is not None) == ("died", True)
    assert "killed before it could report" in problem


def test_row_older_than_an_ended_run(make_platform: MakePlatform) -> None:
    """It holds nobody up, and the next run notes that it died; a run in between does not count."""
    platform = make_platform(users=1)
    now = platform.clock()
    add = "INSERT INTO songswap.runs (run_id, started_at, state) VALUES (%s, %s, %s)"
    platform.execute(add, "old", now - timedelta(minutes=9), "running")
    platform.execute(add, "follow__new", now - timedelta(minutes=5), "success")
    assert is_active(platform)
    platform.execute(add, "new", now - timedelta(minutes=5), "failed")
    assert not is_active(platform)
    assert row(platform, "old")[0] == "died"
    platform.execute(add, "silent", now - timedelta(minutes=4), "running")
    assert is_active(platform)
    assert not is_active(platform, now + timedelta(minutes=7)), (
        "nobody has worked on it for 11 minutes"
    )


@pytest.mark.parametrize("error", [StopIteration(), KeyboardInterrupt(), KeyError("Blue Monday")])
def test_load_that_ends_early_ends_its_row(
    make_platform: MakePlatform, error: BaseException
) -> None:
    """Whatever ends a load early, its row has failed, and tells no data."""
    platform = make_platform(users=1)

    def told(step: str, *_: int) -> None:
        if step == "fetch and load":
            raise error

    with pytest.raises(type(error)):
        hourly_load.load_once(platform.settings, "r", told, platform.clock)
    state, problem, _ = row(platform, "r")
    assert (state, type(error).__name__ in problem) == ("failed", True)
    assert "Blue" not in problem
    assert not is_active(platform)


def test_last_outcome_decides(make_platform: MakePlatform) -> None:
    """A try in which Spotify fails for all, and one that goes well, make a good run; so does a run
    that failed and is done again, whose time is that of its last attempt."""
    platform = make_platform(users=30)

    def attempt(*fetches: Callable[[], None]) -> hourly_load.Summary:
        with hourly_load.at_work(platform.settings, "r", platform.clock):
            hourly_load.retry(platform.settings, "r", platform.clock)
            hourly_load.plan(platform.settings, "r", platform.clock)
            for before in fetches:
                before()
                with suppress(SpotifyUnavailable):
                    fetch(platform.settings, "r", 0, platform.clock)
            platform.advance(seconds=7)
            load_batch(platform.settings, "r", 0, platform.clock)
            for kind in ("track", "artist", "features"):
                enrich(platform.settings, "r", kind, platform.clock)
        return hourly_load.summarise(platform.settings, "r", platform.clock)

    def down() -> None:
        platform.fault(path=FEED, status=503)

    bad = attempt(down)
    assert "no usable response for" in str(bad.problem)
    assert row(platform, "r")[0] == "failed"

    platform.advance(hours=14)
    good = attempt(down, platform.mend)
    assert good.problem is None
    assert row(platform, "r") == ("success", None, 7)
    assert good.counts["polled"] == 30
    assert "failed" not in good.counts
    assert platform.history() == platform.reachable()

    # Only what is asked again has another outcome.
    with connect(platform.settings.warehouse_dsn) as connection:
        outcomes = dict.fromkeys(range(1, 30), "failed")
        runs.end_step(connection, "r", "fetch", 0, {}, platform.clock(), outcomes=outcomes)
    again = hourly_load.summarise(platform.settings, "r", platform.clock)
    assert again.counts["failed"] == 29
    assert "no usable response for 29 of 30 users" in str(again.problem)


def test_repeated_step_counts_its_users_once(make_platform: MakePlatform) -> None:
    """Counts of work add up over the tries of a step; its users, and those who pause, are the
    same."""
    platform = make_platform(users=1)
    with connect(platform.settings.warehouse_dsn) as connection:
        runs.start(connection, "r", platform.clock())
        for users, paused in ((8, 2), (9, 1)):
            counts = {"users": users, "paused": paused, "plays": 5}
            runs.end_step(connection, "r", "fetch", 0, counts, platform.clock())
        assert runs.totals(connection, "r") == {"users": 9, "paused": 2, "plays": 10}


def test_run_without_a_plan_is_red(make_platform: MakePlatform) -> None:
    """It has a row, which says so; enrichment says so too, and is not tried for nothing."""
    platform = make_platform(users=1)
    with pytest.raises(RunFailed, match="Run r was never planned"):
        enrich(platform.settings, "r", "track", platform.clock)
    summary = hourly_load.summarise(platform.settings, "r", platform.clock)
    with pytest.raises(RunFailed, match="never planned: no user was polled"):
        summary.require_success()
    assert row(platform, "r")[0] == "failed"


def test_pause_and_its_end_are_reported_once(make_platform: MakePlatform) -> None:
    """A run in a pause is paused, not failed."""
    platform = make_platform(users=3)
    platform.fault(path=FEED, status=429, headers={"Retry-After": "7000"}, body={}, times=1)
    until = platform.clock() + timedelta(seconds=7000)

    def notices() -> list[tuple[str, str]]:
        platform.runs += 1
        name = f"run {platform.runs}"
        with pytest.raises(RunPaused) as paused:
            hourly_load.load_once(platform.settings, name, lambda *_: None, platform.clock)
        assert {kind for kind, _ in paused.value.causes} == {"RateLimited"}
        assert row(platform, name)[0] == "paused"
        # What it told is noted; asked again at once, it tells nothing.
        summary = hourly_load.summarise(platform.settings, name, platform.clock)
        return [(notice.kind, notice.sentence) for notice in summary.notices]

    assert notices() == []
    sent = "SELECT subject, detail::timestamptz FROM songswap.notices"
    ((subject, told_until),) = platform.rows(sent)
    assert subject.startswith("pause of ")
    assert timedelta(0) <= told_until - until < timedelta(minutes=1)
    platform.advance(hours=1)
    assert notices() == []
    platform.advance(hours=1)
    platform.load()
    assert platform.rows(sent) == []
    assert platform.history() == platform.reachable()


def test_notices_of_pauses(make_platform: MakePlatform) -> None:
    """The first run says until when, the first good one says that it is over."""
    platform = make_platform(users=1)
    platform.load()
    now = platform.clock()
    platform.execute(
        "INSERT INTO songswap.pauses VALUES (%s, %s, 'No more.', %s)",
        platform.settings.spotify.client_id,
        now + timedelta(minutes=90),
        now,
    )

    def notices() -> list[tuple[str, str]]:
        summary = hourly_load.summarise(platform.settings, "run 1", platform.clock)
        return [(notice.kind, notice.sentence[:40]) for notice in summary.notices]

    until = f"{now + timedelta(minutes=90):%Y-%m-%d %H:%M}"
    assert notices() == [(PAUSED, f"Paused by Spotify until {until}")]
    assert notices() == []
    platform.advance(minutes=90)
    assert notices() == [(RESUMED, "The pause that Spotify asked for is over")]
    assert notices() == []

    # A clock that was a day fast wrote this: it holds nobody up.
    later = platform.clock() + timedelta(days=1)
    platform.execute("UPDATE songswap.pauses SET noted_at = %s, until = %s", later, later)
    assert notices() == []
    platform.load()


def test_dead_grants_are_reported_once_a_day(make_platform: MakePlatform) -> None:
    """By number; at once when there are new ones after none."""
    platform = make_platform(users=4)
    platform.load()
    state = "UPDATE songswap.grants SET state = %s WHERE user_id = %s"
    platform.execute(state, "revoked", platform.user_id("listener-0001"))
    platform.execute(state, "forbidden", platform.user_id("listener-0002"))

    def notices() -> list[tuple[str, str]]:
        summary = hourly_load.summarise(platform.settings, "run 1", platform.clock)
        return [(notice.kind, notice.sentence) for notice in summary.notices]

    ((about, sentence),) = notices()
    assert about == LOOK
    assert sentence.startswith("2 users cannot be polled: 1 revoked, 1 forbidden.")
    platform.advance(hours=12)
    assert notices() == []
    platform.advance(hours=12)
    assert notices() == [(about, sentence)]
    platform.execute("UPDATE songswap.grants SET state = 'active'")
    assert notices() == []
    platform.execute(state, "revoked", platform.user_id("listener-0003"))
    assert len(notices()) == 1


def test_late_counts_leave_an_ended_step_as_it_is(make_platform: MakePlatform) -> None:
    """A task that was cut off may load a group after another host has ended the batch."""
    platform = make_platform(users=1)
    step = runs.StepKey("load", 0)
    read = "SELECT state, problem, ended_at IS NULL, counts ->> 'plays' FROM songswap.steps"
    with connect(platform.settings.warehouse_dsn) as connection:
        runs.start(connection, "r", platform.clock())
        runs.add_counts(connection, "r", step, {"plays": 1})
        assert platform.rows(read) == [("planned", None, True, "1")]
        for problem, state in (("no disk", "failed"), (None, "done")):
            runs.end_step(connection, "r", *step, {}, platform.clock(), problem)
            runs.add_counts(connection, "r", step, {"plays": 2})
            assert platform.rows(read)[0][:3] == (state, problem, False)
        assert platform.rows(read)[0][3] == "5"


def test_step_that_is_done_stays_so(make_platform: MakePlatform) -> None:
    """A try that was cut off may record that it was stopped after another host has done it all;
    what it has of other users is counted."""
    platform = make_platform(users=1)
    step = runs.StepKey("fetch", 0)
    read = "SELECT state, problem, kind, outcomes, counts ->> 'polled' FROM songswap.steps"
    done, stopped = {1: "answered", 2: "answered"}, {2: "failed", 3: "failed"}
    with connect(platform.settings.warehouse_dsn) as connection:
        runs.start(connection, "r", platform.clock())
        for problem, outcomes in ((None, done), (Interrupted("It was stopped."), stopped)):
            runs.end_step(
                connection, "r", *step, {"polled": 2}, platform.clock(), problem, outcomes
            )
    assert platform.rows(read) == [
        ("done", None, None, {"1": "answered", "2": "answered", "3": "failed"}, "4")
    ]
