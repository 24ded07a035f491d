"""A machine whose clock is ahead erases nobody too early, and drops nothing of who comes back."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from factories import MakePlatform, Platform

from songswap.dev.stack.sign_up import sign_up
from songswap.orchestration import due_erasure
from songswap.pipelines import erase, hourly_load
from songswap.pipelines.drain import drain


def test_user_who_came_back_loses_nothing(make_platform: MakePlatform) -> None:
    """All of the erasure is made, and its end seen, by a machine that is a day ahead."""
    platform = make_platform(users=2, real_time=True)

    def ahead() -> datetime:
        return platform.clock() + timedelta(days=1)

    platform.load()
    erasure_id = erase.request(platform.settings, 1, keeps_account=True, clock=ahead)
    drain(platform.settings, "drain", ahead)
    assert erase.proceed(platform.settings, erasure_id, clock=ahead).is_complete
    platform.execute('DELETE FROM "SpotifyTokens" WHERE id = 1')
    listeners = platform.spotify.get("/admin/listeners")
    sign_up(platform.settings.warehouse_dsn, platform.spotify.url, listeners, lambda _: None)
    hourly_load.plan(platform.settings, "run of another machine", ahead)
    ((times,),) = platform.rows(
        "SELECT ARRAY[requested_at, ended_at, renewed_at] FROM songswap.erasures"
    )
    assert max(times) <= platform.clock()
    assert times == sorted(times)
    platform.load()
    assert platform.rows('SELECT count(*) > 0 FROM "History" WHERE user_id = 1') == [(True,)]


def test_nobody_is_due_before_the_day(
    make_platform: MakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor on the list of a run that erases."""
    platform = make_platform(users=4, real_time=True)
    platform.load()
    # Engineers were told of the user: only then anybody is erased.
    platform.execute(
        "INSERT INTO songswap.notices (subject, sent_at) VALUES (%s, now() - interval '1 day')",
        "has to be erased soon: user 1",
    )
    due(platform, days_ago=4)
    monkeypatch.setattr(
        due_erasure, "read_settings", lambda: replace(platform.settings, erases_due=True)
    )
    monkeypatch.setattr(due_erasure, "utc_now", lambda: platform.clock() + timedelta(days=1))
    assert due_erasure.find_due() == []
    due(platform, days_ago=5)
    assert [unit["user"] for unit in due_erasure.find_due()] == [1]


def due(platform: Platform, days_ago: int) -> None:
    """Let user 1's grant be one that Spotify refused for good, some days ago."""
    platform.execute(
        "UPDATE songswap.grants SET state = 'revoked', ask_again_at = NULL, refusals = 4,"
        " refused_at = %s WHERE user_id = 1",
        platform.clock() - timedelta(days=days_ago),
    )
