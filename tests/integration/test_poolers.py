"""The warehouse behind a real pgbouncer, on servers whose settings are not the pipeline's."""

import itertools
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from debian_packages import command, environment, unpacked
from factories import MakePlatform
from psycopg.conninfo import make_conninfo

from songswap.dev.stack.loopback import call
from songswap.dev.stack.postgres import Postgres
from songswap.dev.stack.sign_up import sign_up
from songswap.pipelines.import_export import import_export
from songswap.supervision.process import Process
from songswap.warehouse.migrate import migrate

STRANGE = {
    "TimeZone": "America/New_York",
    "DateStyle": "SQL, DMY",
    "IntervalStyle": "sql_standard",
    "extra_float_digits": "-5",
    "bytea_output": "escape",
    "default_transaction_isolation": "serializable",
    "synchronous_commit": "off",
    "search_path": "pg_catalog",
    "lock_timeout": "1",
}
"""What an administrator may have set, or another client of a pooler may have left behind."""

NEW_SUITE = "trixie"
"""A Debian whose pgbouncer knows of prepared statements (1.24; before 1.21 none does)."""

TABLES = (
    '"History"',
    '"Tracks"',
    '"Artists"',
    '"ArtistTracks"',
    '"TrackPopularity"',
    '"TrackFeatures"',
    '"TrackImages"',
    '"ArtistPopularity"',
    "songswap.polls",
    "songswap.gaps",
    "songswap.enrichment_queue",
    "songswap.streams",
)


class Pooler(Process):
    """A pgbouncer in front of a server, for all its databases.

    Args:
        suite: the Debian that it is of; None for the machine's own.
    """

    def __init__(
        self, folder: Path, server: Postgres, port: int, mode: str, suite: str | None
    ) -> None:
        package = unpacked("pgbouncer", suite=suite)
        folder.mkdir()
        users = folder / "users.txt"
        users.write_text(f'"songswap" "{server.password}"\n')
        settings = {
            "listen_addr": "127.0.0.1",
            "listen_port": port,
            "unix_socket_dir": "",
            "auth_type": "scram-sha-256",
            "auth_file": users,
            "pool_mode": mode,
            "default_pool_size": 6,
            "max_client_conn": 100,
            **({"user": "nobody"} if os.geteuid() == 0 else {}),
        }
        lines = ["[databases]", f"* = host=127.0.0.1 port={server.port}", "[pgbouncer]"]
        lines += [f"{name} = {value}" for name, value in settings.items()]
        config = folder / "pgbouncer.ini"
        config.write_text("\n".join(lines) + "\n")
        for path in (folder, users, config):
            path.chmod(0o755)
        self.port = port
        super().__init__(
            "pgbouncer",
            [*command(package, "usr/sbin/pgbouncer"), str(config)],
            log=folder / "pgbouncer.log",
            mark=folder,
            environment=environment(package),
        )

    def dsn(self, direct: str) -> str:
        """A connection string that leads through the pooler."""
        return make_conninfo(direct, port=self.port)


@pytest.fixture
def pooled(
    tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]
) -> Iterator[Callable[..., Pooler]]:
    """Starts a pgbouncer in front of a server, in a mode."""
    started: list[Pooler] = []

    def start(server: Postgres, mode: str, suite: str | None = None) -> Pooler:
        # Of pytest's own folder others may not even see the names.
        folder = tmp_path_factory.mktemp("pgbouncer")
        folder.chmod(0o755)
        pooler = Pooler(folder / mode, server, free_port(), mode, suite)
        pooler.start()
        started.append(pooler)
        pooler.wait_ready(lambda: "listening on 127.0.0.1" in pooler.output(), 30)
        return pooler

    yield start
    for pooler in started:
        pooler.stop()


def leave_settings_behind(dsn: str) -> None:
    """As another client of a pooler does: what it has set stays on the server's sessions."""
    with psycopg.connect(dsn, autocommit=True, prepare_threshold=None) as stranger:
        for name, value in STRANGE.items():
            stranger.execute("SELECT set_config(%s, %s, false)", [name, value])


@pytest.fixture(scope="module")
def oldest(
    tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]
) -> Iterator[Postgres]:
    """Debian's PostgreSQL 15, with the warehouse's tables in its database ``migrated``."""
    package = unpacked("postgresql-15")
    programs = package / "usr/lib/postgresql/15/bin"
    server = Postgres(tmp_path_factory.mktemp("postgres15"), free_port(), programs=programs)
    server.start()
    server.create_database("migrated")
    migrate(server.dsn("migrated"))
    yield server
    server.stop()


