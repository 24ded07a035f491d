"""Rows → tables: 25,000 plays and all that they tell, into PostgreSQL."""

import gc
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from benchmarks import previous, services
from benchmarks.figure import Figure, medians, seconds, speed
from benchmarks.pages import FULL, NOW, Page, pages
from benchmarks.size import size
from songswap.dev.stack.postgres import Postgres
from songswap.models import Catalogue
from songswap.transform import recent_plays as transform
from songswap.warehouse import plays
from songswap.warehouse.connection import connect
from songswap.warehouse.plays import ParsedResponse, PollBatch

_USERS = size(500, 10)
_ROUNDS = size(5, 1)
_FEW_NEW = 0.05


class _Input(NamedTuple):
    """The same answers for both ways, transformed beforehand."""

    answers: list[ParsedResponse]
    catalogue: Catalogue
    rows: list[previous.Rows]


def run(folder: Path, told: Callable[[str], None]) -> Iterator[Figure]:
    """Ours against a bare COPY of the final rows, and against the previous way."""
    told("making pages")
    now = pages(_USERS)
    first = _input(now, NOW)
    again = _input(now, NOW + timedelta(minutes=1))
    some_new = _input(_with_some_new(now), NOW + timedelta(minutes=1))
    with services.postgres(folder) as server:
        told("the rows that have to come out")
        final = _final_rows(server, first)
        plays = _USERS * FULL
        told(f"{plays:,} plays into empty tables, {_ROUNDS} rounds")
        ours, bare, theirs = medians(
            _ROUNDS,
            lambda: _fresh(server, lambda dsn: _ours(dsn, first)),
            lambda: _fresh(server, lambda dsn: _copy(dsn, final)),
            lambda: _fresh(server, lambda dsn: previous.load(dsn, first.rows)),
        )
        yield speed(f"{plays:,} plays, empty tables, against a bare COPY", ours, bare, least=0.9)
        yield speed("the same, against the previous way", ours, theirs, least=4)
        for what, then in (("the same rows again", again), ("with 5 % new plays", some_new)):
            told(f"{what}, {_ROUNDS} rounds")
            ours, theirs = medians(
                _ROUNDS,
                lambda then=then: _fresh(server, lambda dsn: _ours(dsn, then), before=first),
                lambda then=then: _fresh(
                    server, lambda dsn: previous.load(dsn, then.rows), before=first
                ),
            )
            yield speed(f"{what}, against the previous way", ours, theirs, least=8)


def _input(answers: Sequence[Page], at: datetime) -> _Input:
    catalogue = Catalogue()
    loaded = [
        ParsedResponse(
            page.user_id,
            at,
            f"key of {page.user_id}",
            transform.fingerprint(page.body),
            transform.transform(page.body, page.user_id, at, catalogue),
        )
        for page in answers
    ]
    rows = [previous.transform(page.body, page.user_id, at) for page in answers]
    return _Input(loaded, catalogue, rows)


def _with_some_new(answers: Sequence[Page]) -> list[Page]:
    """The answers, of which some plays have another time: as many as are new in a calm hour."""
    every = round(1 / _FEW_NEW)
    changed = []
    for page in answers:
        parts = page.body.split(b'"played_at":"')
        for number in range(page.user_id % every + 1, len(parts), every):
            # Another millisecond makes another play of the same track.
            part = parts[number]
            digit = b"1" if part[22:23] != b"1" else b"2"
            parts[number] = part[:22] + digit + part[23:]
        changed.append(page._replace(body=b'"played_at":"'.join(parts)))
    return changed


def _fresh(server: Postgres, deed: Callable[[str], None], before: _Input | None = None) -> float:
    """The seconds of a load into a new warehouse with all users, where ``before`` may be loaded."""
    with services.warehouse(server) as dsn:
        services.add_users(dsn, _USERS)
        if before is not None:
            _ours(dsn, before)
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")
            connection.execute("CHECKPOINT")
        gc.collect()
        return seconds(lambda: deed(dsn))


def _ours(dsn: str, given: _Input) -> None:
    with connect(dsn) as connection:
        at = given.answers[0].observed_at
        told = PollBatch(given.answers, given.catalogue, at)
        plays.load(connection, [told], "bench", timedelta(days=1))


def _final_rows(server: Postgres, given: _Input) -> list[tuple[sql.Composable, list[Any]]]:
    """All rows that our load leaves, by table, each table after those it refers to."""
    with services.warehouse(server) as dsn, psycopg.connect(dsn) as connection:
        services.add_users(dsn, _USERS)
        _ours(dsn, given)
        tables = [
            *(("public", name, key) for name, key in _PUBLIC),
            ("songswap", "metadata", "kind, id"),
            ("songswap", "polls", "user_id"),
            ("songswap", "track_forms", "id"),
        ]
        found = []
        for schema, name, key in tables:
            table = sql.Identifier(schema, name)
            query = sql.SQL("SELECT * FROM {} ORDER BY " + key).format(table)
            found.append((table, connection.execute(query).fetchall()))
        return found


_PUBLIC = (
    ("Tracks", "id"),
    ("Artists", "id"),
    ("ArtistTracks", "track_id, artist_id"),
    ("TrackPopularity", "id, date"),
    ("TrackImages", "id, height, width"),
    ("TrackPreviews", "id"),
    ("History", "user_id, played_at"),
)


def _copy(dsn: str, final: Sequence[tuple[sql.Composable, list[Any]]]) -> None:
    """COPY rows as they are, in one transaction."""
    with psycopg.connect(dsn) as connection, connection.cursor() as cursor:
        for table, rows in final:
            with cursor.copy(sql.SQL("COPY {} FROM STDIN").format(table)) as copy:
                for row in rows:
                    copy.write_row(row)
