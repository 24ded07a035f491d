"""Hours that do not serve all users, by the limits that an app has learned."""

from dataclasses import replace
from datetime import timedelta

import pytest
from factories import MakePlatform, Platform

from songswap.errors import RunFailed, RunPaused
from songswap.pipelines import heavy_listeners, hourly_load
from songswap.pipelines.batch import run_batch
from songswap.warehouse import notices, runs
from songswap.warehouse.connection import connect

BATCHES = "SELECT number, users FROM songswap.steps WHERE run_id = %s AND step = 'fetch' ORDER BY 1"
A_DAY_FOR_4 = 113
"""A limit of a day that serves four users an hour: 85 % of it are planned for polls."""


def learn(platform: Platform, per_day: int | None = None, per_window: int | None = None) -> None:
    """Let the app have learned these limits."""
    platform.execute("DELETE FROM songswap.budgets")
    platform.execute(
        "INSERT INTO songswap.budgets (app, per_day, day_learned_at, per_window, window_changed_at)"
        " VALUES (%s, %s, %s, %s, clock_timestamp())",
        platform.settings.spotify.client_id,
        per_day,
        platform.clock(),
        per_window,
    )


def plan(platform: Platform, run_id: str) -> list[list[int]]:
    """Plan a run; return the users of its batches."""
    numbers = hourly_load.plan(platform.settings, run_id, platform.clock)
    batches = platform.rows(BATCHES, run_id)
    assert [number for number, _ in batches] == numbers
    return [users for _, users in batches]


def polled_before(platform: Platform, hours: dict[str, float], pace: float = 0) -> None:
    """Let listeners have been polled so many hours ago."""
    for listener, ago in hours.items():
        then = platform.clock() - timedelta(hours=ago)
        platform.execute(
            "UPDATE songswap.polls SET polled_at = %s, answered_at = %s, plays_per_hour = %s"
            " WHERE user_id = %s",
            then,
            then,
            pace,
            platform.user_id(listener),
        )


def listeners(*numbers: int) -> list[str]:
    """Listeners by their number."""
    return [f"listener-{number:04d}" for number in numbers]


def platform_of(make_platform: MakePlatform, users: int) -> Platform:
    """A platform that has polled its users, whose next poll takes one request each."""
    platform = make_platform(users=users)
    for _ in range(2):
        # In the second hour the tokens of sign-up are refused.
        platform.load()
        platform.advance(hours=1)
    platform.execute("UPDATE songswap.runs SET counts = '{}'")
    platform.execute("DELETE FROM songswap.requests")
    platform.execute("UPDATE songswap.polls SET plays_per_hour = 0")
    learn(platform, A_DAY_FOR_4)
    return platform


def test_hour_with_room_for_all_polls_all(make_platform: MakePlatform) -> None:
    """In ranges of ids, whatever limit was met."""
    platform = make_platform(users=5)
    learn(platform, per_day=1000, per_window=500)
    assert plan(platform, "a run") == [None]
    counts = platform.load()
    assert (counts["polled"], counts["oldest_poll_minutes"]) == (5, 0)
    assert "deferred" not in counts


def test_most_urgent_are_polled_and_the_others_wait(make_platform: MakePlatform) -> None:
    """First who could lose plays, then those never polled since they authorized, then those
    unpolled longest."""
    platform = platform_of(make_platform, users=7)
    platform.settings = replace(platform.settings, batch_size=2)
    platform.execute("UPDATE songswap.grants SET authorized_at = authorized_at - interval '1 day'")
    ago = dict(zip(listeners(1, 2, 3, 4), (3, 1, 2, 0.5), strict=True))
    polled_before(platform, ago)
    polled_before(platform, {"listener-0005": 1}, pace=30)
    polled_before(platform, {"listener-0006": 1}, pace=21)
    platform.execute(
        "UPDATE songswap.grants SET authorized_at = %s WHERE user_id = %s",
        platform.clock(),
        platform.user_id("listener-0007"),
    )
    chosen = [platform.user_id(name) for name in listeners(5, 6, 7, 1)]
    assert plan(platform, "a run") == [chosen[:2], chosen[2:]]
    polled_before(platform, {"listener-0005": 0})
    assert plan(platform, "a run") == [chosen[:2], chosen[2:]], "a planned run keeps its batches"
    with connect(platform.settings.warehouse_dsn) as connection:
        found = runs.users_found(connection, "a run")
    assert found
    assert found.now == 7, "users who wait are not missing"


def test_everybody_has_a_turn(make_platform: MakePlatform) -> None:
    """Some hours later all were polled, and the run says how old the oldest poll is."""
    platform = platform_of(make_platform, users=12)
    found = []
    for _ in range(4):
        counts = platform.load()
        found.append((counts["polled"], counts["deferred"], counts["oldest_poll_minutes"]))
        platform.advance(hours=1)
    assert [polled for polled, _, _ in found] == [4] * 4
    assert [deferred for _, deferred, _ in found] == [8] * 4
    assert [age for _, _, age in found] == [60, 120, 120, 120]
    assert platform.history() == platform.reachable()


