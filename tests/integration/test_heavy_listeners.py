"""Heavy listeners between the hourly loads, against a simulated Spotify over HTTP."""

from datetime import datetime, timedelta

from factories import MakePlatform, Platform

from songswap.pipelines import heavy_listeners, hourly_load
from songswap.pipelines.batch_load import load_batch
from songswap.pipelines.fetch import fetch
from songswap.warehouse import grants as grant
from songswap.warehouse.connection import connect
from songswap.warehouse.runs import Users


def paces(platform: Platform) -> dict[str, float]:
    """Each listener's pace: plays in the busiest hour seen lately."""
    rows = platform.rows(
        "SELECT u.spotify_id, p.plays_per_hour FROM songswap.polls p"
        ' JOIN "Users" u ON u.id = p.user_id'
    )
    return dict(rows)


def run_users(platform: Platform) -> list[str]:
    """The listeners in the order in which a batch asks for them."""
    with connect(platform.settings.warehouse_dsn) as connection:
        grants = grant.load_credentials(connection, Users(0, 2**31 - 1, None), platform.clock())
    names = dict(platform.rows('SELECT id, spotify_id FROM "Users"'))
    return [names[one.user_id] for one in grants]


def test_only_users_at_risk_are_polled(make_platform: MakePlatform) -> None:
    """Those who could reach 40 plays before the next poll."""
    platform = make_platform(users=5)
    platform.load()
    assert heavy_listeners.plan(platform.settings, "nobody", platform.clock) == []
    assert platform.rows("SELECT count(*) FROM songswap.runs") == [(1,)], "it left something behind"

    heavy = [platform.user_id("listener-0002"), platform.user_id("listener-0004")]
    platform.execute("UPDATE songswap.polls SET plays_per_hour = 20")
    platform.execute("UPDATE songswap.polls SET plays_per_hour = 100 WHERE user_id = %s", heavy[0])
    platform.execute("UPDATE songswap.polls SET plays_per_hour = 81 WHERE user_id = %s", heavy[1])
    platform.advance(minutes=10)
    assert heavy_listeners.plan(platform.settings, "early", platform.clock) == []
    platform.advance(minutes=10)
    assert heavy_listeners.plan(platform.settings, "in time", platform.clock) == [0]
    platform.spotify.delete("/admin/calls")
    counts = fetch(platform.settings, "in time", 0, platform.clock)
    load_batch(platform.settings, "in time", 0, platform.clock)
    assert (counts["users"], counts["polled"]) == (2, 2)
    asked = platform.spotify.get("/admin/calls")["by_user"]
    assert {user for user in asked if "recently-played" in asked[user]} == {
        "listener-0002",
        "listener-0004",
    }
    assert hourly_load.summarise(platform.settings, "in time", platform.clock).problem is None
    assert platform.history() == platform.reachable()
    platform.advance(minutes=40)
    assert platform.load()["polled"] == 5


def test_users_who_cannot_be_polled_are_skipped(make_platform: MakePlatform) -> None:
    """Those without tokens or with a dead grant; and everybody while Spotify is paused."""
    platform = make_platform(users=4)
    platform.load()
    platform.execute("UPDATE songswap.polls SET plays_per_hour = 0")
    gone, dead, fine = (platform.user_id(f"listener-000{number}") for number in (1, 2, 3))
    platform.execute(
        "UPDATE songswap.polls SET plays_per_hour = 500 WHERE user_id = ANY (%s)", [gone, dead]
    )
    platform.execute('DELETE FROM "SpotifyTokens" WHERE id = %s', gone)
    platform.execute("UPDATE songswap.grants SET state = 'revoked' WHERE user_id = %s", dead)
    platform.advance(minutes=10)
    assert heavy_listeners.plan(platform.settings, "nobody", platform.clock) == []

    platform.execute("UPDATE songswap.polls SET plays_per_hour = 500 WHERE user_id = %s", fine)
    platform.execute(
        "INSERT INTO songswap.pauses VALUES (%s, %s, 'quota', %s)",
        platform.settings.spotify.client_id,
        platform.clock() + timedelta(hours=1),
        platform.clock(),
    )
    assert heavy_listeners.plan(platform.settings, "paused", platform.clock) == []
    platform.execute("DELETE FROM songswap.pauses")
    assert heavy_listeners.plan(platform.settings, "somebody", platform.clock) == [0]


def test_refusal_is_left_to_the_hourly_load(make_platform: MakePlatform) -> None:
    """Who is refused between the hours is not taken for dead: a few cannot tell an incident."""
    platform = make_platform(users=3)
    platform.load()
    platform.advance(hours=2)
    platform.execute("UPDATE songswap.polls SET plays_per_hour = 0")
    heavy = platform.user_id("listener-0002")
    platform.execute("UPDATE songswap.polls SET plays_per_hour = 500 WHERE user_id = %s", heavy)
    dead = {"error": "invalid_grant", "error_description": "Refresh token revoked"}
    platform.fault(path="/api/token", status=400, body=dead, user="listener-0002")
    for run_id in ("look 1", "look 2"):
        assert heavy_listeners.plan(platform.settings, run_id, platform.clock) == [0]
        assert fetch(platform.settings, run_id, 0, platform.clock)["refused"] == 1
        load_batch(platform.settings, run_id, 0, platform.clock)
        assert hourly_load.summarise(platform.settings, run_id, platform.clock).problem is None
        platform.advance(minutes=40)
    state = "SELECT state, refusals FROM songswap.grants WHERE user_id = %s"
    assert platform.rows(state, heavy) == [("active", 0)]
    platform.load()
    assert platform.rows(state, heavy) == [("revoked", 1)]


def test_most_endangered_first(make_platform: MakePlatform) -> None:
    """After an outage those are asked for first who may lose plays first."""
    platform = make_platform(users=6)
    platform.load()
    for number, pace in ((3, 60.0), (5, 90.0), (1, 30.0)):
        user = platform.user_id(f"listener-000{number}")
        platform.execute(
            "UPDATE songswap.polls SET plays_per_hour = %s WHERE user_id = %s", pace, user
        )
    platform.execute("UPDATE songswap.polls SET plays_per_hour = 0 WHERE plays_per_hour < 30")
    platform.advance(hours=2)
    users = run_users(platform)
    assert users[:3] == ["listener-0005", "listener-0003", "listener-0001"]


def test_pace_is_that_of_the_busiest_hour_and_calms_down(make_platform: MakePlatform) -> None:
    """The pace is the plays of the hour before an answer; with calmer answers it sinks."""
    platform = make_platform(users=8)
    platform.load()
    now = platform.clock()
    for user, pace in paces(platform).items():
        plays = [
            at
            for name, at, _ in platform.history()
            if name == user and datetime.fromisoformat(at) > now - timedelta(hours=1)
        ]
        assert pace == len(plays)
    platform.execute("UPDATE songswap.polls SET plays_per_hour = 100")
    platform.load()
    assert set(paces(platform).values()) == {90.0}