class Life:
    """A life that is the same each time, in a warehouse of its own.

    Args:
        through: where the pipeline's connections lead, given the direct way.
    """

    def __init__(
        self, make: MakePlatform, folder: Path, server: Postgres, through: Callable[[str], str]
    ) -> None:
        name = f"life_{next(_NUMBERS)}"
        server.create_database(name, template="migrated")
        self.direct = server.dsn(name)
        self._here = make(users=4)
        listeners = self._here.spotify.get("/admin/listeners")
        sign_up(self.direct, self._here.spotify.url, listeners, lambda _: None)
        self._export = folder / f"{name}.zip"
        self.through = through(self.direct)
        self._here.settings = replace(
            self._here.settings, warehouse_dsn=self.through, spool=folder / name
        )

    def live(self, before: Callable[[], None] = lambda: None) -> dict[str, list[Any]]:
        """Load, import an export, and load again; what is in the tables then, by table."""
        platform = self._here
        for hour in range(3):
            before()
            migrate(platform.settings.warehouse_dsn)
            platform.load()
            if hour == 1:
                address = "/admin/listeners/listener-0001/export?kind=extended"
                self._export.write_bytes(call("GET", f"{platform.spotify.url}{address}"))
                before()
                import_export(
                    platform.settings,
                    1,
                    [self._export],
                    "import",
                    lambda *_: None,
                    platform.clock,
                    False,
                )
            platform.advance(hours=5)
        with psycopg.connect(self.direct, options=f"-c TimeZone=UTC {_DIRECTLY}") as connection:
            found = {table: rows_of(connection, table) for table in TABLES}
        times = {(user, at) for user, at, *_ in found['"History"']}
        assert len(found['"History"']) == len(times) > 0
        return found


def rows_of(connection: psycopg.Connection[Any], table: str) -> list[Any]:
    """The rows of a table in the contract's columns, in order."""
    (columns,) = connection.execute(
        "SELECT array_agg(quote_ident(attname) ORDER BY attname) FROM pg_attribute"
        " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped"
        " AND attname <> 'created_at'",
        [table],
    ).fetchone() or ([],)
    rows = connection.execute(f"SELECT {', '.join(columns)} FROM {table}".encode())  # noqa: S608
    return sorted(rows, key=repr)


def change_tables(admin: psycopg.Connection[Any]) -> None:
    """As another version of the platform has them: more columns, in another order."""
    for table in TABLES:
        if table.startswith('"'):
            added = "ADD COLUMN created_at timestamptz NOT NULL DEFAULT now()"
            admin.execute(f"ALTER TABLE {table} {added}".encode())
    # Now the first of the table, now the last.
    admin.execute(
        'ALTER TABLE "TrackImages" DROP COLUMN height, ADD COLUMN height integer NOT NULL,'
        " ADD PRIMARY KEY (id, width, height)"
    )
    admin.execute('ALTER TABLE "Tracks" DROP COLUMN name, ADD COLUMN name varchar(1024)')


_DIRECTLY = "-c search_path=public -c DateStyle=ISO -c lock_timeout=0 -c extra_float_digits=1"
_NUMBERS = itertools.count(1)
_REFERENCE: dict[str, list[Any]] = {}


@pytest.mark.parametrize(
    ("version", "mode", "suite"),
    [
        ("newest", None, None),
        ("newest", "session", None),
        ("newest", "transaction", None),
        ("newest", "transaction", NEW_SUITE),
        ("oldest", None, None),
        ("oldest", "transaction", None),
    ],
)
def test_same_life_everywhere(
    request: pytest.FixtureRequest,
    make_platform: MakePlatform,
    pooled: Callable[..., Pooler],
    postgres: Postgres,
    tmp_path: Path,
    version: str,
    mode: str | None,
    suite: str | None,
) -> None:
    """Tables are the same row by row, whatever a server, a database and a pool are set to, and
    whatever else the platform's tables have."""
    request.getfixturevalue("warehouse_dsn")
    if not _REFERENCE:
        _REFERENCE.update(Life(make_platform, tmp_path, postgres, str).live())
    server = postgres if version == "newest" else request.getfixturevalue("oldest")
    pooler = pooled(server, mode, suite) if mode else None
    life = Life(make_platform, tmp_path, server, pooler.dsn if pooler else str)
    with psycopg.connect(life.direct, autocommit=True) as admin:
        for name, value in STRANGE.items():
            admin.execute(f"ALTER DATABASE {admin.info.dbname} SET {name} = '{value}'".encode())
        change_tables(admin)
    found = life.live(lambda: leave_settings_behind(life.through) if pooler else None)
    for table, rows in _REFERENCE.items():
        assert found[table] == rows, table
