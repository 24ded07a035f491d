"""The platform's queries on 10,000,000 plays: tables with our indexes against bare ones."""

import random
import statistics
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import psycopg

from benchmarks import services
from benchmarks.measurement import (
    Measurement,
    OnProgress,
    cost,
    medians,
    seconds,
    speedup,
    value,
)
from benchmarks.size import size
from songswap.dev.stack.postgres import Postgres
from songswap.warehouse.sql import named

_USERS = 2_000
_PLAYS = size(10_000_000, 20_000)
_SAMPLE = size(40, 2)
"""Users whose queries are measured."""
_ROUNDS = size(3, 1)

_QUERIES_OF_A_USER = {
    "top_tracks_of_user": "top tracks of a user",
    "top_tracks_of_user_widths_grouped": "the same, the widths of all images grouped",
    "top_artists_of_user": "top artists of a user",
    "totals_of_user": "totals of a user",
}
_QUERIES_OF_ALL = {
    "top_tracks": "top tracks of everybody",
    "top_artists": "top artists of everybody",
    "totals": "totals of everybody",
}


class _Sessions(NamedTuple):
    """A session in each of the two databases, which have the same rows."""

    ours: psycopg.Connection
    bare: psycopg.Connection


def run(folder: Path, on_progress: OnProgress) -> Iterator[Measurement]:
    """Run the same queries on both, in turns and warm; then measure what indexes cost the load."""
    with services.postgres(folder) as server, services.warehouse(server) as ours:
        on_progress(f"making {_PLAYS:,} plays, twice")
        bare = _filled(server, ours)
        with _session(ours) as our_session, _session(bare) as bare_session:
            sessions = _Sessions(our_session, bare_session)
            for name, what in _QUERIES_OF_A_USER.items():
                on_progress(f"{what}, {_SAMPLE} users")
                yield from _of_a_user(sessions, name, what)
            for name, what in _QUERIES_OF_ALL.items():
                on_progress(f"{what}, {_ROUNDS} rounds")
                ours_s, bare_s = medians(_ROUNDS, *(_query(session, name) for session in sessions))
                yield speedup(what, ours_s, bare_s, at_least=1)
            on_progress(f"25,000 more plays, {_ROUNDS} rounds")
            loads = [[_load(session, hour) for session in sessions] for hour in range(_ROUNDS)]
            ours_s, bare_s = map(statistics.median, zip(*loads, strict=True))
            yield cost("25,000 plays into History", ours_s, bare_s, "s")


def _of_a_user(sessions: _Sessions, name: str, what: str) -> Iterator[Measurement]:
    """Measure a query for random users; the first round only warms the caches."""
    users = random.Random(5).sample(range(1, _USERS + 1), _SAMPLE)
    for _ in range(2):
        rounds = [[_query(session, name, user)() for session in sessions] for user in users]
    ours, bare = zip(*rounds, strict=True)
    yield speedup(what, statistics.median(ours), statistics.median(bare), at_least=1)
    p95 = statistics.quantiles(ours, n=20)[-1]
    yield value(f"{what}, p95", 1000 * p95, "ms", at_most=50)


def _query(session: psycopg.Connection, name: str, user: int | None = None) -> Callable[[], float]:
    """Return a measure: the seconds of all statements of a query."""
    params = None if user is None else {"user": user}
    statements = _statements()[name].split(b";\n")

    def execute() -> None:
        for statement in statements:
            session.execute(statement, params).fetchall()

    return lambda: seconds(execute)


def _load(session: psycopg.Connection, hour: int) -> float:
    """Return the seconds of an hour's plays, right after a checkpoint, when writing costs most."""
    session.execute("CHECKPOINT")
    return seconds(lambda: session.execute(_statements()["load"], {"hour": hour}))


def _filled(server: Postgres, ours: str) -> str:
    """Fill our database, make a bare copy and return the copy's DSN.

    The indexes of "History" are created after its rows, in a fraction of the time.
    """
    with _session(ours) as connection:
        # The rows satisfy all foreign keys; checking ten million takes minutes.
        connection.execute("SET session_replication_role = replica")
        indexes = _drop_indexes(connection)
        connection.execute(_statements()["catalogue"])
        connection.execute(_statements()["plays"], {"plays": _PLAYS})
        connection.execute("VACUUM ANALYZE")
        name: str = connection.info.dbname
    server.create_database("bare", template=name)
    bare = server.dsn("bare")
    key = b'ALTER TABLE "History" ADD PRIMARY KEY (user_id, played_at)'
    for dsn, statements in ((ours, indexes), (bare, [key])):
        with _session(dsn) as connection:
            if dsn == bare:
                connection.execute(_statements()["drop_all_but_keys"])
            for statement in statements:
                connection.execute(statement)
            # Autovacuum would do this in the hours of so many loads; index-only scans need it.
            connection.execute("VACUUM ANALYZE")
            connection.execute("CHECKPOINT")
    return bare


def _drop_indexes(connection: psycopg.Connection) -> list[bytes]:
    """Drop the key and the indexes of "History"; return the statements that recreate them."""
    rows = connection.execute(_statements()["indexes_of_history"]).fetchall()
    for drop, _ in rows:
        connection.execute(drop.encode())
    return [create.encode() for _, create in rows]


def _session(dsn: str) -> psycopg.Connection:
    """Open a session that plans each query anew, as the platform's do."""
    return psycopg.connect(dsn, autocommit=True, prepare_threshold=None)


@cache
def _statements() -> dict[str, bytes]:
    """Return the statements of reads.sql by name."""
    return named(Path(__file__).with_suffix(".sql").read_text())
