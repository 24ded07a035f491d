"""Loads of known tracks lock no shard of the catalogue; new tracks lock theirs."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from zlib import crc32

import psycopg
import pytest
from contradictions import HEARD, OLD, A, song
from warehouse_work import Tracks, import_export, load

from songswap.supervision.process import wait_until
from songswap.warehouse.connection import connect

SHARDS = 64
NEW = {1: song(4, A)}
KNOWN: Tracks = {minute + 100: track for minute, track in OLD.items()}
"""The same tracks, heard at other times."""


@pytest.fixture
def observer(warehouse_dsn: str) -> Iterator[psycopg.Connection]:
    """A session that sees whom others wait for."""
    with psycopg.connect(warehouse_dsn, autocommit=True) as connection:
        connection.execute('INSERT INTO "Users" SELECT n, n, n, n FROM generate_series(1, 3) n')
        yield connection


@pytest.fixture
def connection(warehouse_dsn: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[psycopg.Connection]:
    """A session of the pipeline, which waits for seconds, not for minutes."""
    monkeypatch.setenv("SONGSWAP_WAIT_S", "1")
    with connect(warehouse_dsn) as connection:
        yield connection


def versions(observer: psycopg.Connection) -> dict[int, int]:
    return dict(observer.execute("SELECT shard, version FROM songswap.catalogue_shards").fetchall())


def plays(observer: psycopg.Connection, user: int) -> int:
    query = 'SELECT count(*) FROM "History" WHERE user_id = %s'
    return int(observer.execute(query, [user]).fetchall()[0][0])


def test_only_shards_with_news_change(
    observer: psycopg.Connection, connection: psycopg.Connection
) -> None:
    before = versions(observer)
    assert len(before) == SHARDS
    load({1: NEW})(connection)
    changed = dict(versions(observer).items() - before.items())
    shard = crc32(NEW[1]["id"].encode()) % SHARDS
    assert changed == {shard: before[shard] + 1}


def test_known_tracks_wait_for_no_shard(
    observer: psycopg.Connection, connection: psycopg.Connection, warehouse_dsn: str
) -> None:
    """Not even while somebody holds all of them: neither a load nor an import."""
    load({1: OLD})(connection)
    import_export(1, HEARD)(connection)
    before = versions(observer)
    with psycopg.connect(warehouse_dsn) as holder:
        holder.execute("SELECT FROM songswap.catalogue_shards FOR UPDATE")
        load({1: KNOWN, 2: OLD})(connection)
        import_export(3, HEARD)(connection)
    assert versions(observer) == before
    assert [plays(observer, user) for user in (2, 3)] == [len(OLD), len(HEARD)]


def test_new_track_waits_for_its_shard(
    observer: psycopg.Connection, connection: psycopg.Connection, warehouse_dsn: str
) -> None:
    """And is loaded when that is free. Plays wait with it."""
    shard = crc32(NEW[1]["id"].encode()) % SHARDS
    waits = "SELECT %s = ANY (pg_blocking_pids(%s))"
    with psycopg.connect(warehouse_dsn) as holder, ThreadPoolExecutor(1) as thread:
        lock = "SELECT FROM songswap.catalogue_shards WHERE shard = %s FOR UPDATE"
        holder.execute(lock, [shard])
        loading = thread.submit(load({1: NEW}), connection)
        pids = [holder.info.backend_pid, connection.info.backend_pid]
        assert wait_until(lambda: observer.execute(waits, pids).fetchone() == (True,), 30, 0.01)
        assert plays(observer, 1) == 0
        holder.rollback()
        loading.result()
    assert plays(observer, 1) == 1
