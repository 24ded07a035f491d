"""What the two scheduled DAGs find of each other: decided from facts alone."""

from datetime import UTC, datetime, timedelta

from songswap.pipelines.standstills import Waiting, of_heavy_listeners, of_hourly_load
from songswap.warehouse.freshness import Facts, GoodRun

NOW = datetime(2026, 11, 27, 10, 16, tzinfo=UTC)
LOAD, FOLLOW = "load_listening_history", "follow_heavy_listeners"


def facts(minutes: int, failed: int = 0, problem: str | None = None) -> Facts:
    """A hourly run that ended well so many minutes ago, and what failed since."""
    ended = NOW - timedelta(minutes=minutes)
    return Facts(GoodRun("success", ended, ended, {"users": 1, "polled": 1}), failed, problem, None)


def test_nothing_is_found_of_a_load_that_goes_on() -> None:
    """Tasks that wait for a slot of a pool while others use it are no standstill."""
    busy = [Waiting("spotify", {LOAD: 7}, True), Waiting("backfill", {"replay_archive": 27}, True)]
    assert of_hourly_load(LOAD, False, facts(15), busy, NOW) == []
    assert of_heavy_listeners(FOLLOW, False, NOW - timedelta(minutes=20), NOW) == []


def test_each_standstill_is_found_and_says_what_to_do() -> None:
    """A pause, a pool of which no task begins, and a load that does not end well."""
    pools = [Waiting("spotify", {LOAD: 3, FOLLOW: 1}, False), Waiting("backfill", {}, False)]
    problem = "fetch 0: Spotify failed.\nload 0: and more"
    paused, pool, old = of_hourly_load(LOAD, True, facts(200, 2, problem), pools, NOW)
    assert paused.subject == "load_listening_history is paused in Airflow"
    assert "Unpause it" in paused.sentence
    assert pool.subject == "No task of the pool spotify begins"
    assert "(1 of follow_heavy_listeners, 3 of load_listening_history)" in pool.sentence
    assert "airflow pools set spotify" in pool.sentence
    assert old.subject == "load_listening_history does not end well"
    assert "3 h 20 min ago (2026-11-27 06:56 UTC): 2 runs failed since." in old.sentence
    assert "fetch 0: Spotify failed. Until" in old.sentence
    assert "and more" not in old.sentence


def test_restarts_and_new_installations_alarm_nobody() -> None:
    """A pause or a waiting task has to be seen twice; before the first load it has 90 minutes."""
    pools = [Waiting("spotify", {LOAD: 3}, False)]
    paused, pool, never = of_hourly_load(LOAD, True, Facts(None, 0, None, None), pools, NOW)
    assert paused.patience == pool.patience == timedelta(minutes=8)
    assert never.patience == timedelta(minutes=90)
    (old,) = of_hourly_load(LOAD, False, facts(91), [], NOW)
    assert old.patience == timedelta()
    (new,) = of_heavy_listeners(FOLLOW, False, None, NOW)
    assert timedelta(minutes=10) < new.patience < timedelta(hours=1)


def test_polls_in_between_that_do_not_begin_are_found() -> None:
    """A paused DAG says so; one whose file cannot be imported gets no more runs."""
    (paused,) = of_heavy_listeners(FOLLOW, True, NOW - timedelta(hours=5), NOW)
    assert paused.subject == "follow_heavy_listeners is paused in Airflow"
    (dead,) = of_heavy_listeners(FOLLOW, False, NOW - timedelta(minutes=46), NOW)
    assert dead.subject == "No run of follow_heavy_listeners begins"
    assert "since 2026-11-27 09:30 UTC" in dead.sentence
