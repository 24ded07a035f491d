"""One budget of requests for all who ask with an app, kept in the warehouse."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from factories import MakePlatform, Platform

from songswap.errors import QuotaReserved, RunFailed
from songswap.storage.spool import Spool
from songswap.warehouse.limits.budgets import Budget, Priority
from songswap.warehouse.sql import statements

LEARNED = "SELECT per_window, per_day FROM songswap.budgets"
COUNTED = "SELECT sum(requests) FROM songswap.requests WHERE span = %s"
AN_HOUR = 3600.0
"""A window out of which nothing falls while a test runs."""


def budget(platform: Platform, rank: Priority = Priority.PLAYS, dsn: str | None = None) -> Budget:
    where = platform.settings
    return Budget(
        dsn or where.warehouse_dsn, where.spotify.client_id, rank, platform.clock, AN_HOUR
    )


async def taken(one: Budget, at_most: int = 10_000) -> int:
    """How many requests may be sent before the next would have to wait."""
    for number in range(at_most):
        try:
            await asyncio.wait_for(one.take(), 3)
        except TimeoutError:
            return number
    return at_most


def allow(platform: Platform, per_window: int | None = None, per_day: int | None = None) -> None:
    """Let the app have learned this."""
    platform.execute(
        "INSERT INTO songswap.budgets (app, per_window, window_changed_at, per_day, day_learned_at)"
        " VALUES (%s, %s, clock_timestamp(), %s, %s) ON CONFLICT (app)"
        " DO UPDATE SET per_window = EXCLUDED.per_window, per_day = EXCLUDED.per_day,"
        " day_learned_at = EXCLUDED.day_learned_at",
        platform.settings.spotify.client_id,
        per_window,
        per_day,
        platform.clock(),
    )


def test_window_is_shared_by_rank(make_platform: MakePlatform) -> None:
    """All draw on one window, and what is less urgent leaves room for what is more so."""
    platform = make_platform(users=0)
    allow(platform, per_window=120)

    async def draw() -> list[int]:
        found = []
        for rank in (Priority.BACKFILL, Priority.ENRICHMENT, Priority.PLAYS, Priority.PLAYS):
            one = budget(platform, rank)
            found.append(await taken(one))
            await one.close()
        return found

    assert asyncio.run(draw()) == [84, 30, 6, 0]
    assert platform.rows(COUNTED, "hour") == [(120,)]


def refuse_after(platform: Platform, number: int, wait: timedelta = timedelta()) -> Any:
    """Send as many requests, have two refused, and tell what is taken in a window then."""

    async def refused() -> None:
        one = budget(platform)
        assert await taken(one, number) == number
        await one.refused(wait, quota=False)
        await one.refused(wait, quota=False)
        await one.close()

    asyncio.run(refused())
    [(learned, _)] = platform.rows(LEARNED)
    return learned


def later(platform: Platform, windows: int = 1) -> None:
    """Let windows go by in which nothing is asked."""
    platform.execute(
        "UPDATE songswap.budgets SET closed_until = NULL,"
        " window_changed_at = window_changed_at - b.passed,"
        " window_learned_at = window_learned_at - b.passed FROM (SELECT %s AS passed) b",
        windows * timedelta(minutes=61),
    )
    platform.execute("DELETE FROM songswap.requests WHERE span = 'second'")


async def until_full(platform: Platform) -> int:
    """What one process may send now."""
    one = budget(platform)
    number = await taken(one)
    await one.close()
    return number


def test_window_is_learned(make_platform: MakePlatform) -> None:
    """A refusal tells what Spotify takes, unless it came after few requests; a window without one
    lets a hundredth more be tried, and a refusal of that is learned from again."""
    platform = make_platform(users=0)
    assert refuse_after(platform, 10) is None
    # Of the ten, as many were granted again as were given back: a lease is part of the window.
    first = refuse_after(platform, 140, timedelta(seconds=30))
    assert 0.96 * 150 <= first <= 0.96 * 160
    assert asyncio.run(until_full(platform)) == 0, "a short wait is everybody's"
    later(platform)
    grown = -(-101 * first // 100)
    assert asyncio.run(until_full(platform)) == grown
    assert platform.rows(LEARNED) == [(grown, None)]
    later(platform)
    again = refuse_after(platform, 120)
    assert 0.96 * 120 <= again <= 0.96 * 130
    assert asyncio.run(until_full(platform)) == 0, "it does not grow in the window of a refusal"
    assert platform.rows(LEARNED) == [(again, None)]


def test_limit_that_must_have_grown_is_tried_in_larger_steps(make_platform: MakePlatform) -> None:
    """Ten windows after a refusal, a twentieth more is tried in each."""
    platform = make_platform(users=0)
    first = refuse_after(platform, 120)
    later(platform, 11)
    assert asyncio.run(until_full(platform)) == -(-105 * first // 100)


def test_second_leaves_the_window_little_by_little(make_platform: MakePlatform) -> None:
    """Of seconds that have begun to leave it, one every 10 ms, half of the requests count."""
    platform = make_platform(users=0)
    app, hour = platform.settings.spotify.client_id, timedelta(hours=1)
    platform.execute(
        "INSERT INTO songswap.requests (app, span, at, priority, requests)"
        " SELECT %s, 'second', clock_timestamp() - interval '1 hour' + n * interval '10 ms', 0, 1"
        " FROM generate_series(-100, 30000) n",
        app,
    )
    params = {"app": app, "priority": 0, "window": hour, "now": platform.clock()}
    whole = (
        "SELECT count(*) FROM songswap.requests WHERE at > clock_timestamp() - interval '1 hour'"
    )
    with psycopg.connect(platform.settings.warehouse_dsn) as connection:
        [(before,)] = connection.execute(whole)
        [(used, *_)] = connection.execute(statements("limits/budgets.sql")["used"], params)
        [(after,)] = connection.execute(whole)
    assert after + 45 <= used <= before + 55


def test_refusal_is_learned_from_at_once(make_platform: MakePlatform) -> None:
    """A refusal is noted while other requests of the same process wait for room."""
    platform = make_platform(users=0)
    allow(platform, per_window=120)

    async def while_waiting() -> None:
        one = budget(platform)
        assert await taken(one) == 120
        waiting = [asyncio.create_task(one.take()) for _ in range(64)]
        await asyncio.sleep(0.1)
        await asyncio.wait_for(one.refused(timedelta(seconds=30), quota=False), 5)
        assert not any(task.done() for task in waiting)
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
        await one.close()

    asyncio.run(while_waiting())
    assert platform.rows(LEARNED) == [(116, None)]


def test_last_of_the_daily_quota_is_reserved_for_plays(make_platform: MakePlatform) -> None:
    """That is no failure."""
    platform = make_platform(users=3)
    allow(platform, per_day=90)
    for rank, used in ((Priority.PLAYS, 70), (Priority.ENRICHMENT, 9)):
        platform.execute(
            "INSERT INTO songswap.requests (app, span, at, priority, requests)"
            " VALUES (%s, 'hour', %s, %s, %s)",
            platform.settings.spotify.client_id,
            platform.clock() - timedelta(hours=20),
            rank,
            used,
        )
    counts = platform.load()
    assert platform.history() == platform.reachable()
    assert counts["features_held_back"] == 1
    assert "calls audio-features 200" not in counts

    async def backfill() -> None:
        one = budget(platform, Priority.BACKFILL)
        try:
            await one.take()
        finally:
            await one.close()

    with pytest.raises(QuotaReserved) as held:
        asyncio.run(backfill())
    assert platform.clock() < held.value.until <= platform.clock() + timedelta(hours=1)
    assert platform.rows("SELECT * FROM songswap.pauses") == []
    # What was learned is forgotten after a month.
    platform.advance(days=31)
    assert platform.load()["calls audio-features 200"] > 0


def test_limit_of_a_day_is_tried_again_little_by_little(make_platform: MakePlatform) -> None:
    """All at once it would be met again in the morning, and nobody polled for the rest of a day."""
    platform = make_platform(users=0)
    allow(platform, per_day=1000)
    limits = "SELECT songswap.limit_of_day(per_day, day_learned_at, %s) FROM songswap.budgets"

    def after(days: float) -> Any:
        return platform.rows(limits, platform.clock() + timedelta(days=days))[0][0]

    assert [after(days) for days in (-1, 0, 1, 5, 14)] == [1000, 1000, 1010, 1283, 7031]
    assert after(31) is None


def test_enrichment_has_a_share_that_plays_leave_it(make_platform: MakePlatform) -> None:
    """Of a day that plays use up, each day; a backfill has none."""
    platform = make_platform(users=0)
    allow(platform, per_day=120)

    async def draw(rank: Priority) -> int:
        one = budget(platform, rank)
        number = 0
        with suppress(QuotaReserved):
            while True:
                await one.take()
                number += 1
        await one.close()
        return number

    async def plays() -> None:
        one = budget(platform)
        assert await taken(one, 110) == 110
        await one.close()

    asyncio.run(plays())
    reserved = asyncio.run(draw(Priority.ENRICHMENT))
    assert 12 <= reserved < 12 + 50, "a lease may go beyond it"
    assert asyncio.run(draw(Priority.BACKFILL)) == 0


def test_quota_is_learned(make_platform: MakePlatform) -> None:
    """What Spotify says of a quota holds back what is less urgent for days, and plays for as long
    as it says."""
    platform = make_platform(users=3)
    body = {"error": {"status": 429, "message": "no", "reason": "QUOTA_EXCEEDED"}}
    platform.fault(path="/v1/*", status=429, headers={"Retry-After": "3600"}, body=body, times=1)
    with pytest.raises(RunFailed, match="no more requests of this app until"):
        platform.load()
    assert platform.rows(LEARNED) == [(None, 1000)]
    platform.advance(hours=1)
    platform.load()
    assert platform.history() == platform.reachable()


def refuse_day(platform: Platform, taken_before: int = 0) -> Any:
    """Have requests refused for the day's quota, many at once; tell what is taken for a day then.

    Args:
        taken_before: so many requests were counted in the last day, from its beginning on.
    """
    platform.execute(
        "INSERT INTO songswap.requests (app, span, at, priority, requests)"
        " VALUES (%s, 'hour', date_trunc('hour', %s::timestamptz) - interval '23 hours', 0, %s)"
        " ON CONFLICT (app, span, at, priority) DO UPDATE SET requests = EXCLUDED.requests",
        platform.settings.spotify.client_id,
        platform.clock(),
        taken_before,
    )

    async def refused() -> None:
        one = budget(platform)
        await one.take()
        for _ in range(3):
            await one.refused(timedelta(), quota=True)
        await one.close()

    asyncio.run(refused())
    platform.advance(hours=2)
    [(_, learned)] = platform.rows(LEARNED)
    return learned


def test_quota_that_others_used_up_teaches_little(make_platform: MakePlatform) -> None:
    """Another app of the account, or what was sent before requests were counted here, may have used
    it: a limit grows again only in weeks, so a refusal halves it at most, and those of an hour are
    one. What is true is learned all the same, in some hours."""
    platform = make_platform(users=0)
    platform.execute(
        'INSERT INTO "Users" (username, email, spotify_id)'
        " SELECT n, n, n FROM generate_series(1, 2000) n"
    )
    platform.execute('INSERT INTO "SpotifyTokens" SELECT id, id, id FROM "Users"')
    assert refuse_day(platform) == 24_000, (
        "half of what polls of all users take, where none is known"
    )
    assert refuse_day(platform) == pytest.approx(12_000, rel=0.01)
    allow(platform, per_day=40_000)
    platform.advance(hours=2)
    assert refuse_day(platform, 30_000) == pytest.approx(30_000, rel=0.01)
    assert [refuse_day(platform, 9_000) for _ in range(3)] == pytest.approx(
        [15_000, 9_000, 9_000], rel=0.01
    )
    platform.execute("DELETE FROM songswap.budgets")
    assert refuse_day(platform, 9_000) == pytest.approx(9_000, rel=0.01)


def test_without_the_warehouse(make_platform: MakePlatform) -> None:
    """Requests go on when nobody keeps their budget."""
    platform = make_platform(users=0)

    async def lost() -> int:
        one = budget(platform, dsn="host=127.0.0.1 port=9 dbname=none")
        number = await taken(one, 500)
        await one.refused(timedelta(seconds=1), quota=False)
        await one.close()
        return number

    assert asyncio.run(lost()) == 500


def test_every_request_is_counted(make_platform: MakePlatform) -> None:
    """What the day holds is what the Web API was asked, by what it was for; tokens come from
    another service."""
    platform = make_platform(users=5)
    counts = platform.load()
    tokens = sum(number for name, number in counts.items() if name.startswith("calls token "))
    assert tokens
    assert platform.rows(COUNTED, "hour") == [(counts["calls"] - tokens,)]
    assert [
        rank for (rank,) in platform.rows("SELECT DISTINCT priority FROM songswap.requests")
    ] == [
        0,
        1,
    ]
    with Spool(platform.settings.spool) as spool:
        assert spool.waiting() == (0, 0)
