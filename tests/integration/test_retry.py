"""Transactions that PostgreSQL breaks off in favour of others are done again."""

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from factories import MakePlatform
from psycopg import errors

from songswap.dev.stack.loopback import call
from songswap.pipelines.hourly_load import load_once
from songswap.pipelines.import_export import import_export
from songswap.supervision.process import wait_until
from songswap.warehouse.retry import CONFLICTS, TRIES, retried


def get_in_the_way(dsn: str, table: str) -> None:
    """As the web app may: hold a table until a load of ours waits for it, then want its users.

    PostgreSQL ends who looks for a deadlock first: not this session.
    """
    waiting = (
        "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = %s::regclass"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    with (
        psycopg.connect(dsn, autocommit=True) as look,
        psycopg.connect(dsn, application_name="web app") as web_app,
    ):
        web_app.execute("SET deadlock_timeout = '10min'")
        web_app.execute(f"LOCK TABLE {table} IN SHARE MODE".encode())
        assert wait_until(lambda: look.execute(waiting, [table]).fetchone() != (0,), 60)
        web_app.execute('SELECT FROM "Users" FOR UPDATE')


@pytest.mark.parametrize(("table", "in_a_circle"), [('"Tracks"', False), ('"History"', True)])
def test_deadlock_with_the_web_app(
    make_platform: MakePlatform, caplog: pytest.LogCaptureFixture, table: str, in_a_circle: bool
) -> None:
    """A load that is ended for another transaction is done again, and is a good one. While it
    writes tracks it has locked no user."""
    platform = make_platform(users=3)
    caplog.set_level("INFO", "songswap")
    with ThreadPoolExecutor(1) as beside:
        web_app = beside.submit(get_in_the_way, platform.settings.warehouse_dsn, table)
        platform.load()
        web_app.result(60)
    assert ("DeadlockDetected" in caplog.text) is in_a_circle
    assert platform.history() == platform.reachable()


def test_serialization_failure_is_retried_a_limited_number_of_times(warehouse_dsn: str) -> None:
    tried: list[int] = []

    @retried
    def count_up(connection: psycopg.Connection, until: int) -> int:
        with connection.transaction():
            row = connection.execute("SELECT until FROM counted").fetchone()
            tried.append(row[0] if row else 0)
            if len(tried) < until:
                # Somebody else is faster.
                other.execute("UPDATE counted SET until = until + 1")
            connection.execute("UPDATE counted SET until = until + 1")
        return len(tried)

    with (
        psycopg.connect(warehouse_dsn, autocommit=True) as other,
        psycopg.connect(warehouse_dsn, autocommit=True) as connection,
    ):
        other.execute("CREATE TABLE counted AS SELECT 0 AS until")
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        assert count_up(connection, 3) == 3
        assert tried == [0, 1, 2]
        tried.clear()
        with pytest.raises(errors.SerializationFailure):
            count_up(connection, 100)
        assert len(tried) == TRIES


def test_within_a_transaction(warehouse_dsn: str) -> None:
    """A part is not done again: the whole of its transaction has to be."""
    tried = []

    @retried
    def part(connection: psycopg.Connection) -> None:
        tried.append(connection)
        raise CONFLICTS[0]

    with (
        pytest.raises(CONFLICTS[0]),
        psycopg.connect(warehouse_dsn) as connection,
        connection.transaction(),
    ):
        part(connection)
    assert len(tried) == 1


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_two_loads_and_an_import_at_once(
    make_platform: MakePlatform, tmp_path: Path, level: str
) -> None:
    """Whatever isolation sessions have by default, nothing fails that a retry would have mended."""
    platform = make_platform(users=6)
    with psycopg.connect(platform.settings.warehouse_dsn, autocommit=True) as admin:
        admin.execute(
            f"ALTER DATABASE {admin.info.dbname}"
            f" SET default_transaction_isolation = '{level}'".encode()
        )
    platform.load()
    platform.advance(hours=6)
    address = f"{platform.spotify.url}/admin/listeners/listener-0001/export?kind=extended"
    export = tmp_path / "my_spotify_data.zip"
    export.write_bytes(call("GET", address))
    user = platform.user_id("listener-0001")

    def load(name: str) -> None:
        settings = replace(platform.settings, spool=tmp_path / name)
        load_once(settings, name, lambda *_: None, platform.clock)

    with ThreadPoolExecutor(3) as threads:
        done: list[Future[Any]] = [
            threads.submit(load, "one"),
            threads.submit(load, "other"),
            threads.submit(
                import_export,
                platform.settings,
                user,
                [export],
                "i",
                lambda *_: None,
                platform.clock,
            ),
        ]
        for load_ in done:
            load_.result(120)
    assert platform.reachable().keys() <= platform.history().keys()
    assert set(platform.history().values()) == {1}
