"""Real parts for the tests: PostgreSQL, S3, a Spotify, and whole platforms."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import hypothesis
import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from factories import NOW, MakePlatform, Platform, StartObjectStore, StartSimulator
from forked_simulator import ForkedSimulator
from moto_s3 import MotoS3
from obstore.store import S3Store

from songswap.dev.stack import loopback
from songswap.dev.stack.access import Grant, platform_access
from songswap.dev.stack.object_store import ObjectStore
from songswap.dev.stack.plan import simulated_spotify
from songswap.dev.stack.postgres import Postgres
from songswap.dev.stack.sign_up import sign_up
from songswap.dev.stack.simulator import Simulator
from songswap.settings import Archive, Settings
from songswap.supervision.errors import StackError
from songswap.supervision.interrupt import own_signals

# The suite tries the same examples each time. `make fuzz` asks for the other profile, with a seed.
# A test that draws more or fewer examples takes a share of them, see `examples.py`.
_COMMON: dict[str, Any] = {"database": None, "deadline": None, "print_blob": True}
hypothesis.settings.register_profile("suite", max_examples=100, derandomize=True, **_COMMON)
hypothesis.settings.register_profile("fuzz", max_examples=1000, derandomize=False, **_COMMON)
hypothesis.settings.load_profile("suite")

# CI runners, nohup and the background of a script hand on that SIGINT is ignored.
own_signals()

_TEMPLATE = "migrated"
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """A TCP port of 127.0.0.1 that nobody uses, outside the range of outgoing connections."""
    return loopback.free_port


@pytest.fixture(scope="session")
def in_background() -> list[str]:
    """The words before a command that start it as CI runners and nohup do: SIGINT, SIGQUIT and
    SIGHUP are ignored."""
    return ["/bin/sh", "-c", 'trap \'\' INT QUIT HUP; exec "$0" "$@"']


@pytest.fixture(scope="session")
def postgres(
    tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]
) -> Iterator[Postgres]:
    """A PostgreSQL server, one for the session; nobody misses what a power cut takes."""
    folder = tmp_path_factory.mktemp("postgres")
    for attempt in itertools.count(1):
        server = Postgres(folder, free_port(), settings={"fsync": "off"})
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
def make_warehouse(postgres: Postgres, _migrated: str) -> Iterator[Callable[[], str]]:
    """Makes fresh warehouses, migrated and empty: returns the DSN of one."""
    made: list[str] = []

    def make() -> str:
        name = f"songswap_{next(_numbers)}"
        postgres.create_database(name, template=_migrated)
        made.append(name)
        with psycopg.connect(postgres.dsn(name), autocommit=True) as connection:
            # As the migration has set it in the template; a copy of a database leaves it out.
            connection.execute(f"ALTER ROLE songswap IN DATABASE {name} SET search_path = public")
        return postgres.dsn(name)

    yield make
    for name in made:
        postgres.drop_database(name)


@pytest.fixture
def warehouse_dsn(make_warehouse: Callable[[], str]) -> str:
    """The DSN of a fresh warehouse."""
    return make_warehouse()


@pytest.fixture(scope="session")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    """An S3 endpoint with the platform's keys, one for the whole session.

    The keys are `pipeline`, `reader`, `eraser`, `tests` and `admin`. Secrets are in
    `.access.secrets`, the address is `.url`, objects lie below `.objects`.
    """
    store = ObjectStore(tmp_path_factory.mktemp("s3"), 0, platform_access())
    store.start()
    yield store
    store.stop()


@pytest.fixture
def own_objects(tmp_path: Path) -> Iterator[ObjectStore]:
    """An S3 endpoint of this test alone, with a bucket `own`, that it may stop and start."""
    store = ObjectStore(tmp_path / "s3", 0, platform_access(), buckets=("own",))
    store.start()
    yield store
    store.stop()


@pytest.fixture
def limited_objects(tmp_path: Path) -> Iterator[StartObjectStore]:
    """Starts S3 endpoints with a bucket `own`, whose key `tests` may do these methods alone."""
    started: list[ObjectStore] = []

    def start(*methods: str) -> ObjectStore:
        access = platform_access()
        others = [grant for grant in access.grants if grant.access_key in ("pipeline", "reader")]
        access = replace(access, grants=(*others, Grant("tests", methods, ("",))))
        folder = tmp_path / f"limited-{len(started)}"
        started.append(ObjectStore(folder, 0, access, buckets=("own",)))
        started[-1].start()
        return started[-1]

    yield start
    for store in started:
        store.stop()


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MotoS3]:
    """An S3 endpoint that knows versions and lifecycle policies, one for the whole session."""
    server = MotoS3(tmp_path_factory.mktemp("moto"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def own_moto(tmp_path: Path) -> Iterator[MotoS3]:
    """Such an endpoint of this test alone, that may limit rights."""
    server = MotoS3(tmp_path / "moto")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate of 127.0.0.1 that nobody has signed, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    names = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=2))
    signed = made.add_extension(names, critical=False).sign(key, hashes.SHA256())
    content = signed.public_bytes(Encoding.PEM) + key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    (tmp_path / "tls.pem").write_bytes(content)
    return tmp_path / "tls.pem"


@pytest.fixture
def bucket(objects: ObjectStore) -> str:
    """The name of a fresh bucket at the S3 endpoint."""
    name = f"songswap-{next(_numbers)}"
    (objects.objects / name).mkdir()
    return name


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[StartSimulator]:
    """Starts simulators: `simulator("--users", "5")` gives one that listens on a free port."""
    started: list[Simulator] = []

    def start(*options: str) -> Simulator:
        spotify = ForkedSimulator(tmp_path / f"simulator-{len(started)}", 0, options)
        started.append(spotify)
        spotify.start()
        return spotify

    yield start
    for spotify in started:
        spotify.stop()


@pytest.fixture
def make_platform(
    warehouse_dsn: str,
    objects: ObjectStore,
    bucket: str,
    simulator: StartSimulator,
    tmp_path: Path,
) -> MakePlatform:
    """Makes platforms: ``make_platform(users=5)``, with more of the simulator's options before it.

    Time stands still there until it is advanced, unless ``real_time`` is asked for.
    """

    def make(*options: str, users: int = 5, real_time: bool = False) -> Platform:
        clock = () if real_time else ("--clock", "frozen", "--now", NOW)
        spotify = simulator("--users", str(users), *clock, *options)
        secrets = objects.access.secrets

        def archive(key: str) -> Archive:
            return Archive(bucket, objects.url, "us-east-1", key, secrets[key])

        sign_up(warehouse_dsn, spotify.url, spotify.get("/admin/listeners"), lambda _: None)
        where = replace(simulated_spotify(spotify.url), first_wait_s=0.01)
        admin = archive("admin")
        return Platform(
            Settings(
                warehouse_dsn,
                where,
                archive("pipeline"),
                tmp_path / "spool",
                archive("reader"),
                archive("eraser"),
            ),
            spotify,
            S3Store(
                bucket,
                endpoint=objects.url,
                region="us-east-1",
                access_key_id="admin",
                secret_access_key=admin.secret_access_key,
                client_options={"allow_http": True},
                virtual_hosted_style_request=False,
            ),
            archive("tests"),
            not real_time,
        )

    return make
