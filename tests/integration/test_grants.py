"""Grants: when users authorized, when that ends, who is told, and two who refresh at once."""

import asyncio
import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

from factories import MakePlatform, Platform
from psycopg.conninfo import conninfo_to_dict

from songswap.dev.stack.sign_up import sign_up
from songswap.errors import SongSwapError
from songswap.pipelines import hourly_load
from songswap.pipelines.fetch import fetch
from songswap.pipelines.tokens import TokenExchanger
from songswap.spotify.client import open_client
from songswap.storage.spool import Spool
from songswap.warehouse import grant_states, grants
from songswap.warehouse.connection import connect, pool

AT = datetime(2026, 11, 22, 18, tzinfo=UTC)
ENDS = datetime(2027, 5, 22, 18, tzinfo=UTC)


def sign_up_again(platform: Platform, listener: str) -> None:
    """Have a user authorize again, with new tokens in place of the old ones.

    So does `songswap connect`; a web app that keeps what it has of a known user does not.
    """
    platform.execute('DELETE FROM "SpotifyTokens" WHERE id = %s', platform.user_id(listener))
    listeners = platform.spotify.get("/admin/listeners")
    sign_up(platform.settings.warehouse_dsn, platform.spotify.url, listeners, lambda _: None)


def standing(platform: Platform) -> dict[str, tuple[str, datetime | None]]:
    """State and end of each user's grant, by Spotify's name of the user."""
    rows = platform.rows(
        "SELECT u.spotify_id, s.state, s.ends_at FROM songswap.grant_states(%s) s"
        ' JOIN "Users" u ON u.id = s.user_id',
        platform.clock(),
    )
    return {user: (state, ends_at) for user, state, ends_at in rows}


def hour(platform: Platform) -> dict[str, int]:
    """Plan and summarise a run that asks nobody; gives how many grants it warns of."""
    platform.runs += 1
    hourly_load.plan(platform.settings, f"run {platform.runs}", platform.clock)
    counts = hourly_load.summarise(platform.settings, f"run {platform.runs}", platform.clock).counts
    return {name: count for name, count in counts.items() if name.startswith("expiring")}


def test_half_a_year(make_platform: MakePlatform) -> None:
    """Refreshing extends nothing; 30, 7 and 1 days ahead are told once; who authorizes is new."""
    platform = make_platform("--rotate-refresh-tokens", "1.0", users=3)
    first, second, third = (f"listener-000{n}" for n in (1, 2, 3))
    assert standing(platform) == dict.fromkeys((first, second, third), ("active", None))
    platform.load()
    tokens = platform.rows('SELECT refresh_token FROM "SpotifyTokens"')
    platform.advance(days=151, minutes=-1)
    assert platform.load()["calls token refresh_token 200"] == 3
    assert not set(platform.rows('SELECT refresh_token FROM "SpotifyTokens"')) & set(tokens)
    assert standing(platform) == dict.fromkeys((first, second, third), ("active", ENDS))
    assert hour(platform) == {}

    platform.advance(minutes=1)
    assert standing(platform)[first] == ("expiring", ENDS)
    assert hour(platform) == {"expiring_in_30_days": 3}
    assert hour(platform) == {}
    platform.load()
    assert hour(platform) == {}

    sign_up_again(platform, first)
    platform.spotify.post(f"/admin/listeners/{second}/revoke", {})
    platform.advance(days=23)
    assert platform.load()["expiring_in_7_days"] == 1
    assert standing(platform) == {
        first: ("active", datetime(2027, 11, 15, 18, tzinfo=UTC)),
        second: ("revoked", ENDS),
        third: ("expiring", ENDS),
    }
    platform.advance(days=6)
    assert hour(platform) == {"expiring_in_1_days": 1}
    platform.advance(days=1)
    assert hour(platform) == {}
    assert {user: state for user, (state, _) in standing(platform).items()} == {
        first: "active",
        second: "expired",
        third: "expired",
    }

    # The states hold only for these tokens: a consent that nobody has noted yet is good.
    sign_up_again(platform, third)
    assert standing(platform)[third] == ("active", None)
    # The second was refused once, a week ago: the next try is due, and is the last.
    counts = platform.load()
    assert (counts["polled"], counts["refused"]) == (3, 1)
    assert platform.load()["paused"] == 1
    assert standing(platform)[third][0] == "active"
    assert platform.rows("SELECT max(authorized_at) FROM songswap.grants") == [(platform.clock(),)]


def test_many_end_at_once(make_platform: MakePlatform) -> None:
    """Grants that are refused because their time is over are dead, however many: no incident."""
    platform = make_platform(users=12)
    platform.load()
    platform.advance(days=182)
    assert platform.load()["refused"] == 12
    assert platform.rows("SELECT DISTINCT state FROM songswap.grants") == [("revoked",)]
    assert {state for state, _ in standing(platform).values()} == {"expired"}
    assert platform.load()["paused"] == 12


def test_authorized_during_a_run(make_platform: MakePlatform) -> None:
    """Who authorizes again while a run goes on is not taken for dead by what it was refused."""
    platform = make_platform(users=2)
    hourly_load.plan(platform.settings, "r", platform.clock)
    sign_up_again(platform, "listener-0001")
    users = [platform.user_id("listener-0001"), platform.user_id("listener-0002")]
    with connect(platform.settings.warehouse_dsn) as connection:
        grants.record_refused(connection, dict.fromkeys(users), "r")
        grants.settle_refused(connection, "r", 2, 0.5, 10, platform.clock())
    assert {user: state for user, (state, _) in standing(platform).items()} == {
        "listener-0001": "active",
        "listener-0002": "revoked",
    }


