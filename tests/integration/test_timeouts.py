"""Nothing waits for ever on PostgreSQL: locks, frozen processes, a frozen server, a lost client."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from factories import MakePlatform

from songswap.dev.stack.postgres import Postgres
from songswap.errors import RunFailed, SettingsError, WarehouseBusy, WarehouseUnavailable
from songswap.supervision.process import wait_until
from songswap.warehouse.connection import connect, pool
from songswap.warehouse.error_translation import translate, translate_errors
from songswap.warehouse.locks import lock_shards, lock_users
from songswap.warehouse.migrate import migrate

SHARD = "SELECT FROM songswap.catalogue_shards WHERE shard = 7 FOR UPDATE SKIP LOCKED"
OURS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'songswap'"


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second for a lock, 2.5 s for a process that says nothing."""
    monkeypatch.setenv("SONGSWAP_WAIT_S", "0.5")


@contextmanager
def held(dsn: str, statement: str) -> Iterator[int]:
    """Somebody's session whose transaction has done a statement and goes on; its pid."""
    with psycopg.connect(dsn, application_name="reports") as connection:
        connection.execute(statement.encode())
        yield connection.info.backend_pid


FREEZE = """
import os, signal, sys
from songswap.warehouse.connection import connect
from songswap.warehouse.locks import lock_shards, lock_users
with connect(sys.argv[1]) as connection, connection.transaction():
    connection.execute("SELECT FROM songswap.streams")
    lock_users(connection, [1]) if sys.argv[3] == "user" else lock_shards(connection, [7])
    if sys.argv[2] == "copying":
        with connection.cursor() as cursor, cursor.copy('COPY "Tracks" FROM STDIN') as writer:
            for number in range(5000):  # more than waits to be sent
                writer.write_row((f"t{number}", "T" * 100, 1))
            os.kill(os.getpid(), signal.SIGSTOP)
    os.kill(os.getpid(), signal.SIGSTOP)
"""


@contextmanager
def frozen(dsn: str, where: str, held: str) -> Iterator[None]:
    """A process of ours that is frozen while it holds the lock of a user or a shard."""
    with subprocess.Popen([sys.executable, "-c", FREEZE, dsn, where, held]) as process:  # noqa: S603
        try:
            _, status = os.waitpid(process.pid, os.WUNTRACED)
            assert os.WIFSTOPPED(status)
            yield
        finally:
            process.send_signal(signal.SIGKILL)


def test_wait_for_a_lock_ends_and_names_its_holder(warehouse_dsn: str) -> None:
    """And since when it is held."""
    with (
        held(warehouse_dsn, 'LOCK TABLE "History"') as pid,
        connect(warehouse_dsn) as other,
        pytest.raises(
            WarehouseBusy,
            match=rf"Held by reports \(pid {pid}\), idle in transaction, since 20.* UTC",
        ) as busy,
        connect(warehouse_dsn) as connection,
    ):
        connection.execute('SELECT FROM "History"')
    assert "SELECT" not in str(busy.value)
    assert "LOCK TABLE" not in str(busy.value)
    assert other.closed


def test_locked_by_who_waits_himself(warehouse_dsn: str) -> None:
    """Who waits in a queue is in nobody's way: the one at its head is named."""
    waits = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    with (
        held(warehouse_dsn, 'SELECT FROM "History"') as pid,
        psycopg.connect(warehouse_dsn, autocommit=True) as altering,
        psycopg.connect(warehouse_dsn, autocommit=True) as look,
        closing(altering),
    ):
        # Begun, and not waited for.
        altering.pgconn.send_query(b'ALTER TABLE "History" ADD COLUMN more integer')
        altering.pgconn.flush()
        assert wait_until(lambda: look.execute(waits).fetchone() == (1,), 10)
        with (
            pytest.raises(WarehouseBusy, match=rf"Held by reports \(pid {pid}\), [^;]* UTC\."),
            connect(warehouse_dsn) as connection,
        ):
            connection.execute('SELECT FROM "History"')


