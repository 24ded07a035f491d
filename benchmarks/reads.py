"""What the platform reads of 10,000,000 plays: the tables that we make against its bare ones."""

import random
import statistics
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import psycopg

from benchmarks import services
from benchmarks.figure import Figure, bound, cost, medians, seconds, speed
from benchmarks.size import size
from songswap.dev.stack.postgres import Postgres
from songswap.warehouse.sql import named

_USERS = 2_000
_PLAYS = size(10_000_000, 20_000)
_ASKED = size(40, 2)
"""Users whose reads are measured."""
_ROUNDS = size(3, 1)

_OF_A_USER = {
    "top_tracks_of_user": "top tracks of a user",
    "top_tracks_of_user_widths_grouped": "the same, the widths of all images grouped",
    "top_artists_of_user": "top artists of a user",
    "totals_of_user": "totals of a user",
}
_OF_ALL = {
    "top_tracks": "top tracks of everybody",
    "top_artists": "top artists of everybody",
    "totals": "totals of everybody",
}


class _Sides(NamedTuple):
    """A session in each of the two databases, which have the same rows."""

    ours: psycopg.Connection
    bare: psycopg.Connection


def run(folder: Path, told: Callable[[str], None]) -> Iterator[Figure]:
    """The same reads of both, in turns and warm; then what our indexes cost the hourly load."""
    with services.postgres(folder) as server, services.warehouse(server) as ours:
        told(f"making {_PLAYS:,} plays, twice")
        bare = _filled(server, ours)
        with _session(ours) as one, _session(bare) as other:
            sides = _Sides(one, other)
            for name, what in _OF_A_USER.items():
                told(f"{what}, {_ASKED} users")
                yield from _of_a_user(sides, name, what)
            for name, what in _OF_ALL.items():
                told(f"{what}, {_ROUNDS} rounds")
                ours_s, bare_s = medians(_ROUNDS, *(_reading(side, name) for side in sides))
                yield speed(what, ours_s, bare_s, least=1)
            told(f"25,000 plays more, {_ROUNDS} rounds")
            loads = [[_load(side, hour) for side in sides] for hour in range(_ROUNDS)]
            ours_s, bare_s = map(statistics.median, zip(*loads, strict=True))
            yield cost("25,000 plays into History", ours_s, bare_s, "s")


def _of_a_user(sides: _Sides, name: str, what: str) -> Iterator[Figure]:
    """A read for users drawn at random; the first time only warms."""
    users = random.Random(5).sample(range(1, _USERS + 1), _ASKED)
    for _ in range(2):
        rounds = [[_reading(side, name, user)() for side in sides] for user in users]
    ours, bare = zip(*rounds, strict=True)
    yield speed(what, statistics.median(ours), statistics.median(bare), least=1)
    yield bound(f"{what}, p95", 1000 * statistics.quantiles(ours, n=20)[-1], "ms", most=50)


def _reading(side: psycopg.Connection, name: str, user: int | None = None) -> Callable[[], float]:
    """Measures the seconds of all statements of a read."""
    given = None if user is None else {"user": user}
    read = _statements()[name].split(b";\n")
    return lambda: seconds(lambda: [side.execute(one, given).fetchall() for one in read])


def _load(side: psycopg.Connection, hour: int) -> float:
    """The seconds of the plays of an hour; right after a checkpoint, when writing costs most."""
    side.execute("CHECKPOINT")
    return seconds(lambda: side.execute(_statements()["load"], {"hour": hour}))


def _filled(server: Postgres, ours: str) -> str:
    """Fill our database and make a bare copy, whose DSN is returned.

    The indexes of "History" are made after its rows: that takes a fraction of the time.
    """
    with _session(ours) as connection:
        # Nothing here breaks a foreign key, and to check ten million takes minutes.
        connection.execute("SET session_replication_role = replica")
        made = _take_indexes(connection)
        connection.execute(_statements()["catalogue"])
        connection.execute(_statements()["plays"], {"plays": _PLAYS})
        connection.execute("VACUUM ANALYZE")
        name: str = connection.info.dbname
    server.create_database("bare", template=name)
    bare = server.dsn("bare")
    key = b'ALTER TABLE "History" ADD PRIMARY KEY (user_id, played_at)'
    for dsn, indexes in ((ours, made), (bare, [key])):
        with _session(dsn) as connection:
            if dsn == bare:
                connection.execute(_statements()["drop_all_but_keys"])
            for index in indexes:
                connection.execute(index)
            # What autovacuum would do in the hours of so many loads: index-only scans need it.
            connection.execute("VACUUM ANALYZE")
            connection.execute("CHECKPOINT")
    return bare


def _take_indexes(connection: psycopg.Connection) -> list[bytes]:
    """Drop the key and the indexes of "History"; returns the statements that make them again."""
    found = connection.execute(_statements()["indexes_of_history"]).fetchall()
    for drop, _ in found:
        connection.execute(drop.encode())
    return [make.encode() for _, make in found]


def _session(dsn: str) -> psycopg.Connection:
    """A session that plans each query for its user, as the platform's do."""
    return psycopg.connect(dsn, autocommit=True, prepare_threshold=None)


@cache
def _statements() -> dict[str, bytes]:
    """What is in reads.sql, by name."""
    return named(Path(__file__).with_suffix(".sql").read_text())
