"""The hourly load, a replay and imports of the same users at once, with all their parts."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import psycopg
from at_once import deadlocks
from factories import MakePlatform

from songswap.dev.stack.loopback import call
from songswap.pipelines import replay
from songswap.pipelines.import_export import import_export
from songswap.settings import Settings
from songswap.warehouse.connection import connect

USERS, ROUNDS = 3, 2
TABLES = (
    'SELECT * FROM "History"',
    'SELECT id FROM "Tracks"',
    "SELECT user_id, after, before, closed_at IS NULL FROM songswap.gaps",
    "SELECT user_id, fingerprint, reason, played_at, raw_key, found_at"
    " FROM songswap.rejected_items",
    # The archive has an export that was imported twice once.
    "SELECT user_id, min(started_at), raw_keys FROM songswap.imports GROUP BY 1, 3",
)


def tables(settings: Settings) -> dict[str, list[str]]:
    with connect(settings.warehouse_dsn) as connection:
        return {
            query: sorted(map(repr, connection.execute(query.encode()).fetchall()))
            for query in TABLES
        }


def replay_all(settings: Settings) -> None:
    for unit in replay.plan(settings):
        replay.replay(settings, "replay", unit)


def test_as_a_replay_alone(
    make_platform: MakePlatform, tmp_path: Path, make_warehouse: Callable[[], str]
) -> None:
    """What hourly loads with their enrichment, replays and imports leave that run at once is what
    one process makes of the archive, and Spotify's plays are all there."""
    platform = make_platform("--epoch", "2026-11-20T00:00:00Z", users=USERS)
    platform.load()
    users = [platform.user_id(f"listener-{number:04}") for number in range(1, USERS + 1)]
    for turn in range(ROUNDS):
        platform.advance(hours=2)
        platform.clock()  # which all read then, without a request of each
        works: list[Callable[[], object]] = [platform.load, partial(replay_all, platform.settings)]
        for number, user in enumerate(users, 1):
            address = f"{platform.spotify.url}/admin/listeners/listener-{number:04}/export"
            path = tmp_path / f"{turn}-{number}.zip"
            path.write_bytes(call("GET", address))
            about = (platform.settings, user, [path], f"import {turn}-{number}")
            works.append(partial(import_export, *about, lambda *_: None, platform.clock))
        with ThreadPoolExecutor(len(works)) as threads:
            running = [threads.submit(work) for work in works]
        for one in running:
            one.result()
    imports = platform.rows("SELECT import_id FROM songswap.imports")
    assert len(imports) == USERS * ROUNDS, "a replay recorded an import that was under way"

    fresh = replace(platform.settings, warehouse_dsn=make_warehouse())
    replay.copy_users(fresh, platform.settings.warehouse_dsn, replay.plan(fresh))
    replay_all(fresh)
    expected = tables(fresh)
    assert all(expected[query] for query in (TABLES[0], TABLES[1], TABLES[-1]))
    assert tables(platform.settings) == expected
    assert platform.reachable() <= platform.history()
    with psycopg.connect(platform.settings.warehouse_dsn, autocommit=True) as observer:
        assert deadlocks(observer) == 0
