"""Exports → tables: 1,000,000 rows of 20 users' whole histories, into PostgreSQL."""

import os
import random
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import psycopg
from psycopg import sql

from benchmarks import services
from benchmarks.measurement import Measurement, OnProgress, cost, seconds, speedup, value
from benchmarks.memory import memory_of
from benchmarks.size import size
from songswap.dev.stack.postgres import Postgres
from songswap.parallel.processes import run_parallel
from songswap.pipelines.import_export import import_package
from songswap.settings import Settings, Spotify
from songswap.storage.export_inbox import Package, find_exports

_USERS = size(20, 5)
_ROWS = size(50_000, 80)
_TRACKS = 200_000
_ROWS_OF_A_FILE = 16_000
_CHUNK = 2**16
_START = datetime(2012, 1, 1, tzinfo=UTC)


class _Import(NamedTuple):
    """A user's import: the process that did it, and that process's peak memory afterwards."""

    user_id: int
    pid: int
    memory_mb: float
    counts: dict[str, int]


def run(folder: Path, on_progress: OnProgress) -> Iterator[Measurement]:
    """Compare two processes, and one, with a bare COPY of the final rows; each runs once."""
    inbox = folder / "inbox"
    inbox.mkdir()
    on_progress("making exports")
    for user in range(1, _USERS + 1):
        export(inbox / f"user{user}.zip", user, _ROWS)
    packages = find_exports(str(inbox), None).packages
    rows = _USERS * _ROWS
    with services.postgres(folder) as server, services.object_store(folder) as store:
        archive = services.archive_of(store)

        def imported(dsn: str, processes: int) -> list[_Import]:
            settings = Settings(dsn, Spotify("", ""), archive, folder / "spool")
            done = list(run_parallel(partial(_import, settings), packages, processes=processes))
            if sum(export.counts.get("rows", 0) for export in done) != rows:
                raise RuntimeError("not all exports were imported")
            return done

        on_progress(f"{rows:,} rows, two processes")
        with _fresh(server) as dsn:
            done: list[_Import] = []
            ours_s = seconds(lambda: done.extend(imported(dsn, 2)))
            final = _final_rows(dsn, folder)
        on_progress("a bare COPY of the final rows")
        with _fresh(server) as dsn:
            bare_s = seconds(lambda: _copy(dsn, final))
        on_progress(f"{rows:,} rows, one process")
        with _fresh(server) as dsn:
            one_s = seconds(lambda: imported(dsn, 1))
    yield value(f"{rows:,} rows of {_USERS} exports, two processes", ours_s, "s", at_most=60)
    yield value("rows per second", rows / ours_s, "rows/s")
    yield speedup("the same, against a bare COPY", ours_s, bare_s, at_least=0.9)
    yield speedup("one process, against a bare COPY", one_s, bare_s)
    yield _growth(done)


def _growth(imports: Sequence[_Import]) -> Measurement:
    """Compare the peak of the process that grew most with its peak after two exports."""
    peaks: defaultdict[int, list[float]] = defaultdict(list)
    for done in imports:
        peaks[done.pid].append(done.memory_mb)
    pairs = [(values[1], values[-1]) for values in peaks.values() if len(values) > 1]
    second, last = max(pairs, key=lambda pair: pair[1] / pair[0])
    what = "peak memory of a process, after all its exports against after two"
    return cost(what, last, second, "MB", at_most=1.15)


def export(path: Path, user: int, rows: int) -> Path:
    """Write a zip in the form of the extended streaming history, seeded by the user."""
    draw = random.Random(user)
    library = [int(_TRACKS * draw.random() ** 3) for _ in range(rows // 8)]
    at = _START
    files: list[list[dict[str, Any]]] = [[]]
    for _ in range(rows):
        track = library[int(len(library) * draw.random() ** 2)]
        listened = draw.choice(
            (8_000, 45_000, 120_000 + track % 150_000, 120_000 + track % 150_000)
        )
        at += timedelta(milliseconds=listened + draw.choice((500, 1_000, 3_600_000)))
        if len(files[-1]) == _ROWS_OF_A_FILE:
            files.append([])
        files[-1].append(
            {
                "ts": f"{at:%Y-%m-%dT%H:%M:%SZ}",
                "platform": "Android OS 11 API 30 (samsung, SM-G991B)",
                "ms_played": listened,
                "conn_country": "DE",
                "ip_addr": "192.0.2.7",
                "master_metadata_track_name": f"The name of track {track}",
                "master_metadata_album_artist_name": f"Artist {track % 40_000}",
                "master_metadata_album_album_name": f"An album with track {track}",
                "spotify_track_uri": f"spotify:track:{track:022d}",
                "episode_name": None,
                "episode_show_name": None,
                "spotify_episode_uri": None,
                "audiobook_title": None,
                "audiobook_uri": None,
                "audiobook_chapter_uri": None,
                "audiobook_chapter_title": None,
                "reason_start": "trackdone",
                "reason_end": "fwdbtn" if listened < 120_000 else "trackdone",
                "shuffle": False,
                "skipped": listened < 120_000,
                "offline": False,
                "offline_timestamp": int(at.timestamp()),
                "incognito_mode": False,
            }
        )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as package:
        for number, content in enumerate(files):
            name = f"Spotify Extended Streaming History/Streaming_History_Audio_{number}.json"
            package.writestr(name, msgspec.json.encode(content))
    return path


def _import(settings: Settings, package: Package) -> _Import:
    """Import an export, in whichever process."""
    done = import_package(settings, "bench", package)
    return _Import(package.user_id, os.getpid(), memory_of(os.getpid()).resident, done.counts)


@contextmanager
def _fresh(server: Postgres) -> Iterator[str]:
    with services.warehouse(server) as dsn:
        services.add_users(dsn, _USERS)
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("CHECKPOINT")
        yield dsn


_TABLES = {
    "public.Tracks": "id",
    "public.History": "user_id, played_at",
    "songswap.streams": "user_id, ended_at, ms_played, place",
    "songswap.export_tracks": "id",
    "songswap.estimated_durations": "id",
    "songswap.enrichment_queue": "kind, id",
}
"""What an import writes, with the order of its rows."""


def _final_rows(dsn: str, folder: Path) -> list[tuple[sql.Identifier, Path]]:
    """Write all rows that an import wrote, as COPY formats them, into a file for each table."""
    files = []
    with psycopg.connect(dsn) as connection, connection.cursor() as cursor:
        for name, order in _TABLES.items():
            table, path = sql.Identifier(*name.split(".")), folder / f"{name}.copy"
            query = sql.SQL("COPY (SELECT * FROM {} ORDER BY " + order + ") TO STDOUT")
            with path.open("wb") as file, cursor.copy(query.format(table)) as copy:
                file.writelines(copy)
            files.append((table, path))
    return files


def _copy(dsn: str, final: Sequence[tuple[sql.Identifier, Path]]) -> None:
    """COPY the files as they are, in one transaction: no program could be faster."""
    with psycopg.connect(dsn) as connection, connection.cursor() as cursor:
        for table, path in final:
            query = sql.SQL("COPY {} FROM STDIN").format(table)
            with path.open("rb") as file, cursor.copy(query) as copy:
                while chunk := file.read(_CHUNK):
                    copy.write(chunk)
