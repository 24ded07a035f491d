"""Rows → tables: 25,000 plays and everything that comes with them, into PostgreSQL."""

import gc
import multiprocessing
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from benchmarks import row_by_row, services
from benchmarks.measurement import Measurement, OnProgress, medians, seconds, speedup
from benchmarks.pages import FULL, NOW, Page, pages
from benchmarks.size import size
from songswap.dev.stack.postgres import Postgres
from songswap.models import Catalogue
from songswap.parallel.gc_pause import gc_paused
from songswap.pipelines.load import load_catalogue
from songswap.transform import recent_plays as transform
from songswap.warehouse import plays
from songswap.warehouse.connection import connect
from songswap.warehouse.plays import ParsedResponse, PollBatch

_USERS = size(500, 10)
_ROUNDS = size(5, 1)
_PROCESSES = 2
_NEW_SHARE = 0.05
_STALE_AFTER = timedelta(days=1)

_TABLES = {
    "public.Tracks": "id",
    "public.Artists": "id",
    "public.ArtistTracks": "track_id, artist_id",
    "public.TrackPopularity": "id, date",
    "public.TrackImages": "id, height, width",
    "public.TrackPreviews": "id",
    "public.History": "user_id, played_at",
    "songswap.enrichment_queue": "kind, id",
    "songswap.polls": "user_id",
    "songswap.track_forms": "id",
}
"""What a load writes, each table after those it refers to, with the order of its rows."""


class _Input(NamedTuple):
    """The same responses for both loads, transformed beforehand."""

    batch: PollBatch
    rows: list[row_by_row.Rows]


def run(folder: Path, on_progress: OnProgress) -> Iterator[Measurement]:
    """Compare ours with a bare COPY of the final rows; where plays are known, with row by row."""
    on_progress("making pages")
    now = pages(_USERS)
    first = _input(now, NOW)
    again = _input(now, NOW + timedelta(minutes=1))
    some_new = _input(_with_some_new(now), NOW + timedelta(minutes=1))
    with services.postgres(folder) as server:
        on_progress("the rows that a load has to write")
        final = _final_rows(server, first)
        number = _USERS * FULL
        on_progress(f"{number:,} plays into empty tables, {_ROUNDS} rounds")
        with _processes(_halves(now)) as load_halves:
            ours, two, bare = medians(
                _ROUNDS,
                lambda: _load_seconds(server, partial(_ours, load=first)),
                lambda: _load_seconds(server, load_halves),
                lambda: _load_seconds(server, partial(_copy, final=final)),
            )
        what = f"{number:,} plays, empty tables, against a bare COPY"
        yield speedup(what, ours, bare, at_least=0.85)
        what = "the same in two processes, each half of the users"
        yield speedup(what, two, bare, at_least=1.2)
        for what, load in (("the same rows again", again), ("with 5 % new plays", some_new)):
            on_progress(f"{what}, {_ROUNDS} rounds")
            theirs = partial(row_by_row.load, users=load.rows)
            ours, reference = medians(
                _ROUNDS,
                partial(_load_seconds, server, partial(_ours, load=load), before=first),
                partial(_load_seconds, server, theirs, before=first),
            )
            what = f"{what}, against the row-by-row reference"
            yield speedup(what, ours, reference, at_least=8)


def _input(responses: Sequence[Page], at: datetime) -> _Input:
    rows = [row_by_row.transform(page.body, page.user_id, at) for page in responses]
    return _Input(_batch(responses, at), rows)


def _batch(responses: Sequence[Page], at: datetime) -> PollBatch:
    catalogue = Catalogue()
    parsed = [
        ParsedResponse(
            page.user_id,
            at,
            f"key of {page.user_id}",
            transform.fingerprint(page.body),
            transform.transform(page.body, page.user_id, at, catalogue),
        )
        for page in responses
    ]
    return PollBatch(parsed, catalogue, at)


def _halves(responses: Sequence[Page]) -> list[PollBatch]:
    """Return the responses in two batches, each of every second user."""
    return [_batch(responses[part::2], NOW) for part in range(_PROCESSES)]


@contextmanager
def _processes(batches: list[PollBatch]) -> Iterator[Callable[[str], None]]:
    """Yield a function that loads each batch in a process of its own, which runs and has it."""
    context = multiprocessing.get_context("spawn")
    started = context.Barrier(_PROCESSES + 1)
    with context.Pool(_PROCESSES, _take, (batches, started)) as pool:
        started.wait()

        def load(dsn: str) -> None:
            pool.starmap(_load_part, [(dsn, part) for part in range(_PROCESSES)], chunksize=1)

        yield load


_parts: list[PollBatch] = []
"""What this process may load, set as it begins."""


def _take(batches: list[PollBatch], started: Barrier) -> None:
    _parts[:] = batches
    started.wait()


def _load_part(dsn: str, part: int) -> None:
    _load(dsn, _parts[part])


def _with_some_new(responses: Sequence[Page]) -> list[Page]:
    """Change the time of some plays: as many as are new in a quiet hour."""
    every = round(1 / _NEW_SHARE)
    changed = []
    for page in responses:
        parts = page.body.split(b'"played_at":"')
        for number in range(page.user_id % every + 1, len(parts), every):
            # Another millisecond makes another play of the same track.
            part = parts[number]
            digit = b"1" if part[22:23] != b"1" else b"2"
            parts[number] = part[:22] + digit + part[23:]
        changed.append(page._replace(body=b'"played_at":"'.join(parts)))
    return changed


def _load_seconds(
    server: Postgres, work: Callable[[str], None], before: _Input | None = None
) -> float:
    """Return the seconds of a load into a new warehouse, after an earlier load if there is one."""
    with services.warehouse(server) as dsn:
        services.add_users(dsn, _USERS)
        if before is not None:
            _ours(dsn, before)
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")
            connection.execute("CHECKPOINT")
        gc.collect()
        return seconds(lambda: work(dsn))


def _ours(dsn: str, load: _Input) -> None:
    _load(dsn, load.batch)


def _load(dsn: str, batch: PollBatch) -> None:
    with gc_paused(), connect(dsn) as connection:
        batches = load_catalogue(connection, [batch], _STALE_AFTER, Counter())
        plays.load(connection, batches, "bench", _STALE_AFTER)


def _final_rows(server: Postgres, load: _Input) -> list[tuple[sql.Identifier, list[Any]]]:
    """Return all rows that our load writes, by table."""
    with services.warehouse(server) as dsn, psycopg.connect(dsn) as connection:
        services.add_users(dsn, _USERS)
        _ours(dsn, load)
        tables = []
        for name, order in _TABLES.items():
            table = sql.Identifier(*name.split("."))
            query = sql.SQL("SELECT * FROM {} ORDER BY " + order).format(table)
            tables.append((table, connection.execute(query).fetchall()))
        return tables


def _copy(dsn: str, final: Sequence[tuple[sql.Identifier, list[Any]]]) -> None:
    """COPY rows as they are, in one transaction."""
    with psycopg.connect(dsn) as connection, connection.cursor() as cursor:
        for table, rows in final:
            with cursor.copy(sql.SQL("COPY {} FROM STDIN").format(table)) as copy:
                for row in rows:
                    copy.write_row(row)
