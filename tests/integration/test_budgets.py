"""One budget of requests for all who ask with an app, kept in the warehouse."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from factories import MakePlatform, Platform

from songswap.errors import QuotaReserved, RunFailed
from songswap.storage.spool import Spool
from songswap.warehouse.limits.budgets import Budget, Priority

LEARNED = "SELECT per_window, per_day FROM songswap.budgets"
COUNTED = "SELECT sum(requests) FROM songswap.requests WHERE span = %s"
AN_HOUR = 3600.0
"""A window out of which nothing falls while a test runs."""


def budget(here: Platform, rank: Priority = Priority.PLAYS, dsn: str | None = None) -> Budget:
    where = here.settings
    return Budget(dsn or where.warehouse_dsn, where.spotify.client_id, rank, here.clock, AN_HOUR)


async def taken(one: Budget, at_most: int = 10_000) -> int:
    """How many requests may be sent before the next would have to wait."""
    for number in range(at_most):
        try:
            await asyncio.wait_for(one.take(), 3)
        except TimeoutError:
            return number
    return at_most


def allow(here: Platform, per_window: int | None = None, per_day: int | None = None) -> None:
    """Let the app have learned this."""
    here.execute(
        "INSERT INTO songswap.budgets (app, per_window, window_changed_at, per_day, day_learned_at)"
        " VALUES (%s, %s, clock_timestamp(), %s, %s) ON CONFLICT (app)"
        " DO UPDATE SET per_window = EXCLUDED.per_window, per_day = EXCLUDED.per_day,"
        " day_learned_at = EXCLUDED.day_learned_at",
        here.settings.spotify.client_id,
        per_window,
        per_day,
        here.clock(),
    )


def test_window_is_shared_by_rank(platform: MakePlatform) -> None:
    """All draw on one window, and what is less urgent leaves room for what is more so."""
    here = platform(users=0)
    allow(here, per_window=120)

    async def draw() -> list[int]:
        found = []
        for rank in (Priority.BACKFILL, Priority.ENRICHMENT, Priority.PLAYS, Priority.PLAYS):
            one = budget(here, rank)
            found.append(await taken(one))
            await one.close()
        return found

    assert asyncio.run(draw()) == [84, 24, 12, 0]
    assert here.rows(COUNTED, "hour") == [(120,)]


def refuse_after(here: Platform, number: int, wait: timedelta = timedelta()) -> Any:
    """Send as many requests, have two refused, and tell what is taken in a window then."""

    async def refused() -> None:
        one = budget(here)
        assert await taken(one, number) == number
        await one.refused(wait, quota=False)
        await one.refused(wait, quota=False)
        await one.close()

    asyncio.run(refused())
    [(learned, _)] = here.rows(LEARNED)
    return learned


def a_window_later(here: Platform) -> None:
    """Let a window go by in which nothing is asked."""
    here.execute(
        "UPDATE songswap.budgets SET closed_until = NULL,"
        " window_changed_at = window_changed_at - interval '61 minutes',"
        " window_learned_at = window_learned_at - interval '61 minutes'"
    )
    here.execute("DELETE FROM songswap.requests WHERE span = 'second'")


async def until_full(here: Platform) -> int:
    """What one process may send now."""
    one = budget(here)
    number = await taken(one)
    await one.close()
    return number


def test_window_is_learned(platform: MakePlatform) -> None:
    """A refusal tells what Spotify takes, unless it came after few requests; a window without one
    lets a twentieth more be tried, and a refusal of that is learned from again."""
    here = platform(users=0)
    assert refuse_after(here, 10) is None
    # Of the ten, as many were granted again as were given back: a lease is part of the window.
    first = refuse_after(here, 140, timedelta(seconds=30))
    assert 0.9 * 150 <= first <= 0.9 * 160
    assert asyncio.run(until_full(here)) == 0, "a short wait is everybody's"
    a_window_later(here)
    grown = -(-21 * first // 20)
    assert asyncio.run(until_full(here)) == grown
    assert here.rows(LEARNED) == [(grown, None)]
    a_window_later(here)
    again = refuse_after(here, 120)
    assert 0.9 * 120 <= again <= 0.9 * 130
    assert asyncio.run(until_full(here)) == 0, "it does not grow in the window of a refusal"
    assert here.rows(LEARNED) == [(again, None)]


def test_refusal_is_learned_from_at_once(platform: MakePlatform) -> None:
    """A refusal is noted while other requests of the same process wait for room."""
    here = platform(users=0)
    allow(here, per_window=120)

    async def while_waiting() -> None:
        one = budget(here)
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
    assert here.rows(LEARNED) == [(108, None)]


def test_last_of_the_daily_quota_is_reserved_for_plays(platform: MakePlatform) -> None:
    """That is no failure."""
    here = platform(users=3)
    allow(here, per_day=3)
    counts = here.load()
    assert here.history() == here.reachable()
    assert counts["features_held_back"] == 1
    assert "calls audio-features 200" not in counts

    async def backfill() -> None:
        one = budget(here, Priority.BACKFILL)
        try:
            await one.take()
        finally:
            await one.close()

    with pytest.raises(QuotaReserved) as held:
        asyncio.run(backfill())
    assert here.clock() < held.value.until <= here.clock() + timedelta(hours=1)
    assert here.rows("SELECT * FROM songswap.pauses") == []
    # What was learned is tried again after a week.
    here.advance(days=8)
    assert here.load()["calls audio-features 200"] > 0
    assert here.rows(LEARNED) == [(None, None)]


def test_quota_is_learned(platform: MakePlatform) -> None:
    """What Spotify says of a quota holds back what is less urgent for days, and plays for as long
    as it says."""
    here = platform(users=3)
    body = {"error": {"status": 429, "message": "no", "reason": "QUOTA_EXCEEDED"}}
    here.fault(path="/v1/*", status=429, headers={"Retry-After": "3600"}, body=body, times=1)
    with pytest.raises(RunFailed, match="no more requests of this app until"):
        here.load()
    assert here.rows(LEARNED) == [(None, 1000)]
    here.advance(hours=1)
    here.load()
    assert here.history() == here.reachable()


def test_without_the_warehouse(platform: MakePlatform) -> None:
    """Requests go on when nobody keeps their budget."""
    here = platform(users=0)

    async def lost() -> int:
        one = budget(here, dsn="host=127.0.0.1 port=9 dbname=none")
        number = await taken(one, 500)
        await one.refused(timedelta(seconds=1), quota=False)
        await one.close()
        return number

    assert asyncio.run(lost()) == 500


def test_every_request_is_counted(platform: MakePlatform) -> None:
    """What the day holds is what the Web API was asked, by what it was for; tokens come from
    another service."""
    here = platform(users=5)
    counts = here.load()
    tokens = sum(number for name, number in counts.items() if name.startswith("calls token "))
    assert tokens
    assert here.rows(COUNTED, "hour") == [(counts["calls"] - tokens,)]
    assert [rank for (rank,) in here.rows("SELECT DISTINCT priority FROM songswap.requests")] == [
        0,
        1,
    ]
    with Spool(here.settings.spool) as spool:
        assert spool.waiting() == (0, 0)
