"""A host that vanishes, without a word, is noticed on both sides; with it go its locks.

client's network ── router, which drops all in the end ── server's network
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

import psycopg
import pytest
from hosts import Namespace, NoNamespaces
from psycopg.conninfo import make_conninfo

from songswap.dev.stack.postgres import Postgres
from songswap.errors import WarehouseUnavailable
from songswap.supervision.process import wait_until
from songswap.warehouse.conninfo import with_defaults
from songswap.warehouse.error_translation import translate_errors
from songswap.warehouse.locks import lock_migrations
from songswap.warehouse.session import Session
from songswap.warehouse.timeouts import limits

SERVER, CLIENT = "10.213.1.2", "10.213.2.2"

Result = TypeVar("Result")


class Network:
    """A network of its own: what is done in it runs in a thread that is in there."""

    def __init__(self, name: str) -> None:
        self._namespace = Namespace(name)
        self.configure = self._namespace.configure
        # A server ends with the thread that has started it.
        self._threads = ThreadPoolExecutor(1, initializer=self._namespace.enter)

    def within(self, deed: Callable[[], Result]) -> Result:
        """Do something in there; the processes, threads and sockets that it makes stay there."""
        return self._threads.submit(deed).result()

    def remove(self) -> None:
        """Forget it."""
        self._threads.shutdown()
        self._namespace.remove()


def forward(on: bool) -> None:
    """Let this network's packets for others pass, or drop them."""
    Path("/proc/sys/net/ipv4/ip_forward").write_text(str(int(on)))


@pytest.fixture(scope="module")
def networks() -> Iterator[tuple[Network, Network, Network]]:
    """The client's network, the router, the server's."""
    mark = f"ssw{os.getpid()}"
    made: list[Network] = []
    try:
        for name in "crs":
            try:
                made.append(Network(f"{mark}{name}"))
            except NoNamespaces as error:
                pytest.skip(str(error))
        client, router, server = made
        for side, end, net in ((client, CLIENT, "10.213.2"), (server, SERVER, "10.213.1")):
            link = f"r{net[-1]}"
            other = ("peer", "name", link, "netns", f"{mark}r")
            side.configure("link", "add", "e0", "type", "veth", *other)
            side.configure("addr", "add", f"{end}/24", "dev", "e0")
            router.configure("addr", "add", f"{net}.1/24", "dev", link)
            for network, device in ((side, "e0"), (router, link)):
                network.configure("link", "set", device, "up")
            side.configure("route", "add", "default", "via", f"{net}.1")
        router.within(lambda: forward(True))
        yield client, router, server
    finally:
        for network in made:
            network.remove()


@pytest.fixture(scope="module")
def far_postgres(
    networks: tuple[Network, Network, Network],
    tmp_path_factory: pytest.TempPathFactory,
    free_port: Callable[[], int],
) -> Iterator[Postgres]:
    """A server in a network of its own, that the client's network reaches."""
    _, _, network = networks
    folder = tmp_path_factory.mktemp("far")
    server = Postgres(folder, free_port(), settings={"listen_addresses": "*"})
    network.within(server.start)
    try:
        network.within(server.stop)
        with (folder / "cluster" / "pg_hba.conf").open("a") as access:
            access.write("host all all 10.213.2.0/24 scram-sha-256\n")
        network.within(server.start)
        yield server
    finally:
        server.stop()


@contextmanager
def vanished(router: Network) -> Iterator[None]:
    """The packets of both sides are dropped meanwhile."""
    router.within(lambda: forward(False))
    try:
        yield
    finally:
        router.within(lambda: forward(True))


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A silent host is given up after a few seconds instead of 75."""
    monkeypatch.setenv("SONGSWAP_WAIT_S", "1")


def far(server: Postgres) -> str:
    """Where the server is for the client."""
    return make_conninfo(server.dsn(), host=SERVER)


@contextmanager
def looking(network: Network, server: Postgres) -> Iterator[Callable[[str], int]]:
    """Asks the server from beside it for a number."""

    def ask(query: str) -> int:
        row = look.execute(query.encode()).fetchone()
        return int(row[0]) if row else 0

    look = network.within(lambda: psycopg.connect(server.dsn(), autocommit=True))
    with closing(look):
        yield ask


LOCKS = """
SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE a.application_name = 'songswap' AND l.locktype IN ('relation', 'advisory')
"""
SLEEPING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
LONG_S = 60
"""Far longer than what is waited for, and far shorter than TCP would wait by itself."""


@pytest.mark.parametrize(
    "at",
    [
        None,
        b"SELECT pg_sleep(600)",
        b"SELECT repeat('x', 1000) FROM generate_series(1, 1000000)",
        b"COPY held FROM STDIN",
    ],
)
def test_server_lets_go_of_the_locks(
    at: bytes | None, networks: tuple[Network, Network, Network], far_postgres: Postgres
) -> None:
    """The locks of a process whose host has vanished are gone soon, whatever it was at."""
    client, router, server = networks
    with (
        looking(server, far_postgres) as ask,
        client.within(lambda: Session.connect(far(far_postgres))) as connection,
        closing(connection),
    ):
        connection.execute("CREATE TABLE IF NOT EXISTS held (text text)")
        connection.commit()
        # The server's other limits are off: it is the vanished host that has to be noticed.
        connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        connection.execute("SET LOCAL statement_timeout = 0")
        lock_migrations(connection)
        connection.execute("LOCK TABLE held")
        if at:
            connection.pgconn.send_query(at)
            connection.pgconn.flush()
        assert ask(LOCKS)
        with vanished(router):
            assert wait_until(lambda: not ask(LOCKS), LONG_S)
            connection.pgconn.finish()


@pytest.mark.parametrize(
    ("opened", "value"),
    [
        (Session.connect, "no sign of life"),
        # Without our own watch, as while a session is opened: by TCP's limits alone.
        (lambda dsn: psycopg.connect(with_defaults(dsn, limits())), "timed out"),
    ],
)
def test_client_gives_up_its_wait(
    opened: Callable[[str], psycopg.Connection],
    value: str,
    networks: tuple[Network, Network, Network],
    far_postgres: Postgres,
) -> None:
    """A wait for a server whose host has vanished ends."""
    client, router, server = networks

    def wait() -> str:
        with (
            pytest.raises(psycopg.OperationalError) as lost,
            opened(far(far_postgres)) as connection,
        ):
            connection.execute("SELECT pg_sleep(600)")
        return str(lost.value)

    with looking(server, far_postgres) as ask, ThreadPoolExecutor(1) as threads:
        assert wait_until(lambda: not ask(SLEEPING), LONG_S)
        waits = threads.submit(lambda: client.within(wait))
        assert wait_until(lambda: ask(SLEEPING) == 1, LONG_S)
        with vanished(router):
            assert value in waits.result(LONG_S).lower()


def test_client_gives_up_what_it_sends(
    networks: tuple[Network, Network, Network], far_postgres: Postgres
) -> None:
    """What is sent to a host that has vanished since the last answer is given up as well."""
    client, router, _ = networks
    connection = client.within(lambda: Session.connect(far(far_postgres)))
    with (
        closing(connection),
        vanished(router),
        pytest.raises(WarehouseUnavailable),
        translate_errors(),
    ):
        connection.execute("SELECT 1")
