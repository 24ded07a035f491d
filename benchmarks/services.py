"""The real services that parts run on, each in its own folder and stopped at the end."""

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from songswap import settings
from songswap.dev.stack.access import platform_access
from songswap.dev.stack.loopback import free_port
from songswap.dev.stack.object_store import REGION, ObjectStore
from songswap.dev.stack.plan import make_plan
from songswap.dev.stack.postgres import Postgres
from songswap.dev.stack.simulator import Simulator
from songswap.warehouse.migrate import migrate

BUCKET = "bench"
_MIGRATED = "migrated"
_numbers = itertools.count(1)


@contextmanager
def postgres(folder: Path) -> Iterator[Postgres]:
    """Run PostgreSQL with a migrated, empty database that `warehouse` copies."""
    server = Postgres(folder / "postgres", free_port())
    server.start()
    try:
        server.create_database(_MIGRATED)
        migrate(server.dsn(_MIGRATED))
        yield server
    finally:
        server.stop()


@contextmanager
def warehouse(server: Postgres) -> Iterator[str]:
    """Create a warehouse and yield its DSN; it is dropped at the end."""
    name = f"warehouse_{next(_numbers)}"
    server.create_database(name, template=_MIGRATED)
    try:
        yield server.dsn(name)
    finally:
        server.drop_database(name)


def add_users(dsn: str, number: int) -> None:
    """Add users of the platform with the ids from 1 on."""
    with psycopg.connect(dsn) as connection:
        connection.execute(
            'INSERT INTO "Users" SELECT n, n::text, n::text, n::text FROM generate_series(1, %s) n',
            [number],
        )


@contextmanager
def object_store(folder: Path) -> Iterator[ObjectStore]:
    """Run an S3 endpoint with the bucket `BUCKET`."""
    store = ObjectStore(folder / "s3", free_port(), platform_access(), buckets=(BUCKET,))
    store.start()
    try:
        yield store
    finally:
        store.stop()


@contextmanager
def simulator(folder: Path, *options: str) -> Iterator[Simulator]:
    """Run a simulated Spotify."""
    spotify = Simulator(folder / "simulator", 0, options)
    spotify.start()
    try:
        yield spotify
    finally:
        spotify.stop()


def environment(
    dsn: str, store: ObjectStore, folder: Path, store_url: str | None = None
) -> dict[str, str]:
    """Return the environment of a ``songswap`` with a warehouse and the bucket, without Spotify.

    Args:
        store_url: the address under which it reaches the endpoint, if that is another.
    """
    plan = make_plan({})
    variables = plan.environment(
        warehouse=dsn,
        archive=store_url or store.url,
        access=store.access,
        simulator="http://127.0.0.1:9",  # nothing listens on it
        spool=folder / "spool",
    )
    return {**os.environ, **variables, "AIRFLOW_VAR_BUCKET_NAME": BUCKET}


def archive_of(store: ObjectStore, access_key: str = "pipeline") -> settings.Archive:
    """Return the bucket with one of its keys."""
    return settings.Archive(BUCKET, store.url, REGION, access_key, store.access.secrets[access_key])
