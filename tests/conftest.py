"""Real parts for the tests: PostgreSQL, S3, a Spotify, and a whole platform made of them."""

import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import hypothesis
import obstore
import psycopg
import pytest
from forked_simulator import ForkedSimulator
from obstore.store import S3Store

from songswap import settings
from songswap.dev.stack import loopback
from songswap.dev.stack.access import Grant, platform_access
from songswap.dev.stack.object_store import ObjectStore
from songswap.dev.stack.plan import SIMULATED_APP, WEBHOOK, simulated_spotify
from songswap.dev.stack.postgres import Postgres
from songswap.dev.stack.sign_up import sign_up
from songswap.dev.stack.simulator import Simulator
from songswap.pipelines.hourly_load import load_once
from songswap.supervision.errors import StackError
from songswap.supervision.interrupt import own_signals

# The suite tries the same examples each time. `make fuzz` asks for the other profile, with a seed.
# Tests that want more or fewer examples say how many of `settings.default.max_examples`.
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
def warehouse_dsn(postgres: Postgres, _migrated: str) -> Iterator[str]:
    """The DSN of a fresh warehouse, migrated and empty."""
    name = f"songswap_{next(_numbers)}"
    postgres.create_database(name, template=_migrated)
    with psycopg.connect(postgres.dsn(name), autocommit=True) as connection:
        # As the migration has set it in the template; a copy of a database leaves it out.
        connection.execute(f"ALTER ROLE songswap IN DATABASE {name} SET search_path = public")
    yield postgres.dsn(name)
    postgres.drop_database(name)


