"""Replays and imports on a real Spark cluster: every table as the local engine leaves it."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from factories import MakePlatform, Platform
from small_cluster import small_cluster

from songswap.cli.engine import Engine, run_parallel
from songswap.dev.stack.loopback import call
from songswap.parallel.spark_cluster import Cluster
from songswap.pipelines import replay, run_counts
from songswap.pipelines.import_export import import_package, total
from songswap.settings import Settings
from songswap.storage.export_inbox import packages
from songswap.supervision.process import wait_until
from songswap.warehouse.connection import connect

# A cluster's Javas keep two cores busy while they start.
pytestmark = pytest.mark.xdist_group("stack")

USERS = 8
TABLES = (
    'SELECT * FROM "History"',
    'SELECT * FROM "Tracks"',
    'SELECT * FROM "Artists"',
    'SELECT * FROM "ArtistTracks"',
    'SELECT * FROM "TrackPopularity"',
    'SELECT * FROM "TrackImages"',
    'SELECT * FROM "TrackPreviews"',
    "SELECT user_id, after, before, found_at, closed_at IS NULL FROM songswap.gaps",
    "SELECT user_id, fingerprint, reason, played_at, raw_key, found_at"
    " FROM songswap.rejected_items",
    "SELECT * FROM songswap.streams",
    "SELECT * FROM songswap.export_tracks",
    "SELECT kind, id, queued_at IS NULL FROM songswap.enrichment_queue",
)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of two hosts; the last test stops one of them."""
    with small_cluster(tmp_path_factory.mktemp("spark") / "cluster", hosts=2) as cluster:
        yield cluster


def tables(settings: Settings) -> dict[str, list[str]]:
    with connect(settings.warehouse_dsn) as connection:
        return {
            query: sorted(map(repr, connection.execute(query.encode()).fetchall()))
            for query in TABLES
        }


def losing_a_worker(results: Iterator[Any], cluster: Cluster) -> Iterator[Any]:
    """The results; after the first, while others are under way, one of two workers is killed with
    all that it has started."""
    yield next(results)
    killed = cluster.workers.pop(0)
    os.kill(killed.pid, signal.SIGKILL)
    yield from results
    killed.kill()


def archived(platform: Platform, make_warehouse: Callable[[], str]) -> tuple[Settings, Settings]:
    """Load some hours; two empty warehouses to replay them into, with their users."""
    for _ in range(3):
        platform.load()
        platform.advance(hours=7)
    local, remote = (
        replace(platform.settings, warehouse_dsn=make_warehouse()) for _ in ("local", "remote")
    )
    for settings in (local, remote):
        replay.copy_users(settings, platform.settings.warehouse_dsn, replay.plan(local))
    return local, remote


def exports_of(platform: Platform, folder: Path, users: int) -> None:
    """Put the exports of so many users into a folder."""
    for number in range(1, users + 1):
        own = folder / f"user{platform.user_id(f'listener-{number:04}')}"
        own.mkdir(parents=True)
        zipped = call("GET", f"{platform.spotify.url}/admin/listeners/listener-{number:04}/export")
        (own / "my_spotify_data.zip").write_bytes(zipped)


@contextmanager
def locked_user(settings: Settings, user_id: int) -> Iterator[None]:
    """Hold the row of a user, so that a load of the user's plays waits."""
    with psycopg.connect(settings.warehouse_dsn) as connection:
        connection.execute('SELECT FROM "Users" WHERE id = %s FOR UPDATE', [user_id])
        yield
        connection.rollback()


def sessions(settings: Settings, *, waiting: bool) -> int:
    """The other sessions of a warehouse, or those of them that wait for a lock."""
    with psycopg.connect(settings.warehouse_dsn) as connection:
        query = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
            " AND (NOT %s OR wait_event_type = 'Lock')"
        )
        [(count,)] = connection.execute(query, [waiting]).fetchall()
        return int(count)


def loaded_users(settings: Settings) -> int:
    with psycopg.connect(settings.warehouse_dsn) as connection:
        [(count,)] = connection.execute('SELECT count(DISTINCT user_id) FROM "History"').fetchall()
        return int(count)


