"""A batch is drained, fetched and loaded on one host; none of it keeps the rest from its work."""

from collections.abc import Callable

import pytest
from factories import MakePlatform, Platform

from songswap.dev.stack.object_store import ObjectStore
from songswap.errors import RateLimited, RunFailed, WarehouseRefused
from songswap.pipelines import hourly_load
from songswap.pipelines.batch import run_batch
from songswap.pipelines.batch_load import GROUP, BatchLoader
from songswap.pipelines.drain import drain
from songswap.pipelines.fetch import fetch
from songswap.storage.spool import Spool


def refuse(platform: Platform) -> Callable[[], None]:
    """Have "History" refuse all rows, as on a full disk; gives what ends that."""
    platform.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE 'no space left' USING ERRCODE = 'disk_full'; END $$"
    )
    platform.execute('CREATE TRIGGER refuse BEFORE INSERT ON "History" EXECUTE FUNCTION refuse()')
    return lambda: platform.execute('DROP TRIGGER refuse ON "History"')


def waiting(platform: Platform) -> tuple[int, int]:
    """What waits in the spool for S3, and for the warehouse."""
    with Spool(platform.settings.spool) as spool:
        return spool.waiting()


def steps(platform: Platform, run_id: str) -> dict[str, tuple[str, str | None]]:
    """The state, and the kind of the problem, of each step of a batch."""
    rows = platform.rows(
        "SELECT step, state, kind FROM songswap.steps WHERE run_id = %s"
        " AND step IN ('fetch', 'load')",
        run_id,
    )
    return {step: (state, kind) for step, state, kind in rows}


def test_group_is_loaded_while_the_rest_is_fetched(make_platform: MakePlatform) -> None:
    """As soon as there is one; the rest at the end."""
    platform = make_platform("--rate-limit", "0", users=GROUP + 5)
    hourly_load.plan(platform.settings, "r", platform.clock)
    fetch(platform.settings, "r", 0, platform.clock)
    _, to_load = waiting(platform)
    assert to_load > GROUP
    with BatchLoader(platform.settings, "r", 0, platform.clock) as loader:
        loader.spooled(GROUP - 1)
        loader.spooled(1)
        for _ in range(100_000):
            if waiting(platform)[1] < to_load:
                break
        assert waiting(platform) == (0, to_load - GROUP)
        assert steps(platform, "r")["load"] == ("planned", None)
        counted = "SELECT counts ->> 'plays' FROM songswap.steps WHERE step = 'load'"
        stored = 'SELECT count(*)::text FROM "History"'
        assert platform.rows(counted) == platform.rows(stored), "with the plays of the group"
        loader.end()
    assert platform.rows(counted) == platform.rows(stored)
    assert steps(platform, "r")["load"] == ("done", None)
    assert platform.history() == platform.reachable()


def test_batch_is_fetched_although_nothing_can_be_loaded(make_platform: MakePlatform) -> None:
    """Spotify would forget the plays; a retry polls nobody again whose response is on the disk."""
    platform = make_platform(users=4)
    accept = refuse(platform)
    for hour in (1, 2):
        run_id = f"hour {hour}"
        hourly_load.plan(platform.settings, run_id, platform.clock)
        with pytest.raises(WarehouseRefused, match="SQLSTATE 53100"):
            run_batch(platform.settings, run_id, 0, platform.clock)
        assert steps(platform, run_id) == {
            "fetch": ("done", None),
            "load": ("failed", "WarehouseRefused"),
        }
        platform.advance(hours=12)
    assert waiting(platform)[1] > 4
    reported = platform.rows("SELECT waiting_for_warehouse FROM songswap.spools")
    assert reported == [(waiting(platform)[1],)]
    calls = platform.calls()["recently-played"]
    accept()
    run_batch(platform.settings, "hour 2", 0, platform.clock)
    assert platform.calls()["recently-played"] - calls <= 4
    assert waiting(platform) == (0, 0)
    assert platform.history() == platform.reachable()
    assert steps(platform, "hour 2")["load"] == ("done", None)


def test_what_was_fetched_before_a_pause_is_loaded(make_platform: MakePlatform) -> None:
    """The pause is what the batch ends with."""
    platform = make_platform(users=4)
    platform.fault(
        path="/v1/me/player/recently-played",
        user="listener-0003",
        status=429,
        headers={"Retry-After": "3600"},
    )
    hourly_load.plan(platform.settings, "r", platform.clock)
    with pytest.raises(RateLimited):
        run_batch(platform.settings, "r", 0, platform.clock)
    assert steps(platform, "r") == {"fetch": ("failed", "RateLimited"), "load": ("done", None)}
    assert waiting(platform) == (0, 0)
    assert platform.history() == platform.reachable() != {}


def test_batch_leaves_what_failed_before_to_the_next_drain(
    make_platform: MakePlatform, own_objects: ObjectStore
) -> None:
    """It would wait once more for an S3 that takes nothing, or try rows that are refused."""
    platform = make_platform(users=2)
    platform.use(own_objects)
    own_objects.stop()
    with pytest.raises(RunFailed, match="2 responses wait in the spool for S3"):
        platform.load()
    assert drain(platform.settings, "d", platform.clock).waiting.for_s3 == 2
    own_objects.start()
    platform.advance(hours=12)
    hourly_load.plan(platform.settings, "r", platform.clock)
    counts = run_batch(platform.settings, "r", 0, platform.clock)
    assert counts["retried_archived"] == 0
    assert counts["archived"] == counts["responses"] > 0
    assert waiting(platform) == (2, 0)
    assert drain(platform.settings, "d", platform.clock).counts["retried_archived"] == 2
    assert waiting(platform) == (0, 0)