@pytest.fixture(scope="session")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    """An S3 endpoint with the platform's keys, one for the whole session.

    The keys are `pipeline`, `reader`, `tests` and `admin`. Secrets are in `.access.secrets`, the
    address is `.url`, objects lie below `.objects`.
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
def limited_objects(tmp_path: Path) -> Iterator[Callable[..., ObjectStore]]:
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
        spotify = ForkedSimulator(tmp_path / f"simulator-{len(started)}", 0, options)
        started.append(spotify)
        spotify.start()
        return spotify

    yield start
    for spotify in started:
        spotify.stop()


NOW = "2026-11-22T18:00:00Z"


@dataclass
class Platform:
    """The parts, and what the tests ask of them most."""

    settings: settings.Settings
    spotify: Simulator
    bucket: S3Store
    test_archive: settings.Archive
    runs: int = 0

    def environment(self) -> dict[str, str]:
        """All of it as environment variables, as Airflow and the command line read them."""
        warehouse = psycopg.conninfo.conninfo_to_dict(self.settings.warehouse_dsn)
        return {
            "AIRFLOW_CONN_SONGSWAP_RDS": json.dumps(
                {
                    "conn_type": "postgres",
                    "host": warehouse["host"],
                    "port": int(str(warehouse["port"])),
                    "login": warehouse["user"],
                    "password": warehouse["password"],
                    "schema": warehouse["dbname"],
                }
            ),
            "AIRFLOW_CONN_SONGSWAP_S3_PUTONLY": _s3_connection(self.settings.archive),
            **self._reading(),
            "AIRFLOW_CONN_SONGSWAP_S3_TESTPUTGETDELETE": _s3_connection(self.test_archive),
            "AIRFLOW_VAR_BUCKET_NAME": self.settings.archive.bucket,
            "AIRFLOW_CONN_DISCORD_NOTIFIER": json.dumps(
                {
                    "conn_type": "discord",
                    "host": f"{self.spotify.url}/discord/",
                    "extra": {"webhook_endpoint": WEBHOOK},
                }
            ),
            "SPOTIFY_CLIENT_ID": self.settings.spotify.client_id,
            "SPOTIFY_CLIENT_SECRET": self.settings.spotify.client_secret,
            "SPOTIFY_REDIRECT_URI": SIMULATED_APP["SPOTIFY_REDIRECT_URI"],
            "SPOTIFY_API_URL": self.settings.spotify.api_url,
            "SPOTIFY_ACCOUNTS_URL": self.settings.spotify.accounts_url,
            "RECCOBEATS_URL": self.settings.spotify.reccobeats_url,
            "SONGSWAP_SPOOL": str(self.settings.spool),
        }

    def _reading(self) -> dict[str, str]:
        library = self.settings.library
        return {"AIRFLOW_CONN_SONGSWAP_S3_READONLY": _s3_connection(library)} if library else {}

    def messages(self) -> list[dict[str, Any]]:
        """What Discord was sent."""
        told: list[dict[str, Any]] = self.spotify.get("/admin/discord")
        return told

    def clock(self) -> datetime:
        """The simulator's time, which is that of the pipeline too."""
        return datetime.fromisoformat(self.spotify.get("/admin/clock")["now"]).astimezone(UTC)

    def join(self, count: int) -> None:
        """Have more listeners sign up."""
        self.spotify.post("/admin/listeners", {"count": count})
        listeners = self.spotify.get("/admin/listeners")
        sign_up(self.settings.warehouse_dsn, self.spotify.url, listeners, lambda _: None)

    def use(self, store: ObjectStore) -> None:
        """Archive at another S3 endpoint, in its bucket ``own``."""
        own = replace(self.settings.archive, bucket="own", endpoint_url=store.url)
        secrets = store.access.secrets
        archive = replace(own, secret_access_key=secrets["pipeline"])
        library = replace(own, access_key_id="reader", secret_access_key=secrets["reader"])
        self.settings = replace(self.settings, archive=archive, library=library)
        self.test_archive = replace(own, access_key_id="tests", secret_access_key=secrets["tests"])

    def advance(self, **units: float) -> None:
        """Move the time on, for example by ``minutes=60``."""
        seconds = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86400}
        total = sum(seconds[unit] * number for unit, number in units.items())
        self.spotify.post("/admin/clock", {"advance_s": total})

    def load(self) -> dict[str, int]:
        """One hourly load, as a run of its own."""
        self.runs += 1
        return load_once(self.settings, f"run {self.runs}", lambda *_: None, self.clock)

    def rows(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """What a query gives."""
        with psycopg.connect(self.settings.warehouse_dsn, autocommit=True) as connection:
            return connection.execute(query.encode(), parameters).fetchall()

    def execute(self, statement: str, *parameters: Any) -> None:
        """Run a statement."""
        with psycopg.connect(self.settings.warehouse_dsn, autocommit=True) as connection:
            connection.execute(statement.encode(), parameters)

    def history(self) -> Counter[tuple[str, str, str]]:
        """The plays that were loaded: Spotify's user, time, track."""
        return Counter(
            (user, f"{played_at:%Y-%m-%dT%H:%M:%S}.{played_at.microsecond // 1000:03d}Z", track)
            for user, played_at, track in self.rows(
                'SELECT u.spotify_id, h.played_at, h.track_id FROM "History" h'
                ' JOIN "Users" u ON u.id = h.user_id'
            )
        )

    def reachable(self) -> Counter[tuple[str, str, str]]:
        """The plays that Spotify could tell when it was asked, by its own ledger."""
        return Counter(
            (play["user"], play["played_at"], play["track_id"])
            for play in self.spotify.ledger()
            if play["reachable_when_polled"]
        )

    def objects(self) -> list[str]:
        """The keys in the bucket."""
        return sorted(one["path"] for part in obstore.list(self.bucket) for one in part)

    def calls(self) -> dict[str, int]:
        """Requests that Spotify got, by endpoint, whatever it answered."""
        told = self.spotify.get("/admin/calls")["by_endpoint"]
        return {endpoint: sum(statuses.values()) for endpoint, statuses in told.items()}

    def user_id(self, listener: str) -> int:
        """The platform's id of one of Spotify's users."""
        return int(self.rows('SELECT id FROM "Users" WHERE spotify_id = %s', listener)[0][0])

    def fault(self, **fault: Any) -> None:
        """Make Spotify misbehave."""
        self.spotify.post("/admin/faults", fault)

    def mend(self) -> None:
        """Take all faults back."""
        self.spotify.delete("/admin/faults")


@pytest.fixture
def platform(
    warehouse_dsn: str,
    objects: ObjectStore,
    bucket: str,
    simulator: Callable[..., Simulator],
    tmp_path: Path,
) -> Callable[..., Platform]:
    """Makes platforms: ``platform(users=5)``, with more of the simulator's options before it.

    Time stands still there until it is advanced, unless ``real_time`` is asked for.
    """

    def make(*options: str, users: int = 5, real_time: bool = False) -> Platform:
        clock = () if real_time else ("--clock", "frozen", "--now", NOW)
        spotify = simulator("--users", str(users), *clock, *options)
        secrets = objects.access.secrets

        def archive(key: str) -> settings.Archive:
            return settings.Archive(bucket, objects.url, "us-east-1", key, secrets[key])

        sign_up(warehouse_dsn, spotify.url, spotify.get("/admin/listeners"), lambda _: None)
        where = replace(simulated_spotify(spotify.url), first_wait_s=0.01)
        admin = archive("admin")
        return Platform(
            settings.Settings(
                warehouse_dsn, where, archive("pipeline"), tmp_path / "spool", archive("reader")
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
        )

    return make


def _s3_connection(archive: settings.Archive) -> str:
    return json.dumps(
        {
            "conn_type": "aws",
            "login": archive.access_key_id,
            "password": archive.secret_access_key,
            "extra": {"endpoint_url": archive.endpoint_url, "region_name": archive.region},
        }
    )