def test_locked_for_migrations_and_coroutines(warehouse_dsn: str) -> None:
    """Migrations wait no longer, and what coroutines raise says the same."""
    import asyncio

    async def ask() -> None:
        async with pool(warehouse_dsn) as opened, opened.connection() as connection:
            with pytest.raises(psycopg.errors.LockNotAvailable) as refused:
                await connection.execute('SELECT FROM "Users"')
            assert f"Held by reports (pid {pid})" in str(translate(refused.value))

    with held(warehouse_dsn, 'LOCK TABLE "Users", songswap.schema_version') as pid:
        asyncio.run(ask())
        with pytest.raises(WarehouseBusy, match=rf"Held by reports \(pid {pid}\)"):
            migrate(warehouse_dsn)


@pytest.fixture
def with_user(warehouse_dsn: str) -> str:
    """A warehouse with a user."""
    with psycopg.connect(warehouse_dsn) as connection:
        connection.execute('INSERT INTO "Users" VALUES (1, 1, 1, 1)')
    return warehouse_dsn


def take(connection: psycopg.Connection, held: str) -> None:
    """Take the lock of a user or a shard, as loads do."""
    if held == "user":
        assert lock_users(connection, [1, 2]).keys() == {1}
    else:
        assert lock_shards(connection, [7, 3]).keys() == {3, 7}


def lock(connection: psycopg.Connection, held: str) -> None:
    """Take the lock, and give it back."""
    with connection.transaction():
        take(connection, held)


@pytest.mark.parametrize("where", ["between statements", "copying"])
@pytest.mark.parametrize("held", ["user", "shard"])
def test_frozen_process_loses_its_locks(with_user: str, where: str, held: str) -> None:
    """Those who wait go on."""
    free = {"user": 'SELECT FROM "Users" FOR UPDATE SKIP LOCKED', "shard": SHARD}[held].encode()
    with (
        frozen(with_user, where, held),
        psycopg.connect(with_user, autocommit=True) as look,
        connect(with_user) as connection,
    ):
        assert look.execute(free).fetchall() == []
        lock(connection, held)
        assert len(look.execute(free).fetchall()) == 1


def test_copy_of_a_stranger_goes_on(with_user: str) -> None:
    """Only what has used the pipeline's own tables is ended, whoever's the role is."""
    with psycopg.connect(with_user) as stranger, connect(with_user) as connection:
        stranger.execute('SELECT FROM "Users" FOR UPDATE')
        stranger.pgconn.send_query(b'COPY "Tracks" FROM STDIN')
        stranger.pgconn.flush()
        with pytest.raises(WarehouseBusy, match="Held by"), translate_errors():
            lock(connection, "user")
        waits = "SELECT wait_event FROM pg_stat_activity WHERE pid = %s"
        assert connection.execute(waits, [stranger.info.backend_pid]).fetchone() == ("ClientRead",)
        stranger.close()


WAITS_LONG = """
SELECT count(*) FROM pg_stat_activity
WHERE wait_event_type = 'Lock' AND clock_timestamp() - query_start > interval '1.5 s'
"""


@pytest.mark.parametrize("held", ["user", "shard"])
def test_turn_is_waited_for_longer(with_user: str, held: str) -> None:
    """Than three times as long as for strangers; and that wait alone."""
    with (
        psycopg.connect(with_user) as holder,
        psycopg.connect(with_user, autocommit=True) as look,
        connect(with_user) as connection,
        ThreadPoolExecutor(1) as threads,
    ):
        with holder.transaction():
            take(holder, held)
            waits = threads.submit(lock, connection, held)
            assert wait_until(lambda: look.execute(WAITS_LONG).fetchone() == (1,), 20)
        waits.result()
        with connection.transaction():
            take(connection, held)
            assert connection.execute("SHOW lock_timeout").fetchone() == ("500ms",)


