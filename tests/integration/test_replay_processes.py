"""Replays by 1, 2 and 8 processes at once: the same tables, row for row."""

import asyncio
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from all_tables import AllTables, Rows, difference
from spotify_json import track

from songswap.dev.stack.object_store import REGION, ObjectStore
from songswap.parallel.processes import run_parallel
from songswap.pipelines import replay, run_counts
from songswap.settings import Archive, Settings, Spotify
from songswap.storage import archive, keys
from songswap.storage.records import RawExport, RawResponse, pack

USERS, HOURS, PLAYS = 16, 3, 15
BEGIN = datetime.fromisoformat("2026-11-22T22:00:00+00:00")
"""So that midnight, when popularity begins anew, is in the middle."""
TRACKS, EXPORTED = range(1, 25), range(25, 31)
BY_UNIT = {
    # When something was queued or noted depends on the unit that did it first.
    "songswap.enrichment_queue": {"queued_at"},
    "songswap.data_fixes": {"found_at"},
}


def contradicting(drawn: random.Random) -> dict[str, Any]:
    """A track as one of many users sees it."""
    number = drawn.choice(TRACKS)
    letter = drawn.choice("ABC")
    artists = [{"id": f"{each}{0:021d}", "name": drawn.choice("XY")} for each in "ABC"]
    return track(
        number,
        name=drawn.choice([None, f"{letter} {number}", f"Track {number}"]),
        duration_ms=drawn.choice([0, 180_000, 180_001]),
        popularity=drawn.choice([None, 50, 51, 52]),
        preview_url=f"https://p.scdn.co/{letter}",
        artists=drawn.sample(artists, drawn.choice([1, 2])),
        album={"images": [{"height": 64, "width": 64, "url": f"https://i.scdn.co/{letter}"}]},
    )


def responses() -> Iterator[RawResponse]:
    """Three hours of users who play the same tracks, of which each is told something else."""
    drawn = random.Random(19)  # noqa: S311 - no secret
    for user in range(1, USERS + 1):
        for hour in range(HOURS):
            # Some users at the same moment, for then the larger popularity comes first.
            at = BEGIN + timedelta(hours=hour, minutes=user % 4)
            items = [
                {
                    "played_at": f"{at - timedelta(minutes=minute + 1):%FT%TZ}",
                    "track": contradicting(drawn),
                }
                for minute in range(PLAYS)
            ]
            body = json.dumps({"items": items, "limit": PLAYS}).encode()
            yield RawResponse(user, keys.for_hour(user, at), at, pack(body))


def exports() -> Iterator[RawExport]:
    """An export of each user, with plays of before and tracks that only exports have."""
    for user in range(1, USERS + 1):
        rows = [
            {
                "ts": f"{BEGIN - timedelta(days=1, minutes=9 * number):%FT%TZ}",
                "ms_played": 180_000 + number * user,
                "spotify_track_uri": f"spotify:track:{number:022d}",
                "master_metadata_track_name": f"Track {number}",
                "master_metadata_album_artist_name": f"Artist {user % 3}",
                "reason_end": "trackdone",
            }
            for number in EXPORTED
        ]
        body = json.dumps(rows).encode()
        key = keys.for_export(user, "extended", body)
        yield RawExport(user, key, "extended", BEGIN + timedelta(hours=HOURS), pack(body))


@pytest.fixture
def settings(objects: ObjectStore, bucket: str, tmp_path: Path) -> Settings:
    """Settings of an archive with these responses and exports."""

    def keyed(name: str) -> Archive:
        return Archive(bucket, objects.url, REGION, name, objects.access.secrets[name])

    async def put() -> None:
        store = archive.Archive(keyed("pipeline"))
        for response in responses():
            await store.put(response)
        for export in exports():
            await store.put_export(export)

    asyncio.run(put())
    spotify = Spotify("id", "secret")
    return Settings("", spotify, keyed("pipeline"), tmp_path / "spool", keyed("reader"))


def test_same_rows_by_any_number_of_processes(
    settings: Settings, make_warehouse: Callable[[], str]
) -> None:
    """Whatever the users' responses say of the same tracks, and whoever is first."""

    def replayed(processes: int) -> tuple[Rows, dict[str, int]]:
        here = replace(settings, warehouse_dsn=make_warehouse())
        with psycopg.connect(here.warehouse_dsn, autocommit=True) as connection:
            insert = 'INSERT INTO "Users" SELECT n, n, n, n FROM generate_series(1, %s::integer) n'
            connection.execute(insert, [USERS])
            work = partial(replay.replay, here, "replay")
            units = replay.plan(here)
            counts = run_counts.total(run_parallel(work, units, processes=processes))
            deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
            assert connection.execute(deadlocks).fetchone() == (0,)
            return AllTables(connection, BY_UNIT).read(), counts

    expected, counts = replayed(1)
    assert counts["plays"] == USERS * (HOURS * PLAYS + len(EXPORTED))
    for table in ("TrackPopularity", "ArtistTracks", "TrackImages", "History"):
        assert expected[f"public.{table}"].total() >= len(TRACKS)
    assert expected["songswap.gaps"]
    for processes in (2, 8):
        found, again = replayed(processes)
        assert not difference(found, expected), f"{processes} processes"
        assert again == counts
