"""The warehouse is reached by all the ways that libpq knows, and watched at the same server."""

import asyncio
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from songswap.dev.stack.postgres import USER, Postgres
from songswap.errors import WarehouseBusy, WarehouseUnavailable
from songswap.settings.airflow_connection import parse_connection
from songswap.settings.warehouse_dsn import dsn_of
from songswap.warehouse.connection import connect, connect_async
from songswap.warehouse.conninfo import to_same_server, with_defaults
from songswap.warehouse.session import Session
from songswap.warehouse.timeouts import limits


@pytest.fixture(scope="module")
def reached(free_port: Callable[[], int]) -> Iterator[tuple[Postgres, Path]]:
    """A server that listens in a folder, and at ::1 where the machine has it; the folder."""
    # A socket's path may not be longer than 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="Sw-"))
    folder.chmod(0o777)
    hosts = "127.0.0.1,::1" if has_ipv6() else "127.0.0.1"
    result = {"unix_socket_directories": str(folder), "listen_addresses": hosts}
    server = Postgres(folder / "server", free_port(), settings=result)
    server.start()
    yield server, folder
    server.stop()
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def replica_like(
    tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]
) -> Iterator[Postgres]:
    """A server whose sessions are read-only, as a replica's, and that has the same password."""
    server = Postgres(
        tmp_path_factory.mktemp("replica"),
        free_port(),
        settings={"default_transaction_read_only": "on"},
    )
    server.start()
    yield server
    server.stop()


def has_ipv6() -> bool:
    """Whether this machine has ::1."""
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def warehouse(text: str) -> str:
    """The connection string of a connection as it stands in a variable."""
    return dsn_of(parse_connection("NAME", text))


def where(dsn: str) -> tuple[str, str]:
    """The place that a session of ours leads to, and that from which its watch looks."""
    with Session.connect(dsn) as connection:
        watch = to_same_server(with_defaults(dsn, limits()), connection)
        with psycopg.connect(watch) as look:
            row = look.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE pid = %s",
                [connection.info.backend_pid],
            ).fetchone()
            assert row == (1,), "the watch looks at another server"
            assert look.info.host == connection.info.host
        return connection.info.host, str(connection.info.port)


def test_folder_of_sockets(reached: tuple[Postgres, Path]) -> None:
    """Through a socket, however its folder is written; waits there are watched as elsewhere."""
    server, folder = reached
    login = f"{USER}:{server.password}"
    encoded = quote(str(folder), safe="")
    for text in (
        f"postgresql://{login}@/postgres?host={folder}&port={server.port}",
        f"postgresql://{login}@{encoded}:{server.port}/postgres",
        f'{{"host": "{folder}", "port": {server.port}, "login": "{USER}",'
        f' "password": "{server.password}", "schema": "postgres"}}',
    ):
        assert where(warehouse(text)) == (str(folder), str(server.port))


