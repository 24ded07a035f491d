"""Erase a user of 200,000 plays beside others: how long it takes, and how long a load waits for it.

Meanwhile a session locks that user and another one again and again, as the load of their batch
does.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psycopg

from benchmarks import services
from benchmarks.measurement import Measurement, OnProgress, seconds, value
from benchmarks.memory import sampled
from benchmarks.size import size
from songswap.pipelines import erase
from songswap.settings import Archive, Settings, Spotify
from songswap.warehouse import user_rows
from songswap.warehouse.connection import connect
from songswap.warehouse.locks import lock_users
from songswap.warehouse.sql import named

_PLAYS = size(200_000, 500)
_OTHERS = size(10_000, 20)
_PLAYS_OF_OTHERS = size(1_000, 50)
_USER, _OTHER = 1, 2
_EVERY_S = 0.01


def run(folder: Path, on_progress: OnProgress) -> Iterator[Measurement]:
    """Fill a warehouse, and erase a user there."""
    with services.postgres(folder) as server, services.warehouse(server) as dsn:
        of_others = _OTHERS * _PLAYS_OF_OTHERS
        on_progress(f"making {_PLAYS + of_others:,} plays")
        _fill(dsn)
        # Nobody may list or delete in S3: that part is another.
        settings = Settings(dsn, Spotify("id", "secret"), Archive("none"), folder)
        on_progress("erasing")
        with _waiting(dsn) as waits:
            erasure_id = erase.request(settings, _USER)
            took = seconds(partial(erase.proceed, settings, erasure_id))
        with connect(dsn) as connection:
            left = sum(user_rows.count(connection, _USER).values())
            others = connection.execute('SELECT count(*) FROM "History"').fetchone()
    if left or others != (of_others,):
        raise RuntimeError(f"{left} rows are left of the user, and {others} plays of others.")
    what = f"a user of {_PLAYS:,} plays and as many streams, beside {of_others:,} plays"
    yield value(what, took, "s", at_most=60)
    yield value("the longest wait of a load of the user's batch", max(waits), "s", at_most=1)


@contextmanager
def _waiting(dsn: str) -> Iterator[list[float]]:
    """Lock the user and another one again and again; yields the seconds that each time took."""
    waits: list[float] = []
    with connect(dsn) as connection:

        def lock() -> None:
            start = time.perf_counter()
            with connection.transaction():
                lock_users(connection, [_USER, _OTHER])
            waits.append(time.perf_counter() - start)

        with sampled(lock, _EVERY_S):
            yield waits


def _fill(dsn: str) -> None:
    statements = named(Path(__file__).with_suffix(".sql").read_text())
    params = {"others": _OTHERS, "plays": _PLAYS, "plays_of_others": _PLAYS_OF_OTHERS}
    with psycopg.connect(dsn, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
        connection.execute(statements["rows"], params)
        connection.execute("VACUUM ANALYZE")
