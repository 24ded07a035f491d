"""Heavy listeners between the hourly loads, against a simulated Spotify over HTTP."""

from datetime import datetime, timedelta

from factories import MakePlatform, Platform

from songswap.pipelines import heavy_listeners, hourly_load
from songswap.pipelines.fetch import fetch
from songswap.warehouse import grants as grant
from songswap.warehouse.connection import connect
from songswap.warehouse.runs import Users


def paces(here: Platform) -> dict[str, float]:
    """Each listener's pace: plays in the busiest hour seen lately."""
    rows = here.rows(
        "SELECT u.spotify_id, p.plays_per_hour FROM songswap.polls p"
        ' JOIN "Users" u ON u.id = p.user_id'
    )
    return dict(rows)


def run_users(here: Platform) -> list[str]:
    """The listeners in the order in which a batch asks for them."""
    with connect(here.settings.warehouse_dsn) as connection:
        grants = grant.load_credentials(connection, Users(0, 2**31 - 1, None), here.clock())
    names = dict(here.rows('SELECT id, spotify_id FROM "Users"'))
    return [names[one.user_id] for one in grants]


def test_only_users_at_risk_are_polled(platform: MakePlatform) -> None:
    """Those who could reach 40 plays before the next poll."""
    here = platform(users=5)
    here.load()
    assert heavy_listeners.plan(here.settings, "nobody", here.clock) == []
    assert here.rows("SELECT count(*) FROM songswap.runs") == [(1,)], "it left something behind"

    heavy = [here.user_id("listener-0002"), here.user_id("listener-0004")]
    here.execute("UPDATE songswap.polls SET plays_per_hour = 20")
    here.execute("UPDATE songswap.polls SET plays_per_hour = 100 WHERE user_id = %s", heavy[0])
    here.execute("UPDATE songswap.polls SET plays_per_hour = 81 WHERE user_id = %s", heavy[1])
    here.advance(minutes=10)
    assert heavy_listeners.plan(here.settings, "early", here.clock) == []
    here.advance(minutes=10)
    assert heavy_listeners.plan(here.settings, "in time", here.clock) == [0]
    here.spotify.delete("/admin/calls")
    counts = fetch(here.settings, "in time", 0, here.clock)
    hourly_load.load(here.settings, "in time", 0, here.clock)
    assert (counts["users"], counts["polled"]) == (2, 2)
    asked = here.spotify.get("/admin/calls")["by_user"]
    assert {user for user in asked if "recently-played" in asked[user]} == {
        "listener-0002",
        "listener-0004",
    }
    assert hourly_load.summarise(here.settings, "in time", here.clock).problem is None
    assert here.history() == here.reachable()
    here.advance(minutes=40)
    assert here.load()["polled"] == 5


def test_users_who_cannot_be_polled_are_skipped(platform: MakePlatform) -> None:
    """Those without tokens or with a dead grant; and everybody while Spotify is paused."""
    here = platform(users=4)
    here.load()
    here.execute("UPDATE songswap.polls SET plays_per_hour = 0")
    gone, dead, fine = (here.user_id(f"listener-000{number}") for number in (1, 2, 3))
    here.execute(
        "UPDATE songswap.polls SET plays_per_hour = 500 WHERE user_id = ANY (%s)", [gone, dead]
    )
    here.execute('DELETE FROM "SpotifyTokens" WHERE id = %s', gone)
    here.execute("UPDATE songswap.grants SET state = 'revoked' WHERE user_id = %s", dead)
    here.advance(minutes=10)
    assert heavy_listeners.plan(here.settings, "nobody", here.clock) == []

    here.execute("UPDATE songswap.polls SET plays_per_hour = 500 WHERE user_id = %s", fine)
    here.execute(
        "INSERT INTO songswap.pauses VALUES (%s, %s, 'quota', %s)",
        here.settings.spotify.client_id,
        here.clock() + timedelta(hours=1),
        here.clock(),
    )
    assert heavy_listeners.plan(here.settings, "paused", here.clock) == []
    here.execute("DELETE FROM songswap.pauses")
    assert heavy_listeners.plan(here.settings, "somebody", here.clock) == [0]


def test_refusal_is_left_to_the_hourly_load(platform: MakePlatform) -> None:
    """Who is refused between the hours is not taken for dead: a few cannot tell an incident."""
    here = platform(users=3)
    here.load()
    here.advance(hours=2)
    here.execute("UPDATE songswap.polls SET plays_per_hour = 0")
    heavy = here.user_id("listener-0002")
    here.execute("UPDATE songswap.polls SET plays_per_hour = 500 WHERE user_id = %s", heavy)
    dead = {"error": "invalid_grant", "error_description": "Refresh token revoked"}
    here.fault(path="/api/token", status=400, body=dead, user="listener-0002")
    for run_id in ("look 1", "look 2"):
        assert heavy_listeners.plan(here.settings, run_id, here.clock) == [0]
        assert fetch(here.settings, run_id, 0, here.clock)["refused"] == 1
        hourly_load.load(here.settings, run_id, 0, here.clock)
        assert hourly_load.summarise(here.settings, run_id, here.clock).problem is None
        here.advance(minutes=40)
    state = "SELECT state, refusals FROM songswap.grants WHERE user_id = %s"
    assert here.rows(state, heavy) == [("active", 0)]
    here.load()
    assert here.rows(state, heavy) == [("revoked", 1)]


def test_most_endangered_first(platform: MakePlatform) -> None:
    """After an outage those are asked for first who may lose plays first."""
    here = platform(users=6)
    here.load()
    for number, pace in ((3, 60.0), (5, 90.0), (1, 30.0)):
        user = here.user_id(f"listener-000{number}")
        here.execute("UPDATE songswap.polls SET plays_per_hour = %s WHERE user_id = %s", pace, user)
    here.execute("UPDATE songswap.polls SET plays_per_hour = 0 WHERE plays_per_hour < 30")
    here.advance(hours=2)
    users = run_users(here)
    assert users[:3] == ["listener-0005", "listener-0003", "listener-0001"]


def test_pace_is_that_of_the_busiest_hour_and_calms_down(platform: MakePlatform) -> None:
    """The pace is the plays of the hour before an answer; with calmer answers it sinks."""
    here = platform(users=8)
    here.load()
    now = here.clock()
    for user, pace in paces(here).items():
        plays = [
            at
            for name, at, _ in here.history()
            if name == user and datetime.fromisoformat(at) > now - timedelta(hours=1)
        ]
        assert pace == len(plays)
    here.execute("UPDATE songswap.polls SET plays_per_hour = 100")
    here.load()
    assert set(paces(here).values()) == {90.0}
