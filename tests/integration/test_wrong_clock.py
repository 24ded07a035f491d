"""What a clock that was wrong by a day leaves behind does no harm once it is right."""

from datetime import datetime, timedelta

import pytest
from factories import MakePlatform, Platform

from songswap.errors import RateLimited
from songswap.pipelines import hourly_load, replay
from songswap.pipelines.batch_load import load_batch
from songswap.pipelines.fetch import fetch
from songswap.pipelines.heavy_listeners import INTERVAL
from songswap.storage import keys
from songswap.storage.records import RawResponse
from songswap.storage.spool import Spool
from songswap.warehouse import polls
from songswap.warehouse.connection import connect
from songswap.warehouse.limits import pauses as pause
from songswap.warehouse.polls import POLL_THRESHOLD

SLOW, FAST = timedelta(hours=-26), timedelta(hours=26)
UNTIMELY = "SELECT count(*) FROM songswap.rejected_items"


@pytest.fixture
def platform(make_platform: MakePlatform) -> Platform:
    """A platform of four users."""
    return make_platform(users=4)


def fetched(platform: Platform, run_id: str, wrong: timedelta) -> None:
    """Have everybody's answers in the spool as a clock that is wrong would have noted them."""
    hourly_load.plan(platform.settings, run_id, platform.clock)
    fetch(platform.settings, run_id, 0, platform.clock)
    with Spool(platform.settings.spool) as spool:
        came = spool.batch(run_id, 0)
        spool.drop(one.id for one in came)
        answers = [(one, one.observed_at + wrong) for one in came]
        spool.add(
            run_id,
            0,
            [
                # As the archive has it: of another hour.
                RawResponse(
                    one.user_id,
                    keys.for_hour(one.user_id, at),
                    at,
                    one.packed,
                    one.fingerprint,
                )
                for one, at in answers
            ],
        )


@pytest.mark.parametrize("known", [False, True])
def test_plays_ahead_of_a_slow_clock_are_loaded_later(platform: Platform, known: bool) -> None:
    """They are set aside, but do not count as seen: the same answer is loaded by a right clock."""
    if known:
        platform.load()
        platform.advance(hours=2)
    fetched(platform, "slow", SLOW)
    load_batch(platform.settings, "slow", 0, lambda: platform.clock() + SLOW)
    assert platform.rows(UNTIMELY)[0][0] > 0
    platform.load()
    assert platform.history() == platform.reachable()
    assert platform.rows(UNTIMELY) == [(0,)], "what was loaded is told once"
    assert platform.rows("SELECT count(*) FROM songswap.gaps") == [(0,)]
    for unit in replay.plan(platform.settings):
        replay.replay(platform.settings, "replayed", unit)
    assert platform.history() == platform.reachable()
    assert platform.rows(UNTIMELY) == [(0,)], "nor does the archive tell it again"


@pytest.mark.parametrize("noted", [FAST, timedelta(0)])
def test_pause_of_a_fast_clock_does_not_hold(platform: Platform, noted: timedelta) -> None:
    """A pause that was noted in the future holds nobody up, nor the one that follows it."""
    now = platform.clock()
    app = platform.settings.spotify.client_id

    def pauses(hours: int, noted: datetime, until: datetime) -> None:
        with connect(platform.settings.warehouse_dsn) as connection:
            pause.record(connection, app, RateLimited(f"{hours} h", until), noted)

    pauses(1, now + noted, now + noted + timedelta(hours=1))
    with connect(platform.settings.warehouse_dsn) as connection:
        found = pause.find(connection, app, now)
        assert (found is None) == (noted == FAST)
        pauses(2, now, now + timedelta(hours=2))
        found = pause.find(connection, app, now)
        assert found is not None
        assert found.until == now + timedelta(hours=2)


def test_poll_recorded_in_the_future_does_not_delay_the_next(platform: Platform) -> None:
    platform.load()
    now = platform.clock()
    platform.execute("UPDATE songswap.polls SET plays_per_hour = 60, answered_at = %s", now + FAST)
    with connect(platform.settings.warehouse_dsn) as connection:
        assert len(polls.at_risk(connection, now, INTERVAL, POLL_THRESHOLD)) == 4
