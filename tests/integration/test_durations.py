"""What a run waited for, and how long it worked, is in its counts."""

import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import psycopg
import pytest
from factories import MakePlatform, Platform
from s3_front import S3Front, Sent, refusal

import songswap
from songswap.dev.stack.object_store import ObjectStore
from songswap.durations import Durations
from songswap.errors import RunFailed, WarehouseRefused
from songswap.models import Artist
from songswap.pipelines import hourly_load, run_counts
from songswap.pipelines.batch import run_batch
from songswap.pipelines.fetch import fetch
from songswap.supervision.process import wait_until
from songswap.warehouse import artists, totals
from songswap.warehouse.connection import connect

DELAY_S = 1.0
LOCKED_S = 0.5


def recorded(platform: Platform, step: str) -> dict[str, int]:
    """The counts of a step of all runs."""
    found = platform.rows(
        "SELECT name, sum(value::int)::int FROM songswap.steps, jsonb_each_text(counts) each"
        " (name, value) WHERE step = %s GROUP BY name",
        step,
    )
    return dict(found)


def late(_: Sent) -> None:
    """Have S3 take a second for each put."""
    time.sleep(DELAY_S)


def test_run_says_what_it_waited_for(make_platform: MakePlatform) -> None:
    """Each step has those of its own work; the totals have them once however often the run is
    summarised. What takes no half of a millisecond is zero, as a lock that is free."""
    platform = make_platform(users=3)
    counts = platform.load()
    fetch, load, enrich = (recorded(platform, step) for step in ("fetch", "load", "enrich artist"))
    of_fetch = {*("fetch_ms", "spotify_ms"), *("spotify_wait_ms", "s3_ms", "lock_wait_ms")}
    assert {"fetch_ms", "spotify_ms"} <= fetch.keys() & {*run_counts.DURATIONS} <= of_fetch
    assert {"load_ms"} <= load.keys() & {*run_counts.DURATIONS} <= {"load_ms", "lock_wait_ms"}
    assert {"enrich_ms", "spotify_ms"} <= enrich.keys()
    durations = {name: counts.get(name, 0) for name in run_counts.DURATIONS}
    assert min(durations.values()) >= 0
    assert durations["fetch_ms"] == fetch["fetch_ms"]
    assert durations["spotify_ms"] >= fetch["spotify_ms"] + enrich["spotify_ms"]
    for _ in range(2):
        hourly_load.summarise(platform.settings, "run 1", platform.clock)
    with psycopg.connect(platform.settings.warehouse_dsn) as connection:
        found = totals.read(connection).runs
    assert {name: found.get(name, 0) for name in durations} == durations


def test_pause_is_waited_for_before_a_request(make_platform: MakePlatform) -> None:
    """Spotify asks for a second, once: at least one request was late by it."""
    platform = make_platform(users=3)
    path = "/v1/me/player/recently-played"
    platform.fault(path=path, status=429, headers={"Retry-After": "1"}, times=1)
    platform.load()
    assert recorded(platform, "fetch")["spotify_wait_ms"] >= 900


def test_full_window_is_waited_for(make_platform: MakePlatform) -> None:
    """Of four requests that are due at once, a window of one holds up three: by one, two and three
    windows. The first may be late by almost a window itself."""
    platform = make_platform(users=4)
    spotify = replace(platform.settings.spotify, window_s=DELAY_S)
    platform.settings = replace(platform.settings, spotify=spotify)
    platform.execute(
        "INSERT INTO songswap.budgets (app, per_window, window_changed_at)"
        " VALUES (%s, 1, clock_timestamp())",
        spotify.client_id,
    )
    hourly_load.plan(platform.settings, "r", platform.clock)
    run_batch(platform.settings, "r", 0, platform.clock)
    assert recorded(platform, "fetch")["spotify_wait_ms"] >= 1000 * DELAY_S
    assert platform.history() == platform.reachable()


