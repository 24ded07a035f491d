"""Real parts for the tests: PostgreSQL, S3 and a Spotify, each started at its first use."""

import itertools
import random
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from songswap.local.access import platform_access
from songswap.local.errors import StackError
from songswap.local.object_store import ObjectStore
from songswap.local.postgres import Postgres
from songswap.local.simulator import Simulator

_TEMPLATE = "migrated"
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """A TCP port of 127.0.0.1 that nobody uses, outside the range of outgoing connections."""

    def find() -> int:
        while True:
            port = random.randint(20_000, 32_000)  # noqa: S311  (not a secret)
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) != 0:
                    return port

    return find


@pytest.fixture(scope="session")
def postgres(
    tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]
) -> Iterator[Postgres]:
    """A PostgreSQL server, one for the whole session."""
    folder = tmp_path_factory.mktemp("postgres")
    for attempt in itertools.count(1):
        server = Postgres(folder, free_port())
        try:
            server.start()
            break
        except StackError as error:
            # Somebody else may have taken the port in the meantime.
            if attempt == 3 or "Address already in use" not in str(error):
                raise
    yield server
    server.stop()


@pytest.fixture(scope="session")
def _migrated(postgres: Postgres) -> str:
    """The name of a database with the warehouse's tables, to be copied."""
    from songswap.warehouse.migrate import migrate

    postgres.create_database(_TEMPLATE)
    migrate(postgres.dsn(_TEMPLATE))
    return _TEMPLATE


@pytest.fixture
def warehouse_dsn(postgres: Postgres, _migrated: str) -> Iterator[str]:
    """The DSN of a fresh warehouse, migrated and empty."""
    name = f"songswap_{next(_numbers)}"
    postgres.create_database(name, template=_migrated)
    yield postgres.dsn(name)
    postgres.drop_database(name)


@pytest.fixture(scope="session")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    """An S3 endpoint with the keys `pipeline`, `tests` and `admin`, one for the whole session.

    Secrets are in `.access.secrets`, the address is `.url`, objects lie below `.objects`.
    """
    store = ObjectStore(tmp_path_factory.mktemp("s3"), 0, platform_access())
    store.start()
    yield store
    store.stop()


@pytest.fixture
def bucket(objects: ObjectStore) -> str:
    """The name of a fresh bucket at the S3 endpoint."""
    name = f"songswap-{next(_numbers)}"
    (objects.objects / name).mkdir()
    return name


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[Callable[..., Simulator]]:
    """Starts simulators: `simulator("--users", "5")` gives one that listens on a free port."""
    started: list[Simulator] = []

    def start(*options: str) -> Simulator:
        spotify = Simulator(tmp_path / f"simulator-{len(started)}", 0, options)
        started.append(spotify)
        spotify.start()
        return spotify

    yield start
    for spotify in started:
        spotify.stop()
