"""Exports → tables: 1,000,000 rows of 20 users' whole lives, into PostgreSQL."""

import random
import resource
import zipfile
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import psycopg
from psycopg import sql

from benchmarks import services
from benchmarks.figure import Figure, bound, medians, seconds, speed
from songswap.importing import import_export
from songswap.local.postgres import Postgres
from songswap.settings import Archive, Settings, Spotify

_USERS = 20
_ROWS = 50_000
_TRACKS = 200_000
_A_FILE = 16_000
_ROUNDS = 3
_BEGIN = datetime(2012, 1, 1, tzinfo=UTC)


def run(folder: Path, told: Callable[[str], None]) -> Iterator[Figure]:
    """Ours against a bare COPY of the final rows."""
    told("making exports")
    exports = [export(folder / f"user{user}.zip", user, _ROWS) for user in range(1, _USERS + 1)]
    with services.postgres(folder) as server, services.object_store(folder) as store:
        archive = services.archive_of(store)
        rows = _USERS * _ROWS
        told("the rows that have to come out")
        peaks: list[int] = []

        def ours(dsn: str) -> None:
            for number, path in enumerate(exports, 1):
                _import(dsn, archive, folder, number, path)
                peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)

        with services.warehouse(server) as dsn:
            services.add_users(dsn, _USERS)
            ours(dsn)
            final = _final_rows(dsn)
        told(f"{rows:,} rows, {_ROUNDS} rounds")
        ours_s, bare_s = medians(
            _ROUNDS,
            lambda: _fresh(server, ours),
            lambda: _fresh(server, lambda dsn: _copy(dsn, final)),
        )
    yield bound(f"{rows:,} rows of {_USERS} exports", ours_s, "s", most=60)
    yield speed("the same, against a bare COPY", ours_s, bare_s, least=0.5)
    yield bound("rows in a second", rows / ours_s, "rows/s")
    yield bound(
        "peak memory after all against after two users", peaks[-1] / peaks[1], "×", most=1.15
    )


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


def _import(dsn: str, archive: Archive, folder: Path, user: int, path: Path) -> None:
    settings = Settings(dsn, Spotify("", ""), archive, folder / "spool")
    import_export(settings, user, [path], f"bench {user}", lambda *_: None)


def _fresh(server: Postgres, deed: Callable[[str], None]) -> float:
    with services.warehouse(server) as dsn:
        services.add_users(dsn, _USERS)
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("CHECKPOINT")
        return seconds(lambda: deed(dsn))


_TABLES = (
    ("public", "Tracks", "id"),
    ("public", "History", "user_id, played_at"),
    ("songswap", "streams", "user_id, ended_at, ms_played, place"),
    ("songswap", "export_tracks", "id"),
    ("songswap", "metadata", "kind, id"),
)


def _final_rows(dsn: str) -> list[tuple[sql.Composable, list[Any]]]:
    found = []
    with psycopg.connect(dsn) as connection:
        for schema, name, key in _TABLES:
            table = sql.Identifier(schema, name)
            query = sql.SQL("SELECT * FROM {} ORDER BY " + key).format(table)
            found.append((table, connection.execute(query).fetchall()))
    return found


def _copy(dsn: str, final: Sequence[tuple[sql.Composable, list[Any]]]) -> None:
    """COPY rows as they are, in one transaction."""
    with psycopg.connect(dsn) as connection, connection.cursor() as cursor:
        for table, rows in final:
            with cursor.copy(sql.SQL("COPY {} FROM STDIN").format(table)) as copy:
                for row in rows:
                    copy.write_row(row)
