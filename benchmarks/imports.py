"""Exports → tables: 1,000,000 rows of 20 users' whole lives, into PostgreSQL."""

import os
import random
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import psycopg
from psycopg import sql

from benchmarks import services
from benchmarks.figure import Figure, bound, cost, seconds, speed
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
_A_FILE = 16_000
_PART = 2**16
_BEGIN = datetime(2012, 1, 1, tzinfo=UTC)


class _Import(NamedTuple):
    """A user whose export was imported, by which process, and the most memory that it had then."""

    user_id: int
    pid: int
    memory_mb: float
    counts: dict[str, int]


def run(folder: Path, told: Callable[[str], None]) -> Iterator[Figure]:
    """Two processes, and one, against a bare COPY of the final rows; each once, for it is long."""
    inbox = folder / "inbox"
    inbox.mkdir()
    told("making exports")
    for user in range(1, _USERS + 1):
        export(inbox / f"user{user}.zip", user, _ROWS)
    given = find_exports(str(inbox), None).packages
    rows = _USERS * _ROWS
    with services.postgres(folder) as server, services.object_store(folder) as store:
        archive = services.archive_of(store)

        def imported(dsn: str, processes: int) -> list[_Import]:
            settings = Settings(dsn, Spotify("", ""), archive, folder / "spool")
            done = list(run_parallel(partial(_import, settings), given, processes=processes))
            if sum(one.counts.get("rows", 0) for one in done) != rows:
                raise RuntimeError("not all exports were imported")
            return done

        told(f"{rows:,} rows, two processes")
        with _fresh(server) as dsn:
            done: list[_Import] = []
            ours_s = seconds(lambda: done.extend(imported(dsn, 2)))
            final = _final_rows(dsn, folder)
        told("a bare COPY of what came out")
        with _fresh(server) as dsn:
            bare_s = seconds(lambda: _copy(dsn, final))
        told(f"{rows:,} rows, one process")
        with _fresh(server) as dsn:
            one_s = seconds(lambda: imported(dsn, 1))
    yield bound(f"{rows:,} rows of {_USERS} exports, two processes", ours_s, "s", most=60)
    yield bound("rows in a second", rows / ours_s, "rows/s")
    yield speed("the same, against a bare COPY", ours_s, bare_s, least=0.5)
    yield speed("one process, against a bare COPY", one_s, bare_s)
    yield _growth(done)


def _growth(done: Sequence[_Import]) -> Figure:
    """The peak of the process that grew most, against what it was after its second export."""
    peaks: defaultdict[int, list[float]] = defaultdict(list)
    for one in done:
        peaks[one.pid].append(one.memory_mb)
    second, last = max(
        ((of[1], of[-1]) for of in peaks.values() if len(of) > 1), key=lambda of: of[1] / of[0]
    )
    what = "peak memory of a process, after all of its exports against after two"
    return cost(what, last, second, "MB", most=1.15)


def export(path: Path, user: int, rows: int) -> Path:
    """A zip in the form of the extended streaming history, seeded by the user."""
    draw = random.Random(user)
    library = [int(_TRACKS * draw.random() ** 3) for _ in range(rows // 8)]
    at = _BEGIN
    files: list[list[dict[str, Any]]] = [[]]
    for _ in range(rows):
        track = library[int(len(library) * draw.random() ** 2)]
        listened = draw.choice(
            (8_000, 45_000, 120_000 + track % 150_000, 120_000 + track % 150_000)
        )
        at += timedelta(milliseconds=listened + draw.choice((500, 1_000, 3_600_000)))
        if len(files[-1]) == _A_FILE:
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
    """The work of a unit, in whichever process."""
    done = import_package(settings, "bench", package)
    return _Import(package.user_id, os.getpid(), memory_of(os.getpid()).resident, done.counts)


@contextmanager
def _fresh(server: Postgres) -> Iterator[str]:
    with services.warehouse(server) as dsn:
        services.add_users(dsn, _USERS)
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("CHECKPOINT")
        yield dsn


_TABLES = (
    ("public", "Tracks", "id"),
    ("public", "History", "user_id, played_at"),
    ("songswap", "streams", "user_id, ended_at, ms_played, place"),
    ("songswap", "export_tracks", "id"),
    ("songswap", "metadata", "kind, id"),
)


def _final_rows(dsn: str, folder: Path) -> list[tuple[sql.Composable, Path]]:
    """All rows that came out, as COPY writes them, a file for each table."""
    found = []
    with psycopg.connect(dsn) as connection, connection.cursor() as cursor:
        for schema, name, key in _TABLES:
            table, path = sql.Identifier(schema, name), folder / f"{name}.copy"
            query = sql.SQL("COPY (SELECT * FROM {} ORDER BY " + key + ") TO STDOUT").format(table)
            with path.open("wb") as file, cursor.copy(query) as copy:
                file.writelines(copy)
            found.append((table, path))
    return found


def _copy(dsn: str, final: Sequence[tuple[sql.Composable, Path]]) -> None:
    """COPY rows as they are, in one transaction: no program could be quicker, not even to make
    text of them.
    """
    with psycopg.connect(dsn) as connection, connection.cursor() as cursor:
        for table, path in final:
            query = sql.SQL("COPY {} FROM STDIN").format(table)
            with path.open("rb") as file, cursor.copy(query) as copy:
                while part := file.read(_PART):
                    copy.write(part)
