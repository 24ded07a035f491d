"""The page on 10,000,000 plays: what it reads, and what the hourly snapshot for it costs."""

import statistics
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import psycopg

from benchmarks import services
from benchmarks.measurement import Measurement, OnProgress, seconds, speedup, value
from benchmarks.size import size
from songswap.pipelines import snapshot
from songswap.warehouse import coverage, overview, snapshots, user_view
from songswap.warehouse.connection import connect
from songswap.warehouse.sql import named

_USERS = size(10_000, 50)
_PLAYS = size(10_000_000, 20_000)
_TRACKS = size(300_000, 1_000)
_ROUNDS = size(5, 1)
_SAMPLE = size(40, 2)
"""Users whose views are read."""
_NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def run(folder: Path, on_progress: OnProgress) -> Iterator[Measurement]:
    """Fill a warehouse, take snapshots, and read what the page reads."""
    with services.postgres(folder) as server, services.warehouse(server) as dsn:
        on_progress(f"making {_PLAYS:,} plays of {_USERS:,} users")
        _fill(dsn)
        on_progress("snapshots")
        first = seconds(partial(_take, dsn, _NOW))
        yield value("the first snapshot of a day, 30 days of plays", first, "s")
        hourly = [
            seconds(partial(_take, dsn, _NOW + timedelta(seconds=second)))
            for second in range(1, _ROUNDS + 1)
        ]
        yield value("a snapshot, 48 hours of plays", statistics.median(hourly), "s", at_most=2)
        with connect(dsn) as connection:
            yield from _parts_of_a_snapshot(connection)
            yield from _reads(connection)


def _parts_of_a_snapshot(connection: psycopg.Connection) -> Iterator[Measurement]:
    since = _NOW - snapshot.LATE
    counted = _median(lambda: snapshots.count_plays(connection, since, _NOW))
    # What it avoids: PostgreSQL's own plan for the same plays reads all of "History".
    reference = _median(lambda: _all(connection, _statements()["plays_of_48_hours"]))
    yield speedup("plays of 48 hours, counted user by user", counted, reference)
    read = _median(lambda: overview.read(connection, snapshot.BARS, _NOW))
    yield value("users, runs, grants, gaps and hosts", read, "s")
    probed = _median(lambda: (coverage.tracks(connection), coverage.artists(connection)))
    reference = _median(lambda: _all(connection, _statements()["coverage"]))
    yield speedup("coverage of the catalogue, by probes", probed, reference)


def _reads(connection: psycopg.Connection) -> Iterator[Measurement]:
    def page() -> None:
        assert snapshots.latest(connection, _NOW + timedelta(hours=1))  # noqa: S101 - was taken
        snapshots.plays_by_hour(connection, _NOW)

    page()
    times = [seconds(page) for _ in range(_SAMPLE)]
    yield value("what the page reads, p95", _p95_ms(times), "ms", at_most=50)
    users = Random(5).sample(range(1, _USERS + 1), _SAMPLE)
    for _warming in range(2):
        times = [seconds(partial(user_view.read, connection, user, _NOW)) for user in users]
    yield value("a user's own view, p95", _p95_ms(times), "ms", at_most=20)


def _take(dsn: str, now: datetime) -> None:
    if notices := snapshot.take(dsn, "scheduled__1", lambda: now):
        raise RuntimeError(notices[0].sentence)


def _fill(dsn: str) -> None:
    params = {"users": _USERS, "plays": _PLAYS, "tracks": _TRACKS, "now": _NOW}
    with psycopg.connect(dsn, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
        # The rows satisfy all foreign keys; checking ten million takes minutes.
        connection.execute("SET session_replication_role = replica")
        for name in ("rows", "plays"):
            connection.execute(_statements()[name], params)
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")


def _all(connection: psycopg.Connection, query: bytes) -> list[tuple[Any, ...]]:
    return connection.execute(query, {"now": _NOW}).fetchall()


def _median(work: Callable[[], object]) -> float:
    """Return the seconds of a call that was made once before."""
    work()
    return statistics.median(seconds(work) for _ in range(_ROUNDS))


def _p95_ms(times: list[float]) -> float:
    return 1000 * statistics.quantiles(times, n=20)[-1]


def _statements() -> dict[str, bytes]:
    return named(Path(__file__).with_suffix(".sql").read_text())