def test_refreshed_before_it_was_noted(make_platform: MakePlatform) -> None:
    """An authorization in the middle of a run counts from then, though its token is rotated."""
    platform = make_platform("--rotate-refresh-tokens", "1.0", users=2)
    hourly_load.plan(platform.settings, "r", platform.clock)
    platform.advance(minutes=30)
    sign_up_again(platform, "listener-0001")
    platform.fault(path="/v1/me/player/recently-played", status=401, times=2)
    assert fetch(platform.settings, "r", 0, platform.clock)["calls token refresh_token 200"] == 2
    hourly_load.plan(platform.settings, "r2", platform.clock)
    assert platform.rows(
        'SELECT authorized_at FROM songswap.grants JOIN "Users" ON id = user_id ORDER BY spotify_id'
    ) == [(AT + timedelta(minutes=30),), (AT,)]


def test_two_refresh_at_once(make_platform: MakePlatform) -> None:
    """Of two workers that refresh a user at once one waits, and the tokens that stay are alive."""
    platform = make_platform("--rotate-refresh-tokens", "1.0", users=1)
    rounds, dsn = 15, platform.settings.warehouse_dsn
    user = platform.user_id("listener-0001")
    tokens = 'SELECT access_token FROM "SpotifyTokens" WHERE id = %s'
    hourly_load.plan(platform.settings, "r", platform.clock)
    together = threading.Barrier(3, timeout=30)

    async def refresh_often() -> tuple[list[str | None], int]:
        got: list[str | None] = []
        async with (
            open_client(platform.settings.spotify, platform.clock) as client,
            pool(dsn) as connections,
        ):
            with Spool(platform.settings.spool) as spool:
                exchanger = TokenExchanger(connections, client.refresh, spool, platform.clock, 2)
                for _ in range(rounds):
                    await asyncio.to_thread(together.wait)
                    (known,) = platform.rows(tokens, user)[0]
                    await asyncio.to_thread(together.wait)
                    async for _, token in exchanger.exchange({user: known}):
                        assert not isinstance(token, SongSwapError)
                        got.append(token)
        return got, client.calls["token refresh_token 200"]

    with ThreadPoolExecutor(2) as workers:
        both = [workers.submit(asyncio.run, refresh_often()) for _ in range(2)]
        for _ in range(rounds):
            # A token that another has taken the place of lives for ten minutes more.
            platform.advance(minutes=11)
            together.wait()
            together.wait()
        (first, asked), (second, also_asked) = (one.result(timeout=60) for one in both)
    assert first == second
    assert len(set(first)) == rounds
    assert asked + also_asked == rounds, "who waited does not ask again"
    platform.advance(hours=2)
    assert platform.load()["calls token refresh_token 200"] == 1
    assert platform.rows("SELECT authorized_at FROM songswap.grants") == [(AT,)]


def test_grants_lists_the_most_urgent_first(warehouse_dsn: str, tmp_path: Path) -> None:
    """Of those that are dead or expire soon."""
    now = datetime.now(UTC)
    ages = {"new": 0, "soon": 170, "old": 200, "dead": 10, "gone": 20, "crash": 5}
    with connect(warehouse_dsn) as connection:
        for name, age in ages.items():
            connection.execute(
                'WITH made AS (INSERT INTO "Users" (username, email, spotify_id)'
                " VALUES (%(name)s, %(name)s, %(name)s) RETURNING id)"
                ' INSERT INTO "SpotifyTokens" SELECT id, %(a)s, %(r)s FROM made',
                {"name": name, "a": f"a-token-{name}", "r": f"r-token-{name}"},
            )
            grants.record_authorized(connection, now - timedelta(days=age))
        ids = dict(connection.execute('SELECT username, id FROM "Users"').fetchall())
        grants.record_refused(connection, {ids["dead"]: None, ids["crash"]: now}, "r")
        grants.settle_refused(connection, "r", 100, 0.05, 10, now)
        grants.record_forbidden(connection, [ids["gone"]], "r")
        grants.settle_forbidden(connection, "r", 100, 0.05, 10, now)
        assert grant_states.count(connection, now) == dict.fromkeys(grant_states.STATES, 1)

    def songswap(*arguments: str) -> str:
        there = conninfo_to_dict(warehouse_dsn)
        uri = "postgresql://{user}:{password}@{host}:{port}/{dbname}".format(**there)
        where = {"AIRFLOW_CONN_SONGSWAP_RDS": uri, "COLUMNS": "180"}
        done = subprocess.run(  # noqa: S603  (our own command)
            [sys.executable, "-m", "songswap.cli.main", "grants", *arguments],
            cwd=tmp_path,
            env={"PATH": os.environ.get("PATH", os.defpath)} | where,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        assert "token" not in done.stdout
        return done.stdout

    data = json.loads(songswap("--json"))["grants"]
    assert [(one["username"], one["state"]) for one in data] == [
        ("old", "expired"),
        ("soon", "expiring"),
        ("gone", "forbidden"),
        ("dead", "revoked"),
        ("crash", "lost"),
    ]
    assert [one["days_left"] > 0 for one in data] == [False, True, True, True, True]
    assert data[0]["days_left"] == 0
    assert data[3]["user_id"] == ids["dead"]
    assert "invalid_grant" in data[3]["problem"]
    assert f"lost in a crash, or on the way, at {now:%Y-%m-%d %H:%M}" in data[4]["problem"]
    again = datetime.fromisoformat(data[3]["ask_again_at"])
    assert now < again <= now + timedelta(hours=1)
    shown = songswap("--state", "revoked", "--state", "active", "--long")
    assert "invalid_grant" in shown
    assert f"{again:%Y-%m-%d %H:%M}" in shown
    assert f"{now - timedelta(days=10):%Y-%m-%d %H:%M}" in shown
    assert "soon" not in shown
