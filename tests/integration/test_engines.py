"""Replays and imports on a real Spark cluster: every table as the local engine leaves it."""

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from factories import MakePlatform
from small_cluster import small_cluster

from songswap.cli.engine import Engine, run_parallel
from songswap.dev.stack.loopback import call
from songswap.parallel.spark_cluster import Cluster
from songswap.pipelines import replay, run_counts
from songswap.pipelines.import_export import import_package, total
from songswap.settings import Settings
from songswap.storage.export_inbox import packages
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


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with small_cluster(tmp_path / "cluster") as cluster:
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


def test_replay_and_import(
    make_platform: MakePlatform, tmp_path: Path, cluster: Cluster, make_warehouse: Callable[[], str]
) -> None:
    """A replay and an import of many users, on a cluster that loses a worker in the middle of each
    or is whole, leave every table as the local engine does."""
    platform = make_platform("--epoch", "2026-11-14T00:00:00Z", users=USERS)
    for _ in range(3):
        platform.load()
        platform.advance(hours=7)
    for number in range(1, USERS + 1):
        folder = tmp_path / "exports" / f"user{platform.user_id(f'listener-{number:04}')}"
        folder.mkdir(parents=True)
        zipped = call("GET", f"{platform.spotify.url}/admin/listeners/listener-{number:04}/export")
        (folder / "my_spotify_data.zip").write_bytes(zipped)

    local, remote = (
        replace(platform.settings, warehouse_dsn=make_warehouse()) for _ in ("local", "remote")
    )
    units = replay.plan(local)
    for settings in (local, remote):
        replay.copy_users(settings, platform.settings.warehouse_dsn, units)
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


def equal(first: Settings, second: Settings) -> None:
    """Hold every table of two warehouses against each other."""
    theirs = tables(second)
    for query, rows in tables(first).items():
        assert theirs[query] == rows, query
