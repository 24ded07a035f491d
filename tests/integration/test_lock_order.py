"""Statements lock rows that many share in the order of their keys, in whichever order they come."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from spotify_json import OBSERVED_AT as AT

from songswap.models import Artist, DataFix
from songswap.supervision.process import wait_until
from songswap.warehouse import artists, data_fixes, enrichment_queue, locks, polls
from songswap.warehouse.connection import connect
from songswap.warehouse.enrichment_queue import Heard, Results

Statement = Callable[[psycopg.Connection, Sequence[int]], object]
FIRST, MIDDLE, LAST = 1, 2, 3

INSERTING: dict[str, tuple[str, Statement]] = {
    "artists": (
        """INSERT INTO "Artists" (id, name) VALUES (%s::text, '')""",
        lambda connection, keys: artists.merge(connection, [Artist(f"{n}", "A") for n in keys]),
    ),
    "data fixes": (
        "INSERT INTO songswap.data_fixes VALUES ('track', %s::text, 'name', 'missing', now())",
        lambda connection, keys: data_fixes.store(
            connection, [(DataFix("track", f"{n}", "name", "missing"), AT) for n in keys]
        ),
    ),
    "queue of new rows": (
        "INSERT INTO songswap.enrichment_queue (kind, id) VALUES ('track', %s::text)",
        lambda connection, keys: enrichment_queue.enqueue(
            connection, [("track", f"{n}") for n in keys], AT, AT
        ),
    ),
    "queue of plays": (
        "INSERT INTO songswap.enrichment_queue (kind, id) VALUES ('track', %s::text)",
        lambda connection, keys: enrichment_queue.enqueue_heard(
            connection, [], [Heard(f"{n}", AT, AT) for n in keys]
        ),
    ),
}
"""Statements that insert rows of these keys, and one of somebody else who inserts one of them."""

LOCKING: dict[str, tuple[str, Statement]] = {
    "users": ('SELECT FROM "Users" WHERE id = %s FOR UPDATE', locks.lock_users),
    "shards": (
        "SELECT FROM songswap.catalogue_shards WHERE shard = %s FOR UPDATE",
        locks.lock_shards,
    ),
    "polls": (
        'SELECT FROM "Users" WHERE id = %s FOR UPDATE',
        lambda connection, keys: polls.record_polls(connection, dict.fromkeys(keys), AT),
    ),
    "known artists": (
        """SELECT FROM "Artists" WHERE id = %s::text FOR UPDATE""",
        lambda connection, keys: artists.merge(connection, [Artist(f"{n}", "B") for n in keys]),
    ),
    "results of requests": (
        "SELECT FROM songswap.enrichment_queue WHERE id = %s::text FOR UPDATE",
        lambda connection, keys: enrichment_queue.record(
            connection, Results("track", [f"{n}" for n in keys], (), (), None), AT, "spotify"
        ),
    ),
}
"""Statements that lock rows of these keys, and one of somebody else who locks one of them."""


@pytest.fixture
def sessions(warehouse_dsn: str) -> Iterator[list[psycopg.Connection]]:
    """Two sessions of the pipeline, in a warehouse without rows of these keys but users."""
    with connect(warehouse_dsn) as one, connect(warehouse_dsn) as other:
        one.execute('INSERT INTO "Users" SELECT n, n, n, n FROM generate_series(3, 1, -1) n')
        yield [one, other]


def run_both(
    dsn: str, sessions: Sequence[psycopg.Connection], lock: str, statement: Statement
) -> None:
    """Have two sessions take the same rows in opposite orders, while another holds the middle one.

    Raises:
        psycopg.errors.DeadlockDetected: each had taken a row that the other needed.
    """

    def take(session: psycopg.Connection, keys: Sequence[int]) -> None:
        with session.transaction():
            statement(session, keys)

    with (
        psycopg.connect(dsn) as holder,
        psycopg.connect(dsn, autocommit=True) as observer,
        ThreadPoolExecutor(2) as threads,
    ):
        holder.execute(lock.encode(), [MIDDLE])
        orders = [(FIRST, MIDDLE, LAST), (LAST, MIDDLE, FIRST)]
        taking = [threads.submit(take, *each) for each in zip(sessions, orders, strict=True)]
        pids = [session.info.backend_pid for session in sessions]
        query = "SELECT count(*) FROM unnest(%s::integer[]) p WHERE pg_blocking_pids(p) <> '{}'"
        assert wait_until(lambda: observer.execute(query, [pids]).fetchone() == (2,), 30, 0.01)
        holder.rollback()
        for one in taking:
            one.result()


@pytest.mark.parametrize("name", INSERTING)
def test_rows_are_inserted_in_order(
    warehouse_dsn: str, sessions: list[psycopg.Connection], name: str
) -> None:
    run_both(warehouse_dsn, sessions, *INSERTING[name])


@pytest.mark.parametrize("name", LOCKING)
def test_rows_are_locked_in_order(
    warehouse_dsn: str, sessions: list[psycopg.Connection], name: str
) -> None:
    with sessions[0].transaction():
        for _, insert in INSERTING.values():
            insert(sessions[0], (LAST, MIDDLE, FIRST))
    run_both(warehouse_dsn, sessions, *LOCKING[name])