@pytest.mark.parametrize("batch_size", [2, 500])
def test_hours_that_are_cut_off_reach_everybody(
    make_platform: MakePlatform, batch_size: int
) -> None:
    """Where Spotify says to wait and no limit is learned from that, the next hour begins with those
    whom this one did not reach."""
    platform = make_platform(users=6)
    for _ in range(2):
        platform.load()
        platform.advance(hours=1)
    spotify = replace(platform.settings.spotify, in_flight=1)
    platform.settings = replace(platform.settings, batch_size=batch_size, spotify=spotify)
    plays = {"path": "/v1/me/player/recently-played"}
    began = platform.clock()
    for _ in range(3):
        platform.fault(**plays, times=2)
        platform.fault(**plays, status=429, headers={"Retry-After": "3000"})
        with pytest.raises(RunPaused, match="allows no more requests"):
            platform.load()
        platform.mend()
        platform.advance(hours=1)
    assert platform.rows("SELECT count(*) FROM songswap.polls WHERE answered_at >= %s", began) == [
        (6,)
    ]


def test_dead_grants_take_no_place(make_platform: MakePlatform) -> None:
    """Though nobody is unpolled for longer."""
    platform = platform_of(make_platform, users=6)
    platform.load()
    platform.advance(hours=1)
    dead = platform.user_id("listener-0005")
    platform.execute("UPDATE songswap.grants SET state = 'revoked' WHERE user_id = %s", dead)
    [users] = plan(platform, "later")
    assert dead not in users
    assert platform.user_id("listener-0006") in users


def test_refusals_are_decided_in_an_hour_of_some_users(make_platform: MakePlatform) -> None:
    """A dead grant is one, and refused grants of most users are an incident."""
    platform = platform_of(make_platform, users=8)
    body = {"error": "invalid_grant", "error_description": "Refresh token revoked"}
    platform.advance(hours=2)
    platform.fault(path="/api/token", status=400, body=body, user="listener-0002")
    assert platform.load()["refused"] == 1
    states = "SELECT user_id FROM songswap.grants WHERE state = 'revoked'"
    assert platform.rows(states) == [(platform.user_id("listener-0002"),)]
    platform.fault(path="/api/token", status=400, body=body)
    platform.advance(hours=2)
    with pytest.raises(RunFailed, match="an incident at Spotify"):
        platform.load()
    assert platform.rows(states) == [(platform.user_id("listener-0002"),)]


def test_polls_between_the_hours_come_out_of_the_next(make_platform: MakePlatform) -> None:
    """They are for those at risk, and are not held back."""
    platform = platform_of(make_platform, users=12)
    assert platform.load()["polled"] == 4
    heavy = [platform.user_id(name) for name in listeners(2, 3)]
    platform.execute(
        "UPDATE songswap.polls SET plays_per_hour = 200 WHERE user_id = ANY (%s)", heavy
    )
    platform.advance(minutes=20)
    assert heavy_listeners.plan(platform.settings, "follow", platform.clock) == [0]
    assert run_batch(platform.settings, "follow", 0, platform.clock)["polled"] == 2
    hourly_load.summarise(platform.settings, "follow", platform.clock)
    platform.execute("UPDATE songswap.polls SET plays_per_hour = 0")
    platform.advance(minutes=40)
    assert platform.load()["polled"] == 2


def test_short_hour_is_told_once(make_platform: MakePlatform) -> None:
    """And users for whom there is no room once a day; neither makes a run red."""
    platform = platform_of(make_platform, users=12)

    def told(run_id: str) -> list[str]:
        plan(platform, run_id)
        batches = platform.rows(BATCHES, run_id)
        for number, _ in batches:
            run_batch(platform.settings, run_id, number, platform.clock)
        for step in ("retry", "enrich track", "enrich artist", "enrich features"):
            with connect(platform.settings.warehouse_dsn) as connection:
                runs.end_step(connection, run_id, step, 0, {}, platform.clock())
        summary = hourly_load.summarise(platform.settings, run_id, platform.clock)
        assert summary.problem is None
        sentences = [notice.sentence for notice in summary.notices]
        return [sentence for sentence in sentences if "limit at Spotify" in sentence]

    [first] = told("first")
    assert first.startswith("The app's limit at Spotify serves about 4 of 12 users an hour")
    platform.advance(hours=1)
    assert told("second") == []
    platform.advance(hours=1)
    platform.execute("UPDATE songswap.polls SET plays_per_hour = 50")
    learn(platform, per_day=15)
    [too_small] = told("third")
    assert "5 users play so much that Spotify drops plays" in too_small
    platform.advance(hours=1)
    platform.execute("UPDATE songswap.polls SET plays_per_hour = 50")
    assert told("fourth") == []
    platform.advance(hours=20)
    learn(platform, A_DAY_FOR_4)
    platform.execute("UPDATE songswap.polls SET plays_per_hour = 0")
    assert told("fifth") == [], "hours are short all the time"
    platform.advance(days=2)
    assert len(told("sixth")) == 1, "some hours in between served all"
    with connect(platform.settings.warehouse_dsn) as connection:
        assert notices.find(connection, "an hour that does not serve all users")
