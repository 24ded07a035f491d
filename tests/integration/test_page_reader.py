"""Reads of the page: short, on kept sessions, and never a write, whatever the warehouse does."""

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier, Event

import psycopg
import pytest

from songswap.errors import SettingsError, WarehouseBusy, WarehouseError, WarehouseUnavailable
from songswap.orchestration.web.reader import Reader

MakeReader = Callable[[Callable[[], str]], Reader]


@pytest.fixture
def make_reader() -> Iterator[MakeReader]:
    """Makes readers, whose sessions are closed at the end."""
    made: list[Reader] = []

    def make(find_dsn: Callable[[], str]) -> Reader:
        made.append(Reader(find_dsn))
        return made[-1]

    yield make
    for reader in made:
        reader.close()


@pytest.fixture
def reader(make_reader: MakeReader, warehouse_dsn: str) -> Reader:
    """A reader of a fresh warehouse."""
    return make_reader(lambda: warehouse_dsn)


def session_id(connection: psycopg.Connection) -> int:
    """The server's process of a session."""
    row = connection.execute("SELECT pg_backend_pid()").fetchone()
    assert row is not None
    return int(row[0])


@contextmanager
def locked(dsn: str) -> Iterator[None]:
    """Lock the snapshots against everybody, as a migration does."""
    with psycopg.connect(dsn) as connection:
        connection.execute("LOCK TABLE songswap.snapshots IN ACCESS EXCLUSIVE MODE")
        yield


def count_snapshots(connection: psycopg.Connection) -> int:
    """A read that needs the table."""
    row = connection.execute("SELECT count(*) FROM songswap.snapshots").fetchone()
    assert row is not None
    return int(row[0])


def test_session_is_used_again(reader: Reader) -> None:
    """Connecting takes longer than reading."""
    assert reader.read(session_id) == reader.read(session_id)


def test_ended_session_is_replaced(reader: Reader, warehouse_dsn: str) -> None:
    """A restart of the server while nobody looked costs no page an error."""
    first = reader.read(session_id)
    with psycopg.connect(warehouse_dsn) as connection:
        connection.execute("SELECT pg_terminate_backend(%s, 5000)", [first])
    assert reader.read(session_id) != first


def test_nothing_can_be_written(reader: Reader) -> None:
    """Also with the login of the pipeline, which could."""

    def write(connection: psycopg.Connection) -> None:
        connection.execute("DELETE FROM songswap.snapshots")

    with pytest.raises(WarehouseError, match="read-only"):
        reader.read(write)
    assert reader.read(count_snapshots) == 0


def test_lock_ends_the_read(reader: Reader, warehouse_dsn: str) -> None:
    """The error says what held it up, and the next read is served again."""
    with locked(warehouse_dsn), pytest.raises(WarehouseBusy, match="lock"):
        reader.read(count_snapshots)
    assert reader.read(count_snapshots) == 0


def test_slow_statement_ends(reader: Reader) -> None:
    """A statement that takes too long is ended by the server, and is not tried again."""
    reader.read(session_id)
    tries = []

    def sleep(connection: psycopg.Connection) -> None:
        tries.append(session_id(connection))
        connection.execute("SELECT pg_sleep(60)")

    with pytest.raises(WarehouseBusy, match="statement timeout"):
        reader.read(sleep)
    assert len(tries) == 1


def test_few_wait_and_all_others_are_refused(reader: Reader) -> None:
    """Airflow's other requests need the threads."""
    reading, may_end = Barrier(5), Event()

    def read(connection: psycopg.Connection) -> int:
        reading.wait(30)
        may_end.wait(30)
        return session_id(connection)

    with ThreadPoolExecutor(5) as threads:
        first = [threads.submit(reader.read, read) for _ in range(4)]
        reading.wait(30)
        with pytest.raises(WarehouseBusy, match="others are waiting"):
            reader.read(session_id)
        may_end.set()
        assert len({one.result() for one in first}) == 4
    assert reader.read(session_id) in {one.result() for one in first}


def test_silent_server_ends_the_read(make_reader: MakeReader, free_port: Callable[[], int]) -> None:
    """A server that takes connections and says nothing, as behind a broken firewall."""
    with socket.create_server(("127.0.0.1", free_port())) as silent:
        port = silent.getsockname()[1]
        reader = make_reader(lambda: f"host=127.0.0.1 port={port} user=nobody dbname=none")
        with pytest.raises(WarehouseUnavailable):
            reader.read(session_id)


def test_corrected_connection_is_used(make_reader: MakeReader, warehouse_dsn: str) -> None:
    """Without a restart of the api-server."""
    found: list[str] = []

    def find_dsn() -> str:
        if not found:
            raise SettingsError("The connection is not set.")
        return found[0]

    reader = make_reader(find_dsn)
    with pytest.raises(SettingsError):
        reader.read(session_id)
    found.append(warehouse_dsn)
    assert reader.read(session_id)