def test_holder_is_named_through_a_socket(
    reached: tuple[Postgres, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is in the way is found out over a socket too."""
    monkeypatch.setenv("SONGSWAP_WAIT_S", "0.5")
    server, folder = reached
    dsn = f"postgresql://{USER}:{server.password}@/postgres?host={folder}&port={server.port}"
    with psycopg.connect(server.dsn(), application_name="reports") as holder:
        holder.execute("LOCK TABLE pg_description")
        with (
            pytest.raises(WarehouseBusy, match=r"Held by reports"),
            connect(warehouse(dsn)) as connection,
        ):
            connection.execute("SELECT FROM pg_description")


def test_ipv6_address_works_with_and_without_brackets(reached: tuple[Postgres, Path]) -> None:
    if not has_ipv6():
        pytest.skip("This machine has no ::1.")
    server, _ = reached
    login = f"{USER}:{server.password}"
    for text in (
        f"postgresql://{login}@[::1]:{server.port}/postgres",
        f'{{"host": "::1", "port": {server.port}, "login": "{USER}",'
        f' "password": "{server.password}", "schema": "postgres"}}',
    ):
        assert where(warehouse(text)) == ("::1", str(server.port))


@pytest.mark.parametrize("first", ["refuses", "is read-only"])
def test_writable_host_of_several_is_chosen_and_watched(
    first: str,
    reached: tuple[Postgres, Path],
    replica_like: Postgres,
    free_port: Callable[[], int],
    tmp_path: Path,
) -> None:
    """In sessions and in coroutines."""
    server, _ = reached
    other = free_port() if first == "refuses" else replica_like.port
    passfile = tmp_path / "passwords"
    passfile.write_text(
        f"*:{server.port}:*:*:{server.password}\n*:{replica_like.port}:*:*:{replica_like.password}\n"
    )
    passfile.chmod(0o600)
    dsn = warehouse(
        f"postgresql://{USER}@127.0.0.1:{other},localhost:{server.port}/postgres"
        f"?target_session_attrs=read-write&passfile={passfile}"
    )
    assert where(dsn) == ("localhost", str(server.port))

    async def port() -> int:
        async with await connect_async(dsn) as connection:
            return connection.info.port

    assert asyncio.run(port()) == server.port


def test_no_host_takes_writes(replica_like: Postgres, free_port: Callable[[], int]) -> None:
    """When none of several hosts will do, the sentence says so of each."""
    refusing = free_port()
    dsn = warehouse(
        f"postgresql://{USER}:{replica_like.password}@127.0.0.1:{replica_like.port},"
        f"127.0.0.1:{refusing}/postgres?target_session_attrs=read-write"
    )
    with pytest.raises(WarehouseUnavailable) as refused, connect(dsn):
        pass
    assert "session is read-only" in str(refused.value)
    assert "Connection refused" in str(refused.value)
    assert replica_like.password not in str(refused.value)


def test_service_file_decides_host_and_limits(
    reached: tuple[Postgres, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also with several hosts."""
    server, folder = reached
    services = tmp_path / "services"
    services.write_text(
        f"[warehouse]\nhost={folder / 'none'},{folder}\nport={server.port}\nuser={USER}\n"
        f"password={server.password}\ndbname=postgres\nconnect_timeout=7\n"
        "application_name=nightly\noptions=-c geqo=off\n"
    )
    monkeypatch.setenv("PGSERVICEFILE", str(services))
    dsn = warehouse("postgres:///?service=warehouse")
    assert conninfo_to_dict(with_defaults(dsn, limits()))["connect_timeout"] == "7"
    assert where(dsn) == (str(folder), str(server.port))
    with connect(dsn) as connection:
        shown = "SELECT current_setting('application_name'), current_setting('geqo')"
        assert connection.execute(shown).fetchone() == ("nightly", "off")


def test_unknown_service_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "none"))
    with (
        pytest.raises(WarehouseUnavailable, match="warehouse"),
        connect(warehouse("postgres:///?service=warehouse")),
    ):
        pass


def test_reading_a_service_opens_no_connection(free_port: Callable[[], int]) -> None:
    came = threading.Event()
    with socket.create_server(("127.0.0.1", free_port())) as listening:
        port = listening.getsockname()[1]
        with_defaults(f"host=127.0.0.1 hostaddr=127.0.0.1 port={port}", limits())
        listening.setblocking(False)
        try:
            listening.accept()
            came.set()
        except BlockingIOError:
            pass
    assert not came.is_set()


def test_addresses_of_a_name(reached: tuple[Postgres, Path]) -> None:
    """Of a name with several addresses, the watch looks at the one that was connected to."""
    server, _ = reached
    dsn = (
        f"host=localhost port={server.port} user={USER} password={server.password} dbname=postgres"
    )
    with Session.connect(dsn) as connection:
        watch = conninfo_to_dict(to_same_server(dsn, connection))
    assert watch["hostaddr"] in {"127.0.0.1", "::1"}
    assert os.environ.get("PGHOSTADDR") is None