def test_time_of_puts_adds_up(make_platform: MakePlatform, own_objects: ObjectStore) -> None:
    """Three at once of a second each are three seconds, also those of an earlier run's responses,
    which the next run stores first."""
    platform = make_platform(users=3)
    platform.use(own_objects)
    with S3Front(own_objects.url, late) as front:
        archive = replace(platform.settings.archive, endpoint_url=front.url)
        platform.settings = replace(platform.settings, archive=archive)
        platform.load()
        assert recorded(platform, "fetch")["s3_ms"] >= 3 * 1000 * DELAY_S
        platform.advance(hours=12)
        front.reply = lambda _: (403, refusal("AccessDenied"))
        with pytest.raises(RunFailed, match="wait in the spool for S3"):
            platform.load()
        assert "s3_ms" not in recorded(platform, "retry")
        front.reply = late
        platform.load()
    assert recorded(platform, "retry")["s3_ms"] >= 1000 * DELAY_S


def while_locked(dsn: str, rows: str, work: Callable[[], object]) -> None:
    """Do some work whose statement waits half a second for rows that another session has locked."""
    waiting = (
        "SELECT FROM pg_stat_activity WHERE datname = current_database()"
        f" AND wait_event_type = 'Lock' AND clock_timestamp() - query_start > '{LOCKED_S} s'"
    )
    with (
        ThreadPoolExecutor(1) as beside,
        psycopg.connect(dsn, autocommit=True) as observer,
        psycopg.connect(dsn) as other,
    ):
        other.execute(f"SELECT FROM {rows} FOR UPDATE".encode())
        done = beside.submit(work)
        assert wait_until(lambda: observer.execute(waiting.encode()).rowcount > 0, 30)
        other.rollback()
        done.result()


@pytest.mark.parametrize("rows", ['"Users"', "songswap.catalogue_shards"])
def test_locked_rows_are_waited_for(make_platform: MakePlatform, rows: str) -> None:
    """By the load; it is in the load's own time too."""
    platform = make_platform(users=2)
    hourly_load.plan(platform.settings, "r", platform.clock)
    work = partial(run_batch, platform.settings, "r", 0, platform.clock)
    while_locked(platform.settings.warehouse_dsn, rows, work)
    load = recorded(platform, "load")
    assert load["load_ms"] >= load["lock_wait_ms"] >= 1000 * LOCKED_S


def test_locked_artist_is_waited_for(warehouse_dsn: str) -> None:
    """Who belongs to no shard."""
    durations = Durations()
    with connect(warehouse_dsn) as connection:
        artists.merge(connection, [Artist("a", "A")])

    def merge() -> None:
        with connect(warehouse_dsn) as connection, durations.measured():
            artists.merge(connection, [Artist("a", "B")])

    while_locked(warehouse_dsn, '"Artists"', merge)
    assert durations.in_ms()["lock_wait_ms"] >= 1000 * LOCKED_S


def test_what_a_batch_drains_first_counts(make_platform: MakePlatform) -> None:
    """As of its step that loads: here all that is loaded is what a batch before has left."""
    platform = make_platform(users=2)
    for run_id in ("left", "r"):
        hourly_load.plan(platform.settings, run_id, platform.clock)
    fetch(platform.settings, "left", 0, platform.clock)
    run_batch(platform.settings, "r", 0, platform.clock)
    load = recorded(platform, "load")
    assert (load["retried_loaded"], load["load_ms"] > 0) == (2, True)


def test_failed_load_says_how_long_it_took(make_platform: MakePlatform) -> None:
    """A lock that was waited for in vain is what somebody looks for."""
    platform = make_platform(users=2)
    platform.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE 'no space left' USING ERRCODE = 'disk_full'; END $$"
    )
    platform.execute('CREATE TRIGGER refuse BEFORE INSERT ON "History" EXECUTE FUNCTION refuse()')
    hourly_load.plan(platform.settings, "r", platform.clock)
    with pytest.raises(WarehouseRefused, match="SQLSTATE 53100"):
        run_batch(platform.settings, "r", 0, platform.clock)
    assert recorded(platform, "load")["load_ms"] > 0


def test_each_duration_is_one_that_a_run_reports() -> None:
    """JSON and metrics have what `DURATIONS` names, and would leave out another."""
    root = Path(songswap.__file__).parent
    code = "".join(file.read_text() for file in root.rglob("*.py"))
    named = {f"{name}_ms" for name in re.findall(r'timed\("(\w+)"', code)}
    services = {
        f"{service}{part}_ms" for service in ("spotify", "reccobeats") for part in ("", "_wait")
    }
    assert named | services == set(run_counts.DURATIONS)