def test_a_unit_that_runs_twice_at_once(
    make_platform: MakePlatform, cluster: Cluster, make_warehouse: Callable[[], str]
) -> None:
    """Spark starts a straggler a second time on another host: there is one result of it, and one of
    each play; the attempt that Spark kills leaves nothing of its own."""
    local, remote = archived(make_platform(users=USERS), make_warehouse)
    units = replay.plan(local)
    on_processes = partial(run_parallel, Engine.LOCAL, "", 2, name="test")
    done = run_counts.total(on_processes(partial(replay.replay, local, "replay"), units))
    speculates = ["spark.speculation=true", "spark.speculation.quantile=0.5"]
    again = run_parallel(
        Engine.SPARK,
        cluster.url,
        2,
        partial(replay.replay, remote, "replay"),
        units,
        name="test",
        conf=[*speculates, "spark.speculation.minTaskRuntime=100ms"],
    )
    with ThreadPoolExecutor(1) as thread:
        with locked_user(remote, units[2].users[0]):
            results = thread.submit(list, again)
            assert wait_until(lambda: loaded_users(remote) == USERS - 1 or results.done(), 90)
            assert wait_until(lambda: sessions(remote, waiting=True) == 2 or results.done(), 90)
            assert not results.done()
        given = results.result(90)
    assert len(given) == len(units)
    result = run_counts.total(given)
    same = ("users", "objects", "responses", "rejected_items")
    assert [result.get(name) for name in same] == [done.get(name) for name in same]
    assert result["plays"] + result["known"] == done["plays"] + done["known"]
    assert result["tracks"] <= done["tracks"], "without those of the killed attempt"
    assert wait_until(lambda: sessions(remote, waiting=False) == 0, 60)
    equal(local, remote)


REFUSE = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE 'not these' USING ERRCODE = 'check_violation'; END $$;
CREATE TRIGGER refuse AFTER INSERT ON "History" FOR EACH ROW WHEN (NEW.user_id = {user_id})
EXECUTE FUNCTION refuse()
"""


def test_an_error_is_told_once_while_other_units_go_on(
    make_platform: MakePlatform, tmp_path: Path, cluster: Cluster
) -> None:
    """The command ends with it although a unit of another user cannot end, and what was in progress
    leaves nothing."""
    platform = make_platform("--epoch", "2026-11-14T00:00:00Z", users=3)
    platform.load()
    exports_of(platform, tmp_path / "exports", 3)
    waits, refused, _ = [
        user_id for (user_id,) in platform.rows('SELECT id FROM "Users" ORDER BY id')
    ]
    platform.execute(REFUSE.format(user_id=refused))
    loaded = 'SELECT * FROM "History" WHERE user_id <= %s ORDER BY 1, 2'
    before = platform.rows(loaded, refused)
    command = ("import", str(tmp_path / "exports"), "--engine", "spark", "--master", cluster.url)
    with locked_user(platform.settings, waits):
        done = subprocess.run(  # noqa: S603  (our own command)
            [sys.executable, "-m", "songswap.cli.main", *command, "--processes", "2"],
            env={**os.environ, **platform.environment(), "COLUMNS": "400"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 1, done.stderr
    sentence = f"PostgreSQL refused the export of user {refused} (SQLSTATE 23514)"
    assert done.stderr.count(sentence) == 1
    assert "Traceback" not in done.stderr
    assert "Py4J" not in done.stderr
    assert wait_until(lambda: sessions(platform.settings, waiting=False) == 0, 60)
    assert platform.rows(loaded, refused) == before


def test_replay_and_import(
    make_platform: MakePlatform, tmp_path: Path, cluster: Cluster, make_warehouse: Callable[[], str]
) -> None:
    """A replay and an import of many users, on a cluster that loses a worker in the middle of each
    or is whole, leave every table as the local engine does; a unit has one session at a time."""
    platform = make_platform("--epoch", "2026-11-14T00:00:00Z", users=USERS)
    local, remote = archived(platform, make_warehouse)
    exports_of(platform, tmp_path / "exports", USERS)
    units = replay.plan(local)
    on_processes = partial(run_parallel, Engine.LOCAL, "", 2, name="test")
    on_cluster = partial(run_parallel, Engine.SPARK, cluster.url, 2, name="test")
    done = run_counts.total(on_processes(partial(replay.replay, local, "replay"), units))
    again = on_cluster(partial(replay.replay, remote, "replay"), units)
    result = run_counts.total(losing_a_worker(again, cluster))
    # What the lost worker had loaded is there, and not new, when its unit is done again.
    assert [result[name] for name in ("users", "objects", "responses")] == [
        done[name] for name in ("users", "objects", "responses")
    ]
    assert done["plays"] > 300
    equal(local, remote)

    waiting = packages(str(tmp_path / "exports"), None)
    for engine, settings in ((on_processes, local), (on_cluster, remote)):
        imported = list(engine(partial(import_package, settings, "import"), waiting))
        assert [one.problem for one in imported] == [None] * USERS
        assert total(imported)["loaded"] > 300
    equal(local, remote)

    with ThreadPoolExecutor(1) as thread, psycopg.connect(local.warehouse_dsn) as holder:
        holder.execute("LOCK TABLE songswap.imports")
        exports = thread.submit(replay.replay, local, "exports", units[0])
        assert wait_until(lambda: sessions(local, waiting=True) == 1 or exports.done(), 60)
        assert not exports.done()
        assert sessions(local, waiting=False) == 2  # the holder, and one of the unit
        holder.rollback()
        assert exports.result(60)["plays"] == 0


def equal(first: Settings, second: Settings) -> None:
    """Hold every table of two warehouses against each other."""
    theirs = tables(second)
    for query, rows in tables(first).items():
        assert theirs[query] == rows, query
