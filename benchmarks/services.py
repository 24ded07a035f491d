"""The real services that parts run on, each in a folder of its own and stopped at the end."""

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
    """PostgreSQL with a database that `warehouse` copies: migrated and empty."""
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
    """The DSN of a new warehouse, dropped at the end."""
    name = f"warehouse_{next(_numbers)}"
    server.create_database(name, template=_MIGRATED)
    try:
        yield server.dsn(name)
    finally:
        server.drop_database(name)


def add_users(dsn: str, number: int) -> None:
    """Users of the platform with the ids from 1 on."""
    with psycopg.connect(dsn) as connection:
        connection.execute(
            'INSERT INTO "Users" SELECT n, n::text, n::text, n::text FROM generate_series(1, %s) n',
            [number],
        )


@contextmanager
def object_store(folder: Path) -> Iterator[ObjectStore]:
    """An S3 endpoint with the bucket `BUCKET`."""
    store = ObjectStore(folder / "s3", free_port(), platform_access(), buckets=(BUCKET,))
    store.start()
    try:
        yield store
    finally:
        store.stop()


@contextmanager
def simulator(folder: Path, *options: str) -> Iterator[Simulator]:
    """A simulated Spotify."""
    spotify = Simulator(folder / "simulator", 0, options)
    spotify.start()
    try:
        yield spotify
    finally:
        spotify.stop()


def environment(dsn: str, store: ObjectStore, folder: Path) -> dict[str, str]:
    """What ``songswap`` reads to work with a warehouse and the bucket, with no Spotify."""
    plan = make_plan({})
    told = plan.environment(
        warehouse=dsn,
        archive=store.url,
        access=store.access,
        simulator="http://127.0.0.1:9",  # nobody listens at it
        spool=folder / "spool",
    )
    return {**os.environ, **told, "AIRFLOW_VAR_BUCKET_NAME": BUCKET}


def archive_of(store: ObjectStore, access_key: str = "pipeline") -> settings.Archive:
    """The bucket as one of its keys sees it."""
    return settings.Archive(BUCKET, store.url, REGION, access_key, store.access.secrets[access_key])