@pytest.mark.parametrize("held", ["user", "shard"])
def test_turn_is_not_waited_for_for_ever(
    with_user: str, held: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SONGSWAP_WAIT_S", "0.1")
    with psycopg.connect(with_user, application_name="imports") as holder, closing(holder):
        take(holder, held)
        # Busy all the while, as a large import is.
        holder.pgconn.send_query(b"SELECT pg_sleep(60)")
        holder.pgconn.flush()
        with (
            pytest.raises(WarehouseBusy, match=r"Held by imports \(pid \d+\), active, since"),
            connect(with_user) as connection,
        ):
            lock(connection, held)


def signal_all(server: Postgres, number: signal.Signals) -> None:
    """Send a signal to a server's processes, each of which has a group of its own."""
    first = server.process.pid
    for child in psutil.Process(first).children():
        child.send_signal(number)
    os.kill(first, number)


@contextmanager
def stopped(server: Postgres) -> Iterator[None]:
    """A server that is frozen meanwhile."""
    signal_all(server, signal.SIGSTOP)
    try:
        yield
    finally:
        signal_all(server, signal.SIGCONT)


def test_frozen_server_is_given_up(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """In a statement, and while connecting."""
    server = Postgres(tmp_path / "frozen", free_port())
    server.start()
    try:
        with (
            pytest.raises(WarehouseUnavailable, match="no sign of life"),
            connect(server.dsn()) as connection,
            stopped(server),
        ):
            connection.execute("SELECT 1")
    finally:
        server.stop()


def test_server_that_is_only_slow(warehouse_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that works is not taken for frozen; its statement ends at its own limit."""
    monkeypatch.setenv("SONGSWAP_WAIT_S", "0.2")
    with (
        pytest.raises(WarehouseBusy, match="statement timeout"),
        connect(warehouse_dsn) as connection,
    ):
        connection.execute("SELECT pg_sleep(60)")


def test_killed_process_leaves_no_waiting_session(warehouse_dsn: str) -> None:
    """A process that is killed while its statement waits for a lock leaves no session behind."""
    wait = (
        "import sys; from songswap.warehouse.connection import connect\n"
        "with connect(sys.argv[1]) as c:\n"
        "    c.execute('SET lock_timeout = 0; SET statement_timeout = 0')\n"
        "    c.execute('SELECT FROM \"History\"')"
    )
    with (
        held(warehouse_dsn, 'LOCK TABLE "History"'),
        psycopg.connect(warehouse_dsn, autocommit=True) as look,
        subprocess.Popen([sys.executable, "-c", wait, warehouse_dsn]) as process,  # noqa: S603
    ):
        waits = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        assert wait_until(lambda: look.execute(waits).fetchone() == (1,), 30)
        process.kill()
        assert wait_until(lambda: look.execute(OURS).fetchone() == (0,), 30)


def test_interrupted_wait_leaves_no_waiting_session(warehouse_dsn: str) -> None:
    """A time limit that strikes while a statement waits cancels it on the server too."""

    class TimeLimit(BaseException):
        pass

    def strike(*_: Any) -> None:
        raise TimeLimit

    before = signal.signal(signal.SIGALRM, strike)
    try:
        with (
            held(warehouse_dsn, 'LOCK TABLE "History"'),
            psycopg.connect(warehouse_dsn, autocommit=True) as look,
        ):
            signal.setitimer(signal.ITIMER_REAL, 0.5)
            with (
                pytest.raises(TimeLimit),
                connect(warehouse_dsn) as connection,
                connection.transaction(),
            ):
                connection.execute("""SET LOCAL lock_timeout = 0; SELECT FROM "History" """)
            assert wait_until(lambda: look.execute(OURS).fetchone() == (0,), 5)
    finally:
        signal.signal(signal.SIGALRM, before)


def test_longest_wait_is_a_setting_and_nonsense_refused(
    warehouse_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SONGSWAP_WAIT_S", "for ever")
    with pytest.raises(SettingsError, match="SONGSWAP_WAIT_S"), connect(warehouse_dsn):
        pass


def test_name_and_options_of_a_connection_are_respected(warehouse_dsn: str) -> None:
    """The zone and the schema are ours."""
    dsn = psycopg.conninfo.make_conninfo(
        warehouse_dsn, application_name="nightly", options="-c geqo=off -c TimeZone=Asia/Tokyo"
    )
    with connect(dsn) as connection:
        shown = connection.execute(
            "SELECT current_setting('application_name'), current_setting('geqo'),"
            " current_setting('TimeZone'), current_setting('search_path')"
        ).fetchone()
    assert shown == ("nightly", "off", "UTC", "public")


def test_load_while_a_table_is_locked(make_platform: MakePlatform) -> None:
    """A load that finds a table locked ends, and says who has it; the next one brings all."""
    platform = make_platform(users=2)
    with (
        held(platform.settings.warehouse_dsn, 'LOCK TABLE "History"') as pid,
        pytest.raises(RunFailed, match=rf"reports \(pid {pid}\)|wait in the spool"),
    ):
        platform.load()
    platform.load()
    assert platform.history() == platform.reachable() != {}
